"""Memory and disk have a limit, and a run that meets it says so."""

from __future__ import annotations

import errno
import io
import resource
import threading
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from roster_upload.cli import compare
from roster_upload.cli import parser as cli
from roster_upload.delivery import pipeline
from roster_upload.exits import Exit
from roster_upload.host import memory
from roster_upload.package.source import Source, Unusable
from roster_upload.package.writer import PackageWriter
from roster_upload.records.ledger import Ledger
from roster_upload.spec import spec
from roster_upload.validation import blocks
from roster_upload.validation.check import check
from support import forks, rosters

ROOM_BYTES = 30 << 20  # beyond what the interpreter and numpy take


def limit_memory(room: int) -> None:
    """Let this process have so many more bytes than it has."""
    data = Path("/proc/self/status").read_text().partition("VmData:")[2].split()[0]
    limit = int(data) * 1024 + room
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))


def run_with_limit(room: str, *arguments: str) -> None:
    """Run the program with so many more bytes than it has. End with its exit code."""
    limit_memory(int(room))
    raise SystemExit(cli.main(arguments))


def with_rows(path: Path, file: str, rows: Iterator[str]) -> Path:
    """Write a package one of whose files has rows that cost memory."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as package:
        for name, content in rosters.invent(students=3, schools=1, full=True).members():
            info = rosters.member(name)
            info._compresslevel = 1  # type: ignore[attr-defined]
            more = "".join(rows) if name == f"{file}.csv" else ""
            package.writestr(info, content + more.encode())
    path.write_bytes(out.getvalue())
    return path


COSTLY = {
    "sessions": ("academicSessions", "s{0},,,T{0},term,2026-08-01,2027-06-01,,2027\r\n"),
    "orgs": ("orgs", "o{0},,,N{0},school,{0},o{0}\r\n"),
    "schools": ("users", "u{0},,,true,x{0},student,u{0},,A,B,,,,,,,03,\r\n"),
    "terms": ("classes", 'c{0},,,T{0},,c,homeroom,,course-0,school-0,"fall,x{0}",,,\r\n'),
    "scales": ("lineItems", "l{0},,,T,d,2026-09-01,2026-09-02,class-0,c,fall,{0},9\r\n"),
}


@pytest.mark.parametrize("name", COSTLY)
def test_an_export_that_needs_more_memory_than_there_is_is_told(tmp_path: Path, name: str) -> None:
    file, row = COSTLY[name]
    path = with_rows(tmp_path / "a.zip", file, (row.format(n) for n in range(100_000)))
    assert path.stat().st_size < 5_000_000
    code = (
        "import sys; from unit.host.test_memory import run_with_limit; "
        "run_with_limit(*sys.argv[1:])"
    )
    done = forks.having("unit.host.test_memory").run(code, ROOM_BYTES, "check", "--file", path)
    assert done.returncode == Exit.LOCAL, done.stdout + done.stderr
    assert "MiB of memory that the program may have" in done.stderr
    assert "roster_upload_memory_mb" in done.stderr


def test_files_unpack_to_what_memory_can_hold(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files without rules count, too."""
    path = tmp_path / "a.zip"
    members = rosters.invent(students=30).members()
    size = sum(len(content) for _, content in members) + 1000
    path.write_bytes(rosters.to_zip([*members, ("notes.txt", bytes(1000))]))
    times = spec("limits")["unpacked_to_memory"]
    monkeypatch.setattr(memory, "most_memory", lambda: -(-size // times))
    assert check(path).accepted
    Source(path).close()
    monkeypatch.setattr(memory, "most_memory", lambda: (size - 1) // times)
    assert [f.rule for f in check(path).findings.errors] == ["package.too-large"]
    with pytest.raises(Unusable):
        Source(path)


def test_without_a_limit_the_format_limits_what_is_unpacked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    most = spec("limits")["total_bytes"]
    for found, expected in (
        ((resource.RLIM_INFINITY, resource.RLIM_INFINITY), most),
        ((1 << 20, resource.RLIM_INFINITY), spec("limits")["unpacked_to_memory"] << 20),
        ((1 << 50, 1 << 50), most),
    ):
        monkeypatch.setattr(resource, "getrlimit", lambda _, limit=found: limit)
        assert memory.most_unpacked() == expected


LACKS = [
    (MemoryError(), "memory"),
    (OSError(errno.ENOMEM, "Cannot allocate memory"), "memory"),
    (
        OSError(errno.ENOSPC, "No space left on device", "/srv/x"),
        "no room on this host at /srv",
    ),
    (OSError(errno.EDQUOT, "Disk quota exceeded"), "no room on this host: Disk quota"),
]


@pytest.mark.parametrize(("error", "told"), LACKS, ids=lambda value: str(value)[:20])
def test_what_a_delivery_lacks_is_in_its_receipt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, told: str
) -> None:
    def lack(*_given: object) -> str:
        raise error

    monkeypatch.setattr(pipeline.Delivery, "_deliver", lack)
    code, message = pipeline.Delivery("a", tmp_path / "a.toml", tmp_path / "a").execute()
    (receipt,) = Ledger(tmp_path / "a").receipts()
    assert (code, receipt.exit_code) == (Exit.LOCAL, Exit.LOCAL)
    assert (message, receipt.outcome) == (receipt.message, "failed")
    assert told in message


@pytest.mark.parametrize(("error", "told"), LACKS, ids=lambda value: str(value)[:20])
def test_what_a_command_lacks_is_told(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: Exception,
    told: str,
) -> None:
    def lack(*_given: object) -> int:
        raise error

    monkeypatch.setattr(compare, "check_path", lack)
    assert cli.main(["check", "--file", "a.zip"]) == Exit.LOCAL
    assert told in capsys.readouterr().err


def test_any_other_error_is_the_programs_own() -> None:
    assert memory.exhausted(OSError(errno.EACCES, "Permission denied")) is None
    assert memory.exhausted(ValueError()) is None


def refuse(_self: object, *_given: object, **_named: object) -> None:
    """Start no thread, as if there were too many."""
    raise RuntimeError("can't start new thread")


def end_at_once(self: threading.Thread) -> None:
    """Start a thread that has no memory for anything, and ends."""
    self._target = lambda: None  # type: ignore[attr-defined]
    START(self)
    self.join()


START = threading.Thread.start


@pytest.mark.parametrize("started", [refuse, end_at_once])
def test_a_thread_without_memory_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, started: Callable[..., None]
) -> None:
    path = tmp_path / "a.zip"
    path.write_bytes(rosters.build(students=30))
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 100)  # what is shorter needs no thread
    monkeypatch.setattr(threading.Thread, "start", started)
    with pytest.raises(MemoryError):
        check(path)


@pytest.mark.parametrize("started", [refuse, end_at_once])
@pytest.mark.parametrize("parts", [1, 99])
def test_a_package_is_whole_or_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, started: Callable[..., None], parts: int
) -> None:
    monkeypatch.setattr(threading.Thread, "start", started)
    with pytest.raises(MemoryError), PackageWriter(tmp_path / "a.zip") as writer:
        writer.add("users.csv", [b"x"] * parts, parts)


def test_a_thread_is_not_started_in_the_last_bytes() -> None:
    """Python would wait for ever for one that cannot report its start."""
    code = (
        "import sys; from unit.host.test_memory import start_with_limit; "
        "start_with_limit(*sys.argv[1:])"
    )
    for room, told in ((memory.THREAD_BYTES * 2, "runs"), (memory.THREAD_BYTES // 2, "refused")):
        done = forks.having("unit.host.test_memory").run(code, room)
        assert done.stdout.split() == [told], done.stderr


def start_with_limit(room: str) -> None:
    """Start a thread in a process that may have so many more bytes."""
    limit_memory(int(room))
    try:
        memory.start_thread(threading.Thread(target=lambda: print("runs")))
    except MemoryError:
        print("refused")
