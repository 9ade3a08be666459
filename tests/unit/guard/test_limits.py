"""Limits are by share and by number, for each kind of record, and expected changes widen them."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from typing import Any

import pytest
from roster_upload.guard.limits import Limits
from roster_upload.spec.values import Span
from support.baselines import feed
from support.judgements import KIND, NIGHT, WINDOW, above, district, held

REKEYED = (
    "sourcedIds are gone and {} are new. The SIS seems to have given everyone a new sourcedId, "
    "which would create new accounts and lose the history of the old ones"
)


@pytest.mark.parametrize(
    ("removed", "added", "changed", "settings", "told"),
    [
        (200, 0, 0, {}, []),
        (201, 0, 0, {}, [above("201 of 2,000 would be removed", "10.1")]),
        (1200, 0, 0, {}, [above("1,200 of 2,000 would be removed", "60.0")]),
        (0, 1000, 0, {}, []),
        (0, 1001, 0, {}, [above("1,001 of 2,000 would be added", "50.05", 50)]),
        (0, 0, 1500, {}, []),
        (0, 0, 1501, {}, [above("1,501 of 2,000 would be changed", "75.05", 75)]),
        (0, 0, 801, {"guard_changed_percent": 40}, [
            above("801 of 2,000 would be changed", "40.05", 40)
        ]),
        # So few count as none.
        (299, 0, 0, {"guard_floor": 299}, []),
        (300, 0, 0, {"guard_floor": 299}, [above("300 of 2,000 would be removed", "15.0")]),
        (0, 1100, 0, {"guard_floor": 1100}, []),
        # The limit by number applies whatever the share and the floor.
        (50, 0, 0, {"guard_removed_count": 50}, []),
        (51, 0, 0, {"guard_removed_count": 50}, ["51 would be removed, the limit is 50"]),
        (2, 0, 0, {"guard_removed_count": 1}, ["2 would be removed, the limit is 1"]),
        (2, 0, 0, {"guard_removed_count": 1, "guard_floor": 99}, [
            "2 would be removed, the limit is 1"
        ]),
        (1500, 0, 0, {"guard_removed_count": 1000}, [
            above("1,500 of 2,000 would be removed", "75.0"),
            "1,500 would be removed, the limit is 1,000",
        ]),
        (0, 0, 1500, {"guard_removed_count": 50}, []),
        # An emptied kind is always held, and reported in one sentence.
        (2000, 0, 0, {"guard_removed_count": 1}, ["all 2,000 would be removed"]),
        (2000, 0, 0, {"expected_changes": WINDOW}, ["all 2,000 would be removed"]),
        (2000, 0, 0, {"guard_floor": 5000}, ["all 2,000 would be removed"]),
        # Half gone and half as many new: new ids for everyone.
        (1000, 1000, 0, {"guard_removed_count": 1}, [f"1,000 of 2,000 {REKEYED.format('1,000')}"]),
        (1999, 1999, 0, {}, [f"1,999 of 2,000 {REKEYED.format('1,999')}"]),
        (999, 1000, 0, {}, [above("999 of 2,000 would be removed", "50.0")]),
        (1000, 999, 0, {}, [above("1,000 of 2,000 would be removed", "50.0")]),
        (1001, 1001, 0, {"guard_floor": 1000}, [f"1,001 of 2,000 {REKEYED.format('1,001')}"]),
        (1001, 1000, 0, {"guard_floor": 1000}, [above("1,001 of 2,000 would be removed", "50.0")]),
        (1000, 1001, 0, {"guard_floor": 1000}, [
            above("1,001 of 2,000 would be added", "50.05", 50)
        ]),
        (1000, 1000, 0, {"guard_removed_percent": 50}, []),
        (1000, 1000, 0, {"guard_removed_percent": 49}, [
            f"1,000 of 2,000 {REKEYED.format('1,000')}"
        ]),
        (1000, 1000, 0, {"expected_changes": WINDOW}, []),
    ],
)  # fmt: skip
def test_limits_of_a_kind(
    removed: int, added: int, changed: int, settings: dict[str, Any], told: list[str]
) -> None:
    old = district({"": range(2000)})
    new = district({"": range(removed, 2000 + added)}, range(removed, removed + changed))
    assert held(old, new, **settings) == [f"{KIND}: {reason}" for reason in told]


LIMITS = Limits(10, 50, 75, 9, 20)


@pytest.mark.parametrize(
    ("kind", "own", "limits"),
    [
        (KIND, {}, LIMITS),
        (KIND, {"users": {"removed": 20}}, replace(LIMITS, removed=20)),
        (KIND, {"users": {"added": 20}}, replace(LIMITS, added=20)),
        (KIND, {"users": {"changed": 20}}, replace(LIMITS, changed=20)),
        (KIND, {KIND: {"removed": 5}}, replace(LIMITS, removed=5)),
        (KIND, {KIND: {"removed": 5}, "users": {"removed": 7, "added": 8}},
         replace(LIMITS, removed=5, added=8)),
        (KIND, {"users.teacher": {"removed": 5}, "classes": {"removed": 6}}, LIMITS),
        ("classes", {"classes": {"removed": 100}}, replace(LIMITS, removed=100)),
        # If all ids may go, contents are compared, with the general limit.
        ("enrollments", {"enrollments": {"removed": 100}}, LIMITS),
        ("enrollments", {"enrollments": {"removed": 100, "added": 70}}, replace(LIMITS, added=70)),
        ("enrollments.student", {"enrollments": {"removed": 100}}, LIMITS),
        ("enrollments.student", {"enrollments": {"removed": 100}, "enrollments.student":
         {"removed": 30}}, replace(LIMITS, removed=30)),
        ("enrollments", {"enrollments": {"removed": 99}}, replace(LIMITS, removed=99)),
    ],
)  # fmt: skip
def test_limits_by_kind(kind: str, own: dict[str, Any], limits: Limits) -> None:
    terms = feed(guard_limits=own, guard_removed_count=9)
    assert Limits.from_feed(terms, kind, NIGHT) == limits


@pytest.mark.parametrize(
    ("day", "percent", "limits"),
    [
        ("2026-09-30", 60, Limits(10, 50, 70, 9, 20)),
        ("2026-10-01", 60, Limits(60, 60, 70, 0, 20)),
        ("2026-12-01", 60, Limits(60, 60, 70, 0, 20)),
        ("2026-12-02", 60, Limits(10, 50, 70, 9, 20)),
        ("2026-11-01", 5, Limits(10, 50, 70, 0, 20)),
        ("2026-11-01", 80, Limits(80, 80, 80, 0, 20)),
    ],
)
def test_a_window_widens_the_limits(day: str, percent: int, limits: Limits) -> None:
    """It narrows none, and disables the limit by number."""
    first = Span(dt.date(2026, 1, 1), dt.date(2026, 1, 1), "a day")
    terms = feed(
        guard_changed_percent=70,
        guard_removed_count=9,
        expected_changes=(first, *WINDOW),
        expected_percent=percent,
    )
    assert Limits.from_feed(terms, KIND, dt.date.fromisoformat(day)) == limits


def test_a_window_narrows_no_limit_of_a_kind() -> None:
    own = {"users": {"removed": 90, "added": 5, "changed": 4}}
    terms = feed(guard_limits=own, expected_changes=WINDOW, expected_percent=60)
    assert Limits.from_feed(terms, KIND, NIGHT) == Limits(90, 60, 60, 0, 20)
