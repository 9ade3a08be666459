"""Send to a misbehaving server: the operator's output, and the vendor's files afterwards."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
import fcntl
import hashlib
import os
import signal
import socket
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import paramiko
import pytest
from roster_upload import config
from roster_upload.exits import Exit, Failure
from roster_upload.spec.values import HostKey
from roster_upload.transfer.algorithms import offered_key_types
from roster_upload.transfer.directory import RemoteDirectory
from roster_upload.transfer.info import ConnectionInfo
from roster_upload.transfer.probe import probe
from roster_upload.transfer.profile import Profile
from roster_upload.transfer.upload import deliver
from roster_upload.transfer.watchdog import Times
from roster_upload.transfer.writer import Pace
from support import rosters, waiting
from support.district import FEED, USER, District
from support.vendor import OLD, PASSWORD, Vendor, attempt, serving

with socket.socketpair()[0] as _unused:
    KNOWN_KEX = paramiko.Transport(_unused).get_security_options().kex


def test_a_roster_arrives_and_is_recorded(district: District, vendor: Vendor) -> None:
    code, told = district.send()
    assert code == Exit.OK, told
    assert district.is_delivered
    receipt = district.last
    assert receipt["outcome"] == "sent"
    assert receipt["source"]["sha256"] == hashlib.sha256(district.export.read_bytes()).hexdigest()
    arrived = (vendor.folder / "OneRoster.zip").stat().st_size
    assert receipt["remote"]["bytes"] == receipt["source"]["bytes"] == arrived
    assert receipt["remote"]["method"] == "posix-rename"
    assert receipt["remote"]["host_key"].startswith("SHA256:")
    assert receipt["rows"]["demographics"] == 2000
    phases = {
        "snapshot",
        "validate",
        "dns",
        "tcp",
        "kex",
        "auth",
        "open",
        "write",
        "rename",
        "verify",
    }
    assert phases <= set(receipt["seconds"])
    assert vendor.logins == [USER]
    assert "setstat" not in vendor.requests
    assert "open with attributes" not in vendor.requests


def test_no_row_of_the_roster_is_in_the_receipt(district: District) -> None:
    district.send()
    text = (district.state / "receipts.jsonl").read_text()
    for word in (*rosters.GIVEN, *rosters.FAMILY, "invented.example", "Invented School"):
        assert word not in text


def test_a_second_start_in_the_same_night_does_nothing(district: District, vendor: Vendor) -> None:
    district.open_window()
    assert district.send()[0] == Exit.OK
    assert district.last["in_window"] is True
    assert 28 <= district.last["minutes_to_deadline"] <= 30
    assert "already has tonight's" in district.run("send", FEED)[1]
    assert (len(district.receipts), len(vendor.logins)) == (1, 1)
    district.export.write_bytes(rosters.build(students=2000, revision=2))
    assert district.send()[0] == Exit.OK
    assert (len(district.receipts), len(vendor.logins)) == (2, 2)
    assert district.is_delivered


def test_outside_the_window_it_is_sent_and_flagged(district: District) -> None:
    now = dt.datetime.now(dt.UTC)
    later = [now + dt.timedelta(hours=h) for h in (2, 4)]
    district.configure(window_start=f"{later[0]:%H:%M}", deadline=f"{later[1]:%H:%M}")
    for count in (1, 2):
        code, told = district.send()
        assert code == Exit.OK
        assert "outside the nightly window" in told
        assert district.last["in_window"] is False
        assert len(district.receipts) == count


Faults = dict[str, Any]


def sha256_of(district: District) -> str:
    return hashlib.sha256(district.export.read_bytes()).hexdigest()


def spoil(vendor: Vendor, faults: Faults) -> None:
    for name, value in faults.items():
        setattr(vendor, name, value)


def mend(vendor: Vendor, faults: Faults) -> None:
    fresh = Vendor(vendor.root, vendor.password)
    spoil(vendor, {name: getattr(fresh, name) for name in faults})


NO_SPACE, READ_ONLY = (0, 0), (1 << 20, 1)


@pytest.mark.parametrize(
    ("faults", "code", "told"),
    [
        ({"refuse": {"write": 4}}, Exit.TRANSFER, "refused writing"),
        ({"refuse": {"write": 4}, "at_write": 3}, Exit.TRANSFER, "refused writing"),
        ({"refuse": {"close": 4}}, Exit.TRANSFER, "refused closing the file"),
        ({"refuse": {"posix-rename": 4, "rename": 4}}, Exit.TRANSFER, "refused renaming"),
        ({"refuse": {"write": 14}, "at_write": 2}, Exit.DISK_FULL, "free disk space"),
        ({"refuse": {"write": 4}, "space": NO_SPACE}, Exit.DISK_FULL, "disk is full"),
        ({"refuse": {"close": 4}, "words": "No space left on device"}, Exit.DISK_FULL, "closing"),
        ({"refuse": {"write": 15}}, Exit.QUOTA, "quota of rosters@maple.example is used up"),
        ({"refuse": {"write": 8}, "words": "Disk quota exceeded"}, Exit.QUOTA, "a larger quota"),
        ({"refuse": {"open": 12}}, Exit.READ_ONLY, "read-only"),
        ({"refuse": {"open": 4}, "space": READ_ONLY}, Exit.READ_ONLY, "read-only"),
        ({"refuse": {"open": 4}, "words": "Read-only file system"}, Exit.READ_ONLY, "read-only"),
        (
            {"refuse": {"open": 4}, "space": READ_ONLY, "without": ("statvfs@openssh.com",)},
            Exit.TRANSFER,
            "refused writing",
        ),
        ({"refuse": {"open": 3}}, Exit.PERMISSION, "writing in"),
        ({"refuse": {"rename": 3, "posix-rename": 3}}, Exit.PERMISSION, "renaming in"),
        (
            {"refuse": {"opendir": 3, "open": 3, "stat": 3}},
            Exit.PERMISSION,
            "reset first through the link",
        ),
        ({"no_sessions": True}, Exit.PERMISSION, "reset first through the link"),
        ({"cut_at": "opendir"}, Exit.VANISHED, "while listing files"),
        ({"cut_at": "write"}, Exit.VANISHED, "while writing"),
        ({"cut_at": "write", "at_write": 3}, Exit.VANISHED, "while writing"),
        ({"cut_at": "close"}, Exit.VANISHED, "while closing the file"),
        ({"cut_at": "posix-rename"}, Exit.VANISHED, "may or may not have replaced"),
        ({"append": True}, Exit.VERIFY, "appended to an existing file"),
        ({"hashes": "wrong"}, Exit.VERIFY, "changed or damaged"),
        ({"take": "close"}, Exit.VERIFY, "removed the temporary file"),
    ],
)
def test_a_fault_leaves_yesterdays_roster_whole(
    district: District, vendor: Vendor, faults: Faults, code: Exit, told: str
) -> None:
    spoil(vendor, faults)
    result, said = attempt(district, sha256=sha256_of(district))
    assert (result, told in said) == (code, True), said
    held = vendor.held
    assert held.pop("OneRoster.zip") == OLD
    if "cut_at" not in faults:  # the connection lives, so nothing is left behind
        assert held == {}
    assert len(vendor.logins) == 1
    # The next run, on a healthy server, delivers and removes all remains of the broken one.
    mend(vendor, faults)
    assert attempt(district) == (Exit.OK, "posix-rename, by size")
    assert district.is_delivered


@pytest.mark.parametrize(
    ("faults", "code", "told"),
    [
        ({"refuse": {"write": 15}}, Exit.QUOTA, "is used up"),
        ({"cut_at": "write"}, Exit.VANISHED, "ended the connection"),
        ({"only_interactive": True, "rounds": [["Code: "]]}, Exit.SECOND_FACTOR, "Code:"),
    ],
)
def test_a_fault_is_recorded(
    district: District, vendor: Vendor, faults: Faults, code: Exit, told: str
) -> None:
    spoil(vendor, faults)
    result, said = district.send()
    assert (result, told in said) == (code, True), said
    assert len(said.strip().splitlines()) == 1
    assert district.last["outcome"] == "failed"
    assert vendor.held["OneRoster.zip"] == OLD


ASIDE = {"without": ("posix-rename@openssh.com",), "rename_will_not_replace": True}


@pytest.mark.parametrize(
    ("faults", "outcome"),
    [
        ({"refuse": {"posix-rename": 8}}, "rename, by size"),
        ({"without": ("posix-rename@openssh.com",)}, "rename, by size"),
        (ASIDE, "move-aside, by size"),
        ({"refuse": {"stat": 3, "fstat": 8}}, "posix-rename, by answers"),
        ({"hashes": "named"}, "posix-rename, by hash"),
        ({"hashes": "bare"}, "posix-rename, by hash"),
        ({"hashes": "unannounced"}, "posix-rename, by size"),
        ({"hashes": "named", "refuse": {"check-file-name": 8}}, "posix-rename, by size"),
        ({"hashes": "named", "refuse": {"stat": 3, "fstat": 3}}, "posix-rename, by hash"),
        ({"seconds_a_write": 0.02}, "posix-rename, by size"),
        ({"refuse": {"setstat": 3}}, "posix-rename, by size"),
    ],
)
def test_a_server_with_ways_of_its_own(
    district: District, vendor: Vendor, faults: Faults, outcome: str
) -> None:
    spoil(vendor, faults)
    assert attempt(district, sha256=sha256_of(district)) == (Exit.OK, outcome)
    assert district.is_delivered


@pytest.mark.parametrize("hides", [{}, {"fstat": 8}])
def test_a_file_taken_on_arrival_has_arrived(
    district: District, vendor: Vendor, hides: dict[str, int]
) -> None:
    spoil(vendor, {"take": "rename", "refuse": hides})
    assert attempt(district) == (Exit.OK, "posix-rename, by taken")
    assert vendor.taken == [district.export.read_bytes()]
    assert vendor.held == {}


def test_a_server_that_keeps_no_order_is_asked_again(district: District, vendor: Vendor) -> None:
    """It reports sizes before it has carried out earlier requests."""
    vendor.hasty = ["fstat", *["stat"] * 4]
    assert attempt(district)[0] == Exit.VERIFY  # a repeatedly wrong size is wrong
    vendor.hasty = ["fstat"]
    assert attempt(district) == (Exit.OK, "posix-rename, by size")
    vendor.hasty = ["stat"]
    assert attempt(district) == (Exit.OK, "posix-rename, by size")
    assert vendor.hasty == []
    assert district.is_delivered


def test_a_renaming_that_is_only_acknowledged_is_noticed(
    district: District, vendor: Vendor
) -> None:
    (vendor.folder / "OneRoster.zip").unlink()
    vendor.rename_does_nothing = True
    code, told = attempt(district)
    assert code == Exit.VERIFY
    assert "did not rename" in told
    assert vendor.held == {}


def test_a_connection_cut_after_the_renaming_claims_nothing(
    district: District, vendor: Vendor
) -> None:
    vendor.cut_after_rename = True
    code, told = attempt(district)
    assert code == Exit.VANISHED
    assert "may or may not have replaced" in told
    assert district.is_delivered


def test_a_file_that_shrinks_in_its_place_is_noticed(district: District, vendor: Vendor) -> None:
    vendor.shorten_at_rename = True
    code, told = attempt(district)
    assert code == Exit.VERIFY
    assert "has 100 bytes on the server" in told
    assert "has replaced the old one" in told
    assert list(vendor.held) == ["OneRoster.zip"]


def test_a_file_left_aside_comes_back_before_anything_is_sent(
    district: District, vendor: Vendor
) -> None:
    """The line breaks between the two renames, and comes back within the window."""
    spoil(vendor, {**ASIDE, "cut_after_rename": True})
    district.configure(attempts=2, retry_seconds=600)
    district.open_window()
    district.state.mkdir(parents=True)
    district.learn(profile("move-aside"))
    code, told = district.send()
    assert code == Exit.OK, told
    assert "vendor may find no file until the next try" in told
    second = vendor.requests[vendor.requests.index("rename") + 1 :]
    assert second.index("rename") < second.index("write"), "the old file is put back first"
    assert district.is_delivered


@pytest.mark.parametrize(
    ("faults", "method"),
    [
        ({"refuse": {"posix-rename": 4, "rename": 4}}, "in-place"),
        ({"refuse": {"posix-rename": 3, "rename": 3}}, "in-place"),
        ({"refuse": {"posix-rename": 3, "rename": 3, "remove": 3}}, "in-place"),
        ({"take": "close"}, "in-place"),
        (ASIDE, "move-aside"),
    ],
)
@pytest.mark.parametrize("known", [None, "posix-rename"])
def test_a_server_that_renames_nothing_is_learned_in_one_night(
    district: District, vendor: Vendor, faults: Faults, method: str, known: str | None
) -> None:
    """No operator has to run a command for it, and the file is sent twice at most."""
    if known:
        district.state.mkdir(parents=True)
        district.learn(profile(known))
    spoil(vendor, faults)
    if vendor.take:
        vendor.folder.joinpath("OneRoster.zip").unlink()
    code, told = district.send()
    assert code == Exit.OK, told
    assert district.last["attempts"] == 1
    assert district.last["remote"]["method"] == method
    new = district.export.read_bytes()
    assert vendor.taken[-1] == new if vendor.take else vendor.held["OneRoster.zip"] == new
    assert len(vendor.held) <= 1 or "remove" in vendor.refuse
    before, count = vendor.requests.count("open"), len(vendor.held)
    district.export.write_bytes(rosters.build(students=2000, revision=2))
    code, told = district.send()
    assert code == Exit.OK, told
    assert vendor.requests.count("open") == before + 1, "it is known now"
    assert len(vendor.held) == count, "and nothing more is left"


def test_a_server_that_allows_certain_names_gets_such_a_name(
    district: District, vendor: Vendor
) -> None:
    vendor.allows = r"[A-Za-z0-9_-]+\.zip"
    for _ in range(2):
        code, told = district.send()
        assert code == Exit.OK, told
        assert district.is_delivered
    profile_file = (district.state / "server.json").read_text()
    assert Profile.from_json(profile_file).temporary_name == "*.zip"
    district.configure(temporary_name="upload-*.zip")
    assert district.send()[0] == Exit.OK
    district.configure(temporary_name="*.tmp")
    code, told = district.send()
    assert code == Exit.PERMISSION
    assert "not allowed" in told


def test_an_account_that_may_only_write_delivers(district: District, vendor: Vendor) -> None:
    vendor.refuse = {"opendir": 3, "stat": 3, "fstat": 3}
    for _ in range(2):
        code, told = district.send()
        assert code == Exit.OK, told
        assert district.last["remote"]["verified"] == "answers"
        assert district.is_delivered
    code, told = district.run("rehearse", FEED)
    assert code == Exit.OK, told


@pytest.mark.parametrize("kind", ["open", "write"])
def test_a_file_left_aside_by_a_broken_run_comes_back(
    district: District, vendor: Vendor, kind: str
) -> None:
    """The server refuses to replace a file, and the run before ended between its two renames."""
    sftp: Any = None
    aside = RemoteDirectory(sftp, config.load(district.config_file), ConnectionInfo()).aside
    (vendor.folder / "OneRoster.zip").rename(vendor.root / aside)
    vendor.refuse = {kind: 4}
    assert attempt(district)[0] == Exit.TRANSFER
    assert vendor.held == {"OneRoster.zip": OLD}


def test_an_old_file_that_was_put_aside_comes_back_at_once(
    district: District, vendor: Vendor
) -> None:
    """The server allows moving the old file away, but not renaming the new one into its place."""
    spoil(vendor, {**ASIDE, "refuse_move": 2})
    code, told = attempt(district)
    assert code == Exit.TRANSFER
    assert "refused renaming" in told
    assert vendor.moves == 3
    assert vendor.held == {"OneRoster.zip": OLD}


def profile(rename: str) -> Profile:
    """Return a profile in which only the rename method matters."""
    return Profile("", (), "password", rename, True, False, True, False, "2027-01-01T00:00:00Z")


@pytest.mark.parametrize(
    ("known", "faults", "outcome", "requests"),
    [
        ("rename", {}, "rename, by size", ["rename"]),
        ("move-aside", {}, "move-aside, by size", ["rename", "rename"]),
        ("posix-rename", {"without": ("posix-rename@openssh.com",)}, "rename, by size", ["rename"]),
        ("rename", {"rename_will_not_replace": True}, "move-aside, by size", ["rename"] * 3),
        ("in-place", {}, "in-place, by size", []),
    ],
)
def test_the_ladder_starts_where_the_profile_says(
    district: District,
    vendor: Vendor,
    known: str,
    faults: Faults,
    outcome: str,
    requests: list[str],
) -> None:
    spoil(vendor, faults)
    assert attempt(district, profile=profile(known)) == (Exit.OK, outcome)
    assert [kind for kind in vendor.requests if "rename" in kind] == requests
    assert (vendor.requests.count("open"), vendor.requests.count("close")) == (1, 1)
    assert district.is_delivered


def test_a_profile_of_aside_with_nothing_in_the_way_renames(
    district: District, vendor: Vendor
) -> None:
    (vendor.folder / "OneRoster.zip").unlink()
    assert attempt(district, profile=profile("move-aside")) == (Exit.OK, "rename, by size")
    assert district.is_delivered


def test_a_file_taken_as_soon_as_it_is_closed_is_written_in_place(
    district: District, vendor: Vendor
) -> None:
    vendor.take = "close"
    assert attempt(district, profile=profile("in-place")) == (Exit.OK, "in-place, by taken")
    assert vendor.taken == [district.export.read_bytes()]
    assert vendor.held == {}


@pytest.mark.parametrize(
    ("faults", "code", "says_so", "left"),
    [
        ({"refuse": {"open": 3}}, Exit.PERMISSION, False, {"OneRoster.zip": OLD}),
        ({"refuse": {"write": 4}}, Exit.TRANSFER, True, {}),
        ({"cut_at": "write"}, Exit.VANISHED, True, {"OneRoster.zip": b""}),
    ],
)
def test_in_place_a_broken_transfer_says_what_it_has_cost(
    district: District,
    vendor: Vendor,
    faults: Faults,
    code: Exit,
    says_so: bool,
    left: dict[str, bytes],
) -> None:
    spoil(vendor, faults)
    result, told = attempt(district, profile=profile("in-place"))
    assert result == code
    assert ("files that are written in place" in told) == says_so, told
    assert vendor.held == left
    mend(vendor, faults)
    assert attempt(district, profile=profile("in-place"))[0] == Exit.OK
    assert district.is_delivered


@pytest.mark.parametrize(
    ("faults", "expected"),
    [
        ({}, {"rename": "posix-rename", "sizes": True, "hash": False, "login": "password"}),
        ({"refuse": {"posix-rename": 8}}, {"rename": "rename"}),
        (ASIDE, {"rename": "move-aside"}),
        ({"refuse": {"posix-rename": 4, "rename": 4}}, {"rename": "in-place"}),
        ({"rename_does_nothing": True}, {"rename": "in-place"}),
        ({"take": "close"}, {"rename": "in-place", "takes_on_close": True}),
        ({"hashes": "bare"}, {"hash": True, "stat_after_close": True}),
        ({"hashes": "unannounced"}, {"hash": False}),  # it is not asked: some servers hang up
        ({"hashes": "wrong"}, {"hash": False}),
        ({"cut_at": "check-file-name", "hashes": "bare"}, {"hash": False}),
        ({"refuse": {"stat": 3}}, {"stat_after_close": False, "sizes": True}),
        ({"refuse": {"stat": 3, "fstat": 3}}, {"rename": "posix-rename", "sizes": False}),
        ({"only_interactive": True}, {"login": "keyboard-interactive"}),
    ],
)
def test_a_probe_learns_the_servers_ways_and_leaves_nothing(
    district: District, vendor: Vendor, faults: Faults, expected: dict[str, object]
) -> None:
    spoil(vendor, faults)
    before = (vendor.folder / "OneRoster.zip").stat()
    feed = config.load(district.config_file)
    learned = probe(feed, PASSWORD.encode(), ConnectionInfo())
    assert {key: getattr(learned, key) for key in expected} == expected
    assert "AsyncSSH" in learned.server
    assert ("posix-rename@openssh.com" in learned.extensions) == ("without" not in faults)
    if "cut_at" not in faults:
        assert vendor.held == {"OneRoster.zip": OLD}
    after = (vendor.folder / "OneRoster.zip").stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert len(vendor.logins) == 1
    # The learned capability is used at once.
    code, told = attempt(district, profile=learned, sha256=sha256_of(district))
    assert code == Exit.OK, told
    assert told.startswith(learned.rename)
    assert ("by hash" in told) == learned.hash
    assert vendor.held == ({} if vendor.take else {"OneRoster.zip": district.export.read_bytes()})


@pytest.mark.parametrize(
    ("faults", "code"),
    [
        ({"refuse": {"opendir": 3, "open": 3}}, Exit.PERMISSION),
        ({"refuse": {"write": 15}}, Exit.QUOTA),
        ({"cut_at": "write"}, Exit.VANISHED),
        ({"cut_at": "rename", "without": ("posix-rename@openssh.com",)}, Exit.VANISHED),
    ],
)
def test_a_probe_that_fails_leaves_nothing_for_long(
    district: District, vendor: Vendor, faults: Faults, code: Exit
) -> None:
    spoil(vendor, faults)
    feed = config.load(district.config_file)
    with pytest.raises(Failure) as failed:
        probe(feed, PASSWORD.encode(), ConnectionInfo())
    assert failed.value.code == code
    mend(vendor, faults)
    probe(feed, PASSWORD.encode(), ConnectionInfo())
    assert vendor.held == {"OneRoster.zip": OLD}


def test_progress_is_what_the_server_has_acknowledged(district: District, vendor: Vendor) -> None:
    district.export.write_bytes(bytes(200_000))
    told: list[int] = []
    vendor.refuse, vendor.at_write = {"write": 4}, 4
    even = Pace(first_bytes=Pace.chunk_bytes)
    assert attempt(district, progress=told.append, pace=even)[0] == Exit.TRANSFER
    assert told == [32640, 65280, 97920]
    vendor.refuse = {}
    told.clear()
    assert attempt(district, progress=told.append, pace=even)[0] == Exit.OK
    assert (sorted(told), told[-1], len(told)) == (told, 200_000, 7)


@pytest.mark.parametrize("folder", ["imagine/0123456-Maple Grove/other", "imagine/1-New/product"])
def test_a_missing_folder_is_told_or_made(district: District, vendor: Vendor, folder: str) -> None:
    district.configure(remote_dir=folder)
    code, told = attempt(district)
    assert code == Exit.REMOTE_PATH
    assert "does not exist" in told
    assert not (vendor.root / folder).exists()
    district.configure(remote_dir=folder, make_remote_dir=True)
    assert attempt(district)[0] == Exit.OK
    made = (vendor.root / folder / "OneRoster.zip").read_bytes()
    assert made == district.export.read_bytes()


def test_a_folder_that_may_not_be_made_is_told(district: District, vendor: Vendor) -> None:
    district.configure(remote_dir="imagine/1-New/product", make_remote_dir=True)
    vendor.refuse = {"mkdir": 3}
    assert attempt(district)[0] == Exit.PERMISSION
    assert not (vendor.root / "imagine/1-New").exists()


def attempt_hurried(district: District, connect_seconds: float = 60) -> tuple[Exit, str]:
    """Deliver with short limits, which a loaded machine still keeps if the server answers."""
    times = Times(connect=connect_seconds, answer=1, finish=1, tidy=0.5)
    return attempt(district, times=times)


@pytest.mark.parametrize("kind", ["opendir", "open", "write", "close", "posix-rename", "stat"])
def test_a_server_that_falls_silent_is_left(district: District, vendor: Vendor, kind: str) -> None:
    vendor.silent_at = kind
    code, told = attempt_hurried(district)
    assert code == Exit.SILENT
    assert "stopped answering" in told
    new = district.export.read_bytes()
    assert vendor.held["OneRoster.zip"] == (new if kind == "stat" else OLD)
    vendor.silent_at = ""
    assert attempt(district)[0] == Exit.OK
    assert district.is_delivered


def test_a_login_without_an_answer_counts_as_refused(district: District, vendor: Vendor) -> None:
    """It is not silence, after which a retry would follow. That may lock the account."""
    vendor.silent_login = True
    code, told = attempt_hurried(district)
    assert code == Exit.LOGIN
    assert "was not answered" in told
    assert len(vendor.logins) == 1


def test_a_limit_ends_a_delivery_that_is_too_slow(district: District, vendor: Vendor) -> None:
    district.export.write_bytes(bytes(2_000_000))
    vendor.seconds_a_write = 0.02
    code, told = attempt(district, limit=0.4)
    assert code == Exit.SILENT
    assert "this delivery's limit of" in told
    assert vendor.held == {"OneRoster.zip": OLD}


class Deaf(paramiko.ServerInterface):
    """Serve a login that is always accepted, and never answer a subsystem's request."""

    def __init__(self) -> None:
        self.over = threading.Event()
        self.has_answered = False

    def get_allowed_auths(self, username: str) -> str:
        return "password"

    def check_auth_password(self, username: str, password: str) -> int:
        return 0  # successful

    def check_channel_request(self, kind: str, chanid: int) -> int:
        return 0  # opened

    def check_channel_subsystem_request(self, channel: paramiko.Channel, name: str) -> bool:
        self.over.wait(waiting.HANG_SECONDS)
        self.has_answered = True
        return False


def test_what_paramiko_waits_for_without_end_ends(district: District) -> None:
    key = paramiko.ECDSAKey.generate()
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        district.configure(remote_port=port, host_keys=[f"{key.get_name()} {key.get_base64()}"])
        deaf = Deaf()

        def serve() -> None:
            with contextlib.closing(paramiko.Transport(server.accept()[0])) as transport:
                transport.add_server_key(key)
                transport.start_server(threading.Event(), deaf)
                deaf.over.wait(waiting.HANG_SECONDS)

        serving_it = threading.Thread(target=serve)
        serving_it.start()
        code, told = attempt_hurried(district)
        assert not deaf.has_answered
        deaf.over.set()
        serving_it.join(waiting.HANG_SECONDS)
    assert code == Exit.SILENT
    assert "opened no SFTP session" in told


@pytest.mark.parametrize(
    ("says", "told"),
    [
        (b"", "127.0.0.1"),
        (b"SSH-2.0-Silent\r\n", "did not finish the handshake"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "says: HTTP/1.1 400 Bad Request"),
    ],
)
def test_a_server_that_is_none_is_left(district: District, says: bytes, told: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        district.configure(remote_port=server.getsockname()[1])
        answering = threading.Thread(target=_say, args=(server, says))
        answering.start()
        code, said = attempt_hurried(district, connect_seconds=1)
        answering.join(waiting.HANG_SECONDS)
    assert code == Exit.NETWORK
    assert told in said


def _say(server: socket.socket, words: bytes) -> None:
    connection, _ = server.accept()
    with connection:
        connection.sendall(words)
        while connection.recv(4096):
            pass


OLD_ALGORITHMS = {"encryption_algs": ["aes128-cbc"], "mac_algs": ["hmac-sha1"]}


@pytest.mark.parametrize(
    ("options", "kinds"),
    [
        (OLD_ALGORITHMS, {"cipher", "mac"}),
        ({"kex_algs": ["diffie-hellman-group14-sha1"]}, {"kex"}),
        ({"kex_algs": ["diffie-hellman-group14-sha1"], **OLD_ALGORITHMS}, {"cipher", "mac", "kex"}),
    ],
)
def test_an_old_server_needs_old_algorithms(
    tmp_path: Path, options: dict[str, Any], kinds: set[str]
) -> None:
    with serving(Vendor(tmp_path / "vendor", PASSWORD, options=options)) as vendor:
        district = District(tmp_path / "district", vendor, PASSWORD.encode())
        code, told = attempt(district)
        assert code == Exit.NEGOTIATION
        for kind, names in {
            "kex": "kex_algs",
            "cipher": "encryption_algs",
            "mac": "mac_algs",
        }.items():
            assert (f"{kind}: ours" in told) == (kind in kinds)
            assert f"the server's {', '.join(options.get(names, []))}" in told
        assert "algorithms = legacy" in told
        assert vendor.logins == []
        district.configure(algorithms="legacy")
        code, told = attempt(district)
        if "kex" in kinds and "diffie-hellman-group14-sha1" not in KNOWN_KEX:
            assert (code, "algorithms = legacy" in told) == (Exit.NEGOTIATION, False)
        else:
            assert code == Exit.OK, told
            assert district.is_delivered


def test_a_host_key_of_another_type_is_told(tmp_path: Path) -> None:
    with serving(Vendor(tmp_path / "vendor", PASSWORD, key_kind="ssh-rsa")) as vendor:
        district = District(tmp_path / "district", vendor, PASSWORD.encode())
        assert attempt(district)[0] == Exit.OK
        district.configure(host_keys=[other_key(tmp_path)])
        code, told = attempt(district)
    assert code == Exit.NEGOTIATION
    assert "host key: ours ssh-ed25519, the server's rsa-sha2" in told


@pytest.mark.parametrize("secret", [b"", b"gr\xf6\xdfe"])
def test_a_password_that_is_no_text_is_told(
    district: District, vendor: Vendor, secret: bytes
) -> None:
    district.credential.write_bytes(secret)
    code, told = attempt(district)
    assert code == Exit.CREDENTIAL
    assert "empty or not text" in told
    assert vendor.logins == []


@pytest.mark.parametrize("hangs_up", [False, True])
def test_a_refused_login_is_tried_once(district: District, vendor: Vendor, hangs_up: bool) -> None:
    """This is the same if the server locks the account, or this address, and hangs up."""
    district.credential.write_bytes(PASSWORD.strip().encode())
    vendor.hangs_up = hangs_up
    code, told = attempt(district)
    assert code == Exit.LOGIN
    assert ("may have locked" if hangs_up else "was refused") in told
    assert vendor.logins == [USER]
    assert vendor.held == {"OneRoster.zip": OLD}


@pytest.mark.parametrize("flag", ["drops_passwords", "only_interactive"])
def test_a_refusal_is_no_reason_for_another_method(
    district: District, vendor: Vendor, flag: str
) -> None:
    """Some servers stop offering passwords after a wrong one. That does not mean "try a prompt"."""
    district.credential.write_bytes(b"another")
    setattr(vendor, flag, True)
    code, told = attempt(district)
    assert code == Exit.LOGIN
    assert "was refused" in told
    assert vendor.logins == [USER]


def test_a_single_prompt_takes_the_password(district: District, vendor: Vendor) -> None:
    vendor.only_interactive = True
    assert attempt(district)[0] == Exit.OK
    assert vendor.logins == [USER]
    assert vendor.connections == 3


def test_a_method_that_is_known_costs_one_connection(district: District, vendor: Vendor) -> None:
    vendor.only_interactive = True
    known = dataclasses.replace(profile("posix-rename"), login="keyboard-interactive")
    assert attempt(district, profile=known)[0] == Exit.OK
    assert (vendor.connections, vendor.logins) == (1, [USER])


@pytest.mark.parametrize(
    ("rounds", "code", "logins"),
    [
        ([["Password: ", "Code: "]], Exit.SECOND_FACTOR, 0),
        ([["Password: ", "Favourite colour: "]], Exit.SECOND_FACTOR, 0),
        ([["Verification code: "]], Exit.SECOND_FACTOR, 0),
        ([["Enter your one-time password: "]], Exit.SECOND_FACTOR, 0),
        ([["Password: "], ["Token: "]], Exit.SECOND_FACTOR, 1),
        ([["New password: "]], Exit.PASSWORD_EXPIRED, 0),
        ([["Password: "], ["New password: ", "Retype new password: "]], Exit.PASSWORD_EXPIRED, 1),
        ([["Password: "], ["(current) UNIX password: "]], Exit.PASSWORD_EXPIRED, 1),
    ],
)
def test_a_prompt_for_anything_else_stops(
    district: District, vendor: Vendor, rounds: list[list[str]], code: Exit, logins: int
) -> None:
    vendor.only_interactive, vendor.rounds = True, rounds
    result, told = attempt(district)
    assert result == code
    assert rounds[-1][-1].strip() in told
    assert len(vendor.logins) == logins
    assert vendor.held == {"OneRoster.zip": OLD}


def test_a_request_for_a_new_password_is_told(district: District, vendor: Vendor) -> None:
    vendor.wants_new_password = True
    code, told = attempt(district)
    assert code == Exit.PASSWORD_EXPIRED
    assert "reset link" in told
    assert vendor.logins == [USER]


def other_key(folder: Path) -> str:
    path = folder / "other"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path], check=True)
    return " ".join(path.with_suffix(".pub").read_text().split()[:2])


def test_an_unknown_host_key_gets_nothing(
    district: District, vendor: Vendor, tmp_path: Path
) -> None:
    district.configure(host_keys=[other_key(tmp_path)])
    code, told = attempt(district)
    assert code == Exit.HOST_KEY
    assert told.count("SHA256:") == 2
    assert vendor.logins == []


def test_the_next_host_key_may_be_pinned_beside_the_present(
    district: District, vendor: Vendor, tmp_path: Path
) -> None:
    district.configure(host_keys=[other_key(tmp_path), vendor.host_key])
    assert attempt(district)[0] == Exit.OK


def test_an_unreachable_server_is_told(district: District) -> None:
    district.configure(remote_port=1)
    code, told = attempt(district)
    assert code == Exit.NETWORK
    assert "127.0.0.1" in told


def test_every_address_of_the_server_is_tried(
    district: District, vendor: Vendor, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = [
        (socket.AF_INET, socket.SOCK_STREAM, 0, "", (address, vendor.port))
        for address in ("127.0.0.2", "127.0.0.3", "127.0.0.1")  # it listens only at the end
    ]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    facts = ConnectionInfo()
    feed = config.load(district.config_file)
    deliver(feed, PASSWORD.encode(), district.export, district.export.stat().st_size, facts)
    assert facts.address == "127.0.0.1"
    assert district.is_delivered
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found[:2])
    code, told = attempt(district)
    assert code == Exit.NETWORK
    assert "127.0.0.2: " in told
    assert "127.0.0.3: " in told


def test_a_name_that_is_none_is_told(district: District) -> None:
    district.configure(remote_host="no-such-host.invalid")
    code, told = attempt(district)
    assert code == Exit.NETWORK
    assert "could not be resolved" in told


def _missing(district: District) -> None:
    district.export.unlink()


def _a_pipe(district: District) -> None:
    district.export.unlink()
    os.mkfifo(district.export)


def _no_secret(district: District) -> None:
    district.credential.unlink()


def _wrong_config(district: District) -> None:
    district.configure(remote_dir="somewhere")


def _refused(district: District) -> None:
    district.export.write_bytes(rosters.build(defect="ragged"))


@pytest.mark.parametrize(
    ("spoil", "code", "outcome"),
    [
        (_missing, Exit.SOURCE, "failed"),
        (_a_pipe, Exit.SOURCE, "failed"),
        (_no_secret, Exit.CREDENTIAL, "failed"),
        (_wrong_config, Exit.CONFIG, "failed"),
        (_refused, Exit.REFUSED, "refused"),
    ],
)
def test_what_stops_before_the_network(
    district: District,
    vendor: Vendor,
    spoil: Callable[[District], None],
    code: Exit,
    outcome: str,
) -> None:
    spoil(district)
    result, told = district.send()
    assert result == code, told
    assert district.last["outcome"] == outcome
    assert district.last["message"] in told
    assert (vendor.logins, vendor.requests) == ([], [])
    if code is Exit.REFUSED:
        assert district.last["findings"][0]["rule"] == "csv.row-width"
        assert "orgs.csv, row 3" in told


def test_two_deliveries_of_one_feed_do_not_meet(district: District, vendor: Vendor) -> None:
    district.state.mkdir(parents=True)
    with (district.state / "lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        code, told = district.send()
    assert code == Exit.BUSY
    assert "under way" in told
    assert vendor.logins == []


def test_a_signal_ends_in_good_order(district: District, vendor: Vendor) -> None:
    district.export.write_bytes(rosters.build(students=20_000))
    vendor.gate = threading.Event()  # so that the signal arrives during its work
    process = district.start()
    waiting.until(lambda: vendor.writes, "the transfer")
    process.send_signal(signal.SIGTERM)
    vendor.gate.set()
    _, told = process.communicate(timeout=waiting.HANG_SECONDS)
    assert process.returncode == Exit.STOPPED, told
    assert district.last["exit_code"] == Exit.STOPPED
    assert (vendor.folder / "OneRoster.zip").read_bytes() == OLD
    assert district.send()[0] == Exit.OK
    assert district.is_delivered


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa", "rsa"])
def test_a_private_key_logs_in(
    district: District, vendor: Vendor, tmp_path: Path, kind: str
) -> None:
    path = tmp_path / "client"
    subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", "", "-f", path], check=True)
    vendor.client_key = path.with_suffix(".pub").read_text()
    district.configure(auth="key")
    district.credential.write_bytes(path.read_bytes())
    code, told = attempt(district)
    assert code == Exit.OK, told
    assert district.is_delivered


def test_a_broken_key_is_told_and_never_sent_as_a_password(
    district: District, vendor: Vendor
) -> None:
    key = "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n"
    vendor.password = key
    district.credential.write_text(key)
    code, told = attempt(district)
    assert code == Exit.CREDENTIAL
    assert "private key" in told
    assert not vendor.logins


def test_a_password_works_until_the_key_takes_its_place(district: District, vendor: Vendor) -> None:
    district.configure(auth="key")
    code, told = attempt(district)
    assert code == Exit.OK, told
    assert district.is_delivered


def test_a_password_where_a_key_is_asked_for_is_told(district: District, vendor: Vendor) -> None:
    vendor.client_key = "ssh-ed25519 AAAA"
    code, told = attempt(district)
    assert code == Exit.LOGIN
    assert "publickey" in told


def test_the_pinned_key_types_are_what_is_asked_for() -> None:
    pins = (HostKey("ssh-rsa", b""), HostKey("ssh-ed25519", b""))
    assert offered_key_types(pins) == ["rsa-sha2-512", "rsa-sha2-256", "ssh-ed25519"]
    assert "ssh-rsa" in offered_key_types(pins, "legacy")
