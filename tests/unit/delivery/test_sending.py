"""The transfer and its attempts, the rehearsal, and what is learned of the server."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from roster_upload.delivery.job import Draft
from roster_upload.delivery.sending import Sender
from roster_upload.delivery.steps import Step, Steps
from roster_upload.exits import Exit, Failure
from roster_upload.host import stop
from roster_upload.records.night import MARGIN_SECONDS, Night
from roster_upload.records.receipt import Receipt
from roster_upload.records.state import State
from roster_upload.transfer import connect, upload
from roster_upload.transfer import probe as prober
from roster_upload.transfer.info import Holds
from roster_upload.transfer.profile import Profile
from roster_upload.transfer.watchdog import Times
from support.delivery_host import OLD, PROFILE, SMALL, VENDOR, Host, digest_of
from support.receipts import append
from support.sftp_server import FINAL, YESTERDAY, Server
from unit.test_config import GOOD

ALL_CODES = sorted(set(Exit) - {Exit.OK})


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


@pytest.mark.parametrize("holds", list(Holds))
def test_a_stop_is_not_tried_again_and_says_what_the_vendor_has(host: Host, holds: Holds) -> None:
    host.configure(attempts=9)
    host.ends = [stop.Stopped("SIGTERM")]
    host.holds = holds
    assert host.send() == Exit.STOPPED
    assert (len(host.sent), host.waits) == (1, [])
    assert host.message == f"stopped by SIGTERM: {holds.words}"
    assert (host.last["outcome"], host.last["exit_code"]) == ("failed", Exit.STOPPED)
    assert ("notify", "failure") in host.alerts


def test_a_stop_between_tries_is_one(host: Host) -> None:
    host.configure(attempts=9)
    host.ends = [Failure(Exit.VANISHED, "it broke")]
    host.patch.setattr("time.sleep", mock.Mock(side_effect=stop.Stopped("SIGTERM")))
    assert host.send() == Exit.STOPPED
    assert len(host.sent) == 1


@pytest.mark.parametrize("code", ALL_CODES)
def test_only_what_may_be_cured_is_tried_again(host: Host, code: Exit) -> None:
    cured = {Exit.NETWORK, Exit.TRANSFER, Exit.VANISHED, Exit.SILENT}
    host.configure(attempts=3)
    host.banner = "The yearly reset is on July 16"
    host.ends = [Failure(code, "it broke") for _ in range(9)]
    assert host.send() == code
    assert host.last["remote"]["banner"] == host.banner
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
    assert host.said[0] == "attempt 1 of 9: it broke. Retry in 20 s"


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


def test_a_rehearsal_logs_in_and_sends_nothing(host: Host) -> None:
    server = Server()
    host.at(server)
    assert host.run("rehearse") == Exit.OK
    assert "opendir" in server.requests
    assert server.files == {FINAL: YESTERDAY}
    assert host.message == (
        f"{GOOD['district']}: this export can be delivered tonight. Nothing was sent"
    )
    assert (host.sent, host.outcomes) == ([], ["rehearsed"])
    assert not [path for path in host.state.iterdir() if "accepted" in path.name]
    assert host.alerts == []
    host.send()
    host.export.write_bytes(SMALL)
    assert host.run("rehearse") == Exit.HELD
    refusing = mock.Mock(side_effect=Failure(Exit.LOGIN, "no"))
    host.patch.setattr(connect, "remote_directory", refusing)
    host.export.write_bytes(OLD)
    assert host.run("rehearse") == Exit.LOGIN
    assert host.last["remote"]["host"] == "sftp.example.org"


def test_a_rehearsal_says_that_tonights_export_is_still_to_come(host: Host) -> None:
    host.at(Server())
    host.configure(maximum_age_hours=7)  # the deadline is in eight
    assert host.run("rehearse") == Exit.OK
    assert "tonight's export is still to come" in host.message
    assert "can be delivered" not in host.message
    assert "ready" not in host.message
    assert host.outcomes == ["rehearsed"]


def test_a_rehearsal_needs_room_for_what_a_delivery_saves(host: Host) -> None:
    host.at(Server())
    host.patch.setattr(State, "rehearse", mock.Mock(side_effect=OSError(28, "No space left")))
    assert host.run("rehearse") == Exit.LOCAL
    assert "no room for the feed's state" in host.message


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
    append(host.ledger, {"outcome": "ended", "command": "probe"})
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


def test_each_step_is_shown_from_the_first_byte_on(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[str, float, int]] = []
    monkeypatch.setattr(Steps, "show", lambda _steps, at: seen.append((at.name, at.until, at.size)))
    assert host.send() == Exit.OK
    names = [name for name, _, _ in seen]
    assert names == ["settle", "snapshot", "package", "validate", "guard", "guard", "slot"]
    assert seen[0][1] > 0, "its limit is known"


def test_the_bar_begins_with_the_first_byte_and_a_retry_has_its_limit(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[str, int, int, bool]] = []

    def note(_steps: Steps, at: Step) -> None:
        seen.append((at.name, at.done, at.size, at.until > 0))

    monkeypatch.setattr(Steps, "show", note)
    sender = Sender(mock.Mock(draft=Draft(Receipt())))
    for phase in ("tcp", "kex", "write", "rename", "close"):
        sender._begin(phase, 100)
    sender._begin("write", 0)  # of a probe, which sends no package
    assert seen == [
        ("tcp", 0, 0, False),
        ("kex", 0, 0, False),
        ("write", 0, 100, False),
        ("rename", 100, 100, False),
        ("write", 0, 0, False),
    ]
    seen.clear()
    host.configure(attempts=2)
    host.ends = [Failure(Exit.NETWORK, "no")]
    assert host.send() == Exit.OK
    assert ("retry", 0, 0, True) in seen
