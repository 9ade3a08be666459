"""A mounted export: a file server that fails or hangs is a missing export with its cause."""

from __future__ import annotations

import errno
import functools
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from roster_upload import config
from roster_upload import export as exports
from roster_upload.exits import Exit, Failure
from roster_upload.host.patience import OF_MOUNTS, answered
from support import waiting
from unit.test_config import GOOD

ORIGIN = "smb://files/exports/*.zip"
ERRORS = sorted(OF_MOUNTS)


@pytest.fixture
def feed(tmp_path: Path) -> config.Feed:
    """Return a feed with a good export on a mount."""
    (tmp_path / "a.zip").write_bytes(b"x" * 10)
    (tmp_path / ".b.zip").write_bytes(b"a part")
    source = {"source": str(tmp_path / "*.zip"), "source_origin": ORIGIN, "quiet_seconds": 0}
    return config.parse({**GOOD, **source})


def take(feed: config.Feed) -> bytes:
    export = exports.wait_until_stable(feed, 60, lambda _: None)
    with exports.snapshot(export, 1000) as copy:
        return copy.path.read_bytes()


def failing(code: int) -> Callable[..., Any]:
    def fail(*_: Any, **__: Any) -> Any:
        raise OSError(code, os.strerror(code))

    return fail


def test_a_mounted_export_is_taken(feed: config.Feed) -> None:
    assert take(feed) == b"x" * 10


@pytest.mark.parametrize("code", ERRORS, ids=errno.errorcode.get)
@pytest.mark.parametrize("call", ["iterdir", "stat", "open"])
def test_a_file_server_that_fails_is_named(
    feed: config.Feed, monkeypatch: pytest.MonkeyPatch, call: str, code: int
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(Path, call, failing(code))
        with pytest.raises(Failure) as failed:
            take(feed)
    assert (failed.value.code, failed.value.cause) == (Exit.SOURCE, "file_server")
    assert os.strerror(code) in failed.value.message
    assert "Let the user" not in failed.value.message
    assert (ORIGIN in failed.value.message) is (call != "open")


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Wait only a moment for a file server. The gate ends its hanging threads."""
    event = threading.Event()
    monkeypatch.setattr(exports, "answered", functools.partial(answered, seconds=0.02))
    yield event
    event.set()


@pytest.mark.parametrize("call", ["iterdir", "stat", "open"])
def test_a_file_server_that_hangs_is_no_end_of_the_night(
    feed: config.Feed, monkeypatch: pytest.MonkeyPatch, gate: threading.Event, call: str
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(Path, call, lambda *_, **__: gate.wait(waiting.HANG_SECONDS))
        with pytest.raises(Failure) as failed:
            take(feed)
    assert (failed.value.code, failed.value.cause) == (Exit.SOURCE, "file_server")
    assert "no answer within 0.02 s" in failed.value.message


def test_a_reading_that_hangs_ends(
    feed: config.Feed, monkeypatch: pytest.MonkeyPatch, gate: threading.Event
) -> None:
    opened = Path.open

    class Hanging:
        def __init__(self, file: Any) -> None:
            self.file = file

        def __enter__(self) -> Hanging:
            return self

        def __exit__(self, *_: object) -> None:
            self.file.close()

        def read(self, _count: int) -> bytes:
            gate.wait(waiting.HANG_SECONDS)
            return b""

    monkeypatch.setattr(Path, "open", lambda *a, **o: Hanging(opened(*a, **o)))
    with pytest.raises(Failure) as failed:
        take(feed)
    assert failed.value.cause == "file_server"


def test_a_missing_export_of_a_mount_names_it(feed: config.Feed, tmp_path: Path) -> None:
    (tmp_path / "a.zip").unlink()
    with pytest.raises(Failure) as failed:
        take(feed)
    assert (failed.value.code, failed.value.cause) == (Exit.SOURCE, "no_match")
    assert f"It is mounted from {ORIGIN}" in failed.value.message
