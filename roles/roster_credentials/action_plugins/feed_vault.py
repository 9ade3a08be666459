"""Ansible action: change a feed's vault file on the control node, as a whole or not at all."""

from __future__ import annotations

import fcntl
import hashlib
import os
import sys
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "scripts"))

from roster_fleet import vault

DOCUMENTATION = r"""
module: feed_vault
short_description: Change a feed's vault file on the control node
description:
  - Sets and removes values of a feed's vault file. The new file is encrypted in memory, opened
    again as a test, and replaces the old one at once. No unencrypted value touches a disk.
  - The result has no values. Use C(no_log) all the same, since the options have them.
options:
  path:
    description: Path of the vault file. It is created if it does not exist.
    type: path
    required: true
  set:
    description: Values to set, of C(secret), C(since), C(next).
    type: dict
    default: {}
  remove:
    description: Names of the values to remove.
    type: list
    elements: str
    default: []
  credential:
    description: The login that has the values, C(vendor) or C(source).
    type: str
    choices: [vendor, source]
    default: vendor
  unchanged:
    description:
      - The C(digest) that the file must still have, as an earlier call has returned it. The action
        fails if the file has changed since.
    type: str
  vault_id:
    description: The vault id for a new file. An existing file keeps its own.
    type: str
    required: true
attributes:
  check_mode:
    support: full
author: The Roster Delivery authors
"""


class ActionModule(ActionBase):  # type: ignore[misc]  # Ansible carries no types
    """See DOCUMENTATION."""

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return Ansible's result, with the names of the changed keys and no values."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        _, args = self.validate_argument_spec(
            argument_spec={
                "path": {"type": "path", "required": True},
                "set": {"type": "dict", "default": {}},
                "remove": {"type": "list", "elements": "str", "default": []},
                "credential": {"choices": ["vendor", "source"], "default": "vendor"},
                "unchanged": {"type": "str"},
                "vault_id": {"type": "str", "required": True},
            }
        )
        path = Path(args["path"])
        try:
            keys = vault.keys_of(self._loader, Path((task_vars or {})["inventory_dir"]))
            if not self._task.check_mode:
                path.parent.mkdir(parents=True, exist_ok=True)
            with alone(path.parent):
                if args["unchanged"] is not None:
                    refuse_changed(path, args["unchanged"])
                vault_id, before = args["vault_id"], vault.Entry({})
                if path.exists():
                    vault_id, text = keys.read(path)
                    before = vault.parse(text, path)
                is_part = args["credential"] == vault.SOURCE
                former = before.get(vault.SOURCE, {}) if is_part else before
                changed = edited(former, args["set"], args["remove"])
                names = sorted(k for k in {*former, *changed} if former.get(k) != changed.get(k))
                after = {**before, vault.SOURCE: changed} if is_part else changed
                if names and not self._task.check_mode:
                    keys.write(path, after, vault_id)
                written = digest(path)
        except (vault.VaultError, OSError) as error:
            raise AnsibleActionFail(str(error)) from None
        return result | {
            "changed": bool(names),
            "changed_keys": names,
            "path": str(path),
            "digest": written,
        }


def edited(
    values: Mapping[str, Any], new: Mapping[str, Any], removed: Collection[str]
) -> dict[str, Any]:
    """Return the values of a login with new ones, and without the removed ones."""
    after = {**values, **{key: str(value) for key, value in new.items()}}
    return {key: value for key, value in after.items() if key not in removed}


def digest(path: Path) -> str:
    """Return the SHA-256 of an encrypted file, or an empty text if there is no file."""
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else ""


def refuse_changed(path: Path, before: str) -> None:
    """Raise VaultError if a file has changed since an earlier call."""
    if digest(path) != before:
        raise vault.VaultError(f"{path} was changed during this run. Run the same command again")


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Keep other runs on this control node from a folder's files during the block."""
    if not folder.is_dir():  # in check mode
        yield
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
