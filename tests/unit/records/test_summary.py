"""The summary line of a receipt, and what makes a feed amber."""

from __future__ import annotations

from typing import Any

import pytest
from support.stored import (
    FINDING,
    HELD,
    SENT,
    TOLD,
    WAITS,
    WARNING,
    YESTERDAY,
    cautions,
    summary_line,
)

DENVER = "America/Denver"
BY_HAND = {
    **YESTERDAY,
    "night": "2026-11-20",
    "in_window": False,
    "finished": "2026-11-19T22:00:00Z",
}


def test_the_mornings_line_of_a_delivery() -> None:
    assert summary_line(SENT, YESTERDAY) == (
        "Maple Grove: sent 08:12 UTC, 48 min early: 12,481 students (+14 −3), "
        "611 classes (+0 −1), same file as yesterday: no"
    )


@pytest.mark.parametrize(
    ("finished", "deadline", "told"),
    [
        (
            "2026-11-20T07:12:00Z",
            "2026-11-20T09:00:00Z",
            "sent 07:12 UTC (00:12 MST), 108 min early: ",
        ),
        (
            "2026-07-20T07:12:00Z",
            "2026-07-20T09:00:00Z",
            "sent 07:12 UTC (01:12 MDT), 108 min early: ",
        ),
        (
            "2026-11-20T09:00:00Z",
            "2026-11-20T09:00:00Z",
            "sent 09:00 UTC (02:00 MST), 0 min early: ",
        ),
        (
            "2026-11-20T09:05:00Z",
            "2026-11-20T09:00:00Z",
            "sent 09:05 UTC (02:05 MST), 5 min LATE: ",
        ),
    ],
)
def test_a_delivery_is_early_or_late_at_its_end(finished: str, deadline: str, told: str) -> None:
    receipt = {**SENT, "finished": finished, "deadline": deadline}
    assert summary_line(receipt, None, DENVER).startswith(f"Maple Grove: {told}")


@pytest.mark.parametrize(
    ("before", "told"),
    [
        ({**YESTERDAY, "source": SENT["source"]}, ", same file as yesterday: yes"),
        (
            {**YESTERDAY, "night": "2026-11-13"},
            ", same file as the one of the night of 12 to 13 November: no",
        ),
        (None, "611 classes (+0 −1)"),
    ],
)
def test_the_mornings_line_compares_with_what_was_there(before: Any, told: str) -> None:
    assert summary_line(SENT, before).endswith(told)


def test_the_mornings_line_tells_what_there_is() -> None:
    plain = {**SENT, "changes": {}}
    assert summary_line(plain, None).endswith("early: 13,100 users, 611 classes")
    opaque = {**plain, "rows": {}}
    assert summary_line(opaque, None).endswith("early: 1,942,113 bytes")
    outside = {**SENT, "in_window": False}
    assert "outside the nightly window: 12,481 students" in summary_line(outside, None)
    changed = {**SENT, "remote": {**SENT["remote"], "server_changed": ["no posix-rename"]}}
    assert summary_line(changed, None).endswith(". The server has changed: no posix-rename")


def test_the_mornings_line_of_a_failure_tells_what_the_vendor_has() -> None:
    assert summary_line(HELD, SENT) == (
        "Maple Grove: held, the vendor has the roster of the night of 19 to 20 November: the "
        "guard holds the export: users.student: 500 of 12,481 would be removed"
    )
    late = {**HELD, "outcome": "failed", "message": "Maple Grove: it is late"}
    assert summary_line(late, None) == "Maple Grove: failed, the vendor has no roster: it is late"


@pytest.mark.parametrize("before", [BY_HAND, {**BY_HAND, "night": ""}])
def test_a_delivery_by_day_has_no_name_of_a_night_that_has_not_come(before: Any) -> None:
    """It belongs to the next deadline. Its roster is named by the time at which it was sent."""
    has = "the vendor has the roster sent 2026-11-19 22:00 UTC (15:00 MST): "
    assert has in summary_line(HELD, before, DENVER)
    line = summary_line(SENT, before, DENVER)
    assert line.endswith(", same file as the one sent 2026-11-19 22:00 UTC (15:00 MST): no")


def test_a_night_of_another_year_is_named_with_it() -> None:
    before = {**YESTERDAY, "night": "2025-11-20"}
    assert "of the night of 19 to 20 November 2025:" in summary_line(HELD, before)


@pytest.mark.parametrize(
    ("more", "end"),
    [
        ({"faulty_rows": {"users.csv": 2, "classes.csv": 1}}, "(+0 −1). 3 faulty rows"),
        ({"faulty_rows": {"users.csv": 1}}, "(+0 −1). 1 faulty row"),
        ({"findings": [WARNING], "told": TOLD}, "(+0 −1). 1 new warning"),
        ({"findings": [WARNING], "told": []}, "611 classes (+0 −1)"),
        (
            {"waiting": {"since": "2026-11-19", "nights": 2, "counts": {"users.student": 1200}}},
            "(+0 −1). Removals wait: 1,200 users.student",
        ),
    ],
)
def test_the_mornings_line_tells_what_was_found(more: dict[str, Any], end: str) -> None:
    assert summary_line({**SENT, **more}, None).endswith(end)


def test_the_mornings_line_compares_what_was_sent() -> None:
    package = {"package": {"sha256": "b" * 64}}
    assert summary_line({**SENT, **package}, {**YESTERDAY, **package}).endswith("yesterday: yes")
    assert summary_line({**SENT, **package}, {**YESTERDAY, "source": SENT["source"]}).endswith(
        "yesterday: no"
    )
    one, other = ({"source": {"bytes": 1, "sha256": d, "content": "c"}} for d in "ab")
    assert summary_line({**SENT, **one}, {**YESTERDAY, **other}).endswith("yesterday: yes")


def test_a_delivery_in_order_needs_no_caution() -> None:
    assert cautions(SENT) == []
    assert cautions(None) == []
    assert cautions({**SENT, "findings": [WARNING], "faulty_rows": {}}) == []


def test_faulty_rows_are_a_caution(finding: dict[str, Any]) -> None:
    fault = {**finding, "severity": "fault"}
    found = {**SENT, "findings": [WARNING, fault, FINDING], "faulty_rows": {"users.csv": 3}}
    [text] = cautions(found)
    assert text.startswith("the export has 3 faulty rows, first: fault: users.csv, column sourced")
    assert text.endswith(". Run roster-upload check maple-grove to see all")


@pytest.mark.parametrize(
    ("nights", "limit", "is_told"), [(9, 10, False), (10, 10, True), (11, 10, True), (99, 0, False)]
)
def test_an_export_that_never_changes_is_a_caution(nights: int, limit: int, is_told: bool) -> None:
    found = {**SENT, "unchanged_nights": nights, "unchanged_limit": limit}
    told = [f"no record has changed for {nights} school nights. Check that the SIS still exports"]
    assert cautions(found) == (told if is_told else [])


def test_removals_that_wait_are_a_caution() -> None:
    assert cautions({**SENT, "waiting": WAITS}) == [
        "removals wait since the night of 18 to 19 November (2 nights): 1,200 users.student, "
        "3 classes. Run roster-upload diff maple-grove to see who"
    ]
