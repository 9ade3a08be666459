"""An upload to a server in memory, which has each fault in turn."""

from __future__ import annotations

import contextlib
import hashlib
import math
import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import ANY

import pytest
from roster_upload import config
from roster_upload.exits import Exit, Failure
from roster_upload.host import stop
from roster_upload.transfer import (
    connect,
    directory,
    info,
    protocol,
    upload,
    writer,
)
from roster_upload.transfer.info import Holds
from roster_upload.transfer.profile import Profile
from roster_upload.transfer.watchdog import Times
from support.sftp_server import (
    ALL,
    FINAL,
    FOLDER,
    HASHES,
    NO_REPLACING,
    PLAIN,
    TODAY,
    YESTERDAY,
    Faults,
    Server,
    directory_of,
    leftover,
    over,
    profile,
)
from unit.test_config import GOOD
from unit.transfer.test_listing import Endless


def attempt(
    server: Server,
    tmp_path: Path,
    *,
    known: Profile | None = None,
    sha256: str = "",
    progress: Any = None,
    **changes: Any,
) -> tuple[Exit, str]:
    """Deliver today's file. Return the exit code, and the message or the method and the proof."""
    source = tmp_path / "roster"
    source.write_bytes(TODAY)
    channel: Any = server
    place = directory.RemoteDirectory(
        protocol.Sftp(channel), config.parse({**GOOD, **changes}), info.ConnectionInfo()
    )
    delivery = upload.AtomicUpload(
        place, profile=known, sha256=sha256, progress=progress, pace=EVEN
    )
    try:
        done = delivery.run(source, len(TODAY))
    except Failure as failure:
        return failure.code, failure.message
    return Exit.OK, f"{done.method}, {done.bytes}, {done.verified}"


EVEN = writer.Pace(first_bytes=writer.Pace.chunk_bytes)  # all requests of the same length
TODAYS_HASH = hashlib.sha256(TODAY).hexdigest()


SIZE = len(TODAY)


@pytest.mark.parametrize(
    ("faults", "known", "told"),
    [
        ({}, None, f"posix-rename, {SIZE}, size"),
        (PLAIN, None, f"rename, {SIZE}, size"),
        ({"refuse": {"posix-rename": 8}}, None, f"rename, {SIZE}, size"),
        (NO_REPLACING, None, f"move-aside, {SIZE}, size"),
        ({**NO_REPLACING, "files": {}}, None, f"rename, {SIZE}, size"),
        ({}, "rename", f"rename, {SIZE}, size"),
        ({}, "move-aside", f"move-aside, {SIZE}, size"),
        ({"files": {}}, "move-aside", f"rename, {SIZE}, size"),
        (PLAIN, "posix-rename", f"rename, {SIZE}, size"),
        ({"replaces": False}, "rename", f"move-aside, {SIZE}, size"),
        ({}, "in-place", f"in-place, {SIZE}, size"),
        ({"hides": ("stat", "fstat")}, None, "posix-rename, None, answers"),
        ({"refuse": {"stat": 3, "fstat": 8}}, None, "posix-rename, None, answers"),
        ({"hides": ("fstat",)}, None, f"posix-rename, {SIZE}, size"),
        # An account that may write and not list its folder.
        ({"refuse": {"opendir": 3}}, None, f"posix-rename, {SIZE}, size"),
        ({"refuse": {"readdir": 4}}, None, f"posix-rename, {SIZE}, size"),
        ({"refuse": {"opendir": 3, "stat": 3}}, None, "posix-rename, None, answers"),
        # Names that the server accepts.
        ({"allows": r".*\.zip"}, None, f"posix-rename, {SIZE}, size"),
        ({"allows": r"[a-zA-Z0-9-]+\.zip"}, None, f"posix-rename, {SIZE}, size"),
        # A file that is visible once it is closed.
        ({"shows_on_close": True}, None, f"posix-rename, {SIZE}, size"),
        ({"shows_on_close": True}, "in-place", f"in-place, {SIZE}, size"),
        ({"shows_on_close": True, "files": {}}, "in-place", f"in-place, {SIZE}, size"),
        ({"refuse": {"opendir": 3, "stat": 3}}, "in-place", "in-place, None, answers"),
        ({"takes": "posix-rename"}, None, f"posix-rename, {SIZE}, taken"),
        ({"takes": "close"}, "in-place", f"in-place, {SIZE}, taken"),
        (HASHES, None, f"posix-rename, {SIZE}, hash"),
        ({"extensions": (*ALL, "check-file-name")}, None, f"posix-rename, {SIZE}, hash"),
        ({**HASHES, "refuse": {"check-file-name": 8}}, None, f"posix-rename, {SIZE}, size"),
        ({**HASHES, "refuse": {("check-file-name", 1): 8}}, None, f"posix-rename, {SIZE}, hash"),
        ({**HASHES, "hides": ("stat", "fstat")}, None, "posix-rename, None, hash"),
        # A size that is reported too early is requested again.
        ({"wrong": {("fstat", 1): 7}}, None, f"posix-rename, {SIZE}, size"),
        ({"wrong": {("stat", 1): 7, ("stat", 2): 7}}, None, f"posix-rename, {SIZE}, size"),
    ],
)
def test_a_server_with_ways_of_its_own(
    tmp_path: Path, faults: Faults, known: str | None, told: str
) -> None:
    server = Server(**faults)
    learned = profile(known) if known else None
    assert attempt(server, tmp_path, known=learned, sha256=TODAYS_HASH) == (Exit.OK, told)
    assert server.files == ({} if "taken" in told else {FINAL: TODAY})
    assert server.requests.count("open") == 1 or "allows" in faults


def shut(code: int, stat: int | None = None) -> Faults:
    """A folder that nobody may list or write."""
    return {"refuse": {"opendir": code, "open": code, "stat": stat or code}}


@pytest.mark.parametrize(
    ("faults", "code", "told"),
    [
        ({"refuse": {"write": 4}}, Exit.TRANSFER, "refused writing in"),
        ({"refuse": {("write", 3): 4}}, Exit.TRANSFER, "refused writing in"),
        ({"refuse": {"close": 4}}, Exit.TRANSFER, "refused closing the file"),
        ({"refuse": {"posix-rename": 4, "rename": 4}}, Exit.TRANSFER, "refused renaming"),
        ({"refuse": {"write": 14}}, Exit.DISK_FULL, "free disk space"),
        ({"refuse": {"write": 4}, "room": (0, 0)}, Exit.DISK_FULL, "disk is full"),
        ({"refuse": {"write": 4}, "room": (7, 0)}, Exit.DISK_FULL, "disk is full"),
        ({"refuse": {"write": 4}, "room": (8, 0)}, Exit.TRANSFER, "refused writing"),
        ({"refuse": {"write": 5}, "room": (0, 0)}, Exit.TRANSFER, "refused writing"),
        ({"refuse": {"open": 4}, "room": (9, 1)}, Exit.READ_ONLY, "read-only"),
        ({"refuse": {"open": 4}, "room": (0, 0), **PLAIN}, Exit.TRANSFER, "refused writing"),
        ({"refuse": {"open": 4, "statvfs": 4}, "room": (0, 0)}, Exit.TRANSFER, "refused writing"),
        ({"refuse": {"close": 4}, "words": "No space left on device"}, Exit.DISK_FULL, "closing"),
        ({"refuse": {"write": 8}, "words": "Disk quota exceeded"}, Exit.QUOTA, "a larger quota"),
        ({"refuse": {"write": 15}}, Exit.QUOTA, "quota of rosters@maple.example is used up"),
        ({"refuse": {"open": 12}}, Exit.READ_ONLY, "read-only"),
        ({"refuse": {"open": 4}, "words": "Read-only file system"}, Exit.READ_ONLY, "read-only"),
        ({"refuse": {"open": 3}}, Exit.PERMISSION, "writing in"),
        ({"refuse": {"open": 2}}, Exit.TRANSFER, "refused writing"),  # the folder is there
        ({"refuse": {"rename": 3, "posix-rename": 3}}, Exit.PERMISSION, "renaming in"),
        (shut(3), Exit.PERMISSION, "reset first through the link"),
        (shut(2), Exit.REMOTE_PATH, "does not exist"),
        (shut(10), Exit.REMOTE_PATH, "does not exist"),
        (shut(19), Exit.REMOTE_PATH, "does not exist"),
        # Servers with another text for a missing folder.
        (shut(3, stat=2), Exit.REMOTE_PATH, "does not exist"),
        (shut(4, stat=2), Exit.REMOTE_PATH, "does not exist"),
        ({**shut(4), "words": "Not a directory"}, Exit.REMOTE_PATH, "does not exist"),
        ({**shut(4), "words": "File not found"}, Exit.REMOTE_PATH, "does not exist"),
        ({**shut(4), "words": "Access is denied."}, Exit.PERMISSION, "is not allowed"),
        ({**shut(4), "words": "Operation not permitted"}, Exit.PERMISSION, "is not allowed"),
        ({"folders": set()}, Exit.REMOTE_PATH, "does not exist"),
        ({"folders": {"imagine"}, "missing_as": 3}, Exit.PERMISSION, "is not allowed"),
        (
            {"refuse": {"opendir": 4, "open": 4}, "kind_of_folder": 0o100644},
            Exit.REMOTE_PATH,
            "is a file, not a folder",
        ),
        ({"refuse": {"opendir": 2, "open": 3}}, Exit.PERMISSION, "is not allowed"),
        # Of all refusals of a file the most informative one.
        ({"refuse": {"write": 4, "close": 15}}, Exit.QUOTA, "is used up"),
        (
            {"refuse": {"write": 4, "close": 4}, "words": {"close": "Disk quota exceeded"}},
            Exit.QUOTA,
            "is used up",
        ),
        ({"refuse": {("write", 2): 14, "close": 4}}, Exit.DISK_FULL, "free disk space"),
        ({"refuse": {"close": 15}, "wrong": {"fstat": 1, "stat": 1}}, Exit.QUOTA, "is used up"),
        ({"allows": r".*\.csv"}, Exit.PERMISSION, "writing in"),
        ({"cut": ("opendir", 1)}, Exit.VANISHED, "while listing files"),
        ({"cut": ("write", 1)}, Exit.VANISHED, "while writing"),
        ({"cut": ("write", 3)}, Exit.VANISHED, "while writing"),
        ({"cut": ("close", 1)}, Exit.VANISHED, "while closing the file"),
        ({"cut": ("posix-rename", 1)}, Exit.VANISHED, "may or may not have replaced"),
        ({"does_nothing": ("write",)}, Exit.VERIFY, "or cut it short"),
        ({"wrong": {"fstat": SIZE + 1, "stat": SIZE + 1}}, Exit.VERIFY, "appended to"),
        ({"wrong": {"fstat": 1, "stat": SIZE - 1}}, Exit.VERIFY, "or cut it short"),
        ({**HASHES, "hash": bytes(32)}, Exit.VERIFY, "changed or damaged"),
        ({"takes": "close"}, Exit.VERIFY, "removed the temporary file"),
    ],
)
def test_a_fault_leaves_yesterdays_roster_whole(
    tmp_path: Path, faults: Faults, code: Exit, told: str
) -> None:
    server = Server(**faults)
    result, said = attempt(server, tmp_path, sha256=TODAYS_HASH)
    assert (result, told in said) == (code, True), said
    assert ("still has the file that it had" in said) is ("may or may not" not in said)
    assert server.files.pop(FINAL) == YESTERDAY
    if "cut" not in faults:  # the connection lives, so nothing is left behind
        assert server.files == {}


def test_only_the_feeds_own_leftovers_are_removed(tmp_path: Path) -> None:
    server = Server()
    others = {f"{FOLDER}/{name}": b"x" for name in ("a.csv", ".roster-upload-0-b.part")}
    server.files |= {**others, leftover(server): b"x", leftover(server, "old"): b"x"}
    assert attempt(server, tmp_path)[0] == Exit.OK
    assert server.files == {**others, FINAL: TODAY}
    assert directory.RemoteDirectory(
        over(), config.parse({**GOOD, "feed": "b"}), info.ConnectionInfo()
    ).prefix not in (leftover(server))


def test_a_leftover_that_may_not_be_removed_is_no_obstacle(tmp_path: Path) -> None:
    server = Server(refuse={"remove": 3})
    server.files[leftover(server)] = b"x"
    assert attempt(server, tmp_path)[0] == Exit.OK
    assert server.files[FINAL] == TODAY


PART, OLD, NEW = "may have a partial file", "still has the file", "has replaced the old one"
NOT_KNOWN = "may or may not"


@pytest.mark.parametrize(
    ("faults", "code", "told", "left"),
    [
        ({"refuse": {"open": 3}}, Exit.PERMISSION, OLD, {FINAL: YESTERDAY}),
        ({"refuse": {"write": 4}}, Exit.TRANSFER, PART, {}),
        ({"refuse": {"close": 4}}, Exit.TRANSFER, PART, {}),
        ({"refuse": {"close": 15}, "wrong": {"stat": 1}}, Exit.QUOTA, OLD, {FINAL: TODAY}),
        ({"wrong": {("stat", n): 1 for n in (3, 4, 5)}}, Exit.VERIFY, NEW, {FINAL: TODAY}),
        ({"cut": ("stat", 1)}, Exit.VANISHED, OLD, {FINAL: YESTERDAY}),
        ({"cut": ("write", 1)}, Exit.VANISHED, PART, {FINAL: b""}),
        ({"cut": ("stat", 3)}, Exit.VANISHED, NEW, {FINAL: TODAY}),
    ],
)
def test_in_place_a_broken_transfer_says_what_it_has_cost(
    tmp_path: Path, faults: Faults, code: Exit, told: str, left: dict[str, bytes]
) -> None:
    server = Server(**faults)
    server.files[leftover(server)] = b"x"
    result, said = attempt(server, tmp_path, known=profile("in-place"))
    assert (result, told in said) == (code, True), said
    server.files.pop(leftover(Server()), None)
    assert server.files == left
    assert not any("rename" in request for request in server.requests)


@pytest.mark.parametrize("before", [YESTERDAY, None])
@pytest.mark.parametrize(
    ("faults", "code", "told"),
    [
        ({"refuse": {"write": 4}}, Exit.TRANSFER, OLD),
        ({"refuse": {("write", 3): 15}}, Exit.QUOTA, OLD),
        ({"refuse": {"close": 4}}, Exit.TRANSFER, OLD),
        ({"cut": ("write", 2)}, Exit.VANISHED, NOT_KNOWN),
        ({"cut": ("close", 1)}, Exit.VANISHED, NOT_KNOWN),
    ],
)
def test_where_a_file_is_seen_once_it_is_closed_the_old_one_stays(
    tmp_path: Path, faults: Faults, code: Exit, told: str, before: bytes | None
) -> None:
    """Object stores: whatever goes wrong, the final name is not removed."""
    server = Server(**faults, shows_on_close=True)
    server.files = {FINAL: before} if before else {}
    files = dict(server.files)
    result, said = attempt(server, tmp_path, known=profile("in-place"))
    assert (result, told in said) == (code, True if before else ANY), said
    assert server.files == files
    assert ("close" in server.requests) is (faults.get("cut") == ("close", 1) or "close" in (
        faults.get("refuse", {})
    )), "what is closed becomes the new file"  # fmt: skip


def test_in_place_a_size_is_no_reason_to_remove_the_file(tmp_path: Path) -> None:
    server = Server(wrong={"stat": 7, "fstat": 7})
    assert attempt(server, tmp_path, known=profile("in-place"))[0] == Exit.VERIFY
    assert server.files == {FINAL: TODAY}


def test_in_place_nothing_is_asked_of_a_file_before_it_is_closed(tmp_path: Path) -> None:
    server = Server(refuse={("write", 3): 4})
    attempt(server, tmp_path, known=profile("in-place"))
    assert "remove" in server.requests
    assert "close" not in server.requests
    server = Server()
    attempt(server, tmp_path, known=profile("in-place"))
    assert server.requests[-3:] == ["write", "close", "stat"]
    assert "fstat" not in server.requests


def test_progress_is_what_the_server_has_acknowledged(tmp_path: Path) -> None:
    counts: list[int] = []
    attempt(Server(), tmp_path, progress=counts.append)
    assert counts == [writer.Pace.chunk_bytes, 2 * writer.Pace.chunk_bytes, SIZE]
    counts.clear()
    attempt(Server(refuse={("write", 2): 4}), tmp_path, progress=counts.append)
    assert counts == [writer.Pace.chunk_bytes]


def test_an_interrupted_delivery_leaves_nothing(tmp_path: Path) -> None:
    def interrupt(_count: int) -> None:
        raise KeyboardInterrupt

    server = Server()
    with pytest.raises(KeyboardInterrupt):
        attempt(server, tmp_path, progress=interrupt)
    assert server.files == {FINAL: YESTERDAY}


@pytest.mark.parametrize(
    ("known", "login"),
    [
        (None, ""),
        (profile("rename"), "password"),
        (profile("rename", login="keyboard-interactive"), "keyboard-interactive"),
        (profile("rename", login="publickey"), ""),  # a password takes its place meanwhile
    ],
)
def test_a_delivery_logs_in_as_it_was_learned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, known: Profile | None, login: str
) -> None:
    got: list[object] = []

    @contextlib.contextmanager
    def logged_in(*arguments: object) -> Iterator[object]:
        got.extend([arguments[1], arguments[-1]])
        yield None

    channel: Any = Server(**HASHES)
    monkeypatch.setattr(connect, "logged_in", logged_in)
    monkeypatch.setattr(connect, "_open_session", lambda *_: protocol.Sftp(channel))
    source = tmp_path / "roster"
    source.write_bytes(TODAY)
    feed = config.parse(GOOD)
    done = upload.deliver(
        feed,
        b"secret",
        source,
        SIZE,
        info.ConnectionInfo(),
        profile=known,
        sha256=TODAYS_HASH.upper(),
    )
    assert got == [b"secret", login]
    assert done.verified == ("size" if known else "hash")


@pytest.mark.parametrize("known", [None, "move-aside"])
def test_the_old_file_is_put_back_before_anything_is_sent(
    tmp_path: Path, known: str | None
) -> None:
    server = Server(**NO_REPLACING)
    server.files = {leftover(server, "old"): YESTERDAY}
    server.requests.clear()
    place = directory_of(server)
    source = tmp_path / "roster"
    source.write_bytes(TODAY)
    upload.AtomicUpload(
        place, profile=profile(known) if known else None, restores_first=not known, pace=EVEN
    ).run(source, SIZE)
    assert server.requests.index("rename") < server.requests.index("write")
    assert server.files == {FINAL: TODAY}


@pytest.mark.parametrize("size", [0, 5_000_000])
def test_the_end_of_a_file_may_take_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    """The server may scan it when it is closed or renamed."""
    server = Server()
    place = directory_of(server)
    place.sftp.watchdog.times = Times(finish=100)
    source = tmp_path / "roster"
    source.write_bytes(bytes(size))
    allowed: dict[str, float] = {}
    take = place.sftp.take

    def note(number: int, *more: int) -> object:
        name = server.requests[number - 1]
        allowed[name] = max(allowed.get(name, 0), place.sftp.watchdog.allowed)
        return take(number, *more)

    monkeypatch.setattr(place.sftp, "take", note)
    upload.AtomicUpload(place).run(source, size)
    assert allowed["close"] == 100 + size / 1_000_000
    assert allowed["opendir"] == allowed["open"] == Times.answer


def sent(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, **options: Any
) -> tuple[upload.Delivered, info.ConnectionInfo]:
    """Deliver today's file to a server in memory, as a run does."""
    channel: Any = server
    monkeypatch.setattr(connect, "logged_in", lambda *_: contextlib.nullcontext())
    monkeypatch.setattr(connect, "_open_session", lambda *_: protocol.Sftp(channel))
    source = tmp_path / "roster"
    source.write_bytes(TODAY)
    facts = info.ConnectionInfo(server="SSH-2.0-V")
    return upload.deliver(config.parse(GOOD), b"", source, SIZE, facts, **options), facts


NO_RENAMING = {"refuse": {"posix-rename": 8, "rename": 4}}


@pytest.mark.parametrize("known", [None, "posix-rename", "rename", "move-aside"])
def test_a_server_that_renames_nothing_is_written_to_in_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, known: str | None
) -> None:
    server = Server(**NO_RENAMING)
    learned = profile(known) if known else None
    done, facts = sent(server, tmp_path, monkeypatch, profile=learned, learns=True)
    assert (done.method, done.verified) == ("in-place", "size")
    assert facts.learned
    assert facts.learned.rename == "in-place"
    assert server.files == {FINAL: TODAY}


@pytest.mark.parametrize("learns", [True, False])
def test_nothing_is_learned_where_it_would_not_help(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, learns: bool
) -> None:
    """The server renames, but not to the final name. That is no reason to write over it."""
    server = Server(renames_to_final=False)
    with pytest.raises(Failure, match=OLD):
        sent(server, tmp_path, monkeypatch, profile=profile("posix-rename"), learns=learns)
    assert server.files == {FINAL: YESTERDAY}
    assert server.requests.count("open") == (3 if learns else 1)


def test_a_server_is_learned_before_the_first_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = Server(**NO_REPLACING)
    _, facts = sent(server, tmp_path, monkeypatch, learns=True)
    assert facts.learned
    assert facts.learned.rename == "move-aside"
    known, server = facts.learned, Server(**NO_REPLACING)
    _, facts = sent(server, tmp_path, monkeypatch, learns=True, profile=known)
    assert (facts.learned, server.requests.count("open")) == (None, 1)


def test_a_server_that_refuses_the_probe_is_sent_to_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = Server(refuse={("write", 1): 4, ("write", 2): 4, ("write", 3): 4})
    done, facts = sent(server, tmp_path, monkeypatch, learns=True)
    assert (done.method, facts.learned) == ("posix-rename", None)
    assert server.files == {FINAL: TODAY}


def test_a_second_way_has_all_the_time_that_there_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not that of the clean-up after the first one."""
    ends: list[float] = []
    write = writer.write

    def note(session: protocol.Sftp, *given: Any, **named: Any) -> None:
        ends.append(session.ends)
        write(session, *given, **named)

    monkeypatch.setattr(upload, "write", note)
    sent(Server(**NO_RENAMING), tmp_path, monkeypatch, profile=profile("rename"), learns=True)
    assert ends == [math.inf, math.inf]


@pytest.mark.parametrize("holds", [Holds.NOTHING, Holds.PART, Holds.UNKNOWN])
def test_what_a_try_before_has_left_is_not_forgotten(tmp_path: Path, holds: Holds) -> None:
    source = tmp_path / "roster"
    source.write_bytes(TODAY)
    place = directory_of(Server(files={}, cut=("open", 1)))
    place.info.holds = holds
    with pytest.raises(Failure, match=re.escape(holds.words)):
        upload.AtomicUpload(place).run(source, SIZE)


@pytest.mark.parametrize("kind", ["open", "write", "close"])
@pytest.mark.parametrize("lists", [True, False])
def test_a_stop_behind_any_request_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, lists: bool
) -> None:
    """The request was sent, and its answer is still to come."""
    server = Server(refuse={} if lists else {"opendir": 3})
    place = directory_of(server)
    source = tmp_path / "roster"
    source.write_bytes(TODAY)
    send = server.sendall

    def sendall(data: bytes) -> None:
        send(data)
        if server.requests[-1] == kind and server.requests.count(kind) == 1:
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(server, "sendall", sendall)
    with pytest.raises(stop.Stopped), stop.listening(), stop.heard():
        upload.AtomicUpload(place, pace=EVEN).run(source, SIZE)
    assert server.files == {FINAL: YESTERDAY}


def test_a_listing_without_an_end_takes_no_old_file_for_the_only_one(tmp_path: Path) -> None:
    """The moved-aside file comes back only if its place is known to be empty."""
    server = Endless()
    old = leftover(server, "old")
    server.files[old] = b"of long ago"
    code, told = attempt(server, tmp_path, known=profile("move-aside"))
    assert code is Exit.OK, told
    assert server.files[FINAL] == TODAY
