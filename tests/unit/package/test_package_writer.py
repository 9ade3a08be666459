"""Zips: private, equal bytes for equal contents, errors of the thread."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from roster_upload.package import writer
from roster_upload.package.writer import PackageWriter, Packer
from support.packages import contents


def pack(path: Path, *parts: bytes, name: str = "users.csv") -> Path:
    """Write a zip with one member."""
    with PackageWriter(path) as out:
        out.add(name, parts, sum(map(len, parts)))
    return path


def test_only_the_owner_may_read_a_package_which_replaces_nothing(tmp_path: Path) -> None:
    path = pack(tmp_path / "a", b"x")
    assert path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(FileExistsError):
        PackageWriter(path)
    assert contents(path) == {"users.csv": b"x"}


def test_the_same_contents_give_the_same_bytes(tmp_path: Path) -> None:
    text = b"row\r\n" * 1000
    whole, pieces = pack(tmp_path / "a", text), pack(tmp_path / "b", text[:7], b"", text[7:])
    assert whole.read_bytes() == pieces.read_bytes()
    assert contents(whole) == {"users.csv": text}


def test_many_parts_are_compressed_in_their_order(tmp_path: Path) -> None:
    parts = [f"{number}\r\n".encode() for number in range(10 * writer.PARTS_AHEAD)]
    assert contents(pack(tmp_path / "a", *parts)) == {"users.csv": b"".join(parts)}


def test_duplicate_names_are_kept(tmp_path: Path) -> None:
    with PackageWriter(tmp_path / "a") as out:
        out.add("users.csv", [b"1"], 1)
        out.add("users.csv", [b"2"], 1)
    with zipfile.ZipFile(tmp_path / "a") as archive:
        assert [archive.read(info) for info in archive.infolist()] == [b"1", b"2"]


def test_an_error_of_the_parts_is_raised(tmp_path: Path) -> None:
    def parts() -> Iterator[bytes]:
        yield b"x"
        raise UnicodeError

    with pytest.raises(UnicodeError), PackageWriter(tmp_path / "a") as out:
        out.add("users.csv", parts(), 1)


class Full:
    """A member on a full disk."""

    def write(self, part: bytes) -> None:
        raise OSError(28, "No space left on device")


def test_an_error_of_the_thread_is_raised_where_the_parts_come_from() -> None:
    with pytest.raises(OSError, match="No space left"), Packer(Full()) as out:
        out.put(b"x")


def test_parts_after_an_error_of_the_thread_are_refused() -> None:
    def put_all() -> None:
        with Packer(Full()) as out:
            for _ in range(100 * writer.PARTS_AHEAD):
                out.put(b"x")

    with pytest.raises(OSError, match="No space left"):
        put_all()


def test_a_thread_that_has_died_is_no_written_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Packer, "_run", lambda _: None)
    with pytest.raises(MemoryError), Packer(Full()) as out:
        out.put(b"x")
