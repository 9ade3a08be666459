"""Ansible action: show all hosts' reports as a table on the terminal and one HTML page."""

from __future__ import annotations

import datetime as dt
import sys
from pathlib import Path
from typing import Any

from ansible import constants
from ansible.plugins.action import ActionBase
from ansible.utils.color import ANSIBLE_COLOR
from ansible.utils.display import Display

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "scripts"))

from roster_fleet import outputs, report
from roster_fleet.status import cache as caches
from roster_fleet.status import page, witness
from roster_fleet.status import rows as status
from roster_fleet.status import table as tables
from roster_fleet.terminal import TERMINAL

DOCUMENTATION = r"""
module: roster_page
short_description: Show the fleet's status as a table on the terminal and one HTML page
description:
  - Runs on the control node alone, once for all hosts.
  - The task is C(changed) if anything but the page's time differs.
options:
  page:
    description: The page's path. By default C(build/INVENTORY/status.html) in your folder.
    type: path
    default: ""
  cache:
    description: Folder that keeps each host's last report. By default C(status) beside that page.
    type: path
    default: ""
  heads:
    description: >-
      Folder that keeps the head of each feed's receipts. By default C(receipts/INVENTORY) in your
      folder.
    type: path
    default: ""
  accept:
    description: Feeds, as C(HOST/FEED), whose receipts the operator accepts as they are now.
    type: list
    elements: str
    default: []
  hosts:
    description: The hosts to show.
    type: list
    elements: str
    required: true
  registered:
    description: The variable in which each host's C(roster_report) was registered.
    type: str
    required: true
  fail:
    description: Whether a red district makes the task fail.
    type: bool
    default: false
author: The Roster Delivery authors
"""

RETURN = r"""
history:
  description: >-
    Receipts that differ from those that were seen before, each with its C(host), C(feed) and
    C(code).
  type: list
  returned: always
counts:
  description: How many feeds are C(red), C(amber), C(new), C(green) and C(off).
  type: dict
  returned: always
"""

MAXIMUM = "roster_credentials_maximum_days"
MAXIMUM_DAYS = 365  # if the inventory has no value
OPTIONS = {
    "page": {"type": "path", "default": ""},
    "cache": {"type": "path", "default": ""},
    "heads": {"type": "path", "default": ""},
    "accept": {"type": "list", "elements": "str", "default": []},
    "hosts": {"type": "list", "elements": "str", "required": True},
    "registered": {"type": "str", "required": True},
    "fail": {"type": "bool", "default": False},
}


class ActionModule(ActionBase):  # type: ignore[misc]  # Ansible carries no types
    """See DOCUMENTATION."""

    _requires_connection = False

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Print the table and write the page. Return Ansible's result."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        _, args = self.validate_argument_spec(argument_spec=OPTIONS)
        known = task_vars or {}
        now = report.stamp(dt.datetime.now(dt.UTC))
        own = outputs.of(known["ansible_inventory_sources"], constants.CONFIG_FILE)
        path, cache = (
            Path(args["page"] or own.page),
            caches.Cache(Path(args["cache"] or own.reports)),
        )
        hosts = [self.host(name, known, args["registered"], cache, now) for name in args["hosts"]]
        if wrong := witness.not_reported(args["accept"], hosts):
            return result | {"failed": True, "msg": wrong}
        heads = witness.Witness(Path(args["heads"] or own.receipts))
        hosts, result["history"] = heads.look_at_all(
            hosts, now, args["accept"], is_check=self._task.check_mode
        )
        rows = status.build_rows(hosts, self.inventory(known))
        html = page.build(rows, now, own.name)
        try:
            result["changed"] = page.write(path, html, is_check=self._task.check_mode)
        except OSError as error:
            advice = "Set roster_status_page to another path"
            message = f"the page cannot be written: {error}. {advice}"
            return result | {"failed": True, "msg": message}
        display = Display()
        for trouble in [] if self._task.check_mode else cache.keep(hosts):
            display.warning(trouble)
        display.display("\n" + tables.table(rows, TERMINAL.width, colours=ANSIBLE_COLOR))
        if text := status.other_builds(rows):
            display.display(text)
        if not self._task.check_mode:
            display.display(f"The page: {outputs.as_typed(path)}")
        result["counts"] = {s: sum(row.state == s for row in rows) for s in status.STATES}
        # A slice, or a limited run, answers for its own hosts.
        asked = [row for row in rows if row.host.name in known["ansible_play_hosts_all"]]
        if args["fail"] and any(row.state == "red" for row in asked):
            result |= {"failed": True, "msg": f"not in order: {tables.summary(asked)}"}
        return result

    @staticmethod
    def host(
        name: str, known: dict[str, Any], registered: str, cache: caches.Cache, now: str
    ) -> status.Host:
        """Return a host with its report. A host outside `--limit` was not asked."""
        if name not in known["ansible_play_hosts_all"]:
            # Its variables may be encrypted with a key that is not on this control node.
            return caches.host(name, None, cache, now)
        values = known["hostvars"][name]
        maximum, answer = int(values.get(MAXIMUM, MAXIMUM_DAYS)), values.get(registered) or {}
        return caches.host(name, answer, cache, now, maximum, answer.get("planned"))

    @staticmethod
    def inventory(known: dict[str, Any]) -> str:
        """Return the inventory's path as an operator types it in the current folder."""
        sources = known.get("ansible_inventory_sources") or ["INVENTORY"]
        return outputs.as_typed(Path(str(sources[0])))
