"""The check of a source: its login, its matches and their age."""

from __future__ import annotations

import datetime as dt

import pytest
from roster_upload import config
from roster_upload.delivery import source_check
from roster_upload.exits import Exit, Failure
from roster_upload.records.history import History
from roster_upload.records.parts import File
from roster_upload.records.receipt import Outcome, Receipt
from roster_upload.transfer import connect
from support.source_server import NOW, SourceServer, feed_of, serve
from unit.test_config import GOOD

AT = dt.datetime.fromtimestamp(NOW, dt.UTC)


def look(
    hours: float = 1, *, needs_export: bool = True, last: Receipt | None = None
) -> source_check.SourceCheck:
    now = AT + dt.timedelta(hours=hours)
    history = History.of([last] if last else [])
    return source_check.look(feed_of(), b"x", now, history, needs_export=needs_export)


def test_what_was_found_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    server = SourceServer("a.zip", "b.zip")
    serve(monkeypatch, server)
    found = look(3)
    assert server.limits == [source_check.LOOK_SECONDS]
    assert (found.matches, found.open, found.address) == (2, False, "192.0.2.7")
    assert found.newest == source_check.Newest("b.zip", 6, AT.strftime("%Y-%m-%dT%H:%M:%SZ"))
    assert "2 matches. The newest, b.zip, was written 2027-01-15 08:00 UTC, 3 h ago" in found.text
    assert "logged in to files.example by password, host key SHA256:abc" in found.text


def test_tonights_export_may_be_still_to_come(monkeypatch: pytest.MonkeyPatch) -> None:
    serve(monkeypatch, SourceServer("a.zip"))
    assert look(30).open
    assert "Tonight's export is still to come" in look(30).text
    with pytest.raises(Failure) as failed:
        look(100)
    assert failed.value.code is Exit.STALE


def test_for_a_new_secret_only_the_login_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    serve(monkeypatch, SourceServer())
    with pytest.raises(Failure, match="there is no export") as failed:
        look()
    assert failed.value.code is Exit.SOURCE
    found = look(needs_export=False)
    assert (found.matches, found.newest) == (0, None)
    serve(monkeypatch, SourceServer("a.zip"))
    assert look(1000, needs_export=False).newest


@pytest.mark.parametrize(
    ("hours", "after", "origin", "code"),
    [
        (10, "removed", feed_of().origin, Exit.OK),
        (10, "left", feed_of().origin, Exit.SOURCE),
        (10, "removed", "sftp://sis@other.example/exports/*.zip", Exit.SOURCE),
        (100, "removed", feed_of().origin, Exit.STALE),
    ],
)
def test_a_removed_export_is_not_missed_before_the_next_is_due(
    monkeypatch: pytest.MonkeyPatch, hours: float, after: str, origin: str, code: Exit
) -> None:
    serve(monkeypatch, SourceServer())
    source = File(name="a.zip", origin=origin, after=after, modified=f"{AT:%Y-%m-%dT%H:%M:%SZ}")
    last = Receipt(outcome=Outcome.SENT, command="send", source=source)
    if code is Exit.OK:
        found = look(hours, last=last)
        assert (found.open, found.matches, found.newest) == (True, 0, None)
        assert found.text.endswith("a.zip, was delivered and removed. The next is still to come")
        return
    with pytest.raises(Failure) as failed:
        look(hours, last=last)
    assert failed.value.code is code


def test_a_refusal_has_the_servers_own_code(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise Failure(Exit.LOGIN, "no")

    monkeypatch.setattr(connect, "session", refuse)
    with pytest.raises(Failure) as failed:
        look()
    assert failed.value.code is Exit.LOGIN


def test_a_path_needs_no_login() -> None:
    with pytest.raises(Failure, match="is the path") as failed:
        source_check.require_remote(config.parse(GOOD))
    assert failed.value.code is Exit.USAGE


@pytest.mark.parametrize("values", [None, {}, [], "x", {"name": "a", "bytes": 1}])
def test_json_without_a_file_has_none(values: object) -> None:
    assert source_check.Newest.parse(values) is None
