"""A delivery of a fetched export: when it is fetched, and when it is removed at its server."""

from __future__ import annotations

import datetime as dt
import os
import time
from typing import Any

import pytest
from roster_upload import config
from roster_upload.delivery import content, fetching
from roster_upload.delivery.source_check import Newest
from roster_upload.exits import Exit, Failure
from roster_upload.host.stop import Stopped
from roster_upload.transfer import messages
from support.delivery_host import BIG, OLD, SMALL, Host
from support.receipts import append
from support.sftp_server import Server
from support.source_server import FOLDER, KEYS, SourceServer, serve

HOUR = 3600
SOURCE = f"sftp://sis@files.example{FOLDER}/*.xml"
OWN = {"source": SOURCE, "source_host_keys": KEYS}


@pytest.fixture
def sis(host: Host) -> SourceServer:
    """Return the server from which the host fetches. It has an export of last night."""
    (host.folder / "credentials" / "maple-grove_source_current").write_bytes(b"hunter")
    server = SourceServer()
    put(server, OLD)
    serve(host.patch, server)
    host.configure(**OWN)
    return server


def put(server: SourceServer, data: bytes, hours: float = 20) -> None:
    server.put("a.xml", data, int(time.time() - hours * HOUR))


def removing(host: Host, **changes: Any) -> None:
    host.configure(**{**OWN, "source_after": "remove", "source": SOURCE, **changes})


def test_a_fetched_export_is_delivered_and_stays(host: Host, sis: SourceServer) -> None:
    assert host.run() == Exit.OK
    assert host.sent == [OLD]
    source = host.last["source"]
    assert (source["name"], source["origin"], source["bytes"]) == ("a.xml", SOURCE, len(OLD))
    assert source["path"] == SOURCE.replace("*", "a")
    assert host.last["seconds"]["fetch"] >= 0
    assert sis.files
    assert not (host.state / "fetched" / "export").exists()


@pytest.mark.parametrize("command", ["send", "rehearse"])
def test_only_an_accepted_delivery_removes(host: Host, sis: SourceServer, command: str) -> None:
    removing(host)
    host.at(Server())
    seen: list[int] = []

    def look(*arguments: Any, **options: Any) -> Any:
        seen.append(len(sis.files))
        return Host._deliver(host, *arguments, **options)

    host.patch.setattr("roster_upload.transfer.upload.deliver", look)
    assert host.run(command) == Exit.OK
    assert bool(sis.files) is (command == "rehearse")
    assert seen == ([1] if command == "send" else []), "it is there while it is sent"
    assert sis.limits[1:] == ([fetching.REMOVE_SECONDS] if command == "send" else [])
    assert host.last["source"].get("after") == ("removed" if command == "send" else None)
    assert (host.state / "fetched" / "export").exists() is (command == "rehearse")


@pytest.mark.parametrize(
    "end", [Failure(Exit.PERMISSION, "no"), Failure(Exit.VANISHED, "gone"), Stopped("SIGTERM")]
)
def test_a_transfer_that_fails_removes_nothing(
    host: Host, sis: SourceServer, end: BaseException
) -> None:
    removing(host)
    host.ends = [end]
    assert host.run() != Exit.OK
    assert sis.files
    assert "after" not in host.last["source"]


def test_a_held_export_stays_until_it_is_approved(host: Host, sis: SourceServer) -> None:
    removing(host)
    assert host.run() == Exit.OK
    put(sis, SMALL)
    assert host.run() == Exit.HELD
    assert sis.files
    assert (host.state / "fetched" / "export").read_bytes() == SMALL
    digest = host.last["source"]["sha256"]
    append(host.ledger, {"outcome": "approved", "digest": digest, "who": "me", "why": "so"})
    assert host.run() == Exit.OK
    assert (host.sent, sis.files) == ([OLD, SMALL], {})


def test_a_removal_that_fails_is_a_note(host: Host, sis: SourceServer) -> None:
    removing(host)
    sis.refuse["remove"] = messages.PERMISSION_DENIED
    assert host.run() == Exit.OK
    assert host.last["source"]["after"] == "left"
    assert "refused sis" in host.last["source"]["note"]
    assert "The export was left on its server" in host.message


def test_a_removal_that_breaks_is_a_note(host: Host, sis: SourceServer) -> None:
    removing(host)

    def broken(*_: Any, **__: Any) -> str:
        raise RuntimeError

    host.patch.setattr("roster_upload.fetch.remove.remove", broken)
    assert host.run() == Exit.OK
    assert host.last["source"]["note"] == "the run ended before its removal"


def test_a_second_start_needs_no_source(host: Host, sis: SourceServer) -> None:
    removing(host, opens=-30, closes=30)
    assert host.run() == Exit.OK
    assert host.run() == Exit.OK
    assert "already has tonight's delivery" in host.message
    assert host.outcomes == ["sent"]
    put(sis, BIG)
    assert host.run() == Exit.OK
    assert host.sent == [OLD, BIG], "a corrected export is sent within the window"


def test_an_older_match_that_is_left_is_not_sent_after_the_newer_one(
    host: Host, sis: SourceServer
) -> None:
    removing(host, opens=-30, closes=30)
    sis.put("b.xml", BIG, int(time.time() - HOUR))
    assert host.run() == Exit.OK
    assert host.run() == Exit.OK
    assert "a.xml is older" in host.message
    assert (host.sent, host.outcomes) == ([BIG], ["sent"])
    put(sis, SMALL, 0.5)
    assert host.run() != Exit.STALE, "a newer one is judged as any other"


def test_the_next_night_an_older_match_is_stale(host: Host, sis: SourceServer) -> None:
    removing(host)
    sis.put("b.xml", BIG, int(time.time() - HOUR))
    assert [host.run(), host.run()] == [Exit.OK, Exit.STALE]
    assert (host.sent, host.outcomes) == ([BIG], ["sent", "stale"])
    assert "that was delivered" in host.message
    host.at(Server())
    assert host.run("rehearse") == Exit.OK, "tonight's is still to come"
    removing(host, source=SOURCE.replace("*", "a"))
    assert host.run() == Exit.OK, "somebody asks for this very file"


def test_outside_the_window_a_missing_export_is_a_failure(host: Host, sis: SourceServer) -> None:
    removing(host)
    assert [host.run(), host.run()] == [Exit.OK, Exit.SOURCE]
    assert (host.last["outcome"], host.last["source"]["cause"]) == ("failed", "no_match")


@pytest.mark.parametrize("command", ["send", "rehearse"])
@pytest.mark.parametrize("hours", [40, -2])
def test_age_is_judged_by_the_servers_time(
    host: Host, sis: SourceServer, command: str, hours: float
) -> None:
    put(sis, OLD, hours)
    assert host.run(command) == Exit.STALE
    assert "read" not in sis.requests


@pytest.mark.parametrize(
    ("faults", "attempts", "code"),
    [
        ({"cut": ("read", 1)}, 2, Exit.OK),
        ({"refuse": {"opendir": messages.PERMISSION_DENIED}}, 1, Exit.SOURCE),
    ],
)
def test_temporary_failures_are_tried_again(
    host: Host, sis: SourceServer, faults: dict[str, Any], attempts: int, code: Exit
) -> None:
    host.configure(**{**OWN, "attempts": 2, "retry_seconds": 30})
    vars(sis).update(faults)
    assert host.run() == code
    assert host.waits == [30.0] * (attempts - 1)


def test_no_retry_waits_beyond_the_deadline(host: Host, sis: SourceServer) -> None:
    host.configure(opens=-30, closes=4, **OWN, attempts=2, retry_seconds=500)
    sis.cut = ("read", 1)
    assert (host.run(), host.waits) == (Exit.SOURCE, [])


@pytest.mark.parametrize("code", [Exit.LOGIN, Exit.HOST_KEY, Exit.SECOND_FACTOR])
def test_a_login_is_never_tried_again(host: Host, sis: SourceServer, code: Exit) -> None:
    host.configure(**{**OWN, "attempts": 5})
    tries: list[bytes] = []

    def refuse(_account: object, secret: bytes, *_: Any, **__: Any) -> Any:
        tries.append(secret)
        raise Failure(code, "no")

    host.patch.setattr("roster_upload.transfer.connect.session", refuse)
    assert host.run() == Exit.SOURCE
    assert tries == [b"hunter"]
    assert host.last["source"]["cause"] == code.name.lower()


def test_the_time_left_bounds_everything(host: Host, sis: SourceServer) -> None:
    limits: list[float] = []
    host.configure(opens=-30, closes=5, **OWN)

    def session(*_: Any, limit: float, **__: Any) -> Any:
        limits.append(limit)
        raise Failure(Exit.SILENT, "slow")

    host.patch.setattr("roster_upload.transfer.connect.session", session)
    assert host.run() == Exit.SOURCE
    assert 0 < limits[0] <= 5 * 60 - 120
    assert limits[0] > 60


def test_a_delivered_export_that_is_gone_is_an_open_check(host: Host, sis: SourceServer) -> None:
    assert host.run() == Exit.OK
    file, state = host.folder / "maple-grove.toml", host.state
    source = host.last["source"]
    newest = Newest(source["name"], source["bytes"], source["modified"])
    later = time.time() + 9
    os.utime(file, (later, later))  # the configuration has changed since
    found = content.of_export(config.load(file), file, host.ledger, dt.datetime.now(dt.UTC), newest)
    assert (found.is_ok, found.is_open) == (True, True), found.text
    assert not (state / "fetched" / "export").exists()


def test_a_former_sources_export_does_not_stay_on_the_host(host: Host, sis: SourceServer) -> None:
    host.at(Server())
    assert host.run("rehearse") == Exit.OK
    assert (host.state / "fetched" / "export").exists()
    host.configure()
    assert host.run("rehearse") == Exit.OK
    assert not (host.state / "fetched" / "export").exists()


def test_its_own_secret_is_needed(host: Host, sis: SourceServer) -> None:
    (host.folder / "credentials" / "maple-grove_source_current").unlink()
    assert host.run() == Exit.CREDENTIAL
    assert "maple-grove_source_current" in host.message


def test_nothing_is_removed_for_a_path(host: Host) -> None:
    assert host.run() == Exit.OK
    assert not (host.state / "fetched").exists()
    assert host.made.job
    fetching.tidy(host.made.job)
    assert "origin" not in host.last["source"]
