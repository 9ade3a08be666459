"""A fetched export is the listed file, or none."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest
from roster_upload.exits import Exit, Failure
from roster_upload.export import Snapshot
from roster_upload.fetch import fetch as fetching
from roster_upload.transfer import messages
from roster_upload.transfer.info import ConnectionInfo
from support.source_server import FOLDER, NOW, SourceServer, feed_of, serve

WATCHER = fetching.Watcher(lambda *_: None, lambda _: None, lambda *_: None)


def fetch(
    monkeypatch: pytest.MonkeyPatch, folder: Path, server: SourceServer, **changes: Any
) -> Snapshot:
    serve(monkeypatch, server)
    feed = feed_of(**{"quiet_seconds": 0, **changes})
    return fetching.fetch(feed, b"x", folder / "copy", ConnectionInfo(), WATCHER)


def test_a_copy_is_private_and_hashed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    data = b"roster" * 20_000
    server = SourceServer()
    server.put("a.zip", data)
    (tmp_path / "copy").write_bytes(b"of an earlier attempt")
    copy = fetch(monkeypatch, tmp_path, server, maximum_bytes=len(data))
    assert copy.path.read_bytes() == data
    assert copy.path.stat().st_mode & 0o777 == 0o600
    assert (copy.bytes, copy.sha256) == (len(data), hashlib.sha256(data).hexdigest())
    assert copy.modified.timestamp() == NOW


def test_a_file_that_was_another_one_right_before_is_no_export(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    server = SourceServer("a.zip")
    server.before_read = lambda: server.put("a.zip")
    watcher = fetching.Watcher(
        lambda *_: server.put("a.zip", when=NOW - 9), WATCHER.log, WATCHER.progress
    )
    serve(monkeypatch, server)
    with pytest.raises(Failure, match="changed while it was read"):
        fetching.fetch(feed_of(quiet_seconds=0), b"x", tmp_path / "copy", ConnectionInfo(), watcher)


@pytest.mark.parametrize("change", ["size", "time", "gone", "folder"])
def test_a_file_that_changes_is_no_export(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, change: str
) -> None:
    server = SourceServer("a.zip")

    def spoil() -> None:
        if change == "gone":
            server.files.clear()
        elif change == "folder":
            server.modes[f"{FOLDER}/a.zip"] = 0o040755
        else:
            data = b"rosters" if change == "size" else b"ROSTER"
            server.put("a.zip", data, NOW + (change == "time"))

    server.before_read = spoil
    with pytest.raises(Failure, match="changed while it was read") as failed:
        fetch(monkeypatch, tmp_path, server)
    assert failed.value.code is Exit.GROWING
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_sends_more_than_it_lists_is_cut_off(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    server = SourceServer("a.zip", is_endless=True)
    with pytest.raises(Failure, match="changed while it was read"):
        fetch(monkeypatch, tmp_path, server)
    assert server.requests.count("read") == 1


def test_a_server_without_sizes_is_bounded_by_the_limit(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    server = SourceServer("a.zip", is_endless=True)
    monkeypatch.setattr(
        server, "_attributes", lambda _path: b"\0\0\0\x08" + NOW.to_bytes(4) + NOW.to_bytes(4)
    )
    with pytest.raises(Failure) as failed:
        fetch(monkeypatch, tmp_path, server, maximum_bytes=100_000)
    assert failed.value.code is Exit.REFUSED
    server.is_endless = False
    assert fetch(monkeypatch, tmp_path, server).bytes == 6


def test_a_file_without_a_time_is_no_export(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with pytest.raises(Failure, match="does not report when") as failed:
        fetch(monkeypatch, tmp_path, SourceServer("a.zip", hides=("stat",)), source_after="keep")
    assert failed.value.cause == "no_time"


def test_what_is_refused_before_costs_no_read(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    server = SourceServer("a.zip")
    with pytest.raises(Failure) as failed:
        fetch(monkeypatch, tmp_path, server, maximum_bytes=5)
    assert failed.value.code is Exit.REFUSED
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("", (), {"free": 5}))
    with pytest.raises(Failure, match="no room") as failed:
        fetch(monkeypatch, tmp_path, server)
    assert failed.value.code is Exit.LOCAL
    assert "read" not in server.requests


@pytest.mark.parametrize(
    ("faults", "cause"),
    [
        ({"refuse": {"open": messages.PERMISSION_DENIED}}, "permission"),
        ({"refuse": {"read": messages.FAILURE}}, "transfer"),
        ({"refuse": {"opendir": messages.PERMISSION_DENIED}}, "permission"),
        ({"cut": ("read", 1)}, "vanished"),
        ({"adds": b"x" * 40_000}, "transfer"),
    ],
)
def test_a_server_that_fails_is_a_missing_export(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, faults: dict[str, Any], cause: str
) -> None:
    with pytest.raises(Failure) as failed:
        fetch(monkeypatch, tmp_path, SourceServer("a.zip", **faults))
    assert (failed.value.code, failed.value.cause) == (Exit.SOURCE, cause)
    assert failed.value.message.startswith("there is no export from sftp://sis@files.example/")
