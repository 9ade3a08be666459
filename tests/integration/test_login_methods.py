"""A credential is tried, and a feed verified, against a real server. Nothing changes there."""

from __future__ import annotations

import datetime as dt
import json
import os
import time
from pathlib import Path

import pytest
from roster_upload import config
from roster_upload.delivery import readiness as checks
from roster_upload.exits import Exit
from roster_upload.host import credentials, schedule
from support.district import FEED, District
from support.vendor import OLD, Vendor


def listed(vendor: Vendor) -> dict[str, tuple[bytes, int]]:
    return {p.name: (p.read_bytes(), p.stat().st_mtime_ns) for p in vendor.folder.iterdir()}


@pytest.mark.parametrize("by_writing", [False, True])
def test_a_login_changes_nothing(district: District, vendor: Vendor, by_writing: bool) -> None:
    district.configure(verify_by_writing=by_writing)
    before = listed(vendor)
    code, told = district.run("login", FEED)
    assert code == 0, told
    assert ("is writable" in told) == by_writing
    assert listed(vendor) == before == {"OneRoster.zip": (OLD, before["OneRoster.zip"][1])}
    assert district.receipts == []
    assert len(vendor.logins) == 1


def test_the_pending_slot_is_tried_and_the_current_one_is_not(
    district: District, vendor: Vendor
) -> None:
    pending = district.credential.with_name(f"{FEED}_pending")
    code, told = district.run("login", "--slot", "pending", FEED)
    assert code == Exit.CREDENTIAL
    assert f"{FEED}_pending" in told
    pending.write_bytes(b"a new one, which is wrong")
    code, told = district.run("login", "--slot", "pending", FEED)
    assert code == Exit.LOGIN
    pending.write_bytes(district.secret)
    district.credential.write_bytes(b"an old one")
    assert district.run("login", "--slot", "pending", FEED)[0] == 0


def test_no_right_to_write_is_found_by_writing_alone(district: District, vendor: Vendor) -> None:
    vendor.refuse["write"] = 3
    assert district.run("login", FEED)[0] == 0
    district.configure(verify_by_writing=True)
    code, told = district.run("login", FEED)
    assert code in (Exit.PERMISSION, Exit.TRANSFER), told


def test_the_former_credential_goes_after_an_accepted_delivery(district: District) -> None:
    path = credentials.previous(district.folder / "config", FEED)
    assert "no former credential" in district.run("forget", FEED)[1]
    assert district.send()[0] == 0
    path.parent.mkdir(parents=True)
    path.write_bytes(b"sealed")
    assert "stays until the next accepted delivery" in district.run("forget", FEED)[1]
    assert path.exists()
    future = time.time() + 10**8  # the clock was ahead when it was stored
    os.utime(path, (future, future))
    assert "stays" in district.run("forget", FEED)[1]
    assert path.stat().st_mtime <= time.time(), "it waits for the next delivery, not for that day"
    os.utime(path, (0, 0))  # it was stored before that delivery
    code, told = district.run("forget", FEED)
    assert (code, path.exists()) == (0, False), told


def feed_of(district: District) -> config.Feed:
    return config.load(district.config_file)


NOW = dt.datetime(2026, 11, 24, 6, 0, tzinfo=dt.UTC)
TIMER = json.dumps(
    [{"unit": f"roster-upload@{FEED}.timer", "next": (NOW.timestamp() + 5 * 3600) * 1e6}]
)


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, str]:
    """The output of systemd on a good host, by the first words. Cron's table is a file."""
    answers = {
        "timedatectl show --property=Timezone": "Etc/UTC",
        "timedatectl show --property=NTPSynchronized": "yes",
        "systemd-detect-virt": "none",
        "systemctl is-active cron.service": "active",
        "systemctl list-timers": "[]",
    }

    def answer(*command: str) -> str:
        line = " ".join(command)
        return next(text for start, text in answers.items() if line.startswith(start))

    for module in (checks, schedule):
        monkeypatch.setattr(module, "output", answer)
    table = tmp_path / "cron"
    monkeypatch.setattr(checks, "next_starts", lambda now: schedule.next_starts(now, table))
    line = f"* * * root systemctl start --no-block roster-upload@{FEED}.service"
    table.write_text(f"PATH=/usr/bin\n20 07 {line}\n55 07 {line}\n")
    return answers


def found(district: District) -> dict[str, checks.Check]:
    """The findings of the checks before the vendor's usual night."""
    district.configure_more(window_start="07:10", deadline="09:00")
    feed = feed_of(district)
    return {check.name: check for check in [*checks.of_host(feed, NOW), checks.export(feed, NOW)]}


def test_a_host_that_is_ready(district: District, said: dict[str, str]) -> None:
    os.utime(district.export, (NOW.timestamp(), NOW.timestamp()))
    checked = found(district)
    assert [c.text for c in checked.values() if c.code] == []
    assert checked["next start"].text == "2026-11-24 07:20 UTC, 100 min before the deadline"
    assert f"{district.export.stat().st_size:,} bytes" in checked["export"].text


@pytest.mark.parametrize(
    ("key", "text", "name", "told"),
    [
        ("timedatectl show --property=Timezone", "America/Denver", "time zone", "America/Denver"),
        ("timedatectl show --property=NTPSynchronized", "no", "clock", "not synchronised"),
        ("systemctl is-active cron.service", "inactive", "next start", "neither cron nor a timer"),
        ("timers", TIMER, "next start", "is outside the window"),
    ],
)
def test_what_is_wrong_with_a_host_is_told(
    district: District,
    said: dict[str, str],
    key: str,
    text: str,
    name: str,
    told: str,
    tmp_path: Path,
) -> None:
    os.utime(district.export, (NOW.timestamp(), NOW.timestamp()))
    if key == "timers":
        (tmp_path / "cron").unlink()
        key = "systemctl list-timers"
    said[key] = text
    checked = found(district)
    assert checked[name].code == Exit.LOCAL
    assert told in checked[name].text
    assert [c.name for c in checked.values() if c.code] == [name]


def test_an_export_that_is_missing_or_old(district: District, said: dict[str, str]) -> None:
    old = NOW.timestamp() - 48 * 3600
    os.utime(district.export, (old, old))
    assert found(district)["export"].code == Exit.STALE
    district.export.unlink()
    assert found(district)["export"].code == Exit.SOURCE


def test_little_room_stops_nothing_and_is_no_readiness(
    district: District, said: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checks, "LEAST_FREE_BYTES", 10**18)
    check = found(district)["free space"]
    assert (check.code, check.is_ready) == (Exit.OK, False)
    assert "Make room" in check.text


def test_a_blackout_is_told(district: District, said: dict[str, str]) -> None:
    district.configure_more(blackouts=["2026-11-24 holiday"])
    calendar = found(district)["calendar"]
    assert "blackout 2026-11-24" in calendar.text
    assert (calendar.code, calendar.is_ok) == (Exit.PAUSED, True)
