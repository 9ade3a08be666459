"""Ansible action: change a feed's vault file on the control node, as a whole or not at all."""

from __future__ import annotations

import fcntl
import hashlib
import os
import sys
from collections.abc import Iterator
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
  - Sets and removes values of a feed's vault file. The file is encrypted in memory and tested by
    decrypting it. Then it replaces the old one at once. Nothing unencrypted touches a disk.
  - The result does not contain the values. Use C(no_log) all the same.
options:
  path:
    description: The vault file. A missing one is created.
    type: path
    required: true
  set:
    description: Values to set. Their keys are C(secret), C(since) and C(next).
    type: dict
    default: {}
  remove:
    description: Keys to remove.
    type: list
    elements: str
    default: []
  unchanged:
    description:
      - The C(digest) that the file must still have, as a former call has returned it. The task
        fails if the file has changed since.
    type: str
  vault_id:
    description: The vault id of a new file. An existing file keeps its own.
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
        """Return Ansible's result, with only the names of the changed keys."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        _, args = self.validate_argument_spec(
            argument_spec={
                "path": {"type": "path", "required": True},
                "set": {"type": "dict", "default": {}},
                "remove": {"type": "list", "elements": "str", "default": []},
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
                after = {**before, **{key: str(value) for key, value in args["set"].items()}}
                after = {key: value for key, value in after.items() if key not in args["remove"]}
                names = sorted(k for k in {*before, *after} if before.get(k) != after.get(k))
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


def digest(path: Path) -> str:
    """Return the SHA-256 of an encrypted file, or an empty text without one."""
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else ""


def refuse_changed(path: Path, before: str) -> None:
    """Raise VaultError if a file has changed since a former call."""
    if digest(path) != before:
        raise vault.VaultError(
            f"{path} was changed while this run was under way. Run the same command again"
        )


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Keep other runs on this control node away from a folder's files during the block."""
    if not folder.is_dir():  # in check mode
        yield
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
