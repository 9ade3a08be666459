"""A file on a server is quiet by its own changes, not by the server's clock."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import pytest
from roster_upload.exits import Exit, Failure
from roster_upload.fetch import settle
from roster_upload.fetch.folder import RemoteFile
from support.source_server import NOW, feed_of

HOUR = 3600


class Folder:
    """A folder whose newest file is another one at each look."""

    def __init__(self, files: Iterator[RemoteFile]) -> None:
        self.files = files
        self.looks = 0

    def newest(self) -> RemoteFile:
        self.looks += 1
        return next(self.files)

    def url(self, file: RemoteFile) -> str:
        return file.name


def steady(age: float, size: int = 1) -> Iterator[RemoteFile]:
    return itertools.repeat(RemoteFile("a", size, int(NOW - age)))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Return the waits. Time passes only by them."""
    waits: list[float] = []
    monkeypatch.setattr("time.monotonic", lambda: sum(waits))
    monkeypatch.setattr("time.time", lambda: NOW + sum(waits))
    monkeypatch.setattr("time.sleep", waits.append)
    return waits


def wait(files: Iterator[RemoteFile], left: float = 1e9, **changes: Any) -> RemoteFile:
    folder: Any = Folder(files)
    feed = feed_of(**{"quiet_seconds": 60, "settle_minutes": 20, **changes})
    return settle.wait_until_stable(feed, folder, left, lambda _: None)


@pytest.mark.parametrize(
    ("age", "passed"),
    [
        (0, 60),
        (5 * HOUR, 60),  # its server's clock may be wrong by a time zone
        (15 * HOUR, 60),
        (15 * HOUR + 60, 0),
        (-9 * HOUR, 60),
    ],
)
def test_a_file_is_watched_unless_it_is_old(clock: list[float], age: float, passed: float) -> None:
    wait(steady(age))
    assert sum(clock) == passed
    assert all(0 < one <= settle.LOOK_SECONDS for one in clock)


def test_a_change_begins_the_time_anew(clock: list[float]) -> None:
    growing = (RemoteFile("a", size, NOW - 20 * HOUR + size) for size in range(5))
    first = RemoteFile("a", 0, NOW)
    found = wait(itertools.chain([first], growing, steady(20 * HOUR, size=9)))
    assert found.size == 9
    assert sum(clock) == 60 + 6 * settle.LOOK_SECONDS


@pytest.mark.parametrize(
    ("left", "changes", "limit"),
    [(1e9, {}, 1200), (30, {}, 30), (1e9, {"settle_minutes": 0}, 0)],
)
def test_the_wait_is_bounded(
    clock: list[float], left: float, changes: dict[str, Any], limit: float
) -> None:
    growing = (RemoteFile("a", size, NOW) for size in itertools.count())
    with pytest.raises(Failure, match="was still being written") as failed:
        wait(growing, left, **changes)
    assert failed.value.code is Exit.GROWING
    assert sum(clock) == limit


def test_without_a_quiet_time_nothing_is_waited_for(clock: list[float]) -> None:
    assert wait(steady(0), quiet_seconds=0).size == 1
    assert clock == []
