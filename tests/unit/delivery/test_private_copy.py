"""The private copy: fresh exports, and packages that are sent again."""

from __future__ import annotations

import datetime as dt
import os

import pytest
from roster_upload.delivery import pipeline
from roster_upload.exits import Exit
from support.delivery_host import BIG, OLD, SMALL, Host, digest_of
from support.sftp_server import Server


@pytest.mark.parametrize(
    ("command", "late", "code"),
    [
        ("send", 0, Exit.OK),
        ("send", 1, Exit.STALE),
        ("rehearse", 1, Exit.OK),  # tonight's is still to come
    ],
)
def test_an_export_is_stale_from_its_limit_on(
    host: Host, command: str, late: int, code: Exit
) -> None:
    host.at(Server())
    host.configure(maximum_age_hours=5)
    started = dt.datetime.now(dt.UTC).replace(microsecond=0)
    os.utime(host.export, (started.timestamp() - 5 * 3600 - late,) * 2)
    made = pipeline.Delivery("maple-grove", host.folder / "maple-grove.toml", host.state, command)
    made.started = started
    assert made.execute()[0] == code
    if code is Exit.STALE:
        assert "5 h ago. The limit is 5 h" in host.last["message"]
        assert (host.sent, host.outcomes) == ([], ["stale"])


def test_nights_without_a_change_are_counted(host: Host) -> None:
    host.configure(unchanged_nights=3, maximum_age_hours=1000)
    found = []
    for number, content in enumerate((OLD, OLD, OLD, BIG, BIG)):
        host.export.write_bytes(content)
        assert host.run(hours=24 * number) == Exit.OK
        found.append(host.last["unchanged_nights"])
    assert found == [0, 1, 2, 0, 1]
    assert host.last["unchanged_limit"] == 3
    host.run("resend", digest_of(BIG)[:16])
    assert "unchanged_nights" not in host.last


def test_a_package_comes_back(host: Host) -> None:
    assert host.run("resend") == Exit.SOURCE
    assert "no earlier accepted package is stored" in host.message
    host.send(OLD)
    host.configure(guard_removed_percent=100)
    host.send(SMALL)
    host.configure(guard_added_percent=0, maximum_age_hours=1)
    host.export.unlink()
    assert host.run("resend", hours=9) == Exit.OK, "neither the guard nor its age holds it"
    assert host.sent == [OLD, SMALL, OLD]
    assert (host.last["held"] != [], "approved" in host.last) == (True, False)
    accepted = dt.datetime.fromisoformat(host.last["source"]["modified"])
    assert abs(dt.datetime.now(dt.UTC) - accepted) < dt.timedelta(hours=1), "when it was accepted"
    assert host.run("resend") == Exit.OK, "the last good one is the other one now"
    assert host.run("resend", digest_of(SMALL)[:16]) == Exit.OK, "though the vendor has it"
    assert host.sent[3:] == [SMALL, SMALL]
    assert host.run("resend", "0" * 16) == Exit.SOURCE
    assert f"no stored package begins with {'0' * 16}" in host.message
    for entry in (host.state / "packages").iterdir():
        entry.write_bytes(b"damaged")
    assert host.run("resend") == Exit.LOCAL
    assert "set up anew?" in host.message
    assert len(host.sent) == 5
    assert [kind for kind, _ in host.alerts].count("heartbeat") == 4, "of the two that were sent"


def test_the_newest_of_the_good_packages_comes_back(host: Host) -> None:
    for content in (OLD, BIG, OLD + b"y"):
        host.send(content)
    assert host.run("resend") == Exit.OK
    assert host.sent[-1] == BIG
    assert host.run("resend", digest_of(OLD)[:20]) == Exit.OK
    assert host.sent[-1] == OLD


@pytest.mark.parametrize(
    ("command", "minutes", "code"),
    [("send", 59, Exit.OK), ("send", 62, Exit.STALE), ("rehearse", 62, Exit.STALE),
     ("send", 60 * 24 * 400, Exit.STALE), ("send", 60 * 24 * 366 * 30_000, Exit.STALE)],
)  # fmt: skip
def test_an_export_from_the_future_is_stale(
    host: Host, command: str, minutes: int, code: Exit
) -> None:
    host.at(Server())
    later = dt.datetime.now(dt.UTC).timestamp() + minutes * 60
    os.utime(host.export, (later, later))
    assert host.run(command) == code
    if code is Exit.STALE:
        assert f"{host.export} was written" in host.message
        assert "ahead of this host's clock" in host.message
        assert host.sent == []


def test_a_name_that_is_not_utf_8_is_delivered(host: Host) -> None:
    export = host.folder / os.fsdecode(b"Gr\xfc\xdfe-1.xml")
    export.write_bytes(OLD)
    host.configure(source=str(host.folder / "*-1.xml"))
    assert host.send() == Exit.OK
    assert host.last["source"]["path"] == f"{host.folder}/Gr\\xfc\\xdfe-1.xml"
    export.write_bytes(SMALL)
    assert host.send() == Exit.HELD
    os.utime(export, (0, 0))
    assert host.send() == Exit.STALE
    assert host.outcomes == ["sent", "held", "stale"]
