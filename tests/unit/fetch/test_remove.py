"""Exactly the delivered file is removed, and no failure of that is raised."""

from __future__ import annotations

from typing import Any

import pytest
from roster_upload.fetch.folder import RemoteFile
from roster_upload.fetch.remove import remove
from roster_upload.transfer import messages
from roster_upload.transfer.info import ConnectionInfo
from support.source_server import NOW, SourceServer, feed_of, serve

FILE = RemoteFile("a.zip", 6, NOW)


def left(monkeypatch: pytest.MonkeyPatch, server: SourceServer) -> str:
    serve(monkeypatch, server)
    return remove(feed_of(), b"x", FILE, ConnectionInfo(), limit=9)


def test_the_delivered_file_is_removed(monkeypatch: pytest.MonkeyPatch) -> None:
    server = SourceServer("a.zip", "b.zip")
    assert left(monkeypatch, server) == ""
    assert server.limits == [9]
    assert [path.rpartition("/")[2] for path in server.files] == ["b.zip"]
    assert "was gone already" in left(monkeypatch, server)


@pytest.mark.parametrize("changes", [{"data": b"ROSTERS"}, {"when": NOW + 1}, {"when": NOW - 1}])
def test_another_file_stays(monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any]) -> None:
    server = SourceServer()
    server.put("a.zip", **changes)
    assert "has changed since it was fetched" in left(monkeypatch, server)
    assert "remove" not in server.requests


@pytest.mark.parametrize(
    "faults",
    [
        {"refuse": {"remove": messages.PERMISSION_DENIED}},
        {"refuse": {"stat": messages.FAILURE, "opendir": messages.FAILURE}},
        {"cut": ("remove", 1)},
    ],
)
def test_a_failure_is_a_reason(monkeypatch: pytest.MonkeyPatch, faults: dict[str, Any]) -> None:
    server = SourceServer("a.zip", **faults)
    assert "sftp://sis@files.example" in left(monkeypatch, server)
    assert server.files
