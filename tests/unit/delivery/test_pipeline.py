"""The steps of a delivery in their order, and a receipt at every end."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
import errno
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from roster_upload import config
from roster_upload.cli import parser as cli
from roster_upload.delivery import judging, pipeline, recorder
from roster_upload.exits import Exit, Failure
from roster_upload.guard.baseline import Baseline
from roster_upload.host import locks, stop
from roster_upload.records.ledger import Ledger
from roster_upload.records.receipt import Receipt
from roster_upload.transfer import probe as prober
from roster_upload.transfer import upload
from support.delivery_host import BIG, OLD, PROFILE, SMALL, VENDOR, Host, digest_of
from support.receipts import append
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

    def interrupted(self: Ledger, receipt: Receipt) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        append(self, receipt)

    monkeypatch.setattr(Ledger, "append", interrupted)
    options = [f"--config-dir={tmp_path}", f"--state-dir={tmp_path}"]
    assert cli.main([*options, "send", "maple-grove"]) == Exit.CONFIG
    receipts = Ledger(tmp_path / "maple-grove").receipts()
    assert [receipt.exit_code for receipt in receipts] == [Exit.CONFIG]


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
            locks.transfer_slot(host.state.parent / ".turns", feed, 0, host.said.append),
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
    made = pipeline.Delivery("maple-grove", host.folder / "maple-grove.toml", host.state)
    made.started = evening
    assert made.execute()[0] == code
    assert made.receipt.in_window


@pytest.mark.parametrize("step", ["history.History.new_findings", "package_store.PackageStore.add"])
def test_what_is_in_is_recorded_whatever_comes(host: Host, step: str) -> None:
    """A signal after the transfer must not cost its receipt."""
    stopped = mock.Mock(side_effect=[stop.Stopped("SIGTERM"), []])
    host.patch.setattr(f"roster_upload.records.{step}", stopped)
    assert host.send() == Exit.OK
    assert host.last["outcome"] == "sent"
    assert "sent" in host.message


def test_a_stop_before_the_transfer_says_that_nothing_was_sent(host: Host) -> None:
    host.patch.setattr(judging, "check", mock.Mock(side_effect=stop.Stopped("SIGINT")))
    assert host.send() == Exit.STOPPED
    assert host.message == f"stopped by SIGINT: {recorder.NOTHING_SENT}"
    assert host.sent == []


def test_the_night_is_kept_with_what_was_accepted(host: Host) -> None:
    host.send()
    [path] = host.state.glob("accepted-*")
    assert Baseline.load(path, b"k" * 32).night == host.last["night"]


@pytest.mark.parametrize(
    ("what", "code", "sent"),
    [
        (
            "roster_upload.records.package_store.PackageStore.add",
            Exit.OK,
            1,
        ),  # it is no part of the delivery
        ("roster_upload.guard.baseline.Baseline.save", Exit.LOCAL, 0),
        ("roster_upload.records.ledger.Ledger.append", Exit.LOCAL, 0),  # also of what is to be sent
        ("roster_upload.records.ledger.Ledger.receipts", Exit.LOCAL, 0),
        ("roster_upload.records.ledger.Ledger.prune", Exit.OK, 1),
        ("roster_upload.records.package_store.PackageStore.decrypt", Exit.LOCAL, 0),
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
        assert "ended with: " in host.message
        assert host.alerts[-2:] == [("notify", "failure"), ("heartbeat", Exit.LOCAL)]


BEHIND_THE_RENAMING = [
    "roster_upload.records.history.History.new_findings",
    "roster_upload.delivery.pipeline.summary_line",
    "roster_upload.records.package_store.PackageStore.add",
    "roster_upload.records.evidence.mark",
    "roster_upload.records.state.State.keep_profile",
    "roster_upload.transfer.probe.probe",
    "roster_upload.notify.events.event",
    "roster_upload.notify.channels.heartbeat.beat",
    "roster_upload.notify.metrics.write",
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
    append(host.ledger, {"outcome": "ended", "command": "probe"})
    host.patch.setattr(prober, "probe", mock.Mock(return_value=PROFILE))
    broken = mock.Mock()
    start: list[Any] = [[]] if what.endswith("beat") else []  # that of the start is before it
    broken.side_effect = [*start, error]
    host.patch.setattr(what, broken)
    assert host.send() == Exit.OK
    assert broken.called
    assert (host.outcomes, host.last["exit_code"]) == (["sent"], 0)
    assert ("notify", "failure") not in host.alerts
    assert any("no" in text for text in host.said)


def test_an_error_of_the_program_behind_the_renaming_changes_nothing(host: Host) -> None:
    summed_up = mock.Mock(side_effect=[ValueError("no"), "sent"])
    host.patch.setattr(pipeline.Delivery, "_summary", summed_up)
    assert host.send() == Exit.OK
    assert (host.outcomes, host.last["exit_code"]) == (["sent"], 0)


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
