"""The stored packages: encrypted, few, and whole or not at all."""

from __future__ import annotations

import hashlib
import os
import resource
from collections.abc import Callable
from pathlib import Path

import pytest
from roster_upload.records.package_store import (
    BLOCK_BYTES,
    PREFIX_BYTES,
    TAG_BYTES,
    Damaged,
    PackageStore,
)

KEY = b"k" * 32
SEALED = BLOCK_BYTES + TAG_BYTES


def keep(tmp_path: Path, content: bytes, *, count: int = 3, key: bytes = KEY) -> PackageStore:
    """Store a package. Return the store."""
    made = PackageStore(tmp_path / "packages", key, count)
    source = tmp_path / "package"
    source.write_bytes(content)
    made.add(source, hashlib.sha256(content).hexdigest())
    return made


@pytest.mark.parametrize("size", [0, 1, BLOCK_BYTES - 1, BLOCK_BYTES, 2 * BLOCK_BYTES + 17])
def test_a_package_comes_back(tmp_path: Path, size: int) -> None:
    content = b"plain text " * (size // 11) + b"x" * (size % 11)
    made = keep(tmp_path, content)
    [entry] = made.entries()
    assert entry.path.stat().st_mode & 0o777 == 0o600
    assert b"plain text" not in entry.path.read_bytes()
    made.decrypt(entry, tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == content


def test_the_newest_are_kept(tmp_path: Path) -> None:
    for number in range(5):
        made = keep(tmp_path, bytes([number]))
    digests = [hashlib.sha256(bytes([number])).hexdigest() for number in (2, 3, 4)]
    assert [entry.sha256 for entry in made.entries()] == digests
    # The same again becomes the newest, once.
    made = keep(tmp_path, bytes([2]))
    assert [entry.sha256 for entry in made.entries()] == [*digests[1:], digests[0]]
    (tmp_path / "packages" / "left.new").touch()  # by a run that was killed
    assert keep(tmp_path, b"x", count=0).entries() == []
    assert list((tmp_path / "packages").iterdir()) == []


def test_where_none_is_kept_there_is_no_folder(tmp_path: Path) -> None:
    assert keep(tmp_path, b"x", count=0).entries() == []
    assert not (tmp_path / "packages").exists()


def test_a_package_is_for_the_program_alone(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        [entry] = keep(tmp_path, b"x").entries()
    finally:
        os.umask(old)
    assert entry.path.stat().st_mode & 0o777 == 0o600
    assert entry.path.parent.stat().st_mode & 0o777 == 0o700


def test_no_two_are_encrypted_alike(tmp_path: Path) -> None:
    [first] = keep(tmp_path, b"x" * 1000).entries()
    before = first.path.read_bytes()
    [second] = keep(tmp_path, b"x" * 1000).entries()
    assert second.path.read_bytes()[:PREFIX_BYTES] != before[:PREFIX_BYTES]
    assert second.path.read_bytes()[PREFIX_BYTES:] != before[PREFIX_BYTES:]


@pytest.mark.parametrize("is_kept_already", [True, False])
def test_a_full_disk_costs_no_package_and_is_not_kept_full(
    tmp_path: Path, is_kept_already: bool
) -> None:
    content = os.urandom(2 * BLOCK_BYTES)
    made = keep(tmp_path, content if is_kept_already else b"another")
    before = made.entries()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    (tmp_path / "package").write_bytes(content)
    resource.setrlimit(resource.RLIMIT_FSIZE, (BLOCK_BYTES, limits[1]))
    try:
        with pytest.raises(OSError, match="too large"):
            made.add(tmp_path / "package", hashlib.sha256(content).hexdigest())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert made.entries() == before
    assert [path.name for path in made.folder.iterdir()] == [before[0].path.name]
    made.decrypt(before[0], tmp_path / "again")


def swapped(data: bytes) -> bytes:
    """The second block before the first."""
    first = slice(PREFIX_BYTES, PREFIX_BYTES + SEALED)
    second = slice(PREFIX_BYTES + SEALED, PREFIX_BYTES + 2 * SEALED)
    return data[:PREFIX_BYTES] + data[second] + data[first] + data[second.stop :]


@pytest.mark.parametrize(
    "change",
    [
        lambda data: bytes([data[0] ^ 1]) + data[1:],
        lambda data: data[:1000] + bytes([data[1000] ^ 1]) + data[1001:],
        lambda data: data[:-1],
        lambda data: data[: PREFIX_BYTES + SEALED],
        lambda data: data[: PREFIX_BYTES + 2 * SEALED],
        lambda data: data + b"x",
        lambda data: data[:PREFIX_BYTES] + data[PREFIX_BYTES + SEALED :],
        lambda data: data[:PREFIX_BYTES],
        lambda data: b"",
        swapped,
    ],
)
def test_a_changed_package_is_damaged(tmp_path: Path, change: Callable[[bytes], bytes]) -> None:
    made = keep(tmp_path, bytes(3 * BLOCK_BYTES))
    [entry] = made.entries()
    entry.path.write_bytes(change(entry.path.read_bytes()))
    with pytest.raises(Damaged, match="cannot be decrypted"):
        made.decrypt(entry, tmp_path / "again")


def test_another_key_or_name_is_told(tmp_path: Path) -> None:
    [entry] = keep(tmp_path, b"content").entries()
    with pytest.raises(Damaged):
        PackageStore(tmp_path / "packages", b"o" * 32, 3).decrypt(entry, tmp_path / "one")
    entry.path.rename(entry.path.with_name(f"20261101T000000000000Z-{'0' * 64}.package"))
    made = PackageStore(tmp_path / "packages", KEY, 3)
    with pytest.raises(Damaged, match="does not match the digest in its name"):
        made.decrypt(made.entries()[0], tmp_path / "two")


def test_a_package_in_the_clear_is_for_the_program_alone(tmp_path: Path) -> None:
    made = keep(tmp_path, b"content")
    old = os.umask(0)
    try:
        made.decrypt(made.entries()[0], tmp_path / "again")
    finally:
        os.umask(old)
    assert (tmp_path / "again").stat().st_mode & 0o777 == 0o600
    with pytest.raises(FileExistsError):  # whoever put it there could read along
        made.decrypt(made.entries()[0], tmp_path / "again")


def test_a_package_is_on_the_disk_before_it_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []

    def fsync(descriptor: int) -> None:
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        if path.is_file():
            assert path.stat().st_size == PREFIX_BYTES + TAG_BYTES + 1, "all of it was flushed"
        synced.append(path.name[0] if path.is_file() else path.name)

    monkeypatch.setattr(os, "fsync", fsync)
    keep(tmp_path, b"x")
    assert synced == [".", "packages"], "a temporary name, then the final one"


def test_a_package_of_a_clock_ahead_does_not_stay_the_newest(tmp_path: Path) -> None:
    """Otherwise it would be the last good one until that day, and displace the others."""
    folder = tmp_path / "packages"
    folder.mkdir()
    (folder / f"20310601T071500000000Z-{'a' * 64}.package").write_bytes(b"")
    for content in (b"1", b"2", b"3"):
        made = keep(tmp_path, content)
        newest = made.entries()[-1]
        assert newest.sha256 == hashlib.sha256(content).hexdigest()
    assert len(made.entries()) == 3
    assert "a" * 64 not in [entry.sha256 for entry in made.entries()]
