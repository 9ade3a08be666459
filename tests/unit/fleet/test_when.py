"""Nights and times in the short form of cells."""

from __future__ import annotations

import pytest
from roster_fleet.status.when import short_moment, short_night


@pytest.mark.parametrize(
    ("night", "name"),
    [
        ("2026-11-27", "26–27 Nov"),
        ("2026-12-01", "30 Nov–1 Dec"),
        ("2027-01-01", "31 Dec–1 Jan"),
        ("2028-03-01", "29 Feb–1 Mar"),
    ],
)
def test_a_night_is_named_by_both_of_its_days(night: str, name: str) -> None:
    assert short_night(night) == name


def test_a_moment_has_its_day_and_its_time() -> None:
    assert short_moment("2026-03-01T07:05:00Z") == "1 Mar 07:05"
