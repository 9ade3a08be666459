"""A delivery's steps that need no server."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
import errno
import hashlib
import io
import os
import shutil
import signal
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from roster_feeds import to_toml
from roster_upload import config
from roster_upload.cli import parser as cli
from roster_upload.delivery import delivery
from roster_upload.exits import Exit, Failure
from roster_upload.guard.baseline import Baseline
from roster_upload.host import locks, stop
from roster_upload.notify import alerts as tell
from roster_upload.package.built import Built
from roster_upload.records.ledger import Ledger
from roster_upload.records.night import MARGIN_SECONDS, Night, stamp
from roster_upload.transfer import connect, upload
from roster_upload.transfer import probe as prober
from roster_upload.transfer.info import Holds
from roster_upload.transfer.profile import Profile
from roster_upload.transfer.watchdog import Times
from roster_upload.validation.check import check
from roster_upload.validation.findings import Finding, Report
from support import rosters
from support.sftp_server import FINAL, YESTERDAY, Server, directory_of
from unit.test_config import GOOD


@pytest.fixture
def _handlers() -> Iterator[None]:
    """Restore the signals' handlers."""
    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    before = [signal.getsignal(number) for number in numbers]
    yield
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)


@pytest.mark.usefixtures("_handlers")
def test_a_signal_does_not_cost_a_receipt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    append = Ledger.append

    def interrupted(self: Ledger, receipt: Mapping[str, Any]) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        append(self, receipt)

    monkeypatch.setattr(Ledger, "append", interrupted)
    options = [f"--config-dir={tmp_path}", f"--state-dir={tmp_path}"]
    assert cli.main([*options, "send", "maple-grove"]) == Exit.CONFIG
    receipts = Ledger(tmp_path / "maple-grove").receipts()
    assert [receipt["exit_code"] for receipt in receipts] == [Exit.CONFIG]


@pytest.mark.parametrize(
    ("now", "window", "night", "in_window", "left"),
    [
        ("2026-11-01 07:09", ("07:10", "09:00"), "2026-11-01", False, 111),
        ("2026-11-01 07:10", ("07:10", "09:00"), "2026-11-01", True, 110),
        ("2026-11-01 08:59", ("07:10", "09:00"), "2026-11-01", True, 1),
        ("2026-11-01 09:00", ("07:10", "09:00"), "2026-11-02", False, 1440),
        ("2026-12-31 23:30", ("23:00", "03:00"), "2027-01-01", True, 210),
        ("2027-01-01 02:00", ("23:00", "03:00"), "2027-01-01", True, 60),
        ("2027-01-01 12:00", ("23:00", "03:00"), "2027-01-02", False, 900),
    ],
)
def test_the_night_of_a_moment(
    now: str, window: tuple[str, str], night: str, in_window: bool, left: int
) -> None:
    feed = config.parse({**GOOD, "window_start": window[0], "deadline": window[1]})
    moment = dt.datetime.fromisoformat(now).replace(tzinfo=dt.UTC)
    found = Night.of(feed, moment)
    assert found.deadline.date().isoformat() == night
    assert (found.in_window, found.minutes_to_deadline) == (in_window, left)


# ---- sent, held, refused, skipped, stale: over a transfer without a connection ------------------

OLD, SMALL, BIG = (b"<roster>" + b"x" * count for count in (1000, 400, 1020))
VENDOR = "SSH-2.0-Vendor_1"
NOON = "2026-11-01T12:00:00Z"
STEPS = ("faulty_rows", "removals", "wait_nights")
ALL_CODES = sorted(set(Exit) - {Exit.OK})


PROFILE = Profile(
    server=VENDOR, extensions=(), login="password", rename="rename", stat_after_close=True,
    takes_on_close=False, sizes=True, hash=False, learned="2026-11-01T00:00:00Z",
)  # fmt: skip


class Host:
    """A feed in a folder. Its transfers end as `ends` says, one after the other, or well."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.patch = monkeypatch
        self.export = folder / "roster.xml"
        self.state = folder / "state" / "maple-grove"
        self.ledger = Ledger(self.state)
        self.ends: list[BaseException] = []
        self.sent: list[bytes] = []
        self.options: dict[str, Any] = {}  # of the last transfer
        self.said: list[str] = []
        self.waits: list[float] = []
        self.alerts: list[tuple[str, object]] = []
        self.holds = Holds.OLD  # what a transfer finds
        self.learned: Profile | None = None
        for path in (folder / "credentials", folder / "tmp"):
            path.mkdir()
        for slot, content in (("current", b" hunter\n"), ("state", b"k" * 32)):
            (folder / "credentials" / f"maple-grove_{slot}").write_bytes(content)
        monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(folder / "credentials"))
        monkeypatch.delenv("RUNTIME_DIRECTORY", raising=False)
        monkeypatch.delenv("CACHE_DIRECTORY", raising=False)
        monkeypatch.setattr("tempfile.tempdir", str(folder / "tmp"))
        monkeypatch.setattr("random.uniform", lambda _low, _high: 1.0)
        monkeypatch.setattr("time.sleep", self.waits.append)
        monkeypatch.setattr("os.fsync", lambda _descriptor: None)  # no power is cut here
        monkeypatch.setattr(delivery, "say", self.said.append)
        monkeypatch.setattr(delivery, "load", self._load)
        monkeypatch.setattr(upload, "deliver", self._deliver)
        monkeypatch.setattr(tell, "heartbeat", self._heartbeat)
        monkeypatch.setattr(tell, "tell", self._tell)
        self.configure()
        self.export.write_bytes(OLD)

    def at(self, server: Server, **changes: Any) -> None:
        """Put the feed's folder on a server in memory."""
        self.patch.setattr(
            connect,
            "remote_directory",
            lambda *_, **__: contextlib.nullcontext(directory_of(server, **changes)),
        )

    def configure(self, opens: int = 360, closes: int = 480, **changes: Any) -> None:
        """Write the configuration. Its window is so many minutes from now.

        Steps are for OneRoster only. No file declares them, and the tests' own replace them.
        """
        self.steps = {key: changes.pop(key) for key in STEPS if key in changes}
        now = dt.datetime.now(dt.UTC)
        start, deadline = (f"{now + dt.timedelta(minutes=m):%H:%M}" for m in (opens, closes))
        opaque = {"format": "other", "source": str(self.export), "remote_name": "roster.xml"}
        values = {**GOOD, **opaque, "guard_minimum": {}, "quiet_seconds": 0, "attempts": 1}
        values |= {"window_start": start, "deadline": deadline, **changes}
        text = "".join(f"{key} = {to_toml(value)}\n" for key, value in values.items())
        (self.folder / "maple-grove.toml").write_text(text)

    def _load(self, path: Path) -> config.Feed:
        return dataclasses.replace(config.load(path), **self.steps)

    def _deliver(
        self, feed: config.Feed, secret: bytes, source: Path, size: int, facts: Any, **options: Any
    ) -> upload.Delivered:
        self.options = {"secret": secret, "size": size, **options}
        self.sent.append(source.read_bytes())
        facts.address, facts.server = "192.0.2.1", VENDOR
        facts.seconds["write"] = 1.5
        facts.holds, facts.learned = self.holds, self.learned
        if self.ends:
            raise self.ends.pop(0)
        return upload.Delivered(size, "rename", "hash")

    def _heartbeat(self, _feed: config.Feed, _secrets: Path | None, code: int | None) -> list[str]:
        self.alerts.append(("heartbeat", code))
        return ["the heartbeat did not work"] if code is not None else []

    def _tell(self, _feed: config.Feed, kind: str, *_: Any) -> list[str]:
        self.alerts.append(("tell", kind))
        return ["the webhook did not work"]

    def run(self, command: str = "send", digest: str = "", *, hours: float = 0) -> Exit:
        """Run a command, so many hours from now. Return its exit code."""
        file = self.folder / "maple-grove.toml"
        made = delivery.Run("maple-grove", file, self.state, command, digest)
        made.started += dt.timedelta(hours=hours)
        self.made = made
        code, self.message = made.execute()
        assert not list((self.folder / "tmp").iterdir()), "a private copy was left behind"
        return code

    def send(self, content: bytes | None = None) -> Exit:
        """Send an export, or the present one again."""
        if content is not None:
            self.export.write_bytes(content)
        return self.run()

    @property
    def last(self) -> dict[str, Any]:
        return self.ledger.receipts()[-1]

    @property
    def profile(self) -> Profile:
        """Return the server's profile."""
        return Profile.from_json((self.state / "server.json").read_text())

    @property
    def outcomes(self) -> list[str]:
        return [receipt["outcome"] for receipt in self.ledger.receipts()]


def digest_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    return Host(tmp_path, monkeypatch)


def test_a_delivery_is_recorded_with_all_that_is_known_of_it(host: Host) -> None:
    assert host.send() == Exit.OK
    assert host.sent == [OLD]
    receipt = host.last
    assert (receipt["outcome"], receipt["exit_code"], receipt["attempts"]) == ("sent", 0, 1)
    assert (receipt["district"], receipt["in_window"]) == (GOOD["district"], False)
    assert receipt["source"].items() >= {
        ("path", str(host.export)), ("bytes", len(OLD)), ("sha256", digest_of(OLD))
    }  # fmt: skip
    assert receipt["remote"].items() >= {
        ("host", "sftp.example.org"), ("port", 22), ("dir", GOOD["remote_dir"]),
        ("name", "roster.xml"), ("address", "192.0.2.1"), ("server", VENDOR),
        ("bytes", len(OLD)), ("method", "rename"), ("verified", "hash"),
    }  # fmt: skip
    assert host.message == receipt["message"]
    assert {"settle", "snapshot", "validate", "guard"} <= receipt["seconds"].keys()
    assert receipt["seconds"]["write"] == 1.5, "the connection's own, too"
    assert "server_changed" not in receipt["remote"]


def test_the_sentence_compares_with_the_delivery_before(host: Host) -> None:
    told = []
    for content in (OLD, BIG, BIG):
        host.send(content)
        told.append(host.message.partition(", same file as ")[2].rpartition(" ")[2])
    assert told == ["", "no", "yes"]
    assert host.message.startswith(f"{GOOD['district']}: sent ")


def test_the_rows_of_a_roster_are_recorded(host: Host) -> None:
    host.export.write_bytes(rosters.build(students=60))
    host.configure(format="oneroster-1.1")
    assert host.send() == Exit.OK, host.message
    assert host.last["rows"]["demographics"] == 60
    assert host.last["changes"]["users.student"]["now"] == 60


def test_the_hosts_locks_lie_where_systemd_says(host: Host, tmp_path: Path) -> None:
    host.patch.setenv("RUNTIME_DIRECTORY", str(tmp_path / "run" / "maple-grove"))
    assert host.send() == Exit.OK
    assert list((tmp_path / "run" / "turns").iterdir())
    assert not (host.state.parent / ".turns").exists()


def test_the_transfer_gets_what_it_needs(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Night, "seconds_left", lambda _night: 100)
    assert host.send() == Exit.OK
    progress = host.options.pop("progress")
    assert host.options == {
        "secret": b" hunter\n",
        "size": len(OLD),
        "sha256": digest_of(OLD),
        "profile": None,
        "limit": 100 + MARGIN_SECONDS,
        "learns": True,
        "restores_first": False,
        "times": Times(),
    }
    progress(7)  # nobody looks, which does no harm


def test_what_the_guard_holds_is_not_sent(host: Host) -> None:
    assert host.send() == Exit.OK
    assert host.send(SMALL) == Exit.HELD
    assert host.sent == [OLD]
    assert host.last["outcome"] == "held"
    assert host.last["held"] == [
        "the file's size in bytes: 600 of 1,008 would be removed (59.5 %, the limit is 10 %)"
    ]
    assert f"--digest {digest_of(SMALL)[:16]} " in host.message
    assert "roster-upload diff maple-grove" in host.message, "nobody approves blind"
    assert "approved" not in host.last
    # A held export does not change the baseline for the next one.
    assert host.send(BIG) == Exit.OK
    assert host.last["changes"]["bytes"]["before"] == len(OLD)


def test_an_approval_lets_one_file_through_once(host: Host) -> None:
    approval = {"outcome": "approved", "who": "it", "why": "closed", "finished": NOON, "n": 1}
    host.send()
    host.ledger.append({**approval, "digest": digest_of(SMALL)})
    assert host.send(SMALL[:-1]) == Exit.HELD, "it is for another file"
    host.ends = [Failure(Exit.VERIFY, "damaged")]
    assert host.send(SMALL) == Exit.VERIFY
    assert host.send(SMALL) == Exit.OK, "a transfer that failed does not use it up"
    assert host.last["approved"] == {"who": "it", "why": "closed", "finished": NOON}
    assert host.last["held"]
    host.ledger.append({**approval, "digest": digest_of(OLD)})
    assert host.send(OLD) == Exit.OK
    assert host.send(SMALL) == Exit.HELD
    assert host.sent == [OLD, SMALL, SMALL, OLD]


@pytest.mark.parametrize("failure", [Failure(Exit.VERIFY, "damaged"), KeyboardInterrupt()])
def test_only_what_was_accepted_becomes_the_baseline(host: Host, failure: BaseException) -> None:
    host.send()
    host.configure(guard_removed_percent=100)
    host.ends = [failure]
    with contextlib.suppress(KeyboardInterrupt):
        host.send(SMALL)
    assert host.last["outcome"] == "failed"
    host.configure()
    assert host.send(BIG) == Exit.OK
    assert host.last["changes"]["bytes"]["before"] == len(OLD)
    assert len(list(host.state.glob("accepted-*"))) == 2, "that of the last one, and the new one"
    assert len(list((host.state / "packages").iterdir())) == 2, "only good ones come back"


def test_the_baseline_is_on_the_disk_before_the_transfer(host: Host) -> None:
    found: list[list[str]] = []
    deliver = upload.deliver

    def look(*arguments: Any, **options: Any) -> upload.Delivered:
        found.append([path.name for path in host.state.glob("accepted-*")])
        return deliver(*arguments, **options)

    host.patch.setattr(upload, "deliver", look)
    host.send()
    assert found == [[f"accepted-{digest_of(OLD)[:16]}.npz"]]


def test_both_locks_are_held_while_it_is_transferred(host: Host) -> None:
    busy: list[Exit] = []
    deliver = upload.deliver

    def start_another(feed: config.Feed, *arguments: Any, **options: Any) -> upload.Delivered:
        for lock in (
            locks.feed_lock(host.state),
            locks.turn(host.state.parent / ".turns", feed, 0, host.said.append),
        ):
            with pytest.raises(Failure) as failure, lock:
                pass
            busy.append(failure.value.code)
        return deliver(feed, *arguments, **options)

    host.patch.setattr(upload, "deliver", start_another)
    assert host.send() == Exit.OK
    assert busy == [Exit.BUSY, Exit.BUSY]
    with locks.feed_lock(host.state):
        assert host.send() == Exit.BUSY
    assert len(host.sent) == 1


def test_without_a_baseline_everything_is_held(host: Host) -> None:
    host.send()
    for path in host.state.glob("accepted-*"):
        path.unlink()
    assert host.send() == Exit.HELD
    assert "cannot be compared with (No such file or directory)" in host.message
    assert host.sent == [OLD]


def test_several_reasons_are_counted(host: Host) -> None:
    host.send()
    for path in host.state.glob("accepted-*"):
        path.write_bytes(b"")
    host.configure(guard_minimum={"bytes": 2000})
    assert host.send() == Exit.HELD
    assert len(host.last["held"]) == 2
    assert "(and 1 more). " in host.message
    host.configure()
    assert host.send() == Exit.HELD
    assert "more)" not in host.message


def test_what_breaks_the_rules_is_refused(host: Host) -> None:
    host.configure(minimum_bytes=len(OLD) + 1)
    assert host.send() == Exit.REFUSED
    assert "breaks 1 rule and was not sent; first: " in host.message
    assert (host.sent, host.outcomes) == ([], ["refused"])
    assert [finding["rule"] for finding in host.last["findings"]] == ["file.too-small"]
    host.configure(minimum_bytes=len(OLD))
    assert host.send() == Exit.OK


@pytest.mark.parametrize(
    ("command", "late", "code"),
    [
        ("send", 0, Exit.OK),
        ("send", 1, Exit.STALE),
        ("rehearse", 1, Exit.OK),  # tonight's will be another one
    ],
)
def test_an_export_is_stale_from_its_limit_on(
    host: Host, command: str, late: int, code: Exit
) -> None:
    host.at(Server())
    host.configure(maximum_age_hours=5)
    started = dt.datetime.now(dt.UTC).replace(microsecond=0)
    os.utime(host.export, (started.timestamp() - 5 * 3600 - late,) * 2)
    made = delivery.Run("maple-grove", host.folder / "maple-grove.toml", host.state, command)
    made.started = started
    assert made.execute()[0] == code
    if code is Exit.STALE:
        assert "5 h ago; 5 h is the limit" in host.last["message"]
        assert (host.sent, host.outcomes) == ([], ["stale"])


@pytest.mark.parametrize(
    ("unchanged", "is_open", "before", "changes", "outcomes"),
    [
        ("send", False, [OLD], {}, ["sent", "sent"]),
        ("send", True, [OLD], {}, ["sent"]),  # the second start of one night leaves no receipt
        ("skip", True, [OLD], {}, ["sent"]),
        ("skip", False, [OLD], {}, ["sent", "skipped"]),
        ("skip", False, [OLD, BIG], {}, ["sent", "sent", "sent"]),
        ("send", True, [BIG], {}, ["sent", "sent"]),
        ("send", True, [OLD], {"remote_name": "b.xml"}, ["sent", "sent"]),
        ("send", True, [OLD], {"remote_port": 23}, ["sent", "sent"]),
        ("skip", False, [OLD], {"remote_host": "b.example"}, ["sent", "sent"]),
        ("skip", False, [OLD], {"remote_dir": "imagine/1-b/product"}, ["sent", "sent"]),
    ],
)
def test_an_unchanged_export(
    host: Host,
    unchanged: str,
    is_open: bool,
    before: list[bytes],
    changes: dict[str, Any],
    outcomes: list[str],
) -> None:
    window = (-30, 30) if is_open else (360, 480)
    host.configure(*window)
    for content in before:
        host.send(content)
    host.configure(*window, unchanged=unchanged, **changes)
    assert host.send(OLD) == Exit.OK
    assert host.outcomes == outcomes
    assert len(host.sent) == outcomes.count("sent")
    assert ("in already" in host.message) == (len(outcomes) == 1)


def test_an_export_comes_back_that_another_one_has_replaced(host: Host) -> None:
    host.configure(-30, 30)
    for content in (OLD, BIG, OLD, OLD):
        assert host.send(content) == Exit.OK
    assert host.sent == [OLD, BIG, OLD]
    assert "in already" in host.message


def zip_of(content: bytes, year: int) -> bytes:
    """Return a zip with one file that was written in a year."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr(zipfile.ZipInfo("users.csv", (year, 1, 1, 0, 0, 0)), content)
    return packed.getvalue()


@pytest.mark.parametrize("unchanged", ["send", "skip"])
def test_a_zip_that_differs_by_its_time_stamps_is_the_same(host: Host, unchanged: str) -> None:
    host.configure(-30, 30, unchanged=unchanged)
    for content, year in ((OLD, 2024), (OLD, 2025), (BIG, 2025)):
        assert host.send(zip_of(content, year)) == Exit.OK
    assert host.sent == [zip_of(OLD, 2024), zip_of(BIG, 2025)]
    host.configure(unchanged=unchanged)
    assert host.send(zip_of(BIG, 2026)) == Exit.OK
    assert host.outcomes[2] == {"send": "sent", "skip": "skipped"}[unchanged]


def test_nights_without_a_change_are_counted(host: Host) -> None:
    host.configure(unchanged_nights=3, maximum_age_hours=1000)
    found = []
    for number, content in enumerate((OLD, OLD, OLD, BIG, BIG)):
        host.export.write_bytes(content)
        assert host.run(hours=24 * number) == Exit.OK
        found.append(host.last["unchanged_nights"])
    assert found == [0, 1, 2, 0, 1]
    assert host.last["unchanged_limit"] == 3
    host.run("resend", digest_of(BIG)[:16])
    assert "unchanged_nights" not in host.last


def test_what_went_before_the_window_opened_goes_again(host: Host) -> None:
    host.configure(-30, 30)
    host.send()
    text = host.ledger.path.read_text()
    before = dt.datetime.now(dt.UTC) - dt.timedelta(minutes=40)
    for day, count in ((stamp(before), 2), (host.last["started"], 2)):
        host.ledger.path.write_text(text.replace(host.last["started"], day))
        assert host.send() == Exit.OK
        assert len(host.sent) == count


def test_what_was_taken_back_by_hand_stays_back(host: Host) -> None:
    """Another start in that window does not bring a replaced export back."""
    host.send(OLD)
    host.configure(-30, 30, guard_removed_percent=100)
    assert host.send(SMALL) == Exit.OK
    assert host.run("resend") == Exit.OK
    assert host.send() == Exit.OK
    assert host.sent == [OLD, SMALL, OLD]


@pytest.mark.parametrize("command", ["rehearse", "resend"])
def test_a_command_by_hand_is_done_though_unchanged(host: Host, command: str) -> None:
    host.at(Server())
    host.configure(-30, 30, unchanged="skip")
    host.send()
    digest = digest_of(OLD) if command == "resend" else ""
    assert host.run(command, digest) == Exit.OK
    assert host.last["outcome"] == {"rehearse": "rehearsed", "resend": "sent"}[command]


@pytest.mark.parametrize("command", ["send", "rehearse", "resend"])
def test_nothing_is_done_on_a_blackout(host: Host, command: str) -> None:
    day = (dt.datetime.now(dt.UTC) + dt.timedelta(hours=8)).date()
    host.configure(blackouts=[f"{day} a reason"])
    assert [host.run(command) for _ in range(2)] == [Exit.PAUSED] * 2
    assert "a reason" in host.message
    assert (host.sent, host.outcomes) == ([], ["skipped"]), "once a night is enough"
    assert host.run("rehearse" if command == "send" else "send") == Exit.PAUSED
    host.configure(blackouts=[f"{day}..{day + dt.timedelta(days=1)} a reason"])
    assert host.run(command, hours=24) == Exit.PAUSED
    assert host.outcomes == ["skipped"] * 3, "of another command, and of another night"
    host.configure(blackouts=[f"{day + dt.timedelta(days=1)} another"])
    assert host.send() == Exit.OK


@pytest.mark.parametrize(("day", "code"), [(0, Exit.OK), (1, Exit.PAUSED), (2, Exit.OK)])
def test_a_blackout_is_of_the_day_of_the_deadline(host: Host, day: int, code: Exit) -> None:
    evening = dt.datetime.now(dt.UTC).replace(hour=23, minute=30)
    date = evening.date() + dt.timedelta(days=day)
    host.configure(window_start="23:00", deadline="03:00", blackouts=[f"{date} a reason"])
    os.utime(host.export, (evening.timestamp(),) * 2)
    made = delivery.Run("maple-grove", host.folder / "maple-grove.toml", host.state)
    made.started = evening
    assert made.execute()[0] == code
    assert made.receipt["in_window"]


@pytest.mark.parametrize("step", ["records.receipts.news", "records.package_store.Ring.add"])
def test_what_is_in_is_recorded_whatever_comes(host: Host, step: str) -> None:
    """A signal after the transfer must not cost its receipt."""
    stopped = mock.Mock(side_effect=[stop.Stopped("SIGTERM"), []])
    host.patch.setattr(f"roster_upload.{step}", stopped)
    assert host.send() == Exit.OK
    assert host.last["outcome"] == "sent"
    assert "sent" in host.message


@pytest.mark.parametrize("holds", list(Holds))
def test_a_stop_is_not_tried_again_and_says_what_the_vendor_has(host: Host, holds: Holds) -> None:
    host.configure(attempts=9)
    host.ends = [stop.Stopped("SIGTERM")]
    host.holds = holds
    assert host.send() == Exit.STOPPED
    assert (len(host.sent), host.waits) == (1, [])
    assert host.message == f"stopped by SIGTERM; {holds.words}"
    assert (host.last["outcome"], host.last["exit_code"]) == ("failed", Exit.STOPPED)
    assert ("tell", "failure") in host.alerts


def test_a_stop_before_the_transfer_says_that_nothing_was_sent(host: Host) -> None:
    host.patch.setattr(delivery, "check", mock.Mock(side_effect=stop.Stopped("SIGINT")))
    assert host.send() == Exit.STOPPED
    assert host.message == f"stopped by SIGINT; {delivery.NOTHING_SENT}"
    assert host.sent == []


def test_a_stop_between_tries_is_one(host: Host) -> None:
    host.configure(attempts=9)
    host.ends = [Failure(Exit.VANISHED, "it broke")]
    host.patch.setattr("time.sleep", mock.Mock(side_effect=stop.Stopped("SIGTERM")))
    assert host.send() == Exit.STOPPED
    assert len(host.sent) == 1


def test_a_stop_while_others_are_told_ends_that_alone(host: Host) -> None:
    host.patch.setattr(tell, "heartbeat", mock.Mock(side_effect=[[], stop.Stopped("SIGTERM")]))
    assert host.send() == Exit.OK
    assert host.outcomes == ["sent"]


@pytest.mark.parametrize("code", ALL_CODES)
def test_only_what_may_be_cured_is_tried_again(host: Host, code: Exit) -> None:
    cured = {Exit.NETWORK, Exit.TRANSFER, Exit.VANISHED, Exit.SILENT}
    host.configure(attempts=3)
    host.ends = [Failure(code, "it broke") for _ in range(9)]
    assert host.send() == code
    assert host.last["attempts"] == len(host.sent) == (3 if code in cured else 1)
    assert host.waits == ([20, 40] if code in cured else [])
    assert host.last["exit_code"] == code
    assert host.last["remote"]["server"] == VENDOR, "what is known comes in however it ends"
    told = {Exit.STALE: "stale", Exit.HELD: "held", Exit.REFUSED: "refused", Exit.PAUSED: "skipped"}
    assert host.last["outcome"] == told.get(code, "failed")


def test_a_try_that_works_is_the_last(host: Host) -> None:
    host.configure(attempts=9)
    host.ends = [Failure(Exit.VANISHED, "it broke")]
    assert host.send() == Exit.OK
    assert (len(host.sent), host.last["attempts"]) == (2, 2)
    assert host.said[0] == "try 1 of 9: it broke. Again in 20 s"


@pytest.mark.parametrize(
    ("left", "waits"),
    [
        (19, []),
        (20, [20]),
        (40, [20, 40]),
        (3000, [20, 40, 80, 160, 320, 600, 600]),
    ],
)
def test_waits_grow_and_end_before_the_deadline(
    host: Host, left: float, waits: list[float]
) -> None:
    host.patch.setattr(Night, "seconds_left", lambda _night: left)
    host.configure(attempts=8)
    host.ends = [Failure(Exit.NETWORK, "no route") for _ in range(9)]
    assert host.send() == Exit.NETWORK
    assert host.waits == waits


def test_waits_are_spread(host: Host) -> None:
    """Otherwise all hosts of a fleet return at once to a server that was down."""
    host.patch.setattr("random.uniform", lambda low, high: low + high * 10)
    host.configure(attempts=2, retry_seconds=10)
    host.ends = [Failure(Exit.NETWORK, "no route")]
    assert host.send() == Exit.OK
    assert host.waits == [155]


@pytest.mark.parametrize(
    ("minutes", "in_window", "left"),
    [(60, False, 3600), (60, True, 3480), (1, True, 0), (-5, True, 0), (-5, False, 3600)],
)
def test_how_long_may_be_waited(minutes: int, in_window: bool, left: float) -> None:
    now = dt.datetime.now(dt.UTC)
    night = Night(now, now + dt.timedelta(minutes=minutes), in_window, minutes)
    assert night.seconds_left() == pytest.approx(left, abs=60)


def test_a_rehearsal_logs_in_and_sends_nothing(host: Host) -> None:
    server = Server()
    host.at(server)
    assert host.run("rehearse") == Exit.OK
    assert "opendir" in server.requests
    assert server.files == {FINAL: YESTERDAY}
    assert host.message == f"{GOOD['district']}: all is ready for tonight; nothing was sent"
    assert (host.sent, host.outcomes) == ([], ["rehearsed"])
    assert not list(host.state.glob("accepted-*"))
    assert host.alerts == []
    host.send()
    host.export.write_bytes(SMALL)
    assert host.run("rehearse") == Exit.HELD
    refusing = mock.Mock(side_effect=Failure(Exit.LOGIN, "no"))
    host.patch.setattr(connect, "remote_directory", refusing)
    host.export.write_bytes(OLD)
    assert host.run("rehearse") == Exit.LOGIN
    assert host.last["remote"]["host"] == "sftp.example.org"


def test_the_first_rehearsal_learns_the_servers_ways(host: Host) -> None:
    host.at(Server(refuse={"posix-rename": 8}))
    host.run("rehearse")
    assert host.profile.rename == "rename"
    server = Server()
    host.at(server)
    host.run("rehearse")
    assert host.profile.rename == "rename", "it is known"
    assert "write" not in server.requests
    host.at(server, verify_by_writing=True)
    host.run("rehearse")
    assert "write" in server.requests
    assert server.files == {FINAL: YESTERDAY}


@pytest.mark.parametrize(
    ("faults", "code"),
    [
        ({"room": (0, 0)}, Exit.DISK_FULL),
        ({"room": (9, 1)}, Exit.READ_ONLY),
        ({"refuse": {"open": 3}}, None),
    ],
)
def test_a_rehearsal_finds_what_the_night_would(
    host: Host, faults: dict[str, Any], code: Exit | None
) -> None:
    host.at(Server(**faults))
    if code:
        assert host.run("rehearse") == code
    else:
        with pytest.raises(Exception, match="status 3"):  # a Failure, by the real connection
            host.run("rehearse")


def test_the_first_delivery_learns_and_a_broken_one_keeps_it(host: Host) -> None:
    host.configure(attempts=3)
    host.ends = [Failure(Exit.VANISHED, "it broke")]
    host.learned = PROFILE
    seen: list[tuple[object, object]] = []
    deliver = upload.deliver

    def look(*arguments: Any, **options: Any) -> upload.Delivered:
        seen.append((options["profile"], options["learns"]))
        return deliver(*arguments, **options)

    host.patch.setattr(upload, "deliver", look)
    assert host.send() == Exit.OK
    assert seen == [(None, True), (PROFILE, False)]
    assert host.profile == PROFILE


@pytest.mark.parametrize("holds", list(Holds))
def test_a_vendor_without_a_file_does_not_wait_long(host: Host, holds: Holds) -> None:
    host.configure(attempts=3, retry_seconds=60)
    host.ends = [Failure(Exit.VANISHED, "it broke") for _ in range(2)]
    host.holds = holds
    assert host.send() == Exit.OK
    assert host.waits == ([5, 5] if holds is Holds.NOTHING else [60, 120])
    assert host.options["restores_first"] is (holds is Holds.NOTHING)


def test_a_package_comes_back(host: Host) -> None:
    assert host.run("resend") == Exit.SOURCE
    assert "no earlier accepted package is kept" in host.message
    host.send(OLD)
    host.configure(guard_removed_percent=100)
    host.send(SMALL)
    host.configure(guard_added_percent=0, maximum_age_hours=1)
    host.export.unlink()
    assert host.run("resend", hours=9) == Exit.OK, "neither the guard nor its age holds it"
    assert host.sent == [OLD, SMALL, OLD]
    assert (host.last["held"] != [], "approved" in host.last) == (True, False)
    accepted = dt.datetime.fromisoformat(host.last["source"]["modified"])
    assert abs(dt.datetime.now(dt.UTC) - accepted) < dt.timedelta(hours=1), "when it was accepted"
    assert host.run("resend") == Exit.OK, "the last good one is the other one now"
    assert host.run("resend", digest_of(SMALL)[:16]) == Exit.OK, "though the vendor has it"
    assert host.sent[3:] == [SMALL, SMALL]
    assert host.run("resend", "0" * 16) == Exit.SOURCE
    assert f"no kept package begins with {'0' * 16}" in host.message
    for entry in (host.state / "packages").iterdir():
        entry.write_bytes(b"damaged")
    assert host.run("resend") == Exit.LOCAL
    assert "set up anew?" in host.message
    assert len(host.sent) == 5
    assert [kind for kind, _ in host.alerts].count("heartbeat") == 4, "of the two that were sent"


# ---- what is sent is made of the export ---------------------------------------------------------


class Steps:
    """Replace the package's steps: make a package of each export, without the removed text."""

    def __init__(self, host: Host, *, mark: bytes = b"") -> None:
        self.mark = mark  # appended to each package
        self.unscoped: tuple[str, ...] = ()
        self.previous: list[bytes | None] = []
        host.patch.setattr("roster_upload.package.build.build", self)

    def __call__(
        self,
        feed: config.Feed,
        export: Path,
        out: Path,
        previous: Path | None = None,
        *,
        check: Callable[[Path], Report],
        night: dt.date,
    ) -> Built | None:
        assert night >= dt.datetime.now(dt.UTC).date()
        self.previous.append(previous.read_bytes() if previous else None)
        if not self.mark and not previous:
            return None
        if feed.faulty_rows == "leave-out":
            report = check(export)
            if not report.accepted or not list(report.findings):
                return Built(export, export.stat().st_size, "e" * 64, {}, (), report)
        # The records to be removed stay, so the longer one of both stays here.
        content = max(export.read_bytes(), self.previous[-1] or b"", key=len)
        content = content.removesuffix(self.mark) + self.mark
        out.write_bytes(content)
        return Built(out, len(content), digest_of(content), {"rows": 7}, self.unscoped)


def test_what_is_made_of_the_export_is_sent_kept_and_compared_with(host: Host) -> None:
    steps = Steps(host, mark=b"!")
    assert host.send() == Exit.OK, host.message
    assert host.sent == [OLD + b"!"]
    digest = digest_of(OLD + b"!")
    assert (host.options["sha256"], host.options["size"]) == (digest, len(OLD) + 1)
    assert host.last["source"]["sha256"] == digest_of(OLD)
    assert host.last["package"].items() >= {("bytes", len(OLD) + 1), ("sha256", digest)}
    assert host.last["package"]["steps"] == {"rows": 7}
    assert host.last["changes"]["bytes"]["now"] == len(OLD) + 1
    assert [path.name for path in host.state.glob("accepted-*")] == [f"accepted-{digest[:16]}.npz"]
    assert host.export.read_bytes() == OLD
    assert host.send(SMALL) == Exit.HELD
    host.ledger.append({"outcome": "approved", "who": "it", "why": "w", "finished": "f",
                        "digest": digest_of(SMALL)})  # fmt: skip
    assert host.send(SMALL) == Exit.OK, "an approval is for the export"
    steps.mark = b"?"
    assert host.run("resend") == Exit.OK
    assert host.sent == [OLD + b"!", SMALL + b"!", OLD + b"!"], "no step is taken twice"


def test_other_steps_make_another_package_of_the_same_export(host: Host) -> None:
    host.configure(unchanged="skip")
    steps = Steps(host, mark=b"!")
    assert [host.send(), host.send()] == [Exit.OK, Exit.OK]
    assert host.outcomes == ["sent", "skipped"]
    steps.mark = b"?"
    assert host.send() == Exit.OK
    assert host.sent == [OLD + b"!", OLD + b"?"]


def test_the_night_is_kept_with_what_was_accepted(host: Host) -> None:
    host.send()
    [path] = host.state.glob("accepted-*")
    assert Baseline.load(path, b"k" * 32).night == host.last["night"]


class Found(list[Finding]):
    """Return the findings of a report."""

    @property
    def errors(self) -> list[Finding]:
        return [finding for finding in self if finding.severity == "error"]


def find(host: Host, *findings: Finding) -> None:
    """Let the next checks find something in each file that has no mark at its end."""

    def checked(path: Path, *arguments: Any, **options: Any) -> Report:
        report = check(path, *arguments, **options)
        if not path.read_bytes().endswith(b"!"):
            report.findings = Found(findings)  # type: ignore[assignment]
            report.faulty_rows = {f.file: f.count for f in findings if f.severity == "fault"}
        return report

    host.patch.setattr(delivery, "check", checked)


FAULT = Finding("value.enum", "fault", "enrollments.csv", "role", count=2, rows=[5, 9])


def test_a_faulty_row_is_delivered_and_told_once(host: Host) -> None:
    find(host, FAULT)
    assert [host.run(hours=24 * number) for number in range(2)] == [Exit.OK] * 2
    first, second = host.ledger.receipts()
    assert first["told"] == [
        {"rule": "value.enum", "file": "enrollments.csv", "column": "role", "count": 2}
    ]
    assert second["told"] == []
    for receipt in (first, second):
        assert receipt["findings"] == [FAULT.record()], "the receipt has it always"
        assert receipt["faulty_rows"] == {"enrollments.csv": 2}
        assert receipt["message"].endswith("; 2 faulty rows told")
    assert [told for told in host.alerts if told[0] == "tell"] == [("tell", "findings")]


@pytest.mark.parametrize("end", [Failure(Exit.VANISHED, "it broke"), None])
def test_a_finding_is_told_with_the_delivery_only(host: Host, end: Failure | None) -> None:
    find(host, FAULT)
    host.at(Server())
    host.ends = [end] if end else []
    if end:
        host.send()
    else:
        host.run("rehearse")
    assert "told" not in host.last
    assert host.send() == Exit.OK
    assert len(host.last["told"]) == 1
    host.run("resend", digest_of(OLD)[:16])
    assert "told" not in host.last


def looks(host: Host) -> list[str]:
    """Return the files that are validated from now on, by name."""
    names: list[str] = []
    check = delivery.check  # type: ignore[attr-defined]

    def looked(path: Path, *arguments: Any, **options: Any) -> Report:
        names.append(path.name)
        report: Report = check(path, *arguments, **options)
        return report

    host.patch.setattr(delivery, "check", looked)
    return names


def test_rows_that_are_left_out_are_recorded_and_told(host: Host) -> None:
    find(host, FAULT)
    Steps(host, mark=b"!")
    looked = looks(host)
    host.configure(faulty_rows="leave-out")
    assert host.send() == Exit.OK
    assert host.sent == [OLD + b"!"]
    assert looked == ["export", "package.zip"], "what is sent is looked at as ever"
    assert host.last["findings"] == [FAULT.record()]
    assert host.last["faulty_rows"] == {"enrollments.csv": 2}
    assert len(host.last["told"]) == 1


def test_where_no_row_is_left_out_the_export_is_read_once(host: Host) -> None:
    Steps(host, mark=b"!")
    looked = looks(host)
    host.configure(faulty_rows="leave-out")
    assert host.send() == Exit.OK
    assert (host.sent, looked) == ([OLD], ["export"])
    assert host.last["changes"]["bytes"]["now"] == len(OLD)


def test_an_export_that_breaks_rules_is_refused_though_rows_may_be_left_out(host: Host) -> None:
    error = dataclasses.replace(FAULT, severity="error")
    find(host, error, FAULT)
    Steps(host, mark=b"!")
    host.configure(faulty_rows="leave-out")
    assert host.send() == Exit.REFUSED
    assert host.sent == []
    assert host.last["findings"] == [error.record(), FAULT.record()], "each of them once"


def test_what_cannot_be_held_to_its_scope_is_refused(host: Host) -> None:
    steps = Steps(host, mark=b"!")
    steps.unscoped = ("users", "another file")
    assert host.send() == Exit.REFUSED
    assert "(users, another file), so it is not sent" in host.message
    assert (host.sent, host.outcomes) == ([], ["refused"])
    find(host, dataclasses.replace(FAULT, severity="error"))
    steps.mark = b"?"
    assert host.send() == Exit.REFUSED
    assert "breaks 1 rule" in host.message, "that says more"


# ---- removals that wait --------------------------------------------------------------------------


def waiting(host: Host, nights: int = 2, **changes: Any) -> Steps:
    """A feed whose removals may wait for so many nights. The vendor has OLD, the SIS SMALL."""
    steps = Steps(host)
    host.configure(removals="wait", wait_nights=nights, maximum_age_hours=1000, **changes)
    assert host.send(OLD) == Exit.OK
    host.export.write_bytes(SMALL)
    return steps


def test_removals_wait_for_some_nights_and_then_the_export_is_held(host: Host) -> None:
    steps = waiting(host)
    assert host.run(hours=24) == Exit.OK, host.message
    assert host.sent == [OLD, OLD], "nobody is removed"
    assert steps.previous == [None, None, OLD]
    first = host.last
    assert first["waiting"] == {"since": first["night"], "nights": 1, "counts": {"bytes": 600}}
    assert first["source"]["sha256"] == digest_of(SMALL)
    assert first["package"]["sha256"] == digest_of(OLD)
    assert first["changes"]["bytes"]["removed"] == 0, "what was sent removes nobody"
    assert first["held"] == [
        "the file's size in bytes: 600 of 1,008 would be removed (59.5 %, the limit is 10 %)"
    ]
    assert "removals wait: 600 bytes" in host.message
    assert host.run(hours=48) == Exit.OK
    assert host.last["waiting"] == {**first["waiting"], "nights": 2}
    for number in (3, 4):
        assert host.run(hours=24 * number) == Exit.HELD
        assert "The removals have waited 2 nights" in host.message
        assert host.last["waiting"]["nights"] == number
        assert host.last["changes"]["bytes"]["removed"] == 600
        assert host.last["package"] == {}
    assert len(host.sent) == 3


def test_what_stays_is_as_in_the_last_accepted_package(host: Host) -> None:
    host.send(OLD + b"x")
    steps = waiting(host)
    assert host.send(SMALL) == Exit.OK
    assert steps.previous[-1] == OLD


def test_several_starts_of_a_night_wait_for_one(host: Host) -> None:
    waiting(host, 1)
    assert [host.run(), host.run()] == [Exit.OK, Exit.OK]
    assert host.last["waiting"]["nights"] == 1


def test_an_approval_ends_a_wait(host: Host) -> None:
    waiting(host)
    assert host.run(hours=24) == Exit.OK
    host.ledger.append({"outcome": "approved", "who": "it", "why": "w", "finished": "f",
                        "digest": digest_of(SMALL), "command": "approve"})  # fmt: skip
    assert host.run(hours=25) == Exit.OK
    assert host.sent[-1] == SMALL
    assert ("approved" in host.last, "waiting" in host.last) == (True, False)
    assert host.run(hours=48) == Exit.OK
    assert "waiting" not in host.last


@pytest.mark.parametrize(
    ("changes", "content"),
    [
        ({"removals": "hold"}, SMALL),
        ({"guard_added_percent": 0, "guard_floor": 0}, BIG * 2),
        ({"guard_minimum": {"bytes": 500}}, SMALL),  # and the removals are not all
    ],
)
def test_only_removals_wait_and_only_where_they_may(
    host: Host, changes: dict[str, Any], content: bytes
) -> None:
    steps = waiting(host)
    host.configure(**{"removals": "wait", "wait_nights": 2, **changes})
    assert host.send(content) == Exit.HELD
    assert steps.previous == [None, None]
    assert "waiting" not in host.last


def test_removals_do_not_wait_where_nothing_is_known(host: Host) -> None:
    waiting(host)
    for path in host.state.glob("accepted-*"):
        path.unlink()
    assert host.send(SMALL) == Exit.HELD
    assert len(host.sent) == 1


def test_removals_do_not_wait_without_the_last_package(host: Host) -> None:
    waiting(host, keep_packages=0)
    assert host.send(SMALL) == Exit.HELD
    assert "the last accepted package is not kept. Nothing was sent" in host.message
    assert "waiting" not in host.last, "no night has passed of a wait"
    host.configure(removals="wait", wait_nights=2, guard_removed_percent=100)
    assert host.send(OLD) == Exit.OK
    host.configure(removals="wait", wait_nights=2)
    for path in (host.state / "packages").iterdir():
        path.write_bytes(b"damaged")
    assert host.send(SMALL) == Exit.HELD
    assert "cannot be decrypted. Nothing was sent" in host.message


def test_the_rest_is_guarded_as_ever(host: Host) -> None:
    waiting(host)
    host.patch.setattr("roster_upload.package.build.build", bloated)
    assert host.run(hours=24) == Exit.HELD
    assert "the rest may not be sent" in host.message
    assert host.last["changes"]["bytes"]["now"] == len(SMALL), "of the export, as the reasons are"
    assert "waiting" not in host.last
    assert host.last["package"] == {}
    assert len(host.sent) == 1


def bloated(
    _feed: config.Feed, _export: Path, out: Path, previous: Path | None, **_: Any
) -> Built | None:
    """Add too many records while removals wait."""
    if not previous:
        return None
    out.write_bytes(OLD * 3)
    return Built(out, len(OLD) * 3, digest_of(OLD * 3), {})


@pytest.mark.parametrize("declared", [{}, {"removals": "wait", "wait_nights": 2}])
def test_a_full_disk_sends_no_part_of_a_package(host: Host, declared: dict[str, Any]) -> None:
    waiting(host)
    host.configure(**declared, maximum_age_hours=1000)
    full = OSError(errno.ENOSPC, "No space left on device")
    what = (
        "roster_upload.records.package_store.Ring.decrypt"
        if declared
        else "roster_upload.package.build.build"
    )
    host.patch.setattr(what, mock.Mock(side_effect=full))
    assert host.run(hours=24) == Exit.LOCAL
    assert host.message == "no room for a private copy: No space left on device"
    assert len(host.sent) == 1


def test_the_rest_is_held_to_its_scope_as_ever(host: Host) -> None:
    steps = waiting(host)
    steps.unscoped = ("users",)
    assert host.run(hours=24) == Exit.HELD
    assert len(host.sent) == 1


def test_the_rest_is_checked_as_ever(host: Host) -> None:
    waiting(host)
    refused = dataclasses.replace(FAULT, severity="error")

    def checked(path: Path, *arguments: Any, **options: Any) -> Report:
        report = check(path, *arguments, **options)
        if path.name == "waiting.zip":
            report.findings = Found([refused])  # type: ignore[assignment]
        return report

    host.patch.setattr(delivery, "check", checked)
    assert host.run(hours=24) == Exit.HELD
    assert host.last["findings"] == []
    assert len(host.sent) == 1


def test_what_waits_unchanged_is_skipped_or_in_already(host: Host) -> None:
    waiting(host, unchanged="skip")
    assert host.run(hours=24) == Exit.OK
    assert host.outcomes == ["sent", "skipped"], "the vendor has just that"
    assert host.last["waiting"]["nights"] == 1
    host.configure(-30, 30, removals="wait", wait_nights=2, maximum_age_hours=1000)
    assert host.run() == Exit.OK
    assert "in already" in host.message
    assert (len(host.outcomes), len(host.sent)) == (2, 1)


# ---- what comes back -----------------------------------------------------------------------------


def test_the_newest_of_the_good_packages_comes_back(host: Host) -> None:
    for content in (OLD, BIG, OLD + b"y"):
        host.send(content)
    assert host.run("resend") == Exit.OK
    assert host.sent[-1] == BIG
    assert host.run("resend", digest_of(OLD)[:20]) == Exit.OK
    assert host.sent[-1] == OLD


def test_packages_are_kept_as_many_as_the_feed_says(host: Host) -> None:
    host.configure(keep_packages=2)
    for content in (OLD, BIG, OLD + b"y"):
        host.send(content)
    assert len(list((host.state / "packages").iterdir())) == 2


@pytest.mark.parametrize(
    ("what", "code", "sent"),
    [
        (
            "roster_upload.records.package_store.Ring.add",
            Exit.OK,
            1,
        ),  # it is no part of the delivery
        ("roster_upload.guard.baseline.Baseline.save", Exit.LOCAL, 0),
        ("roster_upload.records.ledger.Ledger.append", Exit.LOCAL, 0),  # also of what is to be sent
        ("roster_upload.records.ledger.Ledger.receipts", Exit.LOCAL, 0),
        ("roster_upload.records.ledger.Ledger.prune", Exit.OK, 1),
        ("roster_upload.records.package_store.Ring.decrypt", Exit.LOCAL, 0),
    ],
)
def test_a_full_disk(host: Host, what: str, code: Exit, sent: int) -> None:
    command = "resend" if "decrypt" in what else "send"
    if command == "resend":
        host.send(BIG)
        host.send(OLD)
        host.sent.clear()
    full = OSError(errno.ENOSPC, "No space left on device")
    host.patch.setattr(what, mock.Mock(side_effect=full))
    assert host.run(command) == code
    assert len(host.sent) == sent
    assert any("No space left" in text for text in [host.message, *host.said])
    if what.endswith("append"):
        assert "what happened: " in host.message
        assert host.alerts[-2:] == [("tell", "failure"), ("heartbeat", Exit.LOCAL)]


BEHIND_THE_RENAMING = [
    "roster_upload.records.receipts.news",
    "roster_upload.cli.render.morning",
    "roster_upload.records.package_store.Ring.add",
    "roster_upload.records.evidence.mark",
    "roster_upload.delivery.delivery.State.keep_profile",
    "roster_upload.transfer.probe.probe",
    "roster_upload.notify.alerts.event",
    "roster_upload.notify.alerts.heartbeat",
    "roster_upload.notify.alerts.metrics",
    "roster_upload.records.ledger.Ledger.prune",
]


@pytest.mark.parametrize("what", BEHIND_THE_RENAMING)
@pytest.mark.parametrize("error", [ValueError("no"), UnicodeEncodeError("u", "x", 0, 1, "no")])
def test_what_comes_behind_the_renaming_changes_nothing(
    host: Host, what: str, error: Exception, tmp_path: Path
) -> None:
    host.patch.setenv("CACHE_DIRECTORY", str(tmp_path))
    host.learned = PROFILE if what.endswith("keep_profile") else None
    host.state.mkdir(parents=True)
    (host.state / "server.json").write_text(
        dataclasses.replace(PROFILE, server="SSH-2.0-Old").to_json()
    )
    host.ledger.append({"outcome": "ended", "command": "probe"})
    host.patch.setattr(prober, "probe", mock.Mock(return_value=PROFILE))
    broken = mock.Mock()
    start: list[Any] = [[]] if what.endswith("heartbeat") else []  # that of the start is before it
    broken.side_effect = [*start, error]
    host.patch.setattr(what, broken)
    assert host.send() == Exit.OK
    assert broken.called
    assert (host.outcomes, host.last["exit_code"]) == (["sent"], 0)
    assert ("tell", "failure") not in host.alerts
    assert any("no" in text for text in host.said)


def test_an_error_of_the_program_behind_the_renaming_changes_nothing(host: Host) -> None:
    summed_up = mock.Mock(side_effect=[ValueError("no"), "sent"])
    host.patch.setattr(delivery.Run, "_summary", summed_up)
    assert host.send() == Exit.OK
    assert (host.outcomes, host.last["exit_code"]) == (["sent"], 0)


def test_a_receipt_that_cannot_be_written_whole_is_written_in_brief(host: Host) -> None:
    append = Ledger.append

    def picky(self: Ledger, receipt: Mapping[str, Any]) -> None:
        if "seconds" in receipt:
            raise UnicodeEncodeError("utf-8", "x", 0, 1, "surrogates not allowed")
        append(self, receipt)

    host.patch.setattr(Ledger, "append", picky)
    assert host.send() == Exit.OK
    assert (host.outcomes, host.last["exit_code"]) == (["sent"], 0)
    assert host.last["source"]["sha256"] == digest_of(OLD)
    host.patch.setattr(Ledger, "append", append)
    assert host.send(SMALL) == Exit.HELD, "it is known what the vendor has"


def test_a_delivery_whose_receipt_is_lost_is_told_as_that(host: Host) -> None:
    """The disk fills up meanwhile, but the next run knows that the vendor may have the file."""
    append = Ledger.append

    def full(self: Ledger, receipt: Mapping[str, Any]) -> None:
        if receipt["outcome"] == "sent":
            raise OSError(errno.ENOSPC, "No space left on device")
        append(self, receipt)

    host.patch.setattr(Ledger, "append", full)
    assert host.send() == Exit.LOCAL
    assert "what happened: " in host.message
    assert host.alerts[-2:] == [("tell", "unrecorded"), ("heartbeat", 0)]
    host.patch.setattr(Ledger, "append", append)
    assert host.send(SMALL) == Exit.HELD
    assert host.outcomes == ["failed", "held"]


# ---- killed runs: what the vendor may hold -------------------------------------------------------


class Killed(BaseException):
    """Stands for SIGKILL: nothing after it runs."""


def kill(host: Host, content: bytes, holds: Holds | None = None) -> None:
    """Send an export, and let the run be killed, or end so, during its transfer."""
    if holds:
        host.ends, host.holds = [Failure(Exit.VANISHED, "it broke")], holds
        assert host.send(content) == Exit.VANISHED
        return
    append = Ledger.append

    def none(self: Ledger, receipt: Mapping[str, Any]) -> None:
        if receipt["outcome"] == "begun":
            append(self, receipt)

    with host.patch.context() as patch:
        patch.setattr(Ledger, "append", none)
        patch.setattr(delivery.Run, "_tell", lambda _run: None)
        host.ends = [Killed()]
        with pytest.raises(Killed):
            host.send(content)


def test_a_killed_run_is_told_by_the_next_one(host: Host) -> None:
    kill(host, OLD)
    assert (host.outcomes, host.last["exit_code"]) == (["failed"], Exit.KILLED)
    host.alerts.clear()
    assert host.send() == Exit.OK
    assert host.outcomes == ["failed", "sent"]
    told = [alert for alert in host.alerts if alert[0] == "tell"]
    assert told == [("tell", "failure"), ("tell", "recovery")]
    assert any("was killed" in text for text in host.said)
    host.alerts.clear()
    assert host.send(BIG) == Exit.OK
    assert ("tell", "failure") not in host.alerts, "once"


@pytest.mark.parametrize("holds", [None, Holds.NEW, Holds.UNKNOWN, Holds.PART])
def test_the_guard_compares_with_all_that_the_vendor_may_hold(
    host: Host, holds: Holds | None
) -> None:
    host.configure(guard_removed_percent=45, guard_added_percent=200)
    larger, smaller = OLD + b"x" * 700, OLD[:-100]
    host.send(OLD)
    kill(host, larger, holds)
    assert host.send(smaller) == Exit.HELD, "it is too small beside the one that may be there"
    assert host.last["changes"]["bytes"]["before"] == len(OLD)
    assert host.send(larger) == Exit.OK, "what may be there is sent again"
    host.configure()
    assert host.send(OLD) == Exit.HELD
    assert host.last["changes"]["bytes"]["before"] == len(larger)


@pytest.mark.parametrize("holds", [Holds.OLD, Holds.NOTHING])
def test_the_guard_compares_with_nothing_that_never_arrived(host: Host, holds: Holds) -> None:
    host.configure(guard_removed_percent=45, guard_added_percent=200)
    host.send(OLD)
    kill(host, OLD + b"x" * 700, holds)
    host.holds = Holds.OLD
    assert host.send(OLD[:-100]) == Exit.OK


def test_a_first_delivery_that_was_killed_is_compared_with(host: Host) -> None:
    kill(host, OLD)
    assert host.send(SMALL) == Exit.HELD
    assert host.send(BIG) == Exit.OK


def test_what_may_be_there_is_remembered_through_runs_that_fail(host: Host) -> None:
    host.configure(guard_removed_percent=45, guard_added_percent=200)
    host.send(OLD)
    kill(host, OLD + b"x" * 700)
    host.ends = [Failure(Exit.NETWORK, "no route")]
    assert host.send(OLD + b"x" * 600) == Exit.NETWORK
    assert host.send(OLD[:-100]) == Exit.HELD
    assert "cannot be compared with" not in host.message


def test_a_baseline_that_may_be_needed_is_missed(host: Host) -> None:
    host.send(OLD)
    kill(host, BIG)
    (host.state / f"accepted-{digest_of(BIG)[:16]}.npz").unlink()
    assert host.send(OLD) == Exit.HELD
    assert "cannot be compared with" in host.message


@pytest.mark.parametrize("unchanged", ["send", "skip"])
def test_what_may_have_been_replaced_is_sent_again(host: Host, unchanged: str) -> None:
    host.configure(-30, 30, unchanged=unchanged)
    host.send(OLD)
    kill(host, BIG)
    assert host.send(OLD) == Exit.OK
    assert host.sent == [OLD, BIG, OLD]


def test_a_run_that_tells_nothing_was_not_killed(host: Host) -> None:
    host.configure(-30, 30)
    for _ in range(2):
        assert host.send() == Exit.OK
    assert host.outcomes == ["sent"]
    assert host.send() == Exit.OK
    assert not any("was killed" in text for text in host.said)


def test_what_is_begun_is_on_the_disk_before_anything_may_reach_the_vendor(host: Host) -> None:
    found: list[dict[str, Any]] = []
    deliver = upload.deliver

    def look(*arguments: Any, **options: Any) -> upload.Delivered:
        found.append(host.ledger.records()[-1])
        return deliver(*arguments, **options)

    host.patch.setattr(upload, "deliver", look)
    host.send()
    [begun] = found
    assert (begun["outcome"], begun["at_vendor"]) == ("begun", "unknown")
    assert begun["source"]["sha256"] == digest_of(OLD)
    assert begun["remote"]["host"] == "sftp.example.org"


# ---- lost receipts -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "lose",
    [
        Path.unlink,
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"\0" * path.stat().st_size),
        lambda path: path.write_bytes(path.read_bytes().replace(b'"outcome":"sent"', b"x")),
        lambda path: path.write_bytes(path.read_bytes().replace(b'"outcome":"sent"', b'"x":1')),
    ],
)
@pytest.mark.parametrize("content", [OLD, SMALL])
def test_lost_receipts_are_no_first_delivery(
    host: Host, lose: Callable[[Path], None], content: bytes
) -> None:
    host.send()
    lose(host.ledger.path)
    for _ in range(2):
        assert host.send(content) == Exit.HELD, "it stays so"
        assert "Restore receipts.jsonl from a backup" in host.message
    assert host.last["lost"]
    approval = {"outcome": "approved", "who": "it", "why": "ok", "digest": digest_of(content)}
    host.ledger.append(approval)
    assert host.send() == Exit.OK
    host.configure(guard_removed_percent=99)
    assert host.send(content + b"y") == Exit.OK, "and the next night goes on by itself"
    assert host.last["lost"] == []


def test_wherever_the_receipts_are_cut_the_guard_knows_what_was_sent(host: Host) -> None:
    host.send(BIG)
    host.send(OLD)
    data = host.ledger.path.read_bytes()
    for length in range(0, len(data), len(data) // 25):
        host.ledger.path.write_bytes(data[:length])
        assert host.send(SMALL) == Exit.HELD
    assert host.sent == [BIG, OLD]


@pytest.mark.parametrize("left", ["accepted-*", "packages", "delivered.json", "server.json"])
def test_any_trace_of_a_delivery_is_enough(host: Host, left: str) -> None:
    host.learned = PROFILE
    host.send()
    host.learned = None
    for path in host.state.iterdir():
        if not path.match(left):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    for _ in range(2):
        assert host.send(SMALL) == Exit.HELD
    assert host.sent == [OLD]


def test_a_first_delivery_that_fails_is_no_trace(host: Host) -> None:
    host.learned = PROFILE
    host.ends = [Failure(Exit.NETWORK, "no route")]
    assert host.send() == Exit.NETWORK
    assert host.send(SMALL) == Exit.OK


# ---- wrong clocks --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "minutes", "code"),
    [("send", 59, Exit.OK), ("send", 62, Exit.STALE), ("rehearse", 62, Exit.OK),
     ("send", 60 * 24 * 400, Exit.STALE), ("send", 60 * 24 * 366 * 30_000, Exit.STALE)],
)  # fmt: skip
def test_an_export_from_the_future_is_stale(
    host: Host, command: str, minutes: int, code: Exit
) -> None:
    host.at(Server())
    later = dt.datetime.now(dt.UTC).timestamp() + minutes * 60
    os.utime(host.export, (later, later))
    assert host.run(command) == code
    if code is Exit.STALE:
        assert f"{host.export} was written" in host.message
        assert "ahead of this host's clock" in host.message
        assert host.sent == []


def test_a_delivery_from_the_future_is_not_tonights(host: Host) -> None:
    host.configure(-30, 30)
    host.send()
    text = host.ledger.path.read_text()
    host.ledger.path.write_text(text.replace(host.last["started"], "2031-06-01T07:15:00Z"))
    assert host.send() == Exit.OK
    assert len(host.sent) == 2


# ---- names that are not UTF-8 --------------------------------------------------------------------


def test_a_name_that_is_not_utf_8_is_delivered(host: Host) -> None:
    export = host.folder / os.fsdecode(b"Gr\xfc\xdfe-1.xml")
    export.write_bytes(OLD)
    host.configure(source=str(host.folder / "*-1.xml"))
    assert host.send() == Exit.OK
    assert host.last["source"]["path"] == f"{host.folder}/Gr\\xfc\\xdfe-1.xml"
    export.write_bytes(SMALL)
    assert host.send() == Exit.HELD
    os.utime(export, (0, 0))
    assert host.send() == Exit.STALE
    assert host.outcomes == ["sent", "held", "stale"]


@pytest.mark.parametrize(
    ("slot", "told"),
    [("current", "has no credential maple-grove_current"), ("state", "maple-grove_state")],
)
def test_a_missing_credential_is_told(host: Host, slot: str, told: str) -> None:
    (host.folder / "credentials" / f"maple-grove_{slot}").unlink()
    assert host.send() == Exit.CREDENTIAL
    assert told in host.message
    host.patch.delenv("CREDENTIALS_DIRECTORY")
    assert host.send() == Exit.CREDENTIAL
    assert "systemctl start roster-upload@maple-grove.service" in host.message
    assert host.sent == []


@pytest.mark.parametrize(
    ("end", "alerts"),
    [
        (None, [("heartbeat", None), ("heartbeat", 0)]),
        (
            Failure(Exit.LOGIN, "no"),
            [("heartbeat", None), ("tell", "failure"), ("heartbeat", Exit.LOGIN)],
        ),
        (
            KeyboardInterrupt(),
            [("heartbeat", None), ("tell", "failure"), ("heartbeat", Exit.INTERNAL)],
        ),
    ],
)
def test_who_wants_to_know_is_told(
    host: Host, end: BaseException | None, alerts: list[tuple[str, object]]
) -> None:
    host.ends = [end] if end else []
    with contextlib.suppress(KeyboardInterrupt):
        host.send()
    assert host.alerts == alerts
    assert "the heartbeat did not work" in host.said, "and harms nothing"
    assert ("the webhook did not work" in host.said) == (len(alerts) == 3)


def test_a_skipped_delivery_is_in_order_to_the_heartbeat(host: Host) -> None:
    host.configure(unchanged="skip")
    host.send()
    host.send()
    assert host.outcomes == ["sent", "skipped"]
    assert host.alerts[2:] == [("heartbeat", None), ("heartbeat", 0)]
    day = (dt.datetime.now(dt.UTC) + dt.timedelta(hours=8)).date()
    host.configure(blackouts=[f"{day} a reason"])
    assert host.send() == Exit.PAUSED
    assert host.alerts[4:] == [("heartbeat", 0)]


def test_old_receipts_go_and_metrics_come(host: Host, tmp_path: Path) -> None:
    host.configure(keep_receipts_days=10)
    now = dt.datetime.now(dt.UTC)
    host.state.mkdir(parents=True)
    for days in (10.01, 9.99, *[0.0] * 12):
        moment = stamp(now - dt.timedelta(days=days))
        host.ledger.append({"outcome": "held", "finished": moment, "days": days})
    host.patch.setenv("CACHE_DIRECTORY", str(tmp_path))
    assert host.send() == Exit.OK
    assert [r.get("days") for r in host.ledger.receipts()] == [9.99, *[0.0] * 12, None]
    assert 'outcome="sent"} 1' in (tmp_path / "maple-grove.prom").read_text()


def test_an_expected_change_is_recorded(host: Host) -> None:
    day = (dt.datetime.now(dt.UTC) + dt.timedelta(hours=8)).date()
    host.send()
    assert "expected_change" not in host.last
    host.configure(expected_changes=[f"{day} a school closes"])
    assert host.send(SMALL) == Exit.OK
    assert host.last["expected_change"] == f"{day}..{day} (a school closes)"


@pytest.mark.parametrize(
    ("known", "found", "changed"),
    [
        (VENDOR, None, None),
        ("SSH-2.0-Old", PROFILE, ["the server's version was SSH-2.0-Old, is SSH-2.0-Vendor_1"]),
        ("SSH-2.0-Old", Failure(Exit.SILENT, "silent"), ["it could not be probed: silent"]),
    ],
)
def test_another_version_of_the_server_is_probed_behind_the_delivery(
    host: Host, known: str, found: Any, changed: list[str] | None
) -> None:
    old = dataclasses.replace(PROFILE, server=known)
    host.state.mkdir(parents=True)
    file = host.state / "server.json"
    file.write_text(old.to_json())
    host.ledger.append({"outcome": "ended", "command": "probe"})
    probe = mock.Mock(side_effect=[found])
    host.patch.setattr(prober, "probe", probe)
    assert host.send() == Exit.OK
    assert host.options["profile"] == old
    told = host.last["remote"].get("server_changed")
    assert (told is None) == (changed is None) == (not probe.called)
    if told and changed:
        assert len(told) == 1
        assert changed[0] in told[0]
        assert probe.call_args.kwargs == {"limit": 60}
    is_learned = isinstance(found, Profile)
    assert Profile.from_json(file.read_text()) == (found if is_learned else old)


def test_a_feed_without_a_configuration_leaves_a_receipt(host: Host) -> None:
    (host.folder / "maple-grove.toml").unlink()
    old = os.umask(0)
    try:
        assert host.send() == Exit.CONFIG
    finally:
        os.umask(old)
    assert (host.outcomes, host.alerts) == (["failed"], [])
    assert host.state.stat().st_mode & 0o777 == 0o750


def test_a_failure_of_its_own_is_told_as_such(host: Host) -> None:
    host.ends = [KeyboardInterrupt()]
    with pytest.raises(KeyboardInterrupt):
        host.send()
    assert (host.last["exit_code"], host.last["outcome"]) == (Exit.INTERNAL, "failed")
    assert "please report it" in host.last["message"]
