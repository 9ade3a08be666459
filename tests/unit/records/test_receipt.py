"""A receipt is a type: any JSON can be parsed, and one schema writes it."""

from __future__ import annotations

import pytest
from roster_upload.records.receipt import (
    EPOCH,
    Change,
    File,
    Outcome,
    Receipt,
    Target,
    table_of_keys,
)
from unit.records.test_record import GOOD


def test_a_receipt_is_written_as_it_was_read() -> None:
    assert Receipt.parse(GOOD).to_json() == GOOD


def test_a_receipt_has_types() -> None:
    receipt = Receipt.parse(GOOD)
    assert receipt.outcome is Outcome.SENT
    assert receipt.source == File(**GOOD["source"])
    assert receipt.sent_file.sha256 == "b" * 64
    assert receipt.changes == {"users.student": Change(now=3, before=3, changed=0)}
    assert receipt.remote.target == Target("h", 22, "d", "n")
    assert [finding.rule for finding in receipt.notified_findings] == ["value.enum"]
    assert receipt.reasons == ("a reason",)


def test_a_receipt_has_what_its_readers_rely_on() -> None:
    empty = Receipt.parse({})
    assert (empty.outcome, empty.command, empty.message) == (Outcome.UNKNOWN, "send", "")
    assert (empty.started, empty.finished, empty.night) == (EPOCH, EPOCH, EPOCH[:10])
    assert (empty.exit_code, empty.source) == (70, File())
    assert Receipt.parse({"outcome": "sent"}).exit_code == 0
    approved = Receipt.parse({"outcome": "approved", "command": "send"})
    assert (approved.exit_code, approved.command, approved.night) == (None, "approve", "")
    started = GOOD["started"]
    assert Receipt.parse({"finished": "soon", "started": started}).finished == started
    assert Receipt.parse({"source": {"bytes": "ten", "sha256": "../x"}}).source == File()
    told = Receipt.parse({"told": [None, {"rule": "r"}, GOOD["told"][0]]}).to_json()["told"]
    assert told == GOOD["told"]


@pytest.mark.parametrize(
    "text", ["2026-11-02T07:15:00", "0001-01-01T00:00:00Z", "9999-12-31T00:00:00Z", "soon", ""]
)
def test_a_moment_that_cannot_be_shown_is_dropped(text: str) -> None:
    assert Receipt.parse({**GOOD, "deadline": text}).deadline == ""
    assert Receipt.parse({**GOOD, "night": text[:10]}).night == "2026-11-02"


def test_a_newer_release_is_read_as_what_it_is() -> None:
    newer = {**GOOD, "outcome": "deferred", "moon": {"phase": 3}}
    receipt = Receipt.parse(newer)
    assert (receipt.outcome, receipt.outcome_text) == (Outcome.UNKNOWN, "deferred")
    assert receipt.to_json() == newer


def test_every_key_has_a_text() -> None:
    assert all(words for _, words in table_of_keys())
    assert GOOD.keys() <= {name for name, _ in table_of_keys()}
