"""The summary line of a receipt, and what makes a feed amber."""

from __future__ import annotations

import sys
import zoneinfo
from pathlib import Path
from typing import Any

import pytest
from roster_upload.records import summary
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


def test_the_mornings_line_of_a_delivery() -> None:
    assert summary_line(SENT, YESTERDAY) == (
        "Maple Grove: sent 01:12 Mountain, 48 min early: 12,481 students (+14 −3), "
        "611 classes (+0 −1), same file as yesterday: no"
    )


@pytest.mark.parametrize(
    ("finished", "deadline", "told"),
    [
        ("2026-11-20T07:12:00Z", "2026-11-20T09:00:00Z", "sent 00:12 Mountain, 108 min early: "),
        ("2026-07-20T07:12:00Z", "2026-07-20T09:00:00Z", "sent 01:12 Mountain, 108 min early: "),
        ("2026-11-20T09:00:00Z", "2026-11-20T09:00:00Z", "sent 02:00 Mountain, 0 min early: "),
        ("2026-11-20T09:05:00Z", "2026-11-20T09:00:00Z", "sent 02:05 Mountain, 5 min LATE: "),
    ],
)
def test_a_delivery_is_early_or_late_at_its_end(finished: str, deadline: str, told: str) -> None:
    receipt = {**SENT, "finished": finished, "deadline": deadline}
    assert summary_line(receipt, None).startswith(f"Maple Grove: {told}")


@pytest.mark.parametrize(
    ("before", "told"),
    [
        ({**YESTERDAY, "source": SENT["source"]}, ", same file as yesterday: yes"),
        ({**YESTERDAY, "night": "2026-11-13"}, ", same file as on 2026-11-13: no"),
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
        "Maple Grove: held, the vendor has the roster of 2026-11-20: the guard holds the export: "
        "users.student: 500 of 12,481 would be removed"
    )
    late = {**HELD, "outcome": "failed", "message": "Maple Grove: it is late"}
    assert summary_line(late, None) == "Maple Grove: failed, the vendor has none: it is late"


def test_without_time_zones_it_is_utc(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(zoneinfo, "TZPATH", ())
    zoneinfo.reset_tzpath(to=[tmp_path])
    zoneinfo.ZoneInfo.clear_cache()
    monkeypatch.setitem(sys.modules, "tzdata", None)
    try:
        assert summary.mountain("2026-11-20T08:12:00Z") == ("2026-11-20 08:12", "UTC")
    finally:
        zoneinfo.reset_tzpath()
    assert summary.mountain("2026-11-20T08:12:00Z") == ("2026-11-20 01:12", "Mountain")


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
        "removals wait since 2026-11-19 (2 nights): 1,200 users.student, 3 classes. "
        "Run roster-upload diff maple-grove to see who"
    ]
