"""A feed's readiness for tonight: each check, and its problems."""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from roster_upload import config
from roster_upload.delivery import readiness as checks
from roster_upload.exits import Exit, Failure
from roster_upload.transfer import connect, probe
from support.sftp_server import Server, directory_of, profile
from unit.test_config import GOOD

NOW = dt.datetime(2026, 11, 24, 6, 0, 0, tzinfo=dt.UTC)
READY = {"timedatectl Timezone": "Etc/UTC", "timedatectl NTPSynchronized": "yes"}


class Host:
    """Return a healthy host."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.patch = monkeypatch
        self.answers = dict(READY)
        self.starts: dict[str, Any] = {"roster-upload": NOW.replace(hour=7, minute=12)}
        self.free = dict.fromkeys(("/var/tmp", "/var/lib"), 10**10)  # noqa: S108 - measured only
        self.export = folder / "OneRoster.zip"
        self.export.write_bytes(b"x" * 1000)
        monkeypatch.setitem(GOOD, "quiet_seconds", 0)
        self.write(1)
        monkeypatch.setattr(checks, "output", self._said)
        monkeypatch.setattr(checks, "next_starts", lambda _now: {"maple-grove": self.starts})
        monkeypatch.setattr(
            shutil, "disk_usage", lambda path: SimpleNamespace(free=self.free[str(path)])
        )

    def _said(self, command: str, *words: str) -> str:
        names = [w.removeprefix("--property=") for w in words if w.startswith("--property=")]
        return self.answers.get(" ".join([command, *names]), "")

    def write(self, hours: float) -> None:
        """Let the export be so many hours old."""
        os.utime(self.export, (NOW.timestamp() - hours * 3600,) * 2)

    def look(self, **changes: Any) -> dict[str, checks.Check]:
        feed = config.parse({**GOOD, "source": str(self.export), **changes})
        found = [*checks.of_host(feed, NOW), checks.export(feed, NOW)]
        return {check.name: check for check in found}

    def wrong(self, **changes: Any) -> dict[str, Exit]:
        """Return the problems."""
        found = self.look(**changes).items()
        return {name: check.code for name, check in found if check.code is not Exit.OK}


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    return Host(tmp_path, monkeypatch)


def test_a_host_that_is_ready(host: Host) -> None:
    told = {name: check.text for name, check in host.look().items()}
    assert host.wrong() == {}
    assert told == {
        "time zone": "Etc/UTC",
        "clock": "2026-11-24 06:00 UTC, synchronised",
        "next start": "2026-11-24 07:12 UTC, 108 min before the deadline",
        "calendar": "tonight is no blackout date",
        "free space": ", ".join(f"{folder} 10,000 MB" for folder in host.free),
        "export": f"{host.export}, 1,000 bytes, written 2026-11-24 05:00 UTC",
    }
    assert host.look()["clock"].record() == {
        "check": "clock",
        "ok": True,
        "ready": True,
        "exit_code": 0,
        "text": told["clock"],
    }


@pytest.mark.parametrize(
    ("answers", "wrong"),
    [
        ({"timedatectl Timezone": "UTC"}, []),
        ({"timedatectl Timezone": "America/Denver"}, ["time zone"]),
        ({"timedatectl Timezone": ""}, ["time zone"]),
        ({"timedatectl NTPSynchronized": "no"}, ["clock"]),
        ({"timedatectl NTPSynchronized": ""}, ["clock"]),
        ({"timedatectl NTPSynchronized": "no", "systemd-detect-virt": "none"}, ["clock"]),
        ({"timedatectl NTPSynchronized": "no", "systemd-detect-virt": "lxc"}, []),
    ],
)
def test_the_time_is_right(host: Host, answers: dict[str, str], wrong: list[str]) -> None:
    host.answers |= answers
    assert host.wrong() == dict.fromkeys(wrong, Exit.LOCAL)


@pytest.mark.parametrize(
    ("starts", "wrong"),
    [
        ({"roster-upload": NOW.replace(hour=7, minute=10)}, []),
        ({"roster-upload": NOW.replace(hour=7, minute=9)}, ["next start"]),
        ({"roster-upload": NOW.replace(hour=8, minute=59)}, []),
        ({"roster-upload": NOW.replace(hour=9, minute=0)}, ["next start"]),
        ({"roster-rehearse": NOW.replace(hour=7, minute=12)}, ["next start"]),
        ({}, ["next start"]),
    ],
)
def test_the_next_start_lies_in_the_window(
    host: Host, starts: dict[str, dt.datetime], wrong: list[str]
) -> None:
    host.starts = starts
    assert host.wrong() == dict.fromkeys(wrong, Exit.LOCAL)


@pytest.mark.parametrize("folder", ["/var/tmp", "/var/lib"])  # noqa: S108 - measured only
@pytest.mark.parametrize(
    ("free", "size", "is_enough"),
    [
        (200_000_000, 1000, True),
        (199_999_999, 1000, False),
        (300_000_000, 100_000_000, True),
        (299_999_999, 100_000_000, False),
        (200_000_000, None, True),  # a missing export is reported by its own check
        (1000, 1000, False),
        (1, None, False),
    ],
)
def test_little_room_is_a_warning(
    host: Host, folder: str, free: int, size: int | None, is_enough: bool
) -> None:
    host.free[folder] = free
    if size is None:
        host.export.unlink()
    else:
        os.truncate(host.export, size)
        host.write(1)
    looked = host.look()["free space"]
    assert (looked.code, looked.is_ok, looked.is_ready) == (Exit.OK, True, is_enough)
    assert ("Make room on the disk" in looked.text) is not is_enough
    assert f"{folder} {free // 10**6} MB" in looked.text


@pytest.mark.parametrize(
    ("folder", "free", "is_folder", "is_fault"),
    [
        ("/var/tmp", 999, False, True),  # noqa: S108 - measured only
        ("/var/tmp", 999, True, False),  # noqa: S108 - it is compressed
        ("/var/tmp", 0, True, True),  # noqa: S108
        ("/var/lib", 1, False, False),
        ("/var/lib", 0, False, True),
    ],
)
def test_room_is_a_fault_only_if_a_delivery_would_stop(
    host: Host, folder: str, free: int, is_folder: bool, is_fault: bool
) -> None:
    if is_folder:
        host.export.unlink()
        host.export.mkdir()
        (host.export / "users.csv").write_bytes(b"x" * 1000)
    host.free[folder] = free
    looked = host.look()["free space"]
    assert (looked.code is Exit.LOCAL, looked.is_ok) == (is_fault, not is_fault)
    told = {"/var/tmp": "no room for a private copy in", "/var/lib": "is full"}  # noqa: S108
    assert (told[folder] in looked.text) is is_fault
    assert folder in looked.text


def test_an_export_over_the_limit_is_refused_and_not_measured(host: Host) -> None:
    os.truncate(host.export, 2000)
    host.write(1)
    host.free["/var/tmp"] = 1999  # noqa: S108 - measured only
    assert host.look(maximum_bytes=1999)["free space"].is_ok
    assert not host.look(maximum_bytes=2000)["free space"].is_ok


@pytest.mark.parametrize(
    ("hours", "code"), [(36, Exit.OK), (36.001, Exit.STALE), (None, Exit.SOURCE)]
)
def test_the_export_is_as_fresh_as_a_delivery_takes_it(
    host: Host, hours: float | None, code: Exit
) -> None:
    host.export.unlink() if hours is None else host.write(hours)
    assert host.wrong() == ({} if code is Exit.OK else {"export": code})


@pytest.mark.parametrize(
    ("day", "is_paused"), [("2026-11-23", False), ("2026-11-24", True), ("2026-11-25", False)]
)
def test_a_blackout_is_told_and_no_fault(host: Host, day: str, is_paused: bool) -> None:
    looked = host.look(blackouts=[f"{day} a reason"])["calendar"]
    assert looked.code is (Exit.PAUSED if is_paused else Exit.OK)
    assert looked.is_ok
    assert looked.record()["ok"]
    assert looked.record()["ready"] is not is_paused
    assert (f"blackout {day}..{day} (a reason)" in looked.text) is is_paused


@pytest.mark.parametrize(
    ("reset", "resume", "is_paused", "text"),
    [
        ("2026-11-25", "", False, "tonight is no blackout date, but the vendor resets"),
        (
            "2026-11-24",
            "",
            True,
            "planned tonight: the vendor's yearly reset since 2026-11-24. Set",
        ),
        ("2026-07-10", "2026-11-25", True, "a pause until the delivery of 2026-11-25"),
        ("2026-07-10", "2026-11-24", False, "tonight is no blackout date"),
    ],
)
def test_the_vendors_reset_is_told_and_no_fault(
    host: Host, reset: str, resume: str, is_paused: bool, text: str
) -> None:
    looked = host.look(reset_date=reset, reset_resume_date=resume)["calendar"]
    assert (looked.is_ok, looked.is_ready) == (True, not is_paused)
    assert text in looked.text
    is_over = reset < "2026-11-24" and not is_paused
    assert ("Set roster_upload_guard_minimum for users.student" in looked.text) is not is_over


@pytest.mark.parametrize(
    ("hours", "limit", "is_open"), [(33, 36, False), (33.001, 36, True), (12, 12, True)]
)
def test_an_export_that_tonight_would_refuse_is_not_ready(
    host: Host, hours: float, limit: int, is_open: bool
) -> None:
    host.write(hours)  # the deadline is three hours ahead
    looked = host.look(maximum_age_hours=limit)["export"]
    assert (looked.code, looked.is_open, looked.is_ready) == (Exit.OK, is_open, not is_open)
    assert ("still to come" in looked.text) is is_open


@pytest.mark.parametrize("minutes", [0, 20])
def test_an_export_that_is_being_written_is_not_ready(host: Host, minutes: int) -> None:
    host.write(1)
    looked = host.look(quiet_seconds=3600, settle_minutes=minutes)["export"]
    assert looked.code is Exit.GROWING
    assert not looked.is_ready
    assert looked.is_ok is (minutes > 0), "a delivery waits for it, or does not"
    assert "still being written" in looked.text


@pytest.mark.parametrize("by_writing", [True, False])
def test_a_login_writes_where_the_feed_lets_it_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, by_writing: bool
) -> None:
    server = Server()
    place = directory_of(server, verify_by_writing=by_writing)
    monkeypatch.setattr(connect, "remote_directory", lambda *_, **__: contextlib.nullcontext(place))
    file = tmp_path / "server.json"
    told = checks.login(place.feed, b"secret", file)
    assert ("opendir" in server.requests, "write" in server.requests) == (
        not by_writing, by_writing
    )  # fmt: skip
    assert ("is writable." if by_writing else "exists, not tested by writing.") in told
    assert told.endswith("the first rehearsal or delivery tests it")
    file.write_text(profile("move-aside").to_json())
    assert "the old file is moved aside" in checks.login(place.feed, b"secret", file)


@pytest.mark.parametrize(
    ("room", "code"),
    [((0, 0), Exit.DISK_FULL), ((1, 0), Exit.DISK_FULL), ((2, 1), Exit.READ_ONLY)],
)
def test_a_folder_without_room_is_found_before_the_night(room: tuple[int, int], code: Exit) -> None:
    place = directory_of(Server(room=room))
    with pytest.raises(Failure, match=place.folder) as failed:
        probe.inspect(place, None, 2 * 4096)
    assert failed.value.code is code


@pytest.mark.parametrize(
    "faults", [{"room": (2, 0)}, {"refuse": {"statvfs": 4}}, {"extensions": ()}]
)
def test_a_folder_with_room_is_good(faults: dict[str, Any]) -> None:
    probe.inspect(directory_of(Server(**faults)), None, 2 * 4096)


def test_a_folder_that_cannot_be_listed_is_no_fault_where_that_is_known() -> None:
    server = Server(refuse={"opendir": 3, "stat": 3})
    with pytest.raises(Exception, match="status 3"):
        probe.inspect(directory_of(server), profile("rename"), 1)
    probe.inspect(directory_of(server), profile("rename", lists=False), 1)


def test_a_configuration_is_looked_at_first(tmp_path: Path) -> None:
    path = tmp_path / "maple-grove.toml"
    feed, check = checks.load(path)
    assert (feed, check.code) == (None, Exit.CONFIG)
    assert "there is no such file" in check.text
