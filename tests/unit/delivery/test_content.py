"""The content of an export: judged by its receipts, or by validation."""

from __future__ import annotations

import datetime as dt
import os
import re
from typing import Any

import pytest
from roster_upload import __version__, config
from roster_upload.delivery import content, readiness
from roster_upload.exits import Exit, Failure
from support.delivery_host import BIG, OLD, SMALL, Host, digest_of
from support.receipts import append
from support.sftp_server import Server

# The program and the rules of a receipt are those of tonight.
VALID = {"program": __version__, "started": "2099-01-01T00:00:00Z"}


def look(host: Host) -> readiness.Check:
    file = host.folder / "maple-grove.toml"
    return content.look(config.load(file), file, host.state, dt.datetime.now(dt.UTC))


def is_open(host: Host) -> bool:
    """Return whether nothing is known of the export. It names the command that would say it."""
    found = look(host)
    assert found.is_open is ("Run roster-upload rehearse maple-grove" in found.text)
    assert not (found.is_open and found.is_ready)
    return found.is_open


@pytest.fixture
def host(host: Host) -> Host:
    host.at(Server())
    host.state.mkdir(parents=True)  # as tmpfiles does
    return host


def test_an_export_that_was_not_rehearsed_is_not_known(host: Host) -> None:
    assert is_open(host)
    assert look(host).is_ok
    assert host.run("rehearse") == Exit.OK
    assert not is_open(host)
    assert look(host).is_ready
    told = re.compile(r"this export was (\w+) \d{4}-\d\d-\d\d \d\d:\d\d UTC \(.*\d\d:\d\d JST\)")
    host.configure(time_zone="Asia/Tokyo")
    assert host.run("rehearse") == Exit.OK
    seen = told.fullmatch(look(host).text)
    assert seen
    assert seen[1] == "rehearsed"
    assert host.send() == Exit.OK
    seen = told.fullmatch(look(host).text)
    assert seen
    assert seen[1] == "sent"


def test_another_content_is_another_export(host: Host) -> None:
    assert host.run("rehearse") == Exit.OK
    written = host.export.stat()
    host.export.write_bytes(OLD[:-1] + b"y")
    os.utime(host.export, ns=(written.st_atime_ns, written.st_mtime_ns))
    assert is_open(host), "neither its size nor its time says so"


def test_a_judgement_lasts_until_something_changes(host: Host) -> None:
    assert host.run("rehearse") == Exit.OK
    assert not is_open(host)
    file = host.folder / "maple-grove.toml"
    now = file.stat().st_mtime
    os.utime(file, (now + 5, now + 5))
    assert is_open(host), "the rules may be others"
    os.utime(file, (now, now))
    host.patch.setattr(content, "__version__", "0.9.0")
    assert is_open(host), "the program may be stricter"


def test_the_vendors_reset_ends_a_judgement(host: Host) -> None:
    """Last year's export was sent. As the first one after the reset it will be held."""
    tonight = (dt.datetime.now(dt.UTC) + dt.timedelta(hours=8)).date()
    days: dict[str, Any] = {"reset_date": tonight, "reset_resume_date": tonight}
    assert host.run("rehearse") == Exit.OK
    host.configure(**days)
    file = host.folder / "maple-grove.toml"
    os.utime(file, (0, 0))
    assert is_open(host), "it was not judged as the first one after the reset"
    host.configure(**days, guard_minimum={"bytes": 100})
    os.utime(file, (0, 0))
    assert host.send() == Exit.OK
    assert look(host).is_ready
    host.configure(**{**days, "reset_resume_date": tonight + dt.timedelta(days=1)})
    os.utime(file, (0, 0))
    found = content.look(
        config.load(file), file, host.state, dt.datetime.now(dt.UTC) + dt.timedelta(days=1)
    )
    assert found.is_open


def test_another_file_at_the_vendor_ends_a_judgement(host: Host) -> None:
    host.configure(guard_removed_percent=100, guard_added_percent=0)
    assert host.send(OLD) == Exit.OK
    assert host.run("rehearse") == Exit.OK
    assert host.send(BIG) == Exit.OK
    host.export.write_bytes(OLD)
    assert is_open(host)
    assert host.run("rehearse") == Exit.OK
    assert not is_open(host)


def test_a_held_export_is_held_until_it_is_approved(host: Host) -> None:
    assert host.send(OLD) == Exit.OK
    host.export.write_bytes(SMALL)
    assert is_open(host)
    assert host.run("rehearse") == Exit.HELD
    assert look(host).code is Exit.HELD
    assert not look(host).is_ok
    approval = {"outcome": "approved", "digest": digest_of(SMALL), "message": "kim lets it through"}
    append(host.ledger, approval)
    assert look(host).is_ready
    assert "kim lets it through" in look(host).text


@pytest.mark.parametrize("outcome", ["failed", "stale", "refused"])
def test_a_run_that_ended_before_the_guard_judges_nothing(host: Host, outcome: str) -> None:
    source = {"sha256": digest_of(OLD)}
    values = {"command": "send", "outcome": outcome, "exit_code": 7, "source": source}
    append(host.ledger, VALID | values)
    assert is_open(host)


def test_a_night_without_an_export_judges_nothing(host: Host) -> None:
    """A blackout leaves a receipt without a digest. An unreadable export has none either."""
    host.run("rehearse")
    append(host.ledger, VALID | {"command": "send", "outcome": "skipped"})
    host.patch.setattr(content, "_digest", lambda *_: "")
    assert is_open(host)


def test_a_folder_is_known_by_its_package(host: Host) -> None:
    folder = host.folder / "csv"
    folder.mkdir()
    (folder / "users.csv").write_bytes(OLD)
    host.configure(format="oneroster-1.1", remote_name="OneRoster.zip", source=str(folder))
    assert look(host).code is Exit.REFUSED
    assert "Run roster-upload check maple-grove" in look(host).text
    assert content._digest(config.load(host.folder / "maple-grove.toml"), host.state)


@pytest.mark.parametrize("answer", [b"", b"[]", b"{}", b"null", b'{"code": 99, "text": ""}'])
def test_an_account_without_an_answer_is_not_ready(host: Host, answer: bytes) -> None:
    host.patch.setattr(content, "answer_as_owner", lambda *_: answer)
    assert is_open(host)


def test_without_an_account_nothing_is_read(host: Host) -> None:
    """Root's own rights would read what the feed's account may not."""
    host.state.rmdir()
    host.patch.setattr(content, "answer_as_owner", lambda *_: pytest.fail("it was read"))
    assert is_open(host)
    assert look(host).text.startswith(f"not checked: {host.state} is missing")


def test_a_check_that_takes_too_long_is_not_ready(host: Host) -> None:
    def slow(*_: object) -> bytes:
        raise Failure(Exit.LOCAL, "the answer took too long")

    host.patch.setattr(content, "answer_as_owner", slow)
    assert is_open(host)
    assert look(host).text.startswith("not checked: the answer took too long")


def test_a_ledger_that_stops_a_delivery_is_a_fault(host: Host) -> None:
    (host.state / "receipts.jsonl").mkdir()
    found = look(host)
    assert (found.code, found.is_ok) == (Exit.LOCAL, False)
    assert "receipts.jsonl cannot be read (is not a plain file)" in found.text
    assert host.run("rehearse") == Exit.LOCAL
