"""What a night came to is decided in one place."""

from __future__ import annotations

from typing import Any

import pytest
from roster_upload.records.night_result import Verdict, verdict
from support.receipts import history

NIGHT = "2026-11-20"


def delivery(outcome: str, **more: Any) -> dict[str, Any]:
    """Return a receipt of a delivery of the night."""
    times = {"finished": f"{NIGHT}T07:15:00Z", "deadline": f"{NIGHT}T09:00:00Z"}
    return {"command": "send", "outcome": outcome, "night": NIGHT, **times, **more}


LATE = f"{NIGHT}T09:05:00Z"


@pytest.mark.parametrize(
    ("receipts", "expected"),
    [
        ([], Verdict.MISSED),
        ([delivery("held")], Verdict.HELD),
        ([delivery("failed"), delivery("sent")], Verdict.SENT),
        ([delivery("sent"), delivery("failed")], Verdict.SENT),  # a later try changes nothing
        ([delivery("skipped"), delivery("failed")], Verdict.SKIPPED),
        ([delivery("failed"), delivery("stale")], Verdict.STALE),
        ([delivery("sent", finished=LATE)], Verdict.LATE),
        ([delivery("failed", finished=LATE)], Verdict.FAILED),
        ([delivery("deferred")], Verdict.FAILED),  # of a newer release
        ([delivery("sent", in_window=False)], Verdict.MISSED),  # by day
        ([delivery("sent", night="2026-11-19")], Verdict.MISSED),
        ([delivery("failed", command="watch")], Verdict.MISSED),
        ([delivery("rehearsed", command="rehearse")], Verdict.MISSED),
        ([delivery("sent", command="resend")], Verdict.SENT),
    ],
)
def test_what_a_night_came_to(receipts: list[dict[str, Any]], expected: Verdict) -> None:
    result = history(receipts).night(NIGHT)
    assert result.verdict is expected
    assert result.is_in_order is (expected in (Verdict.SENT, Verdict.SKIPPED, Verdict.LATE))


def test_every_night_with_a_delivery_has_a_result() -> None:
    ahead = delivery("sent", night="2031-06-01")
    known = history([delivery("held"), delivery("sent", night="2026-11-19"), ahead])
    assert [(result.night, result.verdict) for result in known.nights("2026-12-31")] == [
        ("2026-11-19", Verdict.SENT),
        (NIGHT, Verdict.HELD),
    ]


def test_the_minutes_are_those_between_end_and_deadline() -> None:
    result = history([delivery("sent")]).night(NIGHT)
    assert result.minutes_left == 105
    assert history([]).night(NIGHT).minutes_left is None


@pytest.mark.parametrize(
    ("outcome", "minutes", "expected"),
    [("sent", 0, "sent"), ("sent", -1, "late"), ("sent", None, "sent"), ("held", -1, "held")],
)
def test_only_a_sent_file_is_late(outcome: str, minutes: int | None, expected: str) -> None:
    assert verdict(outcome, minutes) == expected
