"""Ansible action: encrypt an inventory's files with a new vault key, all of them or none."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "scripts"))

from roster_fleet import inventory, rekey, vault

DOCUMENTATION = r"""
module: rekey_vault
short_description: Encrypt an inventory's files of a vault id with a new key
description:
  - The new key is that of the vault id with the ending C(-next). All new files are written and
    tested before the first one replaces its old file. The next run finishes an interrupted one.
options:
  sources:
    description: The inventory, a folder with hosts.yml.
    type: list
    elements: str
    required: true
  vault_id:
    description: The vault id. If it is empty, it is the name of the inventory's folder.
    type: str
    default: ""
attributes:
  check_mode:
    support: full
author: The Roster Delivery authors
"""


class ActionModule(ActionBase):  # type: ignore[misc]  # Ansible carries no types
    """See DOCUMENTATION."""

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return Ansible's result, with the names of the files."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        _, args = self.validate_argument_spec(
            argument_spec={
                "sources": {"type": "list", "elements": "str", "required": True},
                "vault_id": {"type": "str", "default": ""},
            }
        )
        folder = inventory.folder_of(args["sources"])
        if folder is None:
            raise AnsibleActionFail("name the one inventory folder: -i inventories/mydistrict")
        vault_id = args["vault_id"] or folder.name
        try:
            work = rekey.Rekey(folder, vault_id, vault.secrets_of(self._loader))
            done = work.run(check=self._task.check_mode)
        except rekey.TornError as error:
            raise AnsibleActionFail(str(error)) from None
        except (rekey.RekeyError, vault.VaultError, OSError) as error:
            raise AnsibleActionFail(f"{error}\nNo file was changed.") from None
        return result | {
            "changed": bool(done.changed),
            "inventory": folder.name,
            "vault_id": vault_id,
            "files": [str(path) for path in done.changed],
            "already": [str(path) for path in done.already],
        }
