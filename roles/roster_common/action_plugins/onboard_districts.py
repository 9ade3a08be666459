"""Ansible action: add new districts to the inventory, all of them or none."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail, AnsibleError
from ansible.parsing.vault import is_encrypted
from ansible.plugins.action import ActionBase

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "scripts"))

from roster_fleet import inventory, vault
from roster_fleet.onboard import csv_file, questions, writing
from roster_fleet.onboard.districts import District, OnboardError, from_values
from roster_fleet.onboard.plan import make_plan

DOCUMENTATION = r"""
module: onboard_districts
short_description: Add new districts to the inventory
description:
  - Takes districts from a CSV, or asks about one district. Checks everything that the upload
    program would check. Writes the hosts' files, their vault files and hosts.yml, or nothing.
  - Existing values are compared and never overwritten.
options:
  sources:
    description: The inventory of the run, a folder with hosts.yml.
    type: list
    elements: str
    required: true
  csv:
    description: The CSV. A CSV with passwords must be encrypted with ansible-vault.
    type: path
    default: ""
  values:
    description: Values of one district, by the CSV's column names. The playbook asks for the rest.
    type: dict
    default: {}
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
author: The Roster Delivery authors
"""


class ActionModule(ActionBase):  # type: ignore[misc]  # Ansible carries no types
    """See DOCUMENTATION."""

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return Ansible's result: the report on each district, and their servers."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        _, args = self.validate_argument_spec(
            argument_spec={
                "sources": {"type": "list", "elements": "str", "required": True},
                "csv": {"type": "path", "default": ""},
                "values": {"type": "dict", "default": {}},
            }
        )
        folder = inventory.folder_of(args["sources"])
        if folder is None:
            raise AnsibleActionFail(
                "name one inventory folder for the districts: -i inventories/mydistrict"
            )
        try:
            keys = vault.keys_of(self._loader, folder)
            if args["csv"]:
                districts = from_file(Path(args["csv"]), keys)
            else:
                districts = [from_values(questions.ask(args["values"]), "the district")]
            plan = make_plan(folder, districts, keys)
            if self._task.check_mode:
                for line in plan.report:
                    line["did"] = line["did"].replace("added", "would be added")
            else:
                writing.write(plan.files)
        except (OnboardError, vault.VaultError, OSError, AnsibleError) as error:
            raise AnsibleActionFail(f"{error}\nNothing was written.") from None
        result |= {
            "changed": bool(plan.files),
            "inventory": str(folder),
            "report": plan.report,
            "servers": plan.servers,
        }
        if self._task.diff:
            result["diff"] = [file.diff() for file in plan.files]
        return result


def from_file(path: Path, keys: vault.Vault) -> list[District]:
    """Return the districts of a CSV, which may be encrypted."""
    data = path.read_bytes()
    sealed = is_encrypted(data)
    plain = keys.decrypt(data, path) if sealed else data
    return csv_file.from_csv(plain, str(path), sealed=sealed)
