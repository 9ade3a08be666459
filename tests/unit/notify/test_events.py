"""Which receipts are news."""

from __future__ import annotations

from typing import Any

import pytest
from roster_upload.exits import Exit
from roster_upload.notify import events
from roster_upload.records.receipt import Receipt
from support.alert_servers import APPROVED, HELD, receipt
from support.receipts import history

SENT_BEFORE = receipt("sent", night=19)
LOGIN = receipt("failed", Exit.LOGIN)
# A start that found the feed busy. One without a transfer slot has its export's digest.
BUSY = {**receipt("failed", Exit.BUSY), "source": {"path": "/srv/OneRoster.zip"}}
NO_TURN = receipt("failed", Exit.BUSY)
REHEARSED = receipt("rehearsed", command="rehearse")
NOT_REHEARSED = receipt("held", Exit.HELD, command="rehearse")
ALARM = receipt("failed", Exit.MISSED, command="watch")
FOUND = {**receipt("sent"), "told": [{"rule": "r", "file": "f", "column": "", "count": 1}]}


@pytest.mark.parametrize(
    ("before", "now", "told"),
    [
        ([], receipt("sent"), None),
        ([], HELD, "failure"),
        ([SENT_BEFORE], HELD, "failure"),
        ([HELD], HELD, None),
        ([SENT_BEFORE, HELD], receipt("held", Exit.HELD, command="resend"), None),
        ([HELD], LOGIN, "failure"),
        ([HELD], receipt("held", Exit.HELD, night=21), "failure"),
        ([HELD, LOGIN], HELD, None),
        ([HELD, LOGIN, HELD], LOGIN, None),
        ([HELD, receipt("sent")], HELD, "failure"),
        ([HELD, APPROVED], HELD, None),
        ([HELD, APPROVED], receipt("sent"), "recovery"),
        ([HELD], receipt("sent", command="resend"), "recovery"),
        ([HELD, receipt("sent")], receipt("sent"), None),
        ([SENT_BEFORE], receipt("skipped", Exit.PAUSED), None),
        ([HELD], receipt("skipped"), None),
        ([receipt("skipped", Exit.PAUSED)], receipt("sent"), None),
        ([HELD, receipt("skipped", Exit.PAUSED)], receipt("sent"), "recovery"),
        ([SENT_BEFORE], REHEARSED, None),
        ([SENT_BEFORE], NOT_REHEARSED, "failure"),
        ([HELD], NOT_REHEARSED, "failure"),
        ([NOT_REHEARSED], NOT_REHEARSED, None),
        ([NOT_REHEARSED, SENT_BEFORE], NOT_REHEARSED, None),
        ([NOT_REHEARSED, REHEARSED], NOT_REHEARSED, "failure"),
        ([NOT_REHEARSED], REHEARSED, None),
        ([NOT_REHEARSED], HELD, "failure"),
        ([NOT_REHEARSED], receipt("sent"), None),
        ([HELD, REHEARSED], HELD, None),
        ([ALARM], receipt("sent"), "recovery"),
        ([SENT_BEFORE, ALARM, receipt("sent")], receipt("sent"), None),
        ([HELD, ALARM], HELD, None),
        ([ALARM], LOGIN, "failure"),
        ([SENT_BEFORE], BUSY, None),
        ([SENT_BEFORE, BUSY], receipt("sent"), None),
        ([HELD, BUSY], receipt("sent"), "recovery"),
        ([HELD, BUSY], HELD, None),
        ([SENT_BEFORE], NO_TURN, "failure"),
        ([SENT_BEFORE, NO_TURN], receipt("sent"), "recovery"),
        ([HELD], APPROVED, None),
        ([], FOUND, "findings"),
        ([SENT_BEFORE, FOUND], FOUND, "findings"),
        ([FOUND], {**FOUND, "told": []}, None),
        ([HELD], FOUND, "recovery"),  # which reports them, too
        ([FOUND], HELD, "failure"),
        ([SENT_BEFORE], {**receipt("sent"), "exit_code": 14}, "unrecorded"),
    ],
)
def test_what_is_news(before: list[Any], now: Any, told: str | None) -> None:
    assert events.event(history(before), Receipt.parse(now)) == told
