"""Ansible action: approve one export that the guard holds, once."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from ansible.plugins.action import ActionBase

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "scripts"))

from roster_fleet import asking, commands
from roster_fleet.report import digest, matching, maybe, several, table, text
from roster_upload.terminal.printable import printable

DOCUMENTATION = r"""
module: approve_feed
short_description: Approve one export that the guard holds, once
description:
  - Runs C(roster-upload approve) on the host. It changes nothing if the export is approved already.
  - The task needs C(timeout=0). The question has a time limit of its own.
options:
  feed:
    description: The feed's name.
    type: str
    required: true
  digest:
    description: The held export's SHA-256, or its first 12 digits at least.
    type: str
    required: true
  reason:
    description: The reason, for the receipt.
    type: str
    required: true
attributes:
  check_mode:
    support: full
author: The Roster Delivery authors
"""

RETURN = r"""
result:
  description: C(approved), C(would_approve) or C(approved_before).
  type: str
  returned: always
digest:
  description: The whole digest of the export.
  type: str
  returned: always
held:
  description: Why the guard holds the export.
  type: list
  returned: always
row:
  description: The row of the closing table.
  type: dict
  returned: always
"""

LONGEST_HELD = 1_500  # leaves room for the command behind it in a cell of the table
OPTIONS = {name: {"type": "str", "required": True} for name in ("feed", "digest", "reason")}
# Texts of the closing table for each result.
RESULTS = {
    "approved": "approved",
    "would_approve": "would be approved",
    "approved_before": "approved before",
}
ANSWER = table(
    {
        "result": matching(RESULTS.__contains__, "a result of approve"),
        "digest": digest,
        "held": maybe(several(text), []),
    }
)


class ActionModule(ActionBase):  # type: ignore[misc]  # Ansible carries no types
    """See DOCUMENTATION."""

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return Ansible's result. Raise AnsibleActionFail if nothing is approved."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        _, args = self.validate_argument_spec(argument_spec=OPTIONS)
        answer = self.approve(**args)
        host = (task_vars or {})["inventory_hostname"]
        send = commands.playbook("send", host, roster_feed=args["feed"])
        held = printable("; ".join(answer["held"]), LONGEST_HELD)
        row = {
            "feed": args["feed"],
            "did": RESULTS[answer["result"]],
            "note": f"{held}. The next delivery sends it. To send it now: {send}",
        }
        return result | answer | {"changed": answer["result"] != "approved_before", "row": row}

    def approve(self, feed: str, digest: str, reason: str) -> dict[str, Any]:
        """Have the program approve the export. Return its answer. Raise AnsibleActionFail."""
        who = os.environ.get("USER") or "the control node"
        words = ["approve", "--json", feed, "--digest", digest, "--reason", reason]
        words += ["--check"] if self._task.check_mode else []
        answer: dict[str, Any] = asking.ask_program(
            self, words, ANSWER, environment={"SUDO_USER": who}
        )
        return answer
