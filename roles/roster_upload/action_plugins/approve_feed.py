"""Ansible action: let one export that the guard holds through, once."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "scripts"))

from roster_fleet import asking, commands
from roster_fleet.report import maybe, several, table, text
from roster_upload.terminal.printable import printable

DOCUMENTATION = r"""
module: approve_feed
short_description: Let one export that the guard holds through, once
description:
  - Asks the upload program of the host what is held, and approves it unless it is approved already.
  - The task itself needs C(timeout=0); each question has a time of its own.
options:
  feed:
    description: The feed's name.
    type: str
    required: true
  digest:
    description: The held export's SHA-256, or its beginning.
    type: str
    required: true
  why:
    description: The reason, for the receipt.
    type: str
    required: true
attributes:
  check_mode:
    support: full
author: The project's maintainers
"""

RETURN = r"""
row:
  description: The row of the closing table.
  type: dict
  returned: always
"""

LONGEST_HELD = 1_500  # leaves room for the command behind it in a cell of the table
OPTIONS = {name: {"type": "str", "required": True} for name in ("feed", "digest", "why")}
LAST = table({"held": maybe(several(text), [])})
STATUS = several(table({"approved": maybe(text, ""), "last": maybe(LAST, {"held": []})}))


class ActionModule(ActionBase):  # type: ignore[misc]  # Ansible carries no types
    """See DOCUMENTATION."""

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return Ansible's result, with the `row`."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        _, args = self.validate_argument_spec(argument_spec=OPTIONS)
        status = self.status(args["feed"])
        digest = args["digest"].lower()
        is_approved = status["approved"].startswith(digest) and bool(status["approved"])
        if not is_approved:
            self.approve(**args)
        done = "would be approved" if self._task.check_mode else "approved"
        host = (task_vars or {})["inventory_hostname"]
        send = commands.playbook("send", host, roster_feed=args["feed"])
        held = printable("; ".join(status["last"]["held"]), LONGEST_HELD)
        row = {
            "feed": args["feed"],
            "did": "approved before" if is_approved else done,
            "note": f"{held}. It goes with the next delivery; now: {send}",
        }
        return result | {"changed": not is_approved, "row": row}

    def status(self, feed: str) -> dict[str, Any]:
        """What the program says of the feed's last run."""
        answer = asking.ask(self, shlex.join(["roster-upload", "status", "--json", feed]))
        found: list[dict[str, Any]] = asking.understood(answer, STATUS)
        if not found:
            raise AnsibleActionFail(f"the host says nothing of {feed}")
        return found[0]

    def approve(self, feed: str, digest: str, why: str) -> None:
        """Have the program approve it. Raise AnsibleActionFail where it does not."""
        who = os.environ.get("USER") or "the control node"
        words = ["env", f"SUDO_USER={who}", "roster-upload", "approve", feed]
        words += ["--digest", digest, "--why", why]
        words += ["--check"] if self._task.check_mode else []
        answer = asking.ask(self, shlex.join(words))
        if answer.code:
            raise AnsibleActionFail(answer.message)
