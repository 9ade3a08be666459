"""What receipts say together: what was sent, what is new, what waits, what stays the same."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from roster_upload.records.parts import File, Target
from roster_upload.records.receipt import Receipt
from support.receipts import history

FIRST = dt.date(2026, 11, 2)
ROLE = ("value.enum", "enrollments.csv", "role")
EMAIL = ("value.email", "users.csv", "email")


def news(before: list[dict[str, Any]], receipt: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the new findings of a receipt as JSON values."""
    return [one.to_json() for one in history(before).new_findings(Receipt.parse(receipt))]


def notified(receipt: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the findings of which people are notified, as JSON values."""
    return [finding.to_json() for finding in Receipt.parse(receipt).notified_findings]


def night(number: int) -> str:
    return (FIRST + dt.timedelta(days=number)).isoformat()


def finding(key: tuple[str, str, str], count: int, severity: str = "fault") -> dict[str, Any]:
    rule, file, column = key
    return {
        "rule": rule, "severity": severity, "file": file, "column": column,
        "detail": "", "count": count, "rows": [2],
    }  # fmt: skip


def delivery(number: int, *findings: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Return a receipt of a delivery on a night."""
    return {
        "command": "send",
        "outcome": "sent",
        "night": night(number),
        "findings": list(findings),
        **more,
    }


# ---- what was sent -------------------------------------------------------------------------------


def test_what_was_sent_is_the_package_or_the_export() -> None:
    old = {"source": {"sha256": "e"}}
    assert Receipt.parse(old).sent_file.sha256 == "e"
    assert Receipt.parse({**old, "package": {}}).sent_file.sha256 == "e"
    assert Receipt.parse({**old, "package": {"sha256": "b"}}).sent_file.sha256 == "b"
    assert Receipt.parse({"command": "watch"}).sent_file.sha256 == ""


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ({"sha256": "a", "content": "x"}, {"sha256": "b", "content": "x"}, True),
        ({"sha256": "a", "content": "x"}, {"sha256": "b", "content": "y"}, False),
        ({"sha256": "a", "content": "x"}, {"sha256": "a"}, True),  # of an older receipt
        ({"sha256": "a"}, {"sha256": "b", "content": "x"}, False),
        ({"sha256": "a", "content": ""}, {"sha256": "b", "content": ""}, False),  # no zips
        ({"sha256": "a", "content": ""}, {"sha256": "a", "content": ""}, True),
        ({}, {}, False),
        ({"path": "/srv"}, {"path": "/srv"}, False),
    ],
)
def test_files_are_the_same_by_content_or_else_by_digest(
    one: dict[str, Any], other: dict[str, Any], same: bool
) -> None:
    assert File(**one).is_same(File(**other)) is same
    assert File(**other).is_same(File(**one)) is same


# ---- what is new ---------------------------------------------------------------------------------


def told_on(counts: dict[int, int], key: tuple[str, str, str] = ROLE) -> list[int]:
    """Return the nights on which a finding is reported that occurs so often on each night."""
    before: list[dict[str, Any]] = []
    for number, count in counts.items():
        receipt = delivery(number, *([finding(key, count)] if count else []))
        before.append({**receipt, "told": news(before, receipt)})
    return [number for number, one in zip(counts, before, strict=True) if one["told"]]


@pytest.mark.parametrize(
    ("counts", "nights"),
    [
        ([3], [0]),  # it first appears
        ([3, 3, 3, 3, 3, 3, 3], [0]),
        ([3] * 15, [0, 7, 14]),  # once a week
        ([3, 4, 4], [0, 1]),  # it grows
        ([20, 21, 22, 23, 24], [0, 2]),  # by a tenth, since the last report
        ([10, 2, 10], [0]),  # back to the known number
        ([10, 2, 11], [0, 2]),
        ([3, 0, 0, 3], [0]),  # back within the week
        ([10, 2, 2, 2, 2, 2, 2, 2, 10], [0, 7, 8]),  # more than the week knows
        ([0, 0, 1], [2]),
    ],
)
def test_a_finding_is_told_when_it_is_new_has_grown_or_once_a_week(
    counts: list[int], nights: list[int]
) -> None:
    assert told_on(dict(enumerate(counts))) == nights


def test_growth_is_compared_with_the_most_of_the_week() -> None:
    assert told_on({0: 5, 1: 10, 2: 9}) == [0, 1]
    assert told_on({0: 10, 5: 20, 8: 15}) == [0, 5]


def test_nights_without_a_delivery_count_to_the_week() -> None:
    assert told_on({0: 3, 6: 3}) == [0]
    assert told_on({0: 3, 7: 3}) == [0, 7]


def test_what_was_told_by_a_clock_ahead_is_told_again() -> None:
    first = {**delivery(0, finding(ROLE, 2)), "night": "2031-06-01"}
    first["told"] = news([], first)
    assert first["told"]
    assert news([first], delivery(1, finding(ROLE, 2)))


def test_a_new_rule_is_told_beside_an_old_one() -> None:
    role, email = finding(ROLE, 2), finding(EMAIL, 9, "warning")
    first = delivery(0, role)
    first["told"] = news([], first)
    second = delivery(1, role, email)
    assert news([first], second) == [
        {"rule": "value.email", "file": "users.csv", "column": "email", "count": 9}
    ]
    other_column = delivery(1, finding((*ROLE[:2], "primary"), 1))
    other_file = delivery(1, finding((ROLE[0], "users.csv", ROLE[2]), 1))
    for other in (other_column, other_file):
        assert len(news([first], other)) == 1


@pytest.mark.parametrize(
    ("severity", "is_told"),
    [("fault", True), ("warning", True), ("ignored", False), ("error", False)],
)
def test_only_what_is_sent_and_not_ignored_is_told(severity: str, is_told: bool) -> None:
    assert bool(news([], delivery(0, finding(ROLE, 2, severity)))) is is_told


def test_what_a_rehearsal_has_found_was_not_told() -> None:
    first = delivery(0, finding(ROLE, 2))
    rehearsed = {**first, "command": "rehearse", "outcome": "rehearsed"}
    assert news([rehearsed], first)
    told = {**first, "told": news([], first)}
    assert not news([told, rehearsed], delivery(1, finding(ROLE, 2)))


def test_what_was_pruned_is_told_again() -> None:
    first = delivery(0, finding(ROLE, 2))
    first["told"] = news([], first)
    second = delivery(1, finding(ROLE, 2))
    approved = {"command": "approve", "outcome": "approved", "finished": "f"}
    assert not news([first, approved], second)
    assert news([approved], second)


def test_the_findings_that_are_told_are_those_of_the_receipt() -> None:
    role, email = finding(ROLE, 2), finding(EMAIL, 9, "warning")
    receipt = delivery(0, role, email)
    assert notified(receipt) == []
    assert notified({**receipt, "told": news([], receipt)}) == [role, email]
    told = [{"rule": EMAIL[0], "file": EMAIL[1], "column": EMAIL[2], "count": 9}]
    assert notified({**receipt, "told": told}) == [email]


# ---- what stands still ---------------------------------------------------------------------------

SAME: dict[str, Any]
OTHER: dict[str, Any]
SAME, OTHER = {"sha256": "a", "content": "x"}, {"sha256": "b", "content": "y"}


def sent(number: int, source: dict[str, Any] = SAME, **more: Any) -> dict[str, Any]:
    return delivery(number, source=source, **more)


@pytest.mark.parametrize(
    ("before", "nights"),
    [
        ([], 0),
        ([sent(0, OTHER)], 0),
        ([sent(7), sent(8)], 2),
        ([sent(0), sent(7, OTHER), sent(8)], 1),
        ([sent(8, {**SAME, "sha256": "c"})], 1),  # packed anew
        ([sent(8), sent(8)], 1),  # twice in one night
        ([sent(8), sent(9)], 1),  # an earlier start of this night
        ([sent(7), sent(8, outcome="skipped")], 2),
        ([sent(7), delivery(8, source={"path": "/srv"}, outcome="skipped")], 1),  # a blackout
        ([sent(7), sent(8, outcome="failed")], 1),
        ([sent(7), sent(8, OTHER, outcome="held")], 0),  # the SIS has written something else
        ([sent(7), sent(8, OTHER, command="resend")], 1),
        ([sent(7), sent(8, OTHER, command="rehearse", outcome="rehearsed")], 1),
        ([sent(7), {"command": "approve", "outcome": "approved"}], 1),
    ],
)
def test_nights_without_a_change(before: list[dict[str, Any]], nights: int) -> None:
    assert history(before).unchanged_nights(File(**SAME), night(9)) == nights


def test_a_receipt_of_version_1_counts_to_the_nights_without_a_change() -> None:
    old = sent(8, {"sha256": "a"})
    del old["command"]
    assert history([old]).unchanged_nights(File(**SAME), night(9)) == 1


# ---- what waits ----------------------------------------------------------------------------------

COUNTS = {"users.student": 40}


def waited(number: int, since: int, nights: int, **more: Any) -> dict[str, Any]:
    waits = {"since": night(since), "nights": nights, "counts": COUNTS}
    return delivery(number, waiting=waits, **more)


@pytest.mark.parametrize(
    ("before", "since", "nights"),
    [
        ([], 9, 1),
        ([delivery(8)], 9, 1),
        ([waited(8, 8, 1)], 8, 2),
        ([waited(8, 7, 2), waited(9, 7, 3)], 7, 3),  # an earlier start of this night
        ([waited(7, 7, 1), delivery(8, outcome="failed")], 7, 2),  # nothing was judged
        ([waited(8, 8, 1, outcome="failed")], 8, 2),
        ([waited(8, 8, 1, outcome="skipped")], 8, 2),
        ([waited(8, 2, 7, outcome="held")], 2, 8),  # a finished wait does not start another one
        ([waited(7, 2, 6), delivery(8)], 9, 1),  # the SIS had them again, or they were approved
        ([waited(7, 2, 6), delivery(8, command="resend")], 9, 1),
        ([waited(8, 8, 1, command="rehearse", outcome="rehearsed")], 9, 1),
        ([waited(7, 7, 1), {"command": "approve", "outcome": "approved"}], 7, 2),
    ],
)
def test_how_long_removals_wait(before: list[dict[str, Any]], since: int, nights: int) -> None:
    found = history(before).waiting(night(9), {"classes": 2})
    assert found.to_json() == {"since": night(since), "nights": nights, "counts": {"classes": 2}}


@pytest.mark.parametrize(
    ("receipt", "held"),
    [
        (delivery(0), False),
        (delivery(0, outcome="held"), True),
        (waited(0, 0, 1), True),
        ({"command": "approve", "outcome": "approved"}, False),
    ],
)
def test_what_is_held_or_waits_can_be_approved(receipt: dict[str, Any], held: bool) -> None:
    assert Receipt.parse(receipt).can_be_approved is held


# ---- where it went -------------------------------------------------------------------------------

HERE, THERE = {"host": "a", "port": 22}, {"host": "b", "port": 22}


def test_the_last_delivery_to_a_target() -> None:
    one = delivery(0, remote={**HERE, "address": "x"})
    two = delivery(1, remote=THERE)
    by_hand = delivery(2, remote=HERE, command="resend")
    failed = delivery(3, remote=HERE, outcome="failed")
    before = history([one, two, by_hand, failed])
    assert before.last_sent_to(Target("a", 22, "", "")) is before.receipts[0]
    assert before.last_sent_to(Target("b", 22, "", "")) is before.receipts[1]
    assert before.last_sent_to(Target("a", 23, "", "")) is None
    assert history([]).last_sent_to(Target("a", 22, "", "")) is None


# ---- holds ---------------------------------------------------------------------------------------

APPROVED = {"outcome": "approved", "digest": "a" * 64}
HELD = delivery(1, outcome="held", source={"sha256": "a" * 64})


@pytest.mark.parametrize(
    ("later", "is_open"),
    [
        ([], True),
        ([delivery(2, outcome="failed")], True),  # the guard has judged nothing
        ([delivery(2, outcome="stale")], True),
        ([delivery(2)], False),
        ([APPROVED], False),
        ([delivery(2, outcome="rehearsed", command="rehearse")], False),
    ],
)
def test_a_hold_is_open_until_somebody_judges_again(
    later: list[dict[str, Any]], is_open: bool
) -> None:
    found = history([delivery(0), HELD, *later]).open_hold()
    assert (found is not None) is is_open


def test_an_approval_is_of_the_run_before_it() -> None:
    known = history([delivery(0), HELD, APPROVED])
    assert known.approval_of(known.receipts[1]) is known.receipts[2]
    assert known.approval_of(known.receipts[0]) is None
    assert known.approval_of(None) is None
    other = history([HELD, {**APPROVED, "digest": "b" * 64}])
    assert other.approval_of(other.receipts[0]) is None
