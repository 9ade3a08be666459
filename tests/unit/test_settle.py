"""The export before it is read: found, finished, and copied as it was."""

from __future__ import annotations

import hashlib
import os
import threading
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from roster_upload import config, settle
from roster_upload.exits import Exit, Failure
from unit.test_config import GOOD


def feed(source: Path, **changes: Any) -> config.Feed:
    return config.parse({**GOOD, "source": str(source), "quiet_seconds": 1, **changes})


def wait(found: config.Feed, seconds: float = 10) -> settle.Export:
    return settle.settled(found, seconds, lambda _: None)


def test_a_growing_file_is_taken_whole(tmp_path: Path) -> None:
    source = tmp_path / "OneRoster.zip"
    source.write_bytes(b"a")

    def grow() -> None:
        for _ in range(6):
            time.sleep(0.2)
            with source.open("ab") as out:
                out.write(b"b")

    writer = threading.Thread(target=grow)
    writer.start()
    with settle.snapshot(wait(feed(source))) as copy:
        content = copy.path.read_bytes()
    writer.join()
    assert content == b"abbbbbb"
    assert (copy.bytes, copy.sha256) == (7, hashlib.sha256(content).hexdigest())
    assert not copy.path.exists()


def test_a_time_stamp_proves_no_quiet(tmp_path: Path) -> None:
    """A copy keeps the time stamp of its source, and can be unfinished all the same."""
    source = tmp_path / "OneRoster.zip"
    source.write_bytes(b"a")
    os.utime(source, (1, 1))
    start = time.monotonic()
    wait(feed(source))
    assert time.monotonic() - start > 0.8
    with pytest.raises(Failure) as failed:
        wait(feed(source, quiet_seconds=3600), seconds=0.2)
    assert failed.value.code == Exit.GROWING
    start = time.monotonic()
    wait(feed(source))  # it has been quiet for long enough now
    assert time.monotonic() - start < 0.5


def test_the_newest_match_is_found(tmp_path: Path) -> None:
    for number, name in enumerate(["b.zip", "c.zip", "a.zip", "z.txt"]):
        (tmp_path / name).write_bytes(b"x")
        os.utime(tmp_path / name, (number, number))
    assert settle.find(feed(tmp_path / "*.zip")).path.name == "a.zip"
    with pytest.raises(Failure, match="there is no export"):
        settle.find(feed(tmp_path / "*.csv"))


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
        with settle.snapshot(settle.find(feed(folder))) as copy:
            digests.append(copy.sha256)
            assert copy.modified.timestamp() == 1000  # of the oldest
            with zipfile.ZipFile(copy.path) as package:
                assert package.namelist() == ["a.csv", "b.CSV"]
                assert package.testzip() is None
    assert digests[0] == digests[1]


def missing(_folder: Path) -> None:
    pass


def a_pipe(folder: Path) -> None:
    os.mkfifo(folder / "x")


def empty_folder(folder: Path) -> None:
    (folder / "x").mkdir()


def dangling(folder: Path) -> None:
    (folder / "x").symlink_to(folder / "y")


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (missing, "there is no export"),
        (dangling, "there is no export"),
        (a_pipe, "is no file"),
        (empty_folder, "no CSV file in"),
    ],
)
def test_what_is_no_export_is_told(tmp_path: Path, make: Callable[[Path], None], told: str) -> None:
    make(tmp_path)
    with pytest.raises(Failure, match=told) as failed:
        wait(feed(tmp_path / "x"))
    assert failed.value.code == Exit.SOURCE


def test_a_folder_is_no_opaque_file(tmp_path: Path) -> None:
    with pytest.raises(Failure, match="is no file"):
        settle.find(feed(tmp_path, format="other"))


@pytest.mark.parametrize("in_folder", [True, False])
def test_a_change_while_it_is_read_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, in_folder: bool
) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"x" * 1000)
    poured = settle._pour

    def meanwhile(source: Any, out: Any) -> None:
        poured(source, out)
        with path.open("ab") as more:
            more.write(b"y")

    monkeypatch.setattr(settle, "_pour", meanwhile)
    export = settle.find(feed(tmp_path if in_folder else path))
    with pytest.raises(Failure, match="still writing") as failed, settle.snapshot(export):
        pass
    assert failed.value.code == Exit.GROWING


def test_a_copy_is_private_and_no_place_for_it_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "x.zip"
    source.write_bytes(b"x")
    with settle.snapshot(settle.find(feed(source))) as copy:
        assert copy.path.stat().st_mode & 0o777 == 0o600
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "gone"))
    with (
        pytest.raises(Failure, match="no place") as failed,
        settle.snapshot(settle.find(feed(source))),
    ):
        pass
    assert failed.value.code == Exit.LOCAL
