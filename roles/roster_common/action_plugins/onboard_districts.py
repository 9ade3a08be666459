"""Ansible action: add new districts to the inventory, all of them or none."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ansible import constants as C  # noqa: N812 - as Ansible names it
from ansible import context
from ansible.errors import AnsibleActionFail, AnsibleError
from ansible.parsing.vault import is_encrypted
from ansible.plugins.action import ActionBase

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "scripts"))

from roster_fleet import inventory, vault
from roster_fleet.onboard import csv_file, host_key, next_steps, questions, source_keys, writing
from roster_fleet.onboard.districts import District, OnboardError
from roster_fleet.onboard.plan import Plan, make_plan

DOCUMENTATION = r"""
module: onboard_districts
short_description: Add new districts to the inventory
description:
  - Takes districts from a CSV, or asks about one district. Checks everything that the upload
    program would check. Writes the hosts' files, their vault files and hosts.yml, or nothing.
  - Existing values are compared and never overwritten. A host that delivers already gets more
    feeds, and its present ones stay as they are.
  - Reads the vendor's host key and shows its fingerprints. If no key is pinned, the confirmed key
    is written into group_vars/district_hosts. A pinned key is compared and never changed.
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
  fingerprint:
    description: The vendor's fingerprint of its host key. If it is empty, the playbook asks for it.
    type: str
    default: ""
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
author: The Roster Delivery authors
"""


DONE = ("added", "password added", "next password added")


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
                "fingerprint": {"type": "str", "default": ""},
            }
        )
        folder = inventory.folder_of(args["sources"])
        if folder is None:
            raise AnsibleActionFail(
                "name one inventory folder for the districts: -i inventories/mydistrict"
            )
        try:
            plan = self._plan(folder, args)
            if self._task.check_mode:
                for line in plan.report:
                    line["did"] = line["did"].replace("added", "would be added")
            else:
                writing.write(plan.files)
        except (OnboardError, vault.VaultError, OSError, AnsibleError) as error:
            raise AnsibleActionFail(f"{error}\nNothing was written.") from None
        result |= {
            "changed": bool(plan.files),
            "report": plan.report,
            "next": [] if self._task.check_mode else steps(folder, plan),
        }
        if self._task.diff:
            result["diff"] = [file.diff() for file in plan.files]
        return result

    def _plan(self, folder: Path, args: dict[str, Any]) -> Plan:
        """Return the plan of a CSV, or of the answers. Raise OnboardError."""
        keys = vault.keys_of(self._loader, folder)
        host_keys = host_key.HostKeys(
            args["fingerprint"], questions.ask_fingerprint, is_check=self._task.check_mode
        )

        def plan_of(districts: Sequence[District]) -> Plan:
            plan = make_plan(folder, districts, keys)
            pins, rows = source_keys.pin(host_keys, plan.sources, folder)
            if pins:
                plan = make_plan(folder, source_keys.with_pins(districts, pins), keys)
            plan.report += rows
            files, report = host_keys.pin(folder, plan.servers)
            plan.files[:0] = files
            plan.report += report
            return plan

        if args["csv"]:
            return plan_of(from_file(Path(args["csv"]), keys))
        return questions.interview(args["values"], plan_of, warnings_of)


def warnings_of(plan: Plan) -> list[str]:
    """Return what a plan leaves open, such as a host key that is not pinned."""
    return [f"{row['did']}. {row['note']}" for row in plan.report if not row["ok"]]


def steps(folder: Path, plan: Plan) -> list[str]:
    """Return the next steps after what was written."""
    hosts = [row["host"] for row in plan.report if row["did"] in DONE]
    if not hosts:
        return plan.for_the_sis
    default = inventory.folder_of(list(C.DEFAULT_HOST_LIST or []))
    return plan.for_the_sis + next_steps.lines(
        folder,
        list(dict.fromkeys(hosts)),
        playbook=Path(context.CLIARGS["args"][0]),
        is_default=default == folder,
        for_later=plan.for_later,
    )


def from_file(path: Path, keys: vault.Vault) -> list[District]:
    """Return the districts of a CSV, which may be encrypted."""
    data = path.read_bytes()
    sealed = is_encrypted(data)
    plain = keys.decrypt(data, path) if sealed else data
    return csv_file.from_csv(plain, str(path), sealed=sealed)
