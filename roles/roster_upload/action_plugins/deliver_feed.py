"""Ansible action: deliver a feed now, by its own unit, and show how far it is."""

from __future__ import annotations

import json
import shlex
import sys
import time
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "scripts"))

from roster_upload import unit as units
from roster_upload.checks import PAUSED
from roster_upload.exits import Exit, Failure

DOCUMENTATION = r"""
module: deliver_feed
short_description: Deliver a feed now, and show how far it is
description:
  - Starts the feed's unit, which cron starts at night, with the same sandbox, locks and receipt;
    one that is under way already is only watched. What it says, and how much of the file the server
    has acknowledged, is shown as it happens.
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
# What systemd knows of the unit, bytes and size, receipts of what was sent, then what was said.
LOOK = """
{show} {unit}; echo --
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
        since = self.shell("date +%s.%N")[1].strip()
        look = LOOK.format(show=shlex.join(units.SHOW), unit=unit, feed=feed, since=since)
        before, _, sent, _ = self.look(look)
        start = f"rm -f /run/roster-upload/{feed}/progress; systemctl start --no-block {unit} 2>&1"
        code, told = self.shell(start)
        shown, progress = 0, ""
        end = time.monotonic() + LONGEST_SECONDS
        while True:
            time.sleep(LOOK_SECONDS)
            now, bytes_of, sent_now, said = self.look(look)
            if bytes_of != progress and len(numbers := bytes_of.split()) == 2:
                progress, (done, size) = bytes_of, map(int, numbers)
                self.show(feed, f"{done / max(size, 1):.0%} of {size:,} bytes")
            for line in said[shown:]:
                self.show(feed, line)
            shown = len(said)
            if not units.is_busy(now):
                break
            if time.monotonic() > end:
                raise AnsibleActionFail(f"{feed} is still being delivered; see its journal")
        try:
            former = units.run_of(before)
            exit_code = int(units.ended(unit, now, former, started=code == 0, told=told))
            last = said[-1] if said else f"the unit said nothing; see journalctl -u {unit}"
        except Failure as failure:
            exit_code, last = int(failure.code), failure.message
        return result | {"changed": sent_now != sent, "exit_code": exit_code, "said": last}

    def foreseen(self, feed: str) -> dict[str, Any]:
        """What can be known of a delivery before it; guard and server have their say in it only."""
        command = ["env", "roster-upload", "verify", "--json", "--without-login", feed]
        _, told = self.shell(f"{shlex.join(command)} 2>&1")
        try:
            checks = {check["check"]: check for check in json.loads(told)[feed]}
        except (ValueError, KeyError):
            return {"changed": False, "exit_code": int(Exit.CONFIG), "said": told.strip()}
        for name in NEEDED:
            if code := checks[name]["exit_code"] if name in checks else 0:
                return {"changed": False, "exit_code": code, "said": checks[name]["told"]}
        if (calendar := checks["calendar"]["told"]).startswith(PAUSED):
            return {"changed": False, "exit_code": int(Exit.PAUSED), "said": calendar}
        said = f"what guard and server say, a rehearsal knows: roster-upload rehearse {feed}"
        return {"changed": True, "exit_code": 0, "said": said}

    def look(self, script: str) -> tuple[dict[str, str], str, str, list[str]]:
        """What systemd knows of the unit, its progress, receipts, and what it has said."""
        lines = self.shell(script)[1].splitlines()  # of a terminal, with its own line ends
        end = lines.index("--")
        progress, sent, *said = lines[end + 1 :]
        return units.shown("\n".join(lines[:end])), progress, sent, said

    def shell(self, script: str) -> tuple[int, str]:
        """Exit code and output of a shell script that is run on the host."""
        done = self._low_level_execute_command(script, executable="/bin/sh")
        return int(done["rc"]), str(done["stdout"])

    def show(self, feed: str, line: str) -> None:
        """A line for the operator, while it goes on."""
        Display().display(f"{self.host}  {feed}: {line}")
