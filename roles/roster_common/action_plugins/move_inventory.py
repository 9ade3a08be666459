"""Ansible action: move feeds from one host to another within the inventory."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail, AnsibleError
from ansible.plugins.action import ActionBase

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "scripts"))

from roster_fleet import inventory, relocation, vault
from roster_fleet.onboard import writing
from roster_fleet.status.witness import Witness

DOCUMENTATION = r"""
module: move_inventory
short_description: Move feeds from one host to another within the inventory
description:
  - Moves the entries of feeds from the files of one host to those of another. An entry also gets
    what the old host and its groups say of the feed, where the new ones say otherwise. All other
    lines stay as they are.
  - Moves the feeds' vault files, and copies the heads of their receipts.
  - Changes nothing where an entry cannot be edited. The note then says why.
options:
  sources:
    description: The inventory of the run, a folder with hosts.yml.
    type: list
    elements: str
    required: true
  feeds:
    description: The names of the feeds.
    type: list
    elements: str
    required: true
  old:
    description: The host that the feeds have left.
    type: str
    required: true
  new:
    description: The host that delivers them.
    type: str
    required: true
  old_vaults:
    description: The folder with the vault files of the old host.
    type: path
    required: true
  new_vaults:
    description: The folder with the vault files of the new host.
    type: path
    required: true
  heads:
    description: The folder with the heads of the feeds' receipts, as C(roster_status_heads).
    type: path
    required: true
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
author: The Roster Delivery authors
"""

RETURN = r"""
note:
  description: What has become of the entries, for the closing table.
  type: str
  returned: always
"""

TEXTS = {name: {"type": "str", "required": True} for name in ("old", "new")}
PATHS = {name: {"type": "path", "required": True} for name in ("old_vaults", "new_vaults", "heads")}
LISTS = {
    name: {"type": "list", "elements": "str", "required": True} for name in ("sources", "feeds")
}


class ActionModule(ActionBase):  # type: ignore[misc]  # Ansible carries no types
    """See DOCUMENTATION."""

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return Ansible's result, with a note."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        _, args = self.validate_argument_spec(argument_spec={**TEXTS, **PATHS, **LISTS})
        folder = inventory.folder_of(args["sources"])
        old, new, heads = (Path(args[name]) for name in PATHS)
        moved = relocation.Moved(args["feeds"], args["old"], args["new"], old, new)
        is_check = self._task.check_mode
        try:
            secrets = vault.keys_of(self._loader, folder).secrets if folder else []
            plan = relocation.make_plan(folder, moved, secrets, is_check=is_check)
            if not is_check:
                for feed in args["feeds"]:
                    Witness(heads).carry(args["old"], args["new"], feed)
                writing.write(plan.files)
        except (vault.VaultError, OSError, ValueError, AnsibleError) as error:
            raise AnsibleActionFail(
                f"{error}\nThe feeds have moved, and the inventory stays as it was. Move their "
                "entries and vault files by hand"
            ) from None
        if self._task.diff:
            result["diff"] = [file.diff() for file in plan.files]
        return result | {"changed": bool(plan.files), "note": plan.note}
