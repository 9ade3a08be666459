"""The alarm reports what a unit could not, once, without any secret."""

from __future__ import annotations

import datetime as dt
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from roster_upload.cli import parser, through_unit
from roster_upload.exits import Exit
from roster_upload.notify import notifier, outbox
from roster_upload.records.ledger import Ledger
from roster_upload.records.night import stamp
from roster_upload.records.receipt import Receipt
from support.receipts import append
from support.seals import head
from unit.test_config import GOOD

FEED = str(GOOD["feed"])
NOW = dt.datetime.now(dt.UTC)
STARTED = NOW - dt.timedelta(seconds=5)
LOCKED = {"Result": "exit-code", "ExecMainStatus": "243"}


class Units:
    """A feed whose units have ended, as its alarm's unit finds it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ledger = Ledger(folder / "lib" / FEED)
        self.notices = folder / "run" / FEED / outbox.FOLDER
        self.blocks: dict[str, str] = {}
        self.sent: list[tuple[str, str, Path | None]] = []
        for path in (folder / "sealed", self.notices.parent, self.ledger.path.parent):
            path.mkdir(parents=True)
        (folder / "cache").mkdir()
        lines = (
            f"{key} = {json.dumps(list(value) if isinstance(value, (list, tuple)) else value)}\n"
            for key, value in GOOD.items()
        )
        (folder / f"{FEED}.toml").write_text("".join(lines))
        for unit in ("roster-upload", "roster-rehearse", "roster-watch", "roster-notify"):
            self.ended(unit, {"Result": "success", "InvocationID": ""})

    def ended(
        self, unit: str, properties: Mapping[str, str], started: dt.datetime = STARTED
    ) -> None:
        """Let a unit end with systemd's properties."""
        values = {
            "Id": f"{unit}@{FEED}.service",
            "LoadState": "loaded",
            "ActiveState": "failed",
            "ExecMainStatus": "0",
            "InvocationID": "new",
            "Job": "",
            "InactiveExitTimestamp": f"@{int(started.timestamp())}",
            **properties,
        }
        self.blocks[unit] = "".join(f"{name}={value}\n" for name, value in values.items())
        (self.folder / "run" / f"{FEED}.units").write_text("\n".join(self.blocks.values()))

    def sealed(self, *names: str) -> None:
        """Store encrypted secrets, as the unit passes them."""
        for number, name in enumerate(names):
            (self.folder / "sealed" / f"sealed_{number}").write_bytes(head(name))

    def alarm(self, command: str = "alarm") -> int:
        folders = [f"--config-dir={self.folder}", f"--state-dir={self.folder / 'lib'}"]
        return parser.main([*folders, command, FEED])

    def receipts(self) -> list[Receipt]:
        return self.ledger.receipts()

    def waiting(self) -> list[tuple[str, str]]:
        """Return the notices that wait: kind and message."""
        return [(notice.kind, notice.receipt.message) for notice in outbox.waiting()]


@pytest.fixture
def units(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Units:
    made = Units(tmp_path)
    monkeypatch.setattr(through_unit, "RUN_DIR", tmp_path / "run")
    for name, path in (
        ("RUNTIME_DIRECTORY", tmp_path / "run" / FEED),
        ("CREDENTIALS_DIRECTORY", tmp_path / "sealed"),
        ("CACHE_DIRECTORY", tmp_path / "cache"),
        ("JOURNAL_STREAM", "8:1"),
    ):
        monkeypatch.setenv(name, str(path))

    def notify(_feed: Any, kind: str, receipt: Receipt, secrets: Path | None) -> list[str]:
        made.sent.append((kind, receipt.message, secrets))
        return []

    monkeypatch.setattr(notifier, "notify", notify)
    return made


def test_a_host_that_cannot_open_its_secrets_says_so_everywhere(
    units: Units, capsys: pytest.CaptureFixture[str]
) -> None:
    units.sealed("host+tpm2, PCR 7", "host+tpm2, PCR 7")
    units.ended("roster-upload", LOCKED)
    assert units.alarm() == Exit.OK
    [receipt] = units.receipts()
    assert (receipt.command, receipt.outcome, receipt.exit_code) == ("send", "failed", 6)
    assert receipt.started == stamp(STARTED.replace(microsecond=0))
    assert receipt.night
    for part in ("cannot open its secrets", "PCR 7 of its TPM", "Run site.yml"):
        assert part in receipt.message
    told = capsys.readouterr().err
    assert f"<2>{GOOD['district']}: this host cannot open its secrets" in told
    assert units.waiting() == [("failure", receipt.message)]
    assert f'exit_code{{feed="{FEED}"}} 6' in (units.folder / "cache" / f"{FEED}.prom").read_text()
    # The unit with the secrets fails, too. Then the alarm speaks without them, once.
    assert units.sent == []
    units.ended("roster-notify", LOCKED, dt.datetime.now(dt.UTC))
    for _ in range(2):
        assert units.alarm() == Exit.OK
    assert units.sent == [("failure", receipt.message, None)]
    assert len(units.receipts()) == 1


def test_the_unit_with_the_secrets_sends_where_it_can(units: Units) -> None:
    units.ended("roster-rehearse", {"Result": "resources"})
    units.alarm()
    [receipt] = units.receipts()
    assert (receipt.command, receipt.exit_code) == ("rehearse", Exit.LOCAL)
    assert units.alarm("notify") == Exit.OK
    assert units.sent == [("failure", receipt.message, units.folder / "sealed")]
    # A failure of that unit on another day is no reason to send again.
    units.ended("roster-notify", LOCKED, NOW - dt.timedelta(hours=3))
    units.ended("roster-upload", {"Result": "resources"})
    units.alarm()
    assert len(units.sent) == 1
    assert len(units.waiting()) == 1


@pytest.mark.parametrize(
    "end",
    [
        {"Result": "success"},
        {"Result": "exit-code", "ExecMainStatus": str(int(Exit.REFUSED))},
        {**LOCKED, "ActiveState": "activating"},
        {**LOCKED, "Job": "7"},
    ],
)
def test_nobody_reads_anything_twice(units: Units, end: dict[str, str]) -> None:
    """The program has reported its end itself, or runs again."""
    units.ended("roster-upload", end)
    assert units.alarm() == Exit.OK
    assert (units.receipts(), units.waiting(), units.sent) == ([], [], [])


def test_a_program_that_failed_before_its_delivery_is_recorded(units: Units) -> None:
    """As where a library cannot be imported."""
    units.ended("roster-upload", {"Result": "exit-code", "ExecMainStatus": str(int(Exit.INTERNAL))})
    for _ in range(2):
        assert units.alarm() == Exit.OK
    assert [(r.command, r.exit_code) for r in units.receipts()] == [("send", Exit.INTERNAL)]
    assert units.waiting() == [("failure", Exit.INTERNAL.meaning)]


def test_a_failure_of_the_program_with_a_receipt_is_known(units: Units) -> None:
    units.ended("roster-upload", {"Result": "exit-code", "ExecMainStatus": str(int(Exit.INTERNAL))})
    mine = {"feed": FEED, "command": "send", "outcome": "failed", "started": stamp(NOW)}
    append(units.ledger, mine)
    units.alarm()
    assert (len(units.receipts()), units.waiting()) == (1, [])


def test_a_run_with_a_receipt_is_not_recorded_again(units: Units) -> None:
    """A program that was killed at its very end has written it."""
    units.ended("roster-upload", {"Result": "signal"})
    mine = {"feed": FEED, "command": "send", "outcome": "sent", "started": stamp(NOW)}
    append(units.ledger, mine)
    units.alarm()
    assert len(units.receipts()) == 1
    assert units.waiting() == []


def test_the_receipt_of_an_earlier_run_hides_nothing(units: Units) -> None:
    units.ended("roster-upload", LOCKED)
    earlier = stamp(STARTED - dt.timedelta(hours=1))
    append(units.ledger, {"command": "send", "outcome": "sent", "started": earlier})
    units.alarm()
    assert [r.exit_code for r in units.receipts()][1:] == [Exit.CREDENTIAL]


def test_a_failure_of_an_earlier_day_is_history(units: Units) -> None:
    units.ended("roster-upload", LOCKED, NOW - dt.timedelta(days=2))
    units.alarm()
    assert units.receipts() == []


def test_a_killed_run_is_recorded_at_once(units: Units) -> None:
    begun = {"feed": FEED, "district": "A", "command": "send", "run": "1", "outcome": "begun"}
    append(units.ledger, {**begun, "started": stamp(NOW), "night": stamp(NOW)[:10]})
    units.ended("roster-upload", {"Result": "oom-kill"})
    units.alarm()
    [receipt] = units.receipts()
    assert receipt.exit_code == Exit.KILLED
    assert [kind for kind, _ in units.waiting()] == ["failure"]


@pytest.mark.parametrize(
    ("status", "looks"), [(Exit.INTERNAL, True), (Exit.MISSED, False), (243, True)]
)
def test_a_watcher_that_failed_is_replaced(units: Units, status: int, looks: bool) -> None:
    units.ended("roster-watch", {"Result": "exit-code", "ExecMainStatus": str(int(status))})
    for _ in range(2):
        assert units.alarm() == Exit.OK
    assert [r.command for r in units.receipts()] == ["watch"] * looks
    assert [kind for kind, _ in units.waiting()] == ["deadline"] * looks


def test_a_full_disk_silences_nobody(units: Units, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, os.strerror(28))

    units.ended("roster-upload", LOCKED)
    monkeypatch.setattr(Ledger, "append", full)
    assert units.alarm() == Exit.OK
    assert [kind for kind, _ in units.waiting()] == ["failure"]


def test_without_systemds_answer_the_alarm_does_no_harm(
    units: Units, capsys: pytest.CaptureFixture[str]
) -> None:
    (units.folder / "run" / f"{FEED}.units").unlink()
    assert units.alarm() == Exit.OK
    assert "cannot be read" in capsys.readouterr().err
    assert units.receipts() == []
