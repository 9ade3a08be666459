"""Ansible action: take decommissioned feeds out of the inventory, all of them or none."""

from __future__ import annotations

import datetime as dt
import sys
from pathlib import Path
from typing import Any

from ansible import constants
from ansible.errors import AnsibleActionFail, AnsibleError
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "scripts"))

from roster_fleet import inventory, offboard, outputs, vault
from roster_fleet.onboard import writing
from roster_fleet.status.witness import Witness

DOCUMENTATION = r"""
module: decommission_inventory
short_description: Take decommissioned feeds out of the inventory
description:
  - Removes feeds and inboxes from the files of their hosts. A host without a feed leaves hosts.yml,
    and its files in host_vars are removed. All other lines stay as they are.
  - Removes the feeds' vault files.
  - Adds the date to the name of each feed's head, which C(status.yml) has kept beside its receipts.
options:
  sources:
    description: The inventory of the run, a folder with hosts.yml.
    type: list
    elements: str
    required: true
  gone:
    description: For each host C(host), C(feeds), C(stays), C(inboxes) and C(vault_folder).
    type: list
    elements: dict
    required: true
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
        """Return Ansible's result, with a note for each host."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        _, args = self.validate_argument_spec(
            argument_spec={
                "sources": {"type": "list", "elements": "str", "required": True},
                "gone": {"type": "list", "elements": "dict", "required": True},
            }
        )
        gone = [offboard.Gone(**one) for one in args["gone"]]
        folder = inventory.folder_of(args["sources"])
        try:
            secrets = vault.keys_of(self._loader, folder).secrets if folder else []
            plan = offboard.make_plan(folder, gone, secrets, is_check=self._task.check_mode)
            if not self._task.check_mode:
                writing.write(plan.files)
        except (vault.VaultError, OSError, AnsibleError) as error:
            raise AnsibleActionFail(
                f"{error}\nThe inventory stays as it was. Remove the feeds from it by hand"
            ) from None
        result |= {"changed": bool(plan.files), "notes": plan.notes}
        if not self._task.check_mode:
            self.put_heads_aside(args["sources"], gone, task_vars or {})
        if self._task.diff:
            result["diff"] = [file.diff() for file in plan.files]
        return result

    @staticmethod
    def put_heads_aside(
        sources: list[str], gone: list[offboard.Gone], known: dict[str, Any]
    ) -> None:
        """Put the heads of the feeds' receipts aside. A failure only warns."""
        own = outputs.of(sources, constants.CONFIG_FILE)
        heads = Witness(Path(known.get("roster_status_heads") or own.receipts))
        day = dt.datetime.now(dt.UTC).date().isoformat()
        for host, feed in ((one.host, feed) for one in gone for feed in one.feeds):
            try:
                heads.put_aside(host, feed, day)
            except OSError as error:
                Display().warning(f"{heads.path(host, feed)} cannot be renamed: {error}")
