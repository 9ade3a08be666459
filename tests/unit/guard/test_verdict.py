"""A verdict says what changes, why an export is held, and whether its removals may wait."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from roster_upload.guard.guard import Reason, Rule, Verdict
from roster_upload.guard.verdict import Change, percentage
from support.baselines import Record, baseline
from support.judgements import KIND, judged, records


def test_a_verdict_is_recorded_as_json() -> None:
    old = baseline({KIND: records(range(7)), "orgs": records([1])})
    new = baseline({KIND: [*records(range(2, 8)), Record(9, present=False)], "orgs": records([1])})
    counts = {"before": 7, "now": 6, "added": 1, "removed": 2, "changed": 0}
    same = {"before": 1, "now": 1, "added": 0, "removed": 0, "changed": 0}
    assert json.loads(json.dumps(judged(old, new).record())) == {KIND: counts, "orgs": same}


@pytest.mark.parametrize(
    ("rules", "is_removals_only"),
    [
        ([], False),
        *([[rule], True] for rule in ("removed", "removed_count", "upcoming", "school")),
        *([[rule], False] for rule in ("emptied", "added", "renumbered", "file_gone", "identity")),
        (["removed", "school"], True),
        (["removed", "added"], False),
    ],
)
def test_removals_alone_may_wait(rules: list[str], is_removals_only: bool) -> None:
    reasons = tuple(Reason(Rule(rule), KIND, "a text") for rule in rules)
    assert Verdict({}, reasons).is_removals_only is is_removals_only


@pytest.mark.parametrize(
    ("count", "base", "limit", "text"),
    [
        (201, 2000, 10, "10.1 %"),
        (1001, 2000, 50, "50.05 %"),
        (100_001, 1_000_000, 10, "10.0001 %"),
        (1, 3, 10, "33.3 %"),
        (3, 2, 100, "150.0 %"),
        (1, 10_000_000, 0, "0.00001 %"),
    ],
)
def test_a_share_is_visibly_above_its_limit(count: int, base: int, limit: int, text: str) -> None:
    assert percentage(count, base, limit) == f"{text}, the limit is {limit} %"


@given(st.integers(1, 10**7), st.integers(1, 10**7), st.integers(0, 200))
def test_any_share_above_a_limit_is_told_as_above_it(count: int, base: int, limit: int) -> None:
    if 100 * count > limit * base:
        assert float(percentage(count, base, limit).partition(" ")[0]) > limit


def test_the_change_of_two_kinds_is_their_sum() -> None:
    whole = Change(10, 12, 5, 3, 4) + Change(100, 80, 20, 40, 30)
    assert whole == Change(110, 92, 25, 43, 34)
