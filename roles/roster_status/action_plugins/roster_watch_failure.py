"""Ansible action: notify that the watch over the fleet failed."""

from __future__ import annotations

import datetime as dt
import sys
from pathlib import Path
from typing import Any

from ansible import constants
from ansible.plugins.action import ActionBase

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "scripts"))

from roster_fleet import outputs
from roster_fleet.watch.channels import Channels
from roster_fleet.watch.fleet import Fleet

DOCUMENTATION = r"""
module: roster_watch_failure
short_description: Notify all alert channels of the inventory that the watch failed
description:
  - Runs on the control node alone, once for all hosts. It notifies once a day.
  - An inventory that cannot be read has no hosts. Then it uses the C(alerts.vault) files that the
    last run has used.
author: The Roster Delivery authors
"""

GROUP = "district_hosts"


class ActionModule(ActionBase):  # type: ignore[misc]  # Ansible carries no types
    """See DOCUMENTATION."""

    _requires_connection = False

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Notify. Return Ansible's result."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        self.validate_argument_spec(argument_spec={})
        known = task_vars or {}
        own = outputs.of(known["ansible_inventory_sources"], constants.CONFIG_FILE)
        channels = Channels(known["hostvars"], self._loader)
        fleet = Fleet(known["groups"].get(GROUP, []), channels, own, own.page)
        troubles = fleet.report_failure(dt.datetime.now(dt.UTC).date().isoformat())
        if troubles:
            result |= {"failed": True, "msg": ". ".join(troubles)}
        return result
