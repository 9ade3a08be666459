"""A look at the SIS's server tells a login without a match from one that failed."""

from __future__ import annotations

import pytest
from roster_upload.exits import Failure
from roster_upload.fetch.look import look
from roster_upload.transfer import messages
from roster_upload.transfer.info import ConnectionInfo
from support.source_server import NOW, SourceServer, feed_of, serve


def test_the_matches_are_found_without_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    server = SourceServer("a.zip")
    server.put("b.zip", when=NOW + 1)
    serve(monkeypatch, server)
    found = look(feed_of(), b"x", ConnectionInfo())
    assert [file.name for file in found.files] == ["a.zip", "b.zip"]
    assert {"open", "read"}.isdisjoint(server.requests)


def test_no_match_is_no_failure_of_the_login(monkeypatch: pytest.MonkeyPatch) -> None:
    serve(monkeypatch, SourceServer())
    found = look(feed_of(), b"x", ConnectionInfo())
    assert found.files == ()
    assert found.missing
    assert found.missing.cause == "no_match"
    serve(monkeypatch, SourceServer(refuse={"opendir": messages.PERMISSION_DENIED}))
    with pytest.raises(Failure, match="permission to list and read"):
        look(feed_of(), b"x", ConnectionInfo())
