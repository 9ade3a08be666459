"""Find the export, wait until it is stable, and make one private copy of it.

All later steps read the copy. So the SIS can write meanwhile without an effect.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import difflib
import fnmatch
import hashlib
import itertools
import os
import re
import shutil
import stat
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from roster_upload.config import Feed
from roster_upload.exits import Exit, Failure, SourceFailure
from roster_upload.host import share, stop
from roster_upload.host.account import user_name
from roster_upload.host.memory import most_unpacked
from roster_upload.host.patience import OF_MOUNTS, answered
from roster_upload.spec import spec
from roster_upload.terminal.printable import path_text, printable

COPIED_AT_ONCE = 1 << 20
# Names in the export's folder, if the export is missing.
NAMED, LONGEST_NAME, MOST_LOOKED_AT = 3, 80, 1_000
LATEST_SECONDS = int(dt.datetime(9998, 1, 1, tzinfo=dt.UTC).timestamp())
ZIP_EPOCH = (1980, 1, 1, 0, 0, 0)
# For each file: name, inode, size in bytes, times of modification and inode change (ns).
State = tuple[tuple[str, int, int, int, int], ...]


@dataclass(frozen=True)
class Export:
    """An export in its place: a file, or a folder of CSV files."""

    path: Path
    files: tuple[Path, ...]
    is_mounted: bool = False  # from a file server, which may not answer

    @property
    def is_folder(self) -> bool:
        """Return whether it is a folder, which has to be packed."""
        return self.files != (self.path,)

    def written(self) -> tuple[int, dt.datetime]:
        """Return its size in bytes, and the time of its oldest file. Raise Failure."""
        try:
            state = _state(self)
        except OSError as error:
            raise _unreadable(self.path, error) from None
        oldest = min(written for *_, written, _ in state)
        size = sum(size for _, _, size, _, _ in state)
        return size, _moment(oldest)


@dataclass(frozen=True)
class Snapshot:
    """A private copy of an export: its path, size, digest and time."""

    path: Path
    bytes: int
    sha256: str
    modified: dt.datetime  # of its oldest file


def _moment(nanoseconds: int) -> dt.datetime:
    """Return the time of a file, limited to the years of the calendar."""
    seconds = min(max(nanoseconds // 10**9, 0), LATEST_SECONDS)
    return dt.datetime.fromtimestamp(seconds, dt.UTC)


def find(wanted: Path, *, is_opaque: bool = False) -> Export:
    """Return the export at a path, or the newest match if its last part is a pattern.

    An opaque export is a file. Others may be folders of CSV files. Raise Failure.
    """
    source = wanted
    try:
        if set("*?[") & set(source.name):
            # Path.glob would hide that a folder is unreadable.
            found = source.parent.iterdir()
            matches = [path for path in found if is_match(path.name, source.name)]
            if not matches:
                raise FileNotFoundError  # noqa: TRY301 - as for a file
            source = max(matches, key=_written)
        mode = source.stat().st_mode
        if stat.S_ISREG(mode):
            return Export(source, (source,))
        if stat.S_ISDIR(mode) and not is_opaque:
            files = [p for p in source.iterdir() if p.suffix.lower() == ".csv" and _is_file(p)]
            if not files:
                holds = _instead(source, "*.csv", "It")
                raise Failure(Exit.SOURCE, f"there is no CSV file in {path_text(source)}. {holds}")
            return Export(source, tuple(sorted(files)))
    except FileNotFoundError:
        raise SourceFailure(
            f"there is no export at {path_text(wanted)}. {_instead(wanted.parent, wanted.name)}",
            "no_match",
        ) from None
    except OSError as error:
        raise _unreadable(source, error) from None
    raise Failure(Exit.SOURCE, f"{path_text(source)} is not a file")  # a pipe would block for ever


def path_of(feed: Feed) -> Path:
    """Return the path of a feed's export. Raise Failure for one that has to be fetched."""
    if isinstance(feed.source, Path):
        return feed.source
    raise Failure(
        Exit.SOURCE,
        f"the export is fetched from {feed.origin}. Run roster-upload rehearse {feed.feed}, "
        "which fetches it",
    )


def is_match(name: str, pattern: str) -> bool:
    """Return whether a name matches a pattern. As in a shell, `*` does not match hidden files."""
    is_hidden = name.startswith(".") and not pattern.startswith(".")
    return not is_hidden and fnmatch.fnmatchcase(name, pattern)


def _instead(folder: Path, wanted: str, subject: str = "Its folder") -> str:
    """Return what a folder holds instead of the wanted name, the nearest three names first."""
    try:
        with os.scandir(folder) as entries:
            found = {one.name: one.is_dir() for one in itertools.islice(entries, MOST_LOOKED_AT)}
    except FileNotFoundError:
        return f"There is no folder {path_text(folder)} either. Did the SIS write it elsewhere?"
    except OSError:
        return "Did the SIS write it elsewhere?"
    if not found:
        return f"{subject} is empty. Did the SIS write it elsewhere?"
    key = _plain(wanted)
    nearest = sorted(
        found,
        key=lambda name: (-difflib.SequenceMatcher(None, key, _plain(name)).ratio(), name),
    )
    shown = ", ".join(_quoted(folder / name, is_folder=found[name]) for name in nearest[:NAMED])
    least = "at least " if len(found) == MOST_LOOKED_AT else ""
    more = f" and {least}{len(found) - NAMED:,} more" if len(found) > NAMED else ""
    return (
        f"{subject} holds {shown}{more}. If one of them is the export, correct its name or the "
        "path of the source"
    )


def _quoted(path: Path, *, is_folder: bool) -> str:
    """Return the name of a file or a folder in quotes, so that blanks at its end are seen."""
    name = f'"{printable(os.fsencode(path.name), LONGEST_NAME)}{"/" if is_folder else ""}"'
    with contextlib.suppress(OSError):
        if is_folder and any(inner.suffix.lower() == ".csv" for inner in path.iterdir()):
            return f"{name} (a folder with CSV files)"
        if not path.exists():
            return f"{name} (a link that leads nowhere)"
    return name


def _plain(name: str) -> str:
    """Return a name without its case, numbers in brackets and blanks."""
    return re.sub(r"\(\d+\)|\s", "", name.casefold())


def _written(path: Path) -> tuple[int, str]:
    """Return the time of a file (ns) and its name. A missing file sorts first."""
    try:
        return path.stat().st_mtime_ns, path.name
    except FileNotFoundError:
        return -1, path.name


def _is_file(path: Path) -> bool:
    return stat.S_ISREG(path.lstat().st_mode)


def _unreadable(path: Path, error: OSError) -> SourceFailure:
    if error.errno in OF_MOUNTS:
        return SourceFailure(
            f"{path_text(path)} cannot be read ({error.strerror}). Its file server does not "
            "answer. Look at the file server and the way to it",
            "file_server",
        )
    return SourceFailure(
        f"{path_text(path)} cannot be read ({error.strerror}). Let the user {user_name()} read it",
        "permission",
    )


def _state(export: Export) -> State:
    found = []
    for path in export.files:
        seen = path.stat()
        found.append((path.name, seen.st_ino, seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns))
    return tuple(found)


def _state_of(export: Export) -> State:
    """Return the present state of an export. Raise OSError."""
    return answered(lambda: _state(export)) if export.is_mounted else _state(export)


def _look(feed: Feed) -> tuple[Export, State]:
    """Return a feed's export and its present state. Raise Failure."""
    path, is_mounted = path_of(feed), bool(feed.source_origin)

    def look() -> tuple[Export, State]:
        export = find(path, is_opaque=feed.is_opaque)
        export = replace(export, is_mounted=True) if is_mounted else export
        try:
            return export, _state(export)
        except FileNotFoundError:  # it was removed meanwhile
            return export, ()
        except OSError as error:
            raise _unreadable(export.path, error) from None

    try:
        return answered(look) if is_mounted else look()
    except TimeoutError as error:
        failure = _unreadable(path, error)
    except SourceFailure as missing:
        failure = missing
    if is_mounted:
        said = share.explained(feed.feed, feed.source_origin, failure.message, failure.cause)
        raise SourceFailure(said.text, said.cause) from None
    raise failure


def wait_until_stable(feed: Feed, left_seconds: float, log: Callable[[str], None]) -> Export:
    """Return the export once it has been quiet for `quiet_seconds`. Raise Failure.

    Wait for `settle_minutes` or `left_seconds`, whichever is less. A file is quiet if its inode
    has not changed for that time, by the host's clock. After a change during the wait only the
    program's own checks count: a removal leaves no time, and a file server has its own clock.
    """
    limit = min(feed.settle_minutes * 60, left_seconds)
    end = time.monotonic() + limit
    seen: State = ()
    since, has_logged = 0.0, False
    while True:
        export, state = _look(feed)
        now = time.monotonic()
        if state != seen:
            age = 0 if seen else time.time() - max(changed for *_, changed in state) / 1e9
            seen, since = state, now - max(age, 0)
        if state and now - since >= feed.quiet_seconds:
            return export
        if now >= end:
            raise Failure(
                Exit.GROWING,
                f"{path_text(export.path)} was still being written after {limit / 60:.0f} min. It "
                f"has to be quiet for {feed.quiet_seconds} s. Let the SIS export earlier",
            )
        if not has_logged:
            log(f"waiting until {path_text(export.path)} has been quiet for {feed.quiet_seconds} s")
        has_logged = True
        time.sleep(min(1.0, max(feed.quiet_seconds - (now - since), 0.05), end - now))


@contextlib.contextmanager
def snapshot(export: Export, maximum_bytes: int) -> Iterator[Snapshot]:
    """Yield a private copy of the export, hashed while it is made. Remove it after the block.

    A folder becomes a zip that depends only on the names and contents of its files. An export that
    is too large, or does not fit on the disk, is not copied. Raise Failure.
    """
    with workplace() as folder:
        copy = folder / "export"
        try:
            before = _state_of(export)
            sizes = [size for _, _, size, _, _ in before]
            _refusetoo_large(export, sizes, maximum_bytes, folder)
            made = Hashing(copy, maximum_bytes)
            with contextlib.closing(made):
                (_pack if export.is_folder else _copy)(export, sizes, made)
            digest, size = made.digest.hexdigest(), made.size
            after = _state_of(export)
        except FileNotFoundError:
            before, after = (), ((export.path.name, 0, 0, 0, 0),)
        except OSError as error:
            raise _unreadable(export.path, error) from None
        if before != after or (not export.is_folder and size != before[0][2]):
            raise Failure(
                Exit.GROWING,
                f"{path_text(export.path)} changed while it was read. The SIS is still writing it",
            )
        oldest = min(written for *_, written, _ in before)
        yield Snapshot(copy, size, digest, _moment(oldest))


@contextlib.contextmanager
def workplace() -> Iterator[Path]:
    """Yield a private folder for copies. Remove it after the block. Raise Failure."""
    try:
        folder = tempfile.TemporaryDirectory(prefix="roster-upload-")
    except OSError as error:
        raise Failure(Exit.LOCAL, f"no folder for a private copy: {error.strerror}") from None
    try:
        yield Path(folder.name)
    finally:
        with stop.deferred():  # a second signal must not leave private files
            folder.cleanup()


class Hashing:
    """A new private file, hashed as it is written."""

    def __init__(self, path: Path, maximum_bytes: int) -> None:
        self._path, self._most = path, maximum_bytes
        self.digest = hashlib.sha256()
        self.size = 0
        try:
            opened = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except OSError as error:
            raise self._no_room(error) from None
        self._out = os.fdopen(opened, "wb", buffering=0)

    def write(self, data: Any) -> int:
        """Write all data. Raise Failure."""
        view = memoryview(data)
        self.digest.update(view)
        self.size += len(view)
        if self.size > self._most:
            raise too_large("the export", self.size, self._most)
        try:
            done = 0
            while done < len(view):
                done += self._out.write(view[done:]) or 0
        except OSError as error:
            raise self._no_room(error) from None
        return len(view)

    def flush(self) -> None:
        """Do nothing: the file has no buffer."""

    def close(self) -> None:
        """Close the file."""
        self._out.close()

    def _no_room(self, error: OSError) -> Failure:
        where = self._path.parent.parent
        return Failure(Exit.LOCAL, f"no room for a private copy in {where}: {error.strerror}")


def _refusetoo_large(
    export: Export, sizes: Sequence[int], maximum_bytes: int, folder: Path
) -> None:
    """Raise Failure for an export that is too large. A sparse terabyte takes no disk space."""
    total = sum(sizes)
    most = most_unpacked() if export.is_folder else maximum_bytes
    if len(sizes) > spec("limits")["members"]:
        raise Failure(
            Exit.REFUSED,
            f"{path_text(export.path)} has {len(sizes):,} CSV files. No roster has so many",
        )
    if total > most:
        raise too_large(path_text(export.path), total, most)
    require_room(export, total, folder.parent)


def require_room(export: Export, size: int, folder: Path) -> int:
    """Return the free bytes of a folder's disk. Raise Failure if no copy of the export fits.

    A folder of CSV files is compressed, so it may fit as long as there is any room.
    """
    return require_free(min(size, 1) if export.is_folder else size, folder)


def require_free(needed: int, folder: Path) -> int:
    """Return the free bytes of a folder's disk. Raise Failure if they are too few."""
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise Failure(
            Exit.LOCAL,
            f"no room for a private copy in {folder}: {needed:,} bytes are needed, {free:,} are "
            "free",
        )
    return free


def too_large(what: str, size: int, most: int) -> Failure:
    """Return the failure of an export beyond `maximum_bytes`."""
    return Failure(
        Exit.REFUSED,
        f"{what} has {size:,} bytes or more. The limit is {most:,}, so nothing was sent. Check the "
        "SIS's export",
    )


def _copy(export: Export, sizes: Sequence[int], out: Hashing) -> None:
    """Copy a file."""
    with _opened(export, export.path) as source:
        _pour(source, out, sizes[0])


def _pack(export: Export, sizes: Sequence[int], out: Hashing) -> None:
    """Pack a folder's files."""
    with zipfile.ZipFile(out, "w") as package:
        for path, size in zip(export.files, sizes, strict=True):
            info = zipfile.ZipInfo(_member(path), ZIP_EPOCH)
            info.compress_type = zipfile.ZIP_DEFLATED
            info.external_attr = 0o644 << 16
            with (
                _opened(export, path) as source,
                package.open(info, "w", force_zip64=True) as entry,
            ):
                _pour(source, entry, size)


@contextlib.contextmanager
def _opened(export: Export, path: Path) -> Iterator[Callable[[int], bytes]]:
    """Yield a function that reads the next bytes of a file. Raise OSError.

    Without a buffer, whose lock a thread that waits for a file server would keep.
    """
    opened = answered(lambda: path.open("rb", buffering=0)) if export.is_mounted else None
    with opened or path.open("rb", buffering=0) as file:
        if export.is_mounted:
            yield lambda count: answered(lambda: file.read(count)) or b""
        else:
            yield lambda count: file.read(count) or b""


def _member(path: Path) -> str:
    """Return a file's name in the package. A name that is not UTF-8 is read as Latin-1."""
    name = os.fsencode(path.name)
    try:
        return name.decode()
    except UnicodeDecodeError:
        return name.decode("latin-1")


def _pour(read: Callable[[int], bytes], out: Any, size: int) -> None:
    """Copy `size` bytes of a file, and one more if it has grown, which the caller detects."""
    left = size + 1
    while block := read(min(COPIED_AT_ONCE, left)):
        out.write(block)
        left -= len(block)
