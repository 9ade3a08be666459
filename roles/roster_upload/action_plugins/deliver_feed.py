"""Ansible action: deliver a feed now, by its own unit, and show how far it is."""

from __future__ import annotations

import shlex
import time
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

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
LONGEST_SECONDS = 95 * 60  # the unit itself ends before
BUSY = ("activating", "active", "reloading", "deactivating")
# State, exit code, bytes and size, receipts of what was sent, then what was said.
LOOK = """
systemctl show {unit} -p ActiveState --value
systemctl show {unit} -p ExecMainStatus --value
cat /run/roster-upload/{feed}.progress 2>/dev/null; echo
grep -c '"outcome":"sent"' /var/lib/roster-upload/{feed}/receipts.jsonl 2>/dev/null || echo 0
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
            return result | {"changed": True, "exit_code": 0, "said": ""}
        unit = f"roster-upload@{feed}.service"
        since = self.shell("date +%s.%N").strip()
        look = LOOK.format(unit=unit, feed=feed, since=since)
        sent = self.shell(look).splitlines()[3]
        self.shell(f"rm -f /run/roster-upload/{feed}.progress; systemctl start --no-block {unit}")
        told, progress = 0, ""
        end = time.monotonic() + LONGEST_SECONDS
        while True:
            time.sleep(LOOK_SECONDS)
            state, code, bytes_of, sent_now, *said = self.shell(look).splitlines()
            for line in said[told:]:
                self.show(feed, line)
            told = len(said)
            if bytes_of != progress and len(numbers := bytes_of.split()) == 2:
                progress, (done, size) = bytes_of, map(int, numbers)
                self.show(feed, f"{done / max(size, 1):.0%} of {size:,} bytes")
            if state not in BUSY:
                break
            if time.monotonic() > end:
                raise AnsibleActionFail(f"{feed} is still being delivered; see its journal")
        last = said[-1] if said else f"the unit ended as {state}; see journalctl -u {unit}"
        exit_code = int(code) if said else 1
        return result | {"changed": sent_now != sent, "exit_code": exit_code, "said": last}

    def shell(self, script: str) -> str:
        """What a shell script, run on the host, prints."""
        done = self._low_level_execute_command(script, executable="/bin/sh")
        return str(done["stdout"])

    def show(self, feed: str, line: str) -> None:
        """A line for the operator, while it goes on."""
        Display().display(f"{self.host}  {feed}: {line}")
