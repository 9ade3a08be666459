"""Ansible action: check whether a host is ready for tonight."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Any

from ansible.plugins.action import ActionBase

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "scripts"))

from roster_fleet import asking
from roster_fleet.report import LONGEST_MESSAGE
from roster_upload.terminal.printable import printable

DOCUMENTATION = r"""
module: verify_feeds
short_description: Check whether a host is ready for tonight
description:
  - Runs C(roster-upload verify) on the host. It changes nothing, and logs in once for each feed.
  - A feed is ready if its export was rehearsed or delivered as it is, and nothing else can stop
    tonight's delivery.
  - The task needs C(timeout=0). Each feed has a time limit of its own.
options:
  feeds:
    description: The feeds' names.
    type: list
    elements: str
    required: true
  notify:
    description: Also run C(roster-upload notify-test) for each feed.
    type: bool
    default: false
attributes:
  check_mode:
    support: full
author: The Roster Delivery authors
"""

RETURN = r"""
rows:
  description: A row of each feed for the closing table.
  type: list
  returned: always
"""

NOTIFY_SECONDS = 60
SECONDS = 300  # for a feed, with a login at a slow server
NEXT_START = "next start"
# Without a fault, what keeps a feed from being ready.
OPEN = {
    "calendar": "nothing planned tonight",
    "export": "waits for the export",
    "content": "not rehearsed",
    "free space": "low on disk space",
}


def row(feed: str, checks: list[Any]) -> dict[str, Any]:
    """Return a feed's row of the closing table. A check that is not ready is never `ready`."""
    wrong = [check for check in checks if not check["ok"]]
    left = [check for check in checks if not check["ready"]]
    shown = wrong or left or [check for check in checks if check["check"] == NEXT_START]
    did = "ready" if checks and not left else "not checked"
    if wrong:
        did = ", ".join(check["check"] for check in wrong)
    elif left:
        names = {check["check"] for check in left}
        did = next((text for name, text in OPEN.items() if name in names), did)
    return {
        "feed": feed,
        "did": did,
        "note": printable("; ".join(check["text"] for check in shown), LONGEST_MESSAGE),
        "ok": bool(checks) and not wrong,
    }


def with_alerts(row: dict[str, Any], answer: asking.Answer) -> dict[str, Any]:
    """Return a feed's row with the result of the test of its alerts."""
    lines = f"{answer.errors}\n{answer.output}".splitlines()
    notes = [row["note"], printable("; ".join(filter(None, lines)), LONGEST_MESSAGE)]
    if answer.code == 0:
        return {**row, "note": "; ".join(filter(None, notes))}
    did = "alerts" if row["ok"] else f"{row['did']}, alerts"
    return {**row, "did": did, "note": "; ".join(filter(None, reversed(notes))), "ok": False}


class ActionModule(ActionBase):  # type: ignore[misc]  # Ansible carries no types
    """See DOCUMENTATION."""

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return Ansible's result, with the `rows`."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        spec = {
            "feeds": {"type": "list", "elements": "str", "required": True},
            "notify": {"type": "bool", "default": False},
        }
        _, args = self.validate_argument_spec(argument_spec=spec)
        rows = [self.verified(feed) for feed in args["feeds"]]
        if args["notify"]:
            rows = [with_alerts(row, self.notified(row["feed"])) for row in rows]
        return result | {"changed": False, "rows": rows}

    def notified(self, feed: str) -> asking.Answer:
        """Return the answer to a test of a feed's alerts. Raise AnsibleActionFail."""
        command = shlex.join(["roster-upload", "notify-test", feed])
        return asking.ask(self, command, seconds=NOTIFY_SECONDS)

    def verified(self, feed: str) -> dict[str, Any]:
        """Return the row of a feed. Raise AnsibleActionFail."""
        return row(feed, asking.checks_of(self, feed, seconds=SECONDS))
