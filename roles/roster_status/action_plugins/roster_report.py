"""Ansible action: ask a host for its report, and ignore everything else in its answer."""

from __future__ import annotations

import datetime as dt
import json
import sys
from pathlib import Path
from typing import Any

from ansible import constants
from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "scripts"))

from roster_fleet import asking, outputs, report
from roster_fleet.status import cache
from roster_fleet.status.witness import Witness
from roster_upload.report.head import VARIABLE
from roster_upload.terminal.output import SCHEMA

DOCUMENTATION = r"""
module: roster_report
short_description: A host's report on its deliveries, in one trip
description:
  - Runs C(roster-upload report) on the host. It changes nothing.
  - A host with another release of the program, or without one, does not fail the task. C(problem)
    says so.
  - The task needs C(timeout=0), since C(seconds) bounds the question.
options:
  nights:
    description: How many of the last nights of each feed are reported.
    type: int
    default: 400
  feeds:
    description: The feeds that the inventory gives the host. The result repeats them as C(planned).
    type: list
    elements: str
    required: true
  heads:
    description: >-
      Folder with the head of each feed's receipts, as it was seen last. By default
      C(receipts/INVENTORY) in your folder.
    type: path
    default: ""
  seconds:
    description: How long the host may take.
    type: int
    default: 120
attributes:
  check_mode:
    support: full
author: The Roster Delivery authors
"""

RETURN = r"""
report:
  description:
    - The report as one JSON text, since Ansible walks through every value of a result again and
      again. C(scripts/roster_upload/spec/answers.schema.json) describes it.
  type: str
  returned: if the host has answered in a schema that is known here
asked:
  description: When the host was asked, by the control node's clock.
  type: str
  returned: always
planned:
  description: The option C(feeds).
  type: list
  returned: always
problem:
  description: C(no_program) or C(other_release).
  type: str
  returned: if the host cannot answer for this reason
"""

OPTIONS = {
    "nights": {"type": "int", "default": 400},
    "feeds": {"type": "list", "elements": "str", "required": True},
    "heads": {"type": "path", "default": ""},
    "seconds": {"type": "int", "default": 120},
}
NO_FEEDS = {"schema": SCHEMA, "feeds": []}


class ActionModule(ActionBase):  # type: ignore[misc]  # Ansible carries no types
    """See DOCUMENTATION."""

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return the host's `report` as text, or the `problem`. Raise AnsibleActionFail."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        _, args = self.validate_argument_spec(argument_spec=OPTIONS)
        asked = report.stamp(dt.datetime.now(dt.UTC))
        result |= {"changed": False, "asked": asked, "planned": args["feeds"]}
        words = ["report", "--json", "--nights", str(args["nights"])]
        seen = self.seen(args["heads"], args["feeds"], task_vars or {})
        try:
            found = asking.ask_program(
                self, words, lambda value, _: value, args["seconds"], report.LONGEST_REPORT, seen
            )
        except asking.OtherReleaseError as error:
            return result | {"problem": cache.OTHER_RELEASE, "msg": error.message}
        except asking.NoProgramError as error:
            if not args["feeds"]:  # by the inventory, the host delivers nothing
                return result | {"report": json.dumps(NO_FEEDS)}
            return result | {"problem": cache.NO_PROGRAM, "msg": error.message}
        except AnsibleActionFail as error:
            return result | {"failed": True, "msg": error.message}
        return result | {"report": json.dumps(found, ensure_ascii=False, separators=(",", ":"))}

    @staticmethod
    def seen(folder: str, feeds: list[str], known: dict[str, Any]) -> dict[str, str]:
        """Return the variable that names the receipt of each feed that was seen last."""
        if not folder:
            own = outputs.of(known["ansible_inventory_sources"], constants.CONFIG_FILE)
            folder = str(own.receipts)
        found = Witness(Path(folder)).positions(known["inventory_hostname"], feeds)
        return {VARIABLE: " ".join(f"{feed}={position}" for feed, position in found.items())}
