"""The next starts of a host's units, as cron or systemd's timers have them."""

from __future__ import annotations

import datetime as dt
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from roster_upload.host import schedule

NOW = dt.datetime(2026, 11, 24, 7, 12, 0, tzinfo=dt.UTC)
CRON = """\
# minute hour …
12 7 * * * root systemctl start --no-block roster-upload@alder.service
13 7 * * * root systemctl start --no-block roster-upload@birch.service
11 7 * * * root systemctl start --no-block roster-upload@cedar.service
0 15 * * * root systemctl start --no-block roster-rehearse@cedar.service
30 6 * * * root systemctl start --no-block roster-upload@elm.service
30 18 * * * root systemctl start --no-block roster-upload@elm.service
20 8 * * 1 root systemctl start --no-block roster-upload@fir.service
#20 8 * * * root systemctl start --no-block roster-upload@fir.service
20 8 * * * fir systemctl start --no-block roster-upload@fir.service
"""


def listed(monkeypatch: pytest.MonkeyPatch, answers: dict[str, str]) -> None:
    """Let `systemctl` answer by its verb."""
    monkeypatch.setattr(schedule, "output", lambda *command: answers.get(command[1], ""))


def starts(table: Path) -> dict[str, dict[str, str]]:
    found = schedule.next_starts(NOW, table)
    return {
        feed: {unit: when.isoformat()[5:19] for unit, when in units.items()}
        for feed, units in found.items()
    }


def test_cron_starts_today_or_tomorrow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = tmp_path / "cron"
    table.write_text(CRON)
    listed(monkeypatch, {"is-active": "active", "list-timers": "[{}]"})
    assert starts(table) == {
        "alder": {"roster-upload": "11-25T07:12:00"},  # this very minute has started already
        "birch": {"roster-upload": "11-24T07:13:00"},
        "cedar": {"roster-upload": "11-25T07:11:00", "roster-rehearse": "11-24T15:00:00"},
        "elm": {"roster-upload": "11-24T18:30:00"},  # the earlier of two
    }


@pytest.mark.parametrize("state", ["", "inactive", "failed"])
def test_a_table_without_cron_starts_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state: str
) -> None:
    table = tmp_path / "cron"
    table.write_text(CRON)
    timer = {"unit": "roster-upload@alder.timer", "next": NOW.timestamp() * 1e6}
    listed(monkeypatch, {"is-active": state, "list-timers": json.dumps([timer])})
    assert starts(table) == {}


def test_timers_start_where_there_is_no_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def timer(unit: Any, hours: float | None) -> dict[str, Any]:
        return {"unit": unit, "next": hours and (NOW.timestamp() + hours * 3600) * 1e6}

    timers = [
        timer("roster-upload@alder.timer", 2),
        timer("roster-upload@alder.timer", 1),
        timer("roster-watch@alder.timer", 3),
        timer("roster-upload@birch.timer", None),  # it is stopped
        timer("roster-upload@birch.service", 1),
        timer("other@birch.timer", 1),
        timer(None, 1),
    ]
    listed(monkeypatch, {"list-timers": json.dumps(timers)})
    assert starts(tmp_path / "none") == {
        "alder": {"roster-upload": "11-24T08:12:00", "roster-watch": "11-24T10:12:00"}
    }
    listed(monkeypatch, {})
    assert starts(tmp_path / "none") == {}


def test_a_command_that_fails_has_said_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    for code, told in ((0, "x"), (3, "")):
        assert schedule.output(sys.executable, "-c", f"print(' x '); exit({code})") == told
    assert schedule.output("/no/such/program") == ""
    run = subprocess.run

    def slow(*arguments: Any, **more: Any) -> Any:
        return run(*arguments, **{**more, "timeout": 0.01})

    monkeypatch.setattr(subprocess, "run", slow)
    assert schedule.output("sleep", "9") == ""
