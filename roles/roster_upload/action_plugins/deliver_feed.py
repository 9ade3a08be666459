"""Ansible action: deliver a feed now, by its own unit, and show the progress."""

from __future__ import annotations

import shlex
import sys
import time
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "scripts"))

from roster_fleet import asking
from roster_fleet.report import LONGEST_MESSAGE, empty_or, maybe, moment, several, table, text, word
from roster_upload.delivery.steps import LONGEST, Step
from roster_upload.exits import Exit, Failure
from roster_upload.host import unit as units
from roster_upload.terminal.printable import printable

DOCUMENTATION = r"""
module: deliver_feed
short_description: Deliver a feed now, and show the progress
description:
  - Starts the feed's unit, as cron does at night. Sandbox, locks and receipt are the same. A
    delivery that is under way already is only watched.
  - Shows the unit's output, the step that it is at, and how much of the file the server has
    acknowledged. A step that lasts is shown again every ten seconds.
  - A host that does not answer a question within a minute fails. The task needs C(timeout=0), since
    a delivery may take as long as its unit may.
options:
  feed:
    description: The feed's name.
    type: str
    required: true
attributes:
  check_mode:
    support: full
author: The Roster Delivery authors
"""

LOOK_SECONDS = 2
AGAIN_SECONDS = 10  # between two lines about the same step
# Checks of `roster-upload verify` without which nothing can be sent now.
CONTENT = "content"
NEEDED = ("configuration", "free space", "export", CONTENT)
CHECK_SECONDS = 300  # as for verify.yml, since the content may be validated
LONGEST_SECONDS = 95 * 60  # the unit itself ends before
LINES_SHOWN = 1_000  # of the journal. A delivery writes some dozens.
MARK = "--"
CALENDAR = "calendar"
RECEIPT = table({"outcome": word, "run": maybe(word, ""), "finished": empty_or(moment)})
STATUS = table({"feeds": several(table({"feed": text, "last_sent": maybe(RECEIPT)}))})
# The unit's properties, bytes and size of the transfer, then the unit's output.
LOOK = """
{show} {unit}; echo {mark}
cd /run/roster-upload/{feed} 2>/dev/null &&
dd if=progress iflag=nofollow,nonblock bs={longest} count=1 2>/dev/null; echo
journalctl --sync; journalctl --no-pager --quiet -o cat --since @{since} -u {unit} -t roster-upload
"""


class Progress:
    """The steps of a delivery, as lines: each new one, and one that lasts every ten seconds."""

    def __init__(self) -> None:
        self._step: Step | None = None
        self._since = self._shown = 0.0

    def news(self, step: Step | None, now: float) -> str:
        """Return the line about a step, or an empty text without news. `now` is in seconds."""
        last, self._step = self._step, step
        if not step:
            return ""
        if not last or (last.name, last.since) != (step.name, step.since):
            self._since = now
        elif last == step and now - self._shown < AGAIN_SECONDS:
            return ""
        self._shown = now
        return step.text(now - self._since)


class ActionModule(ActionBase):  # type: ignore[misc]  # Ansible carries no types
    """See DOCUMENTATION."""

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return Ansible's result, with the program's `exit_code` and its last line as `said`."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        _, args = self.validate_argument_spec(
            argument_spec={"feed": {"type": "str", "required": True}}
        )
        feed = shlex.quote(args["feed"])
        self.host = (task_vars or {})["inventory_hostname"]
        if self._task.check_mode:
            return result | self.foreseen(args["feed"])
        unit = f"roster-upload@{feed}.service"
        since = shlex.quote(self.shell("date +%s.%N").output.strip())
        look = LOOK.format(
            show=shlex.join(units.SHOW),
            mark=MARK,
            unit=unit,
            feed=feed,
            since=since,
            longest=LONGEST,
        )
        sent = self.last_sent(args["feed"])
        before, _, _ = self.look(look)
        # The step of an earlier run. A run under way has its own.
        forget = "" if units.is_busy(before) else f"rm -f /run/roster-upload/{feed}/progress; "
        started = self.shell(f"{forget}systemctl start --no-block {unit} 2>&1")
        shown, progress = 0, Progress()
        self.show(feed, f"{unit} is started" if started.code == 0 else f"{unit} does not start")
        end = time.monotonic() + LONGEST_SECONDS
        while True:
            time.sleep(LOOK_SECONDS)
            now, step, said = self.look(look)
            if text := progress.news(Step.parse(step), time.monotonic()):
                self.show(feed, text)
            for line in said[shown:LINES_SHOWN]:
                self.show(feed, line)
            shown = len(said)
            if not units.is_busy(now):
                break
            if time.monotonic() > end:
                raise AnsibleActionFail(
                    f"{feed} is still being delivered. See journalctl -u {unit}"
                )
        try:
            former = units.run_of(before)
            exit_code = int(
                units.ended(unit, now, former, started=started.code == 0, errors=started.message)
            )
            last = said[-1] if said else f"the unit wrote nothing. See journalctl -u {unit}"
        except Failure as failure:
            exit_code, last = int(failure.code), failure.message
        except ValueError as error:
            raise AnsibleActionFail(f"the host's answer was not understood: {error}") from None
        return result | {
            "changed": self.last_sent(args["feed"]) != sent,
            "exit_code": exit_code,
            "said": printable(last, LONGEST_MESSAGE),
        }

    def last_sent(self, feed: str) -> object:
        """Return the receipt of the last package sent, or None. Raise AnsibleActionFail."""
        found = asking.ask_program(self, ["status", "--json", feed], STATUS)
        return next((one["last_sent"] for one in found["feeds"] if one["feed"] == feed), None)

    def foreseen(self, feed: str) -> dict[str, Any]:
        """Return the outcome as far as it is known before a delivery: without the server."""
        try:
            found = asking.checks_of(self, feed, "--without-login", seconds=CHECK_SECONDS)
            checks = {check["check"]: check for check in found}
        except AnsibleActionFail as failure:
            return {"changed": False, "exit_code": int(Exit.CONFIG), "said": str(failure)}
        for name in NEEDED:
            if name in checks and not checks[name]["ok"]:
                code, said = checks[name]["exit_code"], checks[name]["text"]
                return {"changed": False, "exit_code": code, "said": said}
        calendar = checks.get(CALENDAR, {"exit_code": 0})
        if calendar["exit_code"] == Exit.PAUSED:
            return {"changed": False, "exit_code": int(Exit.PAUSED), "said": calendar["text"]}
        said = checks.get(CONTENT, {"text": f"rehearse it: roster-upload rehearse {feed}"})["text"]
        return {"changed": True, "exit_code": 0, "said": said}

    def look(self, script: str) -> tuple[dict[str, str], str, list[str]]:
        """Return the unit's properties, its progress, and its output. Raise AnsibleActionFail."""
        answer = self.shell(script)
        lines = answer.output.splitlines()  # of a terminal, with its own line ends
        try:
            end = lines.index(MARK)
            progress, *said = lines[end + 1 :]
        except ValueError:
            raise AnsibleActionFail(
                f"the host's answer was not understood: {answer.message}"
            ) from None
        return units.properties("\n".join(lines[:end])), progress, said

    def shell(self, script: str) -> asking.Answer:
        """Return exit code and output of a shell script that runs on the host."""
        return asking.ask(self, script)

    def show(self, feed: str, line: str) -> None:
        """Show the operator a line."""
        Display().display(f"{self.host}  {feed}: {printable(line, LONGEST_MESSAGE)}")
