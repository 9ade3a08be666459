"""The next starts of a host's units, by cron or by systemd's timers."""

from __future__ import annotations

import datetime as dt
import json
import re
import subprocess
from pathlib import Path

CRON_TABLE = Path("/etc/cron.d/roster-upload")
CRON_LINE = re.compile(
    r"^(\d+) (\d+) \* \* \* root systemctl start --no-block (roster-\w+)@(\S+)\.service$", re.M
)
TIMER = re.compile(r"^(roster-\w+)@(.+)\.timer$")


def output(*command: str) -> str:
    """Return the output of a command, or "" if it fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def next_starts(now: dt.datetime, table: Path = CRON_TABLE) -> dict[str, dict[str, dt.datetime]]:
    """Return the next starts by feed and unit: `{"alder": {"roster-upload": 2026-11-24T07:12Z}}`.

    A table without a running cron starts nothing. Its times are UTC, like the host's clock.
    """
    found: dict[str, dict[str, dt.datetime]] = {}

    def note(feed: str, unit: str, start: dt.datetime) -> None:
        starts = found.setdefault(feed, {})
        starts[unit] = min(start, starts.get(unit, start))

    if table.exists():
        if output("systemctl", "is-active", "cron.service") == "active":
            for minute, hour, unit, feed in CRON_LINE.findall(table.read_text("utf-8")):
                start = now.replace(hour=int(hour), minute=int(minute), second=0, microsecond=0)
                note(feed, unit, start + dt.timedelta(days=start <= now))
        return found
    listed = output("systemctl", "list-timers", "--all", "--output=json", "roster-*@*.timer")
    for timer in json.loads(listed or "[]"):
        name = TIMER.match(timer.get("unit") or "")
        if name and timer.get("next"):
            note(name[2], name[1], dt.datetime.fromtimestamp(timer["next"] / 1e6, dt.UTC))
    return found
