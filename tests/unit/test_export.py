"""The export before it is read: found, finished, and copied as it was."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import pwd
import resource
import shutil
import signal
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from roster_upload import config
from roster_upload import export as exports
from roster_upload.exits import Exit, Failure
from roster_upload.host import stop
from roster_upload.spec import spec
from unit.test_config import GOOD

QUIET = 60  # seconds
MOST = 1 << 30  # bytes of an export


def feed(source: Path, *, quiet: int = QUIET, **changes: Any) -> config.Feed:
    return config.parse({**GOOD, "source": str(source), "quiet_seconds": quiet, **changes})


def wait(found: config.Feed, seconds: float = 3600) -> exports.Export:
    return exports.wait_until_stable(found, seconds, lambda _: None)


class Clock:
    """A clock that moves only while somebody sleeps. `meanwhile` happens then."""

    def __init__(self) -> None:
        self.passed = 0.0
        self.meanwhile: Callable[[], None] = lambda: None

    def monotonic(self) -> float:
        return self.passed

    def time(self) -> float:
        return time.time() + self.passed

    def sleep(self, seconds: float) -> None:
        self.passed += seconds
        self.meanwhile()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(exports, "time", made)
    return made


def growing(path: Path, times: int) -> Callable[[], None]:
    """Return a function that writes to a file each time that it is called, so many times."""
    left = iter(range(times))

    def grow() -> None:
        if next(left, None) is not None:
            with path.open("ab") as out:
                out.write(b"b")

    return grow


@pytest.fixture
def copies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder for private copies."""
    folder = tmp_path / "copies"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.fixture
def outside(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder that everyone can reach, except for its mode. Private copies are beside it."""
    with tempfile.TemporaryDirectory() as name:
        folder, copies = Path(name, "outside"), Path(name, "copies")
        folder.parent.chmod(0o755)
        folder.mkdir()
        copies.mkdir()
        copies.chmod(0o777)
        monkeypatch.setattr(tempfile, "tempdir", str(copies))
        yield folder
        folder.chmod(0o755)
        assert list(copies.iterdir()) == []


@contextlib.contextmanager
def unprivileged() -> Iterator[None]:
    """Root can read everything, so its tests give that up for a while."""
    before = os.geteuid()
    os.seteuid(before or 65534)
    try:
        yield
    finally:
        os.seteuid(before)


# ---- found --------------------------------------------------------------------------------------


def test_the_newest_match_is_found(tmp_path: Path) -> None:
    for number, name in enumerate(["b.zip", "c.zip", "a.zip", "z.txt"]):
        (tmp_path / name).write_bytes(b"x")
        os.utime(tmp_path / name, (number, number))
    (tmp_path / "latest.zip").symlink_to(tmp_path / "gone")  # a dangling link is no match
    assert exports.find(tmp_path / "*.zip").path.name == "a.zip"
    os.utime(tmp_path / "c.zip", (2, 2))  # always the same one of two equally new ones
    assert exports.find(tmp_path / "*.zip").path.name == "c.zip"
    with pytest.raises(Failure, match="there is no export"):
        exports.find(tmp_path / "*.csv")


def missing(_folder: Path) -> None:
    pass


def a_pipe(folder: Path) -> None:
    os.mkfifo(folder / "x")


def empty_folder(folder: Path) -> None:
    (folder / "x").mkdir()


def dangling(folder: Path) -> None:
    (folder / "x").symlink_to(folder / "y")


def in_a_circle(folder: Path) -> None:
    (folder / "x").symlink_to(folder / "x")


@pytest.mark.parametrize("name", ["x", "x*"])
@pytest.mark.parametrize(
    ("make", "told"),
    [
        (missing, "there is no export at {source}. Its folder is empty. Did the SIS write it"),
        (dangling, 'there is no export at {source}. Its folder holds "x" (a link that leads now'),
        (a_pipe, "{folder}/x is not a file"),
        (empty_folder, "there is no CSV file in {folder}/x. It is empty. Did the SIS write"),
        (in_a_circle, "{source} cannot be read (Too many levels of symbolic links). Let the user"),
    ],
)
def test_what_is_no_export_is_told(
    tmp_path: Path, make: Callable[[Path], None], told: str, name: str
) -> None:
    make(tmp_path)
    source = tmp_path / name
    with pytest.raises(Failure) as failed:
        wait(feed(source))
    assert failed.value.code == Exit.SOURCE
    assert failed.value.message.startswith(told.format(source=source, folder=tmp_path))


def test_a_folder_is_no_opaque_file(tmp_path: Path) -> None:
    with pytest.raises(Failure, match="is not a file"):
        exports.find(tmp_path, is_opaque=True)


@pytest.mark.parametrize(
    ("closed", "source"), [(".", "x.zip"), (".", "*.zip"), (".", ""), ("x.zip", "x.zip")]
)
def test_what_may_not_be_read_is_told(outside: Path, closed: str, source: str) -> None:
    (outside / "x.zip").write_bytes(b"x")
    (outside / closed).chmod(0)
    with (
        pytest.raises(Failure) as failed,
        unprivileged(),
        exports.snapshot(wait(feed(outside / source, quiet=0)), MOST),
    ):
        pass
    assert failed.value.code == Exit.SOURCE
    assert failed.value.message == (
        f"{outside / source} cannot be read (Permission denied). Let the user "
        f"{pwd.getpwuid(os.geteuid() or 65534).pw_name} read it"
    )


# ---- finished -----------------------------------------------------------------------------------


def test_a_growing_file_is_taken_whole(tmp_path: Path, clock: Clock) -> None:
    source = tmp_path / "OneRoster.zip"
    source.write_bytes(b"a")
    clock.meanwhile = growing(source, 6)

    said: list[str] = []
    with exports.snapshot(exports.wait_until_stable(feed(source), 3600, said.append), MOST) as copy:
        content = copy.path.read_bytes()
    assert content == b"abbbbbb"
    assert (copy.bytes, copy.sha256) == (7, hashlib.sha256(content).hexdigest())
    assert not copy.path.exists()
    assert said == [f"waiting until {source} has been quiet for 60 s"], (
        "once, however long it grows"
    )
    assert clock.passed == 6 + QUIET


@pytest.mark.parametrize(("minutes", "seconds", "limit"), [(20, 60, 1), (2, 3600, 2), (0, 60, 0)])
def test_what_grows_to_the_end_is_not_taken(
    tmp_path: Path, clock: Clock, minutes: int, seconds: float, limit: int
) -> None:
    source = tmp_path / "OneRoster.zip"
    source.write_bytes(b"a")
    clock.meanwhile = growing(source, 1000)
    with pytest.raises(Failure) as failed:
        wait(feed(source, settle_minutes=minutes), seconds)
    assert failed.value.code == Exit.GROWING
    assert failed.value.message == (
        f"{source} was still being written after {limit} min. It has to be quiet for 60 s. "
        "Let the SIS export earlier"
    )
    assert clock.passed == limit * 60


def test_what_changes_under_our_eyes_is_not_quiet(tmp_path: Path, clock: Clock) -> None:
    """The other files' time stamps cannot show removed files."""
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).write_bytes(b"x")
    export = exports.wait_until_stable(
        feed(tmp_path), 3600, lambda _: (tmp_path / "b.csv").unlink()
    )
    assert [path.name for path in export.files] == ["a.csv"]
    assert clock.passed == 1 + QUIET  # found at one check, then waited for


def test_a_time_stamp_proves_no_quiet(tmp_path: Path, clock: Clock) -> None:
    """A copy keeps the time stamp of its source, and can still be unfinished."""
    source = tmp_path / "OneRoster.zip"
    source.write_bytes(b"a")
    os.utime(source, (1, 1))
    wait(feed(source, quiet=600))
    assert clock.passed > 500  # all of it except the real time since the writing
    with pytest.raises(Failure) as failed:
        wait(feed(source, quiet=3600), seconds=60)
    assert failed.value.code == Exit.GROWING
    wait(feed(source, quiet=600), seconds=0)  # it has been quiet for long enough now


# ---- copied -------------------------------------------------------------------------------------


def test_a_folder_gives_the_same_zip_whatever_its_order(tmp_path: Path) -> None:
    digests = []
    for names in (["a.csv", "b.CSV"], ["b.CSV", "a.csv"]):
        folder = tmp_path / names[0]
        folder.mkdir()
        for age, name in enumerate(names):
            (folder / name).write_text(f"{name}\n" * 1000)
            os.utime(folder / name, (1000 + age, 1000 + age))
        (folder / "notes.txt").write_text("x")
        (folder / "inner").mkdir()
        (folder / "link.csv").symlink_to("/etc/hostname")
        with exports.snapshot(exports.find(folder), MOST) as copy:
            digests.append(copy.sha256)
            assert copy.modified.timestamp() == 1000  # of the oldest
            with zipfile.ZipFile(copy.path) as package:
                assert package.namelist() == ["a.csv", "b.CSV"]
                assert package.testzip() is None
    assert digests[0] == digests[1]


@pytest.mark.parametrize("in_folder", [True, False])
@pytest.mark.parametrize("change", ["grows", "goes", "is another"])
def test_a_change_while_it_is_read_is_noticed(
    tmp_path: Path, copies: Path, monkeypatch: pytest.MonkeyPatch, in_folder: bool, change: str
) -> None:
    source = tmp_path / "source"
    source.mkdir()
    path = source / "a.csv"
    path.write_bytes(b"x" * 1000)
    poured = exports._pour

    def meanwhile(pouring: Any, out: Any, size: int) -> None:
        poured(pouring, out, size)
        if change == "grows":
            with path.open("ab") as more:
                more.write(b"y")
        else:
            path.rename(tmp_path / "old")
        if change == "is another":
            path.write_bytes(b"z" * 1000)

    monkeypatch.setattr(exports, "_pour", meanwhile)
    found = exports.find(source if in_folder else path)
    with pytest.raises(Failure) as failed, exports.snapshot(found, MOST):
        pass
    assert failed.value.code == Exit.GROWING
    assert failed.value.message == (
        f"{found.path} changed while it was read. The SIS is still writing it"
    )
    assert list(copies.iterdir()) == []


def test_a_copy_is_private_and_gone_afterwards(tmp_path: Path, copies: Path) -> None:
    source = tmp_path / "x.zip"
    source.write_bytes(b"x")

    class Stopped(Exception):
        pass

    def stopped() -> None:
        with exports.snapshot(exports.find(source), MOST) as copy:
            assert copies in copy.path.parents
            assert copy.path.stat().st_mode & 0o777 == 0o600
            assert copy.path.parent.stat().st_mode & 0o777 == 0o700
            raise Stopped

    with pytest.raises(Stopped):
        stopped()
    assert list(copies.iterdir()) == []
    assert source.read_bytes() == b"x"


@pytest.mark.parametrize("in_folder", [True, False])
def test_no_room_for_a_copy_is_told(tmp_path: Path, copies: Path, in_folder: bool) -> None:
    source = tmp_path / "source"
    source.mkdir()
    path = source / "a.csv"
    path.write_bytes(os.urandom(1 << 18))
    found = exports.find(source if in_folder else path)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 17, limits[1]))
    try:
        with pytest.raises(Failure) as failed, exports.snapshot(found, MOST):
            pass
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert failed.value.code == Exit.LOCAL
    assert failed.value.message == f"no room for a private copy in {copies}: File too large"
    assert list(copies.iterdir()) == []


def test_a_sparse_export_is_not_copied(tmp_path: Path, copies: Path) -> None:
    """A terabyte that takes no disk, alone or in a folder."""
    folder = tmp_path / "export"
    folder.mkdir()
    for path in (tmp_path / "a.zip", folder / "users.csv"):
        with path.open("wb") as out:
            out.truncate(1 << 40)
    assert (tmp_path / "a.zip").stat().st_blocks < 16
    for source in (tmp_path / "a.zip", folder):
        with (
            pytest.raises(Failure, match=r"has 1,099,511,627,776 bytes or more") as failed,
            exports.snapshot(exports.find(source), MOST),
        ):
            pass
        assert failed.value.code == Exit.REFUSED
        assert str(source) in failed.value.message
    assert list(copies.iterdir()) == []


def test_a_copy_that_has_no_room_is_not_begun(
    tmp_path: Path, copies: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.zip").write_bytes(b"123")
    for free, fits in ((3, True), (2, False)):
        monkeypatch.setattr(
            shutil, "disk_usage", lambda _, n=free: shutil._ntuple_diskusage(9, 9, n)
        )
        with contextlib.ExitStack() as stack:
            if not fits:
                told = f"no room for a private copy in {copies}: 3 bytes are needed, 2 are free"
                stack.enter_context(pytest.raises(Failure, match=told))
            stack.enter_context(exports.snapshot(exports.find(tmp_path / "a.zip"), MOST))


@pytest.mark.parametrize(("most", "fits"), [(1000, True), (999, False)])
def test_an_export_may_have_so_many_bytes(
    tmp_path: Path, copies: Path, most: int, fits: bool
) -> None:
    """A folder's limit counts only the packed files."""
    folder = tmp_path / "export"
    folder.mkdir()
    (tmp_path / "a.zip").write_bytes(bytes(1000))
    (folder / "users.csv").write_bytes(os.urandom(800))
    with contextlib.ExitStack() as stack:
        if not fits:
            stack.enter_context(pytest.raises(Failure, match="The limit is 999,"))
        stack.enter_context(exports.snapshot(exports.find(tmp_path / "a.zip"), most))
    with (
        pytest.raises(Failure, match="The limit is 850") as failed,
        exports.snapshot(exports.find(folder), 850),
    ):
        pass
    assert failed.value.code == Exit.REFUSED
    assert list(copies.iterdir()) == []


def test_a_folder_has_no_thousands_of_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).write_bytes(b"x")
    monkeypatch.setitem(spec("limits"), "members", 2)
    with exports.snapshot(exports.find(tmp_path), MOST):
        pass
    monkeypatch.setitem(spec("limits"), "members", 1)
    with (
        pytest.raises(Failure, match="has 2 CSV files"),
        exports.snapshot(exports.find(tmp_path), MOST),
    ):
        pass


@pytest.mark.parametrize("in_folder", [True, False])
def test_of_a_file_that_grows_no_more_is_copied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, in_folder: bool
) -> None:
    """However fast it grows, the copy ends with its first size, and one byte."""
    path = tmp_path / "a.csv"
    path.write_bytes(b"x" * 10)
    monkeypatch.setattr(exports, "COPIED_AT_ONCE", 4)
    written: list[int] = []
    poured = exports._pour

    class Growing(io.FileIO):
        def read(self, size: int | None = -1) -> bytes:
            with path.open("ab") as out:
                out.write(b"more")
            return super().read(size) or b""

    def grow(_source: Any, out: Any, size: int) -> None:
        with Growing(path) as source:
            poured(lambda count: source.read(count) or b"", out, size)
            written.append(source.tell())

    monkeypatch.setattr(exports, "_pour", grow)
    with (
        pytest.raises(Failure) as failed,
        exports.snapshot(exports.find(tmp_path if in_folder else path), MOST),
    ):
        pass
    assert failed.value.code == Exit.GROWING
    assert written == [11]


def test_no_place_for_a_copy_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "x.zip").write_bytes(b"x")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    with (
        pytest.raises(Failure, match="no folder for a private copy: No such file") as failed,
        exports.snapshot(exports.find(tmp_path / "x.zip"), MOST),
    ):
        pass
    assert failed.value.code == Exit.LOCAL


# ---- quiet, by a clock that a test turns --------------------------------------------------------


class TurnedClock:
    """A host's clock, which sleeping advances. `states` are the visible states by second."""

    def __init__(self, *states: tuple[float, tuple[float, ...]]) -> None:
        self.now = 0.0
        self.states = states  # from a second on: when each file was changed, in seconds
        self.slept: list[float] = []

    def monotonic(self) -> float:
        return 5000 + self.now

    def time(self) -> float:
        return 1_800_000_000 + self.now

    def sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.slept.append(seconds)
        self.now += seconds

    def state(self, _export: exports.Export) -> exports.State:
        changes = [changes for start, changes in self.states if start <= self.now][-1]
        if not changes:
            raise FileNotFoundError
        stamps = [int((1_800_000_000 + change) * 1e9) for change in changes]
        return tuple((f"f{n}", n, 7, stamp, stamp) for n, stamp in enumerate(stamps))


@pytest.mark.parametrize(
    ("states", "at"),
    [
        ([(0, (-60,))], 0),
        ([(0, (-61,))], 0),
        ([(0, (-50,))], 10),
        ([(0, (-50, -20))], 40),  # the youngest of a folder's files counts
        ([(0, (30,))], 60),  # a file server's clock is ahead
        ([(0, (-59,)), (0.5, (-58,))], 61),  # it has changed during the check, so no stamp counts
        ([(0, (-59,)), (0.5, (-900,))], 61),
        ([(0, ()), (5, (-900,))], 5),  # it is seen for the first time
        ([(0, (-1,)), (700, ())], 59),
    ],
)
def test_an_export_is_quiet_for_its_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, states: list[Any], at: float
) -> None:
    clock = TurnedClock(*states)
    monkeypatch.setattr(exports, "time", clock)
    monkeypatch.setattr(exports, "_state", clock.state)
    export = exports.Export(tmp_path, (tmp_path,))
    monkeypatch.setattr(exports, "find", lambda *_, **__: export)
    said: list[str] = []
    assert exports.wait_until_stable(feed(tmp_path, quiet=60), 10_000, said.append) is export
    assert clock.now == pytest.approx(at, abs=1.01 if at > 60 else 0.06)
    assert len(said) == (1 if at else 0)
    assert max(clock.slept, default=0) <= 60


@pytest.mark.parametrize(
    ("minutes", "left", "at"), [(20, 10_000, 1200), (20, 300, 300), (0, 300, 0), (20, 0, 0)]
)
def test_how_long_an_export_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, minutes: int, left: float, at: float
) -> None:
    """It is written to every half second."""
    clock = TurnedClock(*((n / 2, (n / 2 - 1,)) for n in range(2500)))
    monkeypatch.setattr(exports, "time", clock)
    monkeypatch.setattr(exports, "_state", clock.state)
    export = exports.Export(tmp_path, (tmp_path,))
    monkeypatch.setattr(exports, "find", lambda *_, **__: export)
    with pytest.raises(Failure) as failed:
        exports.wait_until_stable(
            feed(tmp_path, quiet=60, settle_minutes=minutes), left, lambda _: None
        )
    assert failed.value.code == Exit.GROWING
    assert clock.now == at
    assert f"after {at / 60:.0f} min. It has to be quiet for 60 s" in failed.value.message


def test_an_export_need_not_be_quiet_where_the_feed_says_so(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    path.write_bytes(b"x")
    said: list[str] = []
    found = exports.wait_until_stable(feed(path, quiet=0), 0, said.append)
    assert (found.path, said) == (path, [])


def test_a_folder_is_as_old_as_its_oldest_file(tmp_path: Path) -> None:
    for number, name in enumerate(["b.csv", "a.CSV", "c.csv", "d.txt"], 5):
        (tmp_path / name).write_bytes(b"x" * number)
        os.utime(tmp_path / name, (number * 1000, number * 1000))
    (tmp_path / "e.csv").mkdir()
    (tmp_path / "f.csv").symlink_to(tmp_path / "b.csv")
    export = exports.find(tmp_path)
    assert [path.name for path in export.files] == ["a.CSV", "b.csv", "c.csv"]
    assert export.is_folder
    oldest = datetime.fromtimestamp(5000, UTC)
    assert export.written() == (5 + 6 + 7, oldest)
    with exports.snapshot(export, MOST) as copy:
        assert copy.modified == oldest
        assert (copy.bytes, copy.sha256) == (
            copy.path.stat().st_size,
            hashlib.sha256(copy.path.read_bytes()).hexdigest(),
        )
        with zipfile.ZipFile(copy.path) as package:
            assert [info.date_time[0] for info in package.infolist()] == [1980] * 3
            assert {info.compress_type for info in package.infolist()} == {zipfile.ZIP_DEFLATED}
    single = exports.find(tmp_path / "b.csv")
    assert (single.is_folder, single.written()[0]) == (False, 5)
    (tmp_path / "b.csv").unlink()
    with pytest.raises(Failure, match="cannot be read"):
        single.written()


@pytest.mark.parametrize(
    ("pattern", "found"),
    [("a?.zip", "a1.zip"), ("a[2].zip", "a2.zip"), ("A*.zip", ""), ("a1.zip", "a1.zip")],
)
def test_a_pattern_is_what_a_shell_knows(tmp_path: Path, pattern: str, found: str) -> None:
    for number, name in enumerate(["a2.zip", "a1.zip", "b.zip"]):
        (tmp_path / name).write_bytes(b"x")
        os.utime(tmp_path / name, (number, number))
    if found:
        assert exports.find(tmp_path / pattern).path.name == found
    else:
        with pytest.raises(Failure, match="there is no export"):
            exports.find(tmp_path / pattern)


def test_a_signal_while_the_private_copy_is_removed_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    remove = tempfile.TemporaryDirectory.cleanup

    def interrupted(folder: tempfile.TemporaryDirectory[str]) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        remove(folder)

    monkeypatch.setattr(tempfile.TemporaryDirectory, "cleanup", interrupted)
    folders: list[Path] = []
    with (
        pytest.raises(stop.Stopped),
        stop.listening(),
        stop.heard(),
        exports.workplace() as folder,
    ):
        folders.append(folder)
    assert not folders[0].exists()


# ---- a wrong name --------------------------------------------------------------------------------


def told_of(wanted: Path) -> str:
    with pytest.raises(Failure) as failed:
        exports.find(wanted)
    assert failed.value.code == Exit.SOURCE
    return failed.value.message


@pytest.mark.parametrize(
    "name",
    ["OneRoster.ZIP", "oneroster.zip", "oneroster (1).zip", "OneRoster.zip ", " OneRoster.zip",
     "OneRoster.zip.zip", "Rosters of Fall.zip"],
)  # fmt: skip
def test_a_wrong_name_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"x")
    told = told_of(tmp_path / "OneRoster.zip")
    assert told == (
        f'there is no export at {tmp_path}/OneRoster.zip. Its folder holds "{name}". If one of '
        "them is the export, correct its name or the path of the source"
    )


def test_a_folder_with_the_files_is_named(tmp_path: Path) -> None:
    (tmp_path / "OneRoster").mkdir()
    assert 'holds "OneRoster/". If' in told_of(tmp_path / "OneRoster.zip")
    (tmp_path / "OneRoster" / "Users.CSV").write_bytes(b"x")
    told = told_of(tmp_path / "OneRoster.zip")
    assert 'holds "OneRoster/" (a folder with CSV files). If' in told
    assert 'holds "OneRoster/" (a folder with CSV files). If' in told_of(tmp_path)


def test_the_nearest_three_names_come_first(tmp_path: Path) -> None:
    for name in ("a.log", "b.log", "c.log", "oneroster.zip", "OneRoster (2).zip", "Oneroster.tmp"):
        (tmp_path / name).write_bytes(b"x")
    told = told_of(tmp_path / "OneRoster.zip")
    assert 'holds "OneRoster (2).zip", "oneroster.zip", "Oneroster.tmp" and 3 more. If' in told


def test_a_folder_of_many_files_is_not_counted_to_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exports, "MOST_LOOKED_AT", 5)
    for number in range(9):
        (tmp_path / f"{number}.log").write_bytes(b"x")
    assert " and at least 2 more. If" in told_of(tmp_path / "OneRoster.zip")


def test_a_name_steers_no_terminal(tmp_path: Path) -> None:
    (tmp_path / "\x1b]0;x\x07\u202eRoster.zip").write_bytes(b"x")
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.zip")).write_bytes(b"x")
    (tmp_path / ("n" * 200 + ".zip")).write_bytes(b"x")
    told = told_of(tmp_path / "OneRoster.zip")
    assert told.isprintable()
    assert "\\x1b]0;x\\x07\\u202eRoster.zip" in told
    assert "\\xff.zip" in told
    assert "n" * 81 not in told


@pytest.mark.parametrize(
    ("folder", "told"),
    [
        ("empty", "Its folder is empty. Did the SIS write it elsewhere?"),
        ("none", "There is no folder {} either. Did the SIS write it elsewhere?"),
    ],
)
def test_a_folder_without_a_file(tmp_path: Path, folder: str, told: str) -> None:
    (tmp_path / "empty").mkdir()
    where = tmp_path / folder
    assert told_of(where / "OneRoster.zip").endswith(told.format(where))
