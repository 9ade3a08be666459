"""The watch's units and its cron line: quoted for any folder, and in UTC."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from roster_fleet.watch import running, units
from roster_fleet.watch.units import Watch

WATCH = Watch(
    Path("/home/me/my 100% \"rosters\""), Path("/srv/the checkout"), "inventories/mine", "mine",
    "09:15",
)  # fmt: skip


def test_the_service_runs_the_watch_in_the_operators_folder() -> None:
    lines = units.service(WATCH, is_system=True).splitlines()
    assert 'WorkingDirectory=/home/me/my 100%% "rosters"' in lines
    assert (
        'ExecStart="/srv/the checkout/.venv/bin/python" '
        '"/home/me/my 100%% \\"rosters\\"/scripts/watch" "run" "-i" "inventories/mine" '
        '"--at" "09:15"'
    ) in lines
    assert "Wants=network-online.target" in lines
    assert "UMask=0077" in lines  # of the page and the reports
    assert "network-online" not in units.service(WATCH, is_system=False)  # no user has it


def test_a_run_that_hangs_is_reported_before_systemd_ends_it() -> None:
    [hours] = re.findall(r"^TimeoutStartSec=(\d+)h$", units.service(WATCH, is_system=True), re.M)
    assert 60 * int(hours) > sum(running.MINUTES.values())


@pytest.mark.parametrize(
    ("at", "hours"), [("09:15", "09..12:15"), ("20:00", "20..23:00"), ("22:30", "22..23,00..01:30")]
)
def test_the_timer_runs_in_utc_and_tries_again(at: str, hours: str) -> None:
    lines = units.timer(Watch(Path("/f"), Path("/c"), "i", "mine", at)).splitlines()
    assert f"OnCalendar=*-*-* {hours}:00 UTC" in lines
    assert "Persistent=true" in lines


def test_each_inventory_has_its_own_units() -> None:
    assert WATCH.unit == "roster-watch-mine"
    assert Watch(Path("/f"), Path("/c"), "i", "a/b c", "09:15").unit == "roster-watch-a_b_c"


def test_the_line_of_cron_looks_each_hour() -> None:
    line = units.cron_line(WATCH)
    assert line.startswith("15 * * * * cd ")
    command = line.split("&& ")[1].replace(r"\%", "%")  # as cron gives it to the shell
    # Cron mails what is printed, each hour. Failures go to the other stream.
    assert shlex.split(command) == [*WATCH.command, ">/dev/null"]
    assert "%" not in line.replace(r"\%", "")


def test_a_dollar_is_no_variable_for_systemd() -> None:
    assert units.quoted("a$b\\c") == '"a$$b\\\\c"'


def test_roots_units_are_the_systems(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("os.getuid", lambda: 0)
    assert units.unit_folder() == Path("/etc/systemd/system")
    monkeypatch.setattr("os.getuid", lambda: 1000)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert units.unit_folder() == tmp_path / "systemd/user"
    monkeypatch.delenv("XDG_CONFIG_HOME")
    monkeypatch.setenv("HOME", "/home/me")
    assert units.unit_folder() == Path("/home/me/.config/systemd/user")
