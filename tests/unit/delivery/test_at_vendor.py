"""A package that the vendor has already is not sent again."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from roster_upload.exits import Exit
from roster_upload.records.night import stamp
from support.delivery_host import BIG, OLD, SMALL, Host, Steps, digest_of, kill, waiting, zip_of
from support.sftp_server import Server


@pytest.mark.parametrize(
    ("unchanged", "is_open", "before", "changes", "outcomes"),
    [
        ("send", False, [OLD], {}, ["sent", "sent"]),
        ("send", True, [OLD], {}, ["sent"]),  # the second start of one night leaves no receipt
        ("skip", True, [OLD], {}, ["sent"]),
        ("skip", False, [OLD], {}, ["sent", "skipped"]),
        ("skip", False, [OLD, BIG], {}, ["sent", "sent", "sent"]),
        ("send", True, [BIG], {}, ["sent", "sent"]),
        ("send", True, [OLD], {"remote_name": "b.xml"}, ["sent", "sent"]),
        ("send", True, [OLD], {"remote_port": 23}, ["sent", "sent"]),
        ("skip", False, [OLD], {"remote_host": "b.example"}, ["sent", "sent"]),
        ("skip", False, [OLD], {"remote_dir": "imagine/1-b/product"}, ["sent", "sent"]),
    ],
)
def test_an_unchanged_export(
    host: Host,
    unchanged: str,
    is_open: bool,
    before: list[bytes],
    changes: dict[str, Any],
    outcomes: list[str],
) -> None:
    window = (-30, 30) if is_open else (360, 480)
    host.configure(*window)
    for content in before:
        host.send(content)
    host.configure(*window, unchanged=unchanged, **changes)
    assert host.send(OLD) == Exit.OK
    assert host.outcomes == outcomes
    assert len(host.sent) == outcomes.count("sent")
    assert ("already has tonight" in host.message) == (len(outcomes) == 1)


def test_an_export_comes_back_that_another_one_has_replaced(host: Host) -> None:
    host.configure(-30, 30)
    for content in (OLD, BIG, OLD, OLD):
        assert host.send(content) == Exit.OK
    assert host.sent == [OLD, BIG, OLD]
    assert "already has tonight" in host.message


@pytest.mark.parametrize("unchanged", ["send", "skip"])
def test_a_zip_that_differs_by_its_time_stamps_is_the_same(host: Host, unchanged: str) -> None:
    host.configure(-30, 30, unchanged=unchanged)
    for content, year in ((OLD, 2024), (OLD, 2025), (BIG, 2025)):
        assert host.send(zip_of(content, year)) == Exit.OK
    assert host.sent == [zip_of(OLD, 2024), zip_of(BIG, 2025)]
    host.configure(unchanged=unchanged)
    assert host.send(zip_of(BIG, 2026)) == Exit.OK
    assert host.outcomes[2] == {"send": "sent", "skip": "skipped"}[unchanged]


def test_what_went_before_the_window_opened_goes_again(host: Host) -> None:
    host.configure(-30, 30)
    host.send()
    text = host.ledger.path.read_text()
    before = dt.datetime.now(dt.UTC) - dt.timedelta(minutes=40)
    for day, count in ((stamp(before), 2), (host.last["started"], 2)):
        host.ledger.path.write_text(text.replace(host.last["started"], day))
        assert host.send() == Exit.OK
        assert len(host.sent) == count


def test_what_was_taken_back_by_hand_stays_back(host: Host) -> None:
    """Another start in that window does not bring a replaced export back."""
    host.send(OLD)
    host.configure(-30, 30, guard_removed_percent=100)
    assert host.send(SMALL) == Exit.OK
    assert host.run("resend") == Exit.OK
    assert host.send() == Exit.OK
    assert host.sent == [OLD, SMALL, OLD]


@pytest.mark.parametrize("command", ["rehearse", "resend"])
def test_a_command_by_hand_is_done_though_unchanged(host: Host, command: str) -> None:
    host.at(Server())
    host.configure(-30, 30, unchanged="skip")
    host.send()
    digest = digest_of(OLD) if command == "resend" else ""
    assert host.run(command, digest) == Exit.OK
    assert host.last["outcome"] == {"rehearse": "rehearsed", "resend": "sent"}[command]


def test_other_steps_make_another_package_of_the_same_export(host: Host) -> None:
    host.configure(unchanged="skip")
    steps = Steps(host, mark=b"!")
    assert [host.send(), host.send()] == [Exit.OK, Exit.OK]
    assert host.outcomes == ["sent", "skipped"]
    steps.mark = b"?"
    assert host.send() == Exit.OK
    assert host.sent == [OLD + b"!", OLD + b"?"]


def test_what_waits_unchanged_is_skipped_or_in_already(host: Host) -> None:
    waiting(host, unchanged="skip")
    assert host.run(hours=24) == Exit.OK
    assert host.outcomes == ["sent", "skipped"], "the vendor has just that"
    assert host.last["waiting"]["nights"] == 1
    host.configure(-30, 30, removals="wait", wait_nights=2, maximum_age_hours=1000)
    assert host.run() == Exit.OK
    assert "already has tonight" in host.message
    assert (len(host.outcomes), len(host.sent)) == (2, 1)


@pytest.mark.parametrize("unchanged", ["send", "skip"])
def test_what_may_have_been_replaced_is_sent_again(host: Host, unchanged: str) -> None:
    host.configure(-30, 30, unchanged=unchanged)
    host.send(OLD)
    kill(host, BIG)
    assert host.send(OLD) == Exit.OK
    assert host.sent == [OLD, BIG, OLD]


def test_a_delivery_from_the_future_is_not_tonights(host: Host) -> None:
    host.configure(-30, 30)
    host.send()
    text = host.ledger.path.read_text()
    host.ledger.path.write_text(text.replace(host.last["started"], "2031-06-01T07:15:00Z"))
    assert host.send() == Exit.OK
    assert len(host.sent) == 2
