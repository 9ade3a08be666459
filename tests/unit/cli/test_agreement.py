"""One truth about tonight: `check`, `rehearse`, `verify` and `send` agree on each fault.

The server must not be contacted for any of them.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime as dt
import json
import os
import shutil
from collections.abc import Callable, Mapping
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from roster_upload.cli import parser as cli
from roster_upload.cli import server, through_unit
from roster_upload.delivery import readiness
from roster_upload.exits import Exit, Failure
from roster_upload.transfer import connect
from support import rosters
from support.delivery_host import Host
from support.sftp_server import Server, directory_of

FEED = "maple-grove"
PLUGIN = Path(__file__).parents[3] / "roles/roster_upload/action_plugins/verify_feeds.py"
ALL = ("check", "verify", "rehearse", "send")
NIGHTLY = ("verify", "rehearse", "send")  # about more than the export
DAY = 24 * 3600
ROSTER = rosters.build(students=60)
FEWER = rosters.build(students=20)


@pytest.fixture(scope="module")
def row() -> Callable[[str, list[Any]], dict[str, Any]]:
    """Return the function that makes the row of verify.yml's closing table."""
    loader = SourceFileLoader("verify_feeds", str(PLUGIN))
    spec = spec_from_loader("verify_feeds", loader)
    assert spec
    module = module_from_spec(spec)
    loader.exec_module(module)
    found: Callable[[str, list[Any]], dict[str, Any]] = module.row
    return found


class Night(Host):
    """A feed with a good roster, on a host whose clock and schedule are right."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__(folder, monkeypatch)
        self.contacts = 0
        self.answers = {"Timezone": "UTC", "NTPSynchronized": "yes"}
        self.free = 10**12
        self.export = folder / "OneRoster.zip"
        self.configure()
        self.state.mkdir(parents=True)  # as tmpfiles does
        self.export.write_bytes(ROSTER)
        self.patch.setattr(readiness, "output", self._output)
        self.patch.setattr(readiness, "next_starts", self._starts)
        self.patch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=self.free))
        self.patch.setattr(connect, "remote_directory", self._connect)
        self.patch.setattr(through_unit, "run", self._login)

    def configure(self, opens: int = 360, closes: int = 480, **changes: Any) -> None:
        """Write the configuration of a OneRoster feed."""
        form = {"format": "oneroster-1.1", "remote_name": "OneRoster.zip"}
        super().configure(opens, closes, **{**form, **changes})

    def _output(self, *words: str) -> str:
        return self.answers.get(words[2].removeprefix("--property=") if len(words) > 2 else "", "")

    @staticmethod
    def _starts(now: dt.datetime) -> dict[str, dict[str, dt.datetime]]:
        return {FEED: {"roster-upload": now + dt.timedelta(minutes=370)}}

    def _connect(self, *_: Any, **__: Any) -> contextlib.AbstractContextManager[Any]:
        self.contacts += 1
        return contextlib.nullcontext(directory_of(Server()))

    def _login(self, given: argparse.Namespace, command: str) -> int:
        """Log in as the feed's unit does."""
        assert command == "login"
        given.slot = "current"
        return server.login(given)

    def checks(self, capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
        """Return the checks of `verify`."""
        self.cli(capsys, "verify", "--json")
        found: list[dict[str, Any]] = json.loads(self.shown)["feeds"][0]["checks"]
        return found

    def cli(self, capsys: pytest.CaptureFixture[str], *words: str) -> int:
        """Run a command, and keep its output. Return its exit code."""
        capsys.readouterr()
        options = (f"--config-dir={self.folder}", f"--state-dir={self.state.parent}")
        code = cli.main([*options, *words, FEED])
        done = capsys.readouterr()
        self.shown = (done.out + done.err).replace(str(self.folder), "")
        return code

    def codes(self, capsys: pytest.CaptureFixture[str], *commands: str) -> dict[str, int]:
        """Run commands. Return the exit code of each. None may say that the feed is ready."""
        found: dict[str, int] = {}
        for command in commands:
            if command in ("rehearse", "send"):
                found[command] = self.run(command)
                self.shown = self.message
            else:
                found[command] = self.cli(capsys, command)
            for claim in ("ready", "can be delivered", "in order"):
                assert claim not in self.shown, (command, self.shown)
        return found


@pytest.fixture
def night(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Night:
    return Night(tmp_path, monkeypatch)


def age(night: Night, seconds: float) -> None:
    written = dt.datetime.now(dt.UTC).timestamp() - seconds
    os.utime(night.export, (written, written))


def missing(night: Night) -> None:
    night.export.unlink()


def pipe(night: Night) -> None:
    night.export.unlink()
    os.mkfifo(night.export)


def empty_folder(night: Night) -> None:
    night.export.unlink()
    night.export.mkdir()


def days_old(night: Night) -> None:
    age(night, 4 * DAY)


def from_the_future(night: Night) -> None:
    age(night, -2 * 3600)


def growing(night: Night) -> None:
    night.configure(quiet_seconds=3600, settle_minutes=0)


def refused(night: Night) -> None:
    night.export.write_bytes(rosters.build(defect="ragged"))


def no_zip(night: Night) -> None:
    night.export.write_bytes(b"<html>login</html>")


def too_large(night: Night) -> None:
    night.configure(maximum_bytes=len(ROSTER) - 1)


def stale_and_refused(night: Night) -> None:
    refused(night)
    days_old(night)


def wrong_configuration(night: Night) -> None:
    night.configure(remote_dir="somewhere")


def no_configuration(night: Night) -> None:
    (night.folder / f"{FEED}.toml").unlink()
    (night.state / "receipts.jsonl").write_text('{"outcome": "sent", "command": "send"}\n')


def blackout(night: Night) -> None:
    night.configure(blackouts=["2001-01-01..2099-12-31 a test"])


def no_secret(night: Night) -> None:
    (night.folder / "credentials" / f"{FEED}_current").unlink()


def full_disk(night: Night) -> None:
    night.free = 0


FAULTS: Mapping[Callable[[Night], None], tuple[Exit, tuple[str, ...]]] = {
    missing: (Exit.SOURCE, ALL),
    pipe: (Exit.SOURCE, ALL),
    empty_folder: (Exit.SOURCE, ALL),
    days_old: (Exit.STALE, ALL),
    from_the_future: (Exit.STALE, ALL),
    growing: (Exit.GROWING, ALL),
    refused: (Exit.REFUSED, ALL),
    no_zip: (Exit.REFUSED, ALL),
    too_large: (Exit.REFUSED, ALL),
    stale_and_refused: (Exit.STALE, ALL),
    wrong_configuration: (Exit.CONFIG, ALL),
    no_configuration: (Exit.CONFIG, ALL),
    blackout: (Exit.PAUSED, NIGHTLY),
    no_secret: (Exit.CREDENTIAL, NIGHTLY),
    full_disk: (Exit.LOCAL, NIGHTLY),
}


@pytest.mark.parametrize("spoil", FAULTS, ids=lambda spoil: spoil.__name__)
def test_all_commands_agree_on_a_fault(
    night: Night,
    capsys: pytest.CaptureFixture[str],
    row: Callable[[str, list[Any]], dict[str, Any]],
    spoil: Callable[[Night], None],
) -> None:
    spoil(night)
    code, commands = FAULTS[spoil]
    if spoil is not no_secret:  # only the login would show it
        night.patch.setattr(through_unit, "run", lambda *_: Exit.OK)
    assert night.codes(capsys, *commands) == dict.fromkeys(commands, code)
    assert (night.contacts, night.sent) == (0, []), "the server knows nothing of it"
    told = row(FEED, night.checks(capsys))
    assert told["did"] != "ready"
    assert told["ok"] is (code is Exit.PAUSED)
    if "check" not in commands:
        night.cli(capsys, "check")
        assert "ready" not in night.shown


def test_a_held_export_is_held_everywhere_once_it_was_rehearsed(
    night: Night,
    capsys: pytest.CaptureFixture[str],
    row: Callable[[str, list[Any]], dict[str, Any]],
) -> None:
    assert night.send(ROSTER) == Exit.OK
    assert row(FEED, night.checks(capsys))["did"] == "ready"
    night.export.write_bytes(FEWER)
    assert row(FEED, night.checks(capsys))["did"] == "not rehearsed"
    commands = ("rehearse", "send", "check", "verify")
    assert night.codes(capsys, *commands) == dict.fromkeys(commands, Exit.HELD)
    told = row(FEED, night.checks(capsys))
    assert (told["did"], told["ok"]) == ("content", False)
    assert "the guard holds the export" in told["note"]


def test_a_delivery_that_fits_the_disk_is_not_stopped(
    night: Night,
    capsys: pytest.CaptureFixture[str],
    row: Callable[[str, list[Any]], dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """All commands warn of little space, or none stops."""
    night.free = len(ROSTER)
    assert night.run("rehearse") == Exit.OK
    commands = ("check", "verify")
    assert night.codes(capsys, *commands) == dict.fromkeys(commands, Exit.OK)
    told = row(FEED, night.checks(capsys))
    assert (told["did"], told["ok"]) == ("low on disk space", True)
    monkeypatch.setattr(through_unit, "run", lambda *_: Exit.OK)
    said: list[str] = []
    monkeypatch.setattr(through_unit, "say", said.append)
    given = argparse.Namespace(command="rehearse", feed=FEED, config_dir=night.folder)
    assert through_unit.relay(given) == Exit.OK
    assert [text.partition(":")[0] for text in said] == ["free space"]
    assert night.run("send") == Exit.OK
    assert night.sent


def test_a_good_export_is_ready_after_its_rehearsal(
    night: Night,
    capsys: pytest.CaptureFixture[str],
    row: Callable[[str, list[Any]], dict[str, Any]],
) -> None:
    assert night.codes(capsys, "check", "verify") == {"check": Exit.OK, "verify": Exit.OK}
    assert "open" in next(line for line in night.shown.splitlines() if "content" in line)
    told = row(FEED, night.checks(capsys))
    assert (told["did"], told["ok"]) == ("not rehearsed", True)
    assert night.run("rehearse") == Exit.OK
    assert "can be delivered tonight" in night.message
    assert row(FEED, night.checks(capsys))["did"] == "ready"
    assert night.contacts > 0


@pytest.mark.parametrize("hours", [25, 30])
def test_an_export_that_is_too_old_by_tonight_is_still_to_come(
    night: Night,
    capsys: pytest.CaptureFixture[str],
    row: Callable[[str, list[Any]], dict[str, Any]],
    hours: int,
) -> None:
    """In the afternoon that is a usual day with a strict limit, and no alarm."""
    night.configure(maximum_age_hours=26)
    age(night, hours * 3600)
    commands = ("check", "rehearse", "verify")
    assert night.codes(capsys, *commands) == dict.fromkeys(commands, Exit.OK)
    told = row(FEED, night.checks(capsys))
    assert (told["did"], told["ok"]) == ("waits for the export", True)
    assert "tonight's export is still to come" in told["note"]


def test_an_export_under_way_is_no_fault_where_a_delivery_waits(
    night: Night,
    capsys: pytest.CaptureFixture[str],
    row: Callable[[str, list[Any]], dict[str, Any]],
) -> None:
    night.configure(quiet_seconds=3600, settle_minutes=20)
    assert night.codes(capsys, "check", "verify") == {"check": Exit.OK, "verify": Exit.OK}
    told = row(FEED, night.checks(capsys))
    assert (told["did"], told["ok"]) == ("waits for the export", True)
    assert "content" not in {check["check"] for check in night.checks(capsys)}


def test_a_rehearsal_typed_by_root_looks_at_the_host_too(
    night: Night, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The unit's sandbox hides clock and schedule."""
    ended: list[Exit] = [Exit.HELD, Exit.OK, Exit.OK]
    monkeypatch.setattr(through_unit, "run", lambda *_: ended.pop(0))
    said: list[str] = []
    monkeypatch.setattr(through_unit, "say", said.append)
    given = argparse.Namespace(command="rehearse", feed=FEED, config_dir=night.folder)
    night.answers["NTPSynchronized"] = "no"
    assert through_unit.relay(given) == Exit.HELD
    assert through_unit.relay(given) == Exit.LOCAL
    assert said == ["clock: the clock is not synchronised. Run chronyc sources"]
    night.answers["NTPSynchronized"] = "yes"
    assert through_unit.relay(given) == Exit.OK


def test_a_login_that_fails_is_a_fault(night: Night, capsys: pytest.CaptureFixture[str]) -> None:
    def refuse(*_: object) -> int:
        raise Failure(Exit.LOGIN, "was refused")

    night.patch.setattr(through_unit, "run", refuse)
    assert night.run("rehearse") == Exit.OK
    assert night.codes(capsys, "verify") == {"verify": Exit.LOGIN}
