"""Ansible action: deliver a feed now, by its own unit, and show how far it is."""

from __future__ import annotations

import re
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
from roster_fleet.report import LONGEST_MESSAGE
from roster_upload.delivery.readiness import PAUSED
from roster_upload.exits import Exit, Failure
from roster_upload.host import unit as units
from roster_upload.terminal.printable import printable

DOCUMENTATION = r"""
module: deliver_feed
short_description: Deliver a feed now, and show how far it is
description:
  - Starts the feed's unit, which cron starts at night, with the same sandbox, locks and receipt;
    one that is under way already is only watched. What it says, and how much of the file the server
    has acknowledged, is shown as it happens.
  - A host that does not answer a question within a minute fails. The task itself needs
    C(timeout=0), since a delivery may take as long as its unit may.
options:
  feed:
    description: The feed's name.
    type: str
    required: true
attributes:
  check_mode:
    support: full
author: The project's maintainers
"""

LOOK_SECONDS = 2
# Of what `roster-upload verify` looks at: without it nothing can be sent now.
NEEDED = ("configuration", "free space", "export")
LONGEST_SECONDS = 95 * 60  # the unit itself ends before
LINES_SHOWN = 1_000  # of the journal; a delivery says some dozens
MARK = "--"
PROGRESS = re.compile(r"(\d{1,15}) (\d{1,15})")
# What systemd knows of the unit, bytes and size, receipts of what was sent, then what was said.
LOOK = """
{show} {unit}; echo {mark}
dd if=/run/roster-upload/{feed}/progress iflag=nofollow,nonblock bs=64 count=1 2>/dev/null; echo
dd if=/var/lib/roster-upload/{feed}/receipts.jsonl iflag=nofollow,nonblock bs=64k 2>/dev/null |
  grep -c '"outcome":"sent"'
journalctl --sync; journalctl --no-pager --quiet -o cat --since @{since} -u {unit} -t roster-upload
"""


class ActionModule(ActionBase):  # type: ignore[misc]  # Ansible carries no types
    """See DOCUMENTATION."""

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Returns Ansible's result, with the program's `exit_code` and what it `said` last."""
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
            show=shlex.join(units.SHOW), mark=MARK, unit=unit, feed=feed, since=since
        )
        before, _, sent, _ = self.look(look)
        start = f"rm -f /run/roster-upload/{feed}/progress; systemctl start --no-block {unit} 2>&1"
        started = self.shell(start)
        shown, progress = 0, ""
        end = time.monotonic() + LONGEST_SECONDS
        while True:
            time.sleep(LOOK_SECONDS)
            now, bytes_of, sent_now, said = self.look(look)
            if bytes_of != progress and (numbers := PROGRESS.fullmatch(bytes_of)):
                progress, (done, size) = bytes_of, map(int, numbers.groups())
                self.show(feed, f"{done / max(size, 1):.0%} of {size:,} bytes")
            for line in said[shown:LINES_SHOWN]:
                self.show(feed, line)
            shown = len(said)
            if not units.is_busy(now):
                break
            if time.monotonic() > end:
                raise AnsibleActionFail(f"{feed} is still being delivered; see its journal")
        try:
            former = units.run_of(before)
            exit_code = int(
                units.ended(unit, now, former, started=started.code == 0, told=started.message)
            )
            last = said[-1] if said else f"the unit said nothing; see journalctl -u {unit}"
        except Failure as failure:
            exit_code, last = int(failure.code), failure.message
        except ValueError as error:
            raise AnsibleActionFail(f"what systemd says was not understood: {error}") from None
        return result | {
            "changed": sent_now != sent,
            "exit_code": exit_code,
            "said": printable(last, LONGEST_MESSAGE),
        }

    def foreseen(self, feed: str) -> dict[str, Any]:
        """What can be known of a delivery before it; guard and server have their say in it only."""
        command = ["env", "roster-upload", "verify", "--json", "--without-login", feed]
        answer = self.shell(shlex.join(command))
        try:
            checks = {check["check"]: check for check in asking.checks_of(answer, feed)}
        except AnsibleActionFail as failure:
            return {"changed": False, "exit_code": int(Exit.CONFIG), "said": str(failure)}
        for name in NEEDED:
            if code := checks[name]["exit_code"] if name in checks else 0:
                return {"changed": False, "exit_code": code, "said": checks[name]["told"]}
        calendar = checks["calendar"]["told"] if "calendar" in checks else ""
        if calendar.startswith(PAUSED):
            return {"changed": False, "exit_code": int(Exit.PAUSED), "said": calendar}
        said = f"what guard and server say, a rehearsal knows: roster-upload rehearse {feed}"
        return {"changed": True, "exit_code": 0, "said": said}

    def look(self, script: str) -> tuple[dict[str, str], str, str, list[str]]:
        """What systemd knows of the unit, its progress, receipts, and what it has said."""
        answer = self.shell(script)
        lines = answer.output.splitlines()  # of a terminal, with its own line ends
        try:
            end = lines.index(MARK)
            progress, sent, *said = lines[end + 1 :]
        except ValueError:
            raise AnsibleActionFail(
                f"the host's answer was not understood: {answer.message}"
            ) from None
        return units.shown("\n".join(lines[:end])), progress, sent, said

    def shell(self, script: str) -> asking.Answer:
        """Exit code and output of a shell script that is run on the host."""
        return asking.ask(self, script)

    def show(self, feed: str, line: str) -> None:
        """A line for the operator, while it goes on."""
        Display().display(f"{self.host}  {feed}: {printable(line, LONGEST_MESSAGE)}")
