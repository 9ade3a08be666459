"""The vendor's yearly reset: which nights are paused, and which delivery is the first one after."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from roster_upload import config
from roster_upload.records.night import blackout
from roster_upload.records.season import Reset
from support.receipts import history
from unit.test_config import GOOD

DAY = dt.date(2027, 7, 16)
RESUME = dt.date(2027, 7, 26)
ONE = dt.timedelta(days=1)
DAYS = st.dates(dt.date(2027, 1, 1), dt.date(2028, 12, 31))
MEASURED = {"users.student": 400, "enrollments.student": 2000}


def sent(night: str, **facts: Any) -> dict[str, Any]:
    return {"command": "send", "outcome": "sent", "exit_code": 0, "night": night, **facts}


@pytest.mark.parametrize(
    ("day", "resume", "night", "is_paused"),
    [
        (None, None, DAY, False),
        (None, RESUME, DAY, False),
        (DAY, None, DAY - ONE, False),
        (DAY, None, DAY, True),
        (DAY, None, dt.date(2028, 7, 1), True),
        (DAY, RESUME, RESUME - ONE, True),
        (DAY, RESUME, RESUME, False),
        (DAY, DAY - ONE, DAY, True),
        (DAY, dt.date(2026, 7, 26), RESUME, True),
        (DAY, DAY, DAY, False),
    ],
)
def test_the_pause_is_from_the_reset_until_the_first_night_after_it(
    day: dt.date | None, resume: dt.date | None, night: dt.date, is_paused: bool
) -> None:
    assert bool(Reset(day, resume).pause(night)) is is_paused


def test_the_pause_says_since_when_and_how_it_ends() -> None:
    assert Reset(DAY, None).pause(DAY) == (
        "the vendor's yearly reset since 2027-07-16. Set roster_upload_reset_resume_date to the "
        "first night that is to be delivered again, and run site.yml"
    )
    assert Reset(DAY, RESUME).pause(DAY) == (
        "the vendor's yearly reset of 2027-07-16, a pause until the delivery of 2027-07-26"
    )
    assert (
        Reset(DAY, None, ["bytes"])
        .pause(DAY)
        .endswith(
            ". Set roster_upload_guard_minimum for bytes. Without it the guard holds the first "
            "delivery after the reset"
        )
    )


def test_a_reset_is_announced_until_its_own_night() -> None:
    reset = Reset(DAY, None)
    assert reset.announcement(DAY - ONE) == "the vendor resets the product on 2027-07-16"
    assert reset.announcement(DAY) == ""
    assert Reset(None, RESUME).announcement(DAY) == ""


@given(day=DAYS, resume=st.none() | DAYS, night=DAYS)
def test_paused_nights_are_those_from_the_reset_to_its_end(
    day: dt.date, resume: dt.date | None, night: dt.date
) -> None:
    reset = Reset(day, resume)
    is_ended = resume is not None and day <= resume <= night
    assert bool(reset.pause(night)) is (night >= day and not is_ended)
    assert not (reset.pause(night) and reset.announcement(night))
    if reset.pause(night) and not reset.end:
        assert reset.pause(night + ONE), "only the operator ends it"


@given(day=DAYS, resume=st.none() | DAYS, night=DAYS, before=st.integers(0, 400))
def test_only_a_delivery_since_the_reset_passes_it(
    day: dt.date, resume: dt.date | None, night: dt.date, before: int
) -> None:
    reset = Reset(day, resume)
    last = night - dt.timedelta(days=before)
    found = reset.not_passed(night, history([sent(last.isoformat())]))
    is_first = night >= day and last < (reset.end or day)
    assert found == (day if is_first else None)


@pytest.mark.parametrize(
    ("receipt", "is_passed"),
    [
        (sent("2027-07-25"), False),
        (sent("2027-07-26"), True),
        (sent("2027-07-30"), True),
        (sent("2027-07-31"), False),
        (sent("2027-07-26", command="resend"), False),
        (sent(""), False),
    ],
)
def test_the_reset_is_passed_by_a_delivery_of_a_later_night(
    receipt: dict[str, Any], is_passed: bool
) -> None:
    """A clock that was ahead, a repetition, and a receipt without a night do not count."""
    reset, tonight = Reset(DAY, RESUME), dt.date(2027, 7, 30)
    found = reset.not_passed(tonight, history([sent("2027-06-01"), receipt]))
    assert found == (None if is_passed else DAY)


def test_a_changed_date_is_another_reset() -> None:
    known, tonight = history([sent("2027-07-26")]), dt.date(2027, 8, 1)
    assert Reset(DAY, RESUME).not_passed(tonight, known) is None
    assert Reset(DAY, dt.date(2027, 7, 28)).not_passed(tonight, known) == DAY
    assert Reset(dt.date(2027, 7, 30), None).not_passed(tonight, known) == dt.date(2027, 7, 30)
    assert Reset(dt.date(2028, 7, 14), RESUME).not_passed(tonight, known) is None
    assert Reset(None, RESUME).not_passed(tonight, known) is None


def test_the_reset_comes_before_other_blackouts() -> None:
    """It does not end by itself."""
    values = {**GOOD, "blackouts": ["2027-07-10..2027-08-01 summer"], "reset_date": "2027-07-16"}
    feed = config.parse({**values, "guard_minimum": MEASURED})
    assert blackout(feed, DAY - ONE) == "blackout 2027-07-10..2027-08-01 (summer)"
    assert blackout(feed, DAY) == Reset(DAY, None).pause(DAY)
    ended = config.parse({**values, "reset_resume_date": "2027-07-26"})
    assert blackout(ended, RESUME) == "blackout 2027-07-10..2027-08-01 (summer)"
    assert blackout(ended, dt.date(2027, 8, 2)) == ""


def test_the_reset_of_a_feed_has_its_lacking_minima() -> None:
    feed = config.parse({**GOOD, "reset_date": DAY, "reset_resume_date": "2027-07-26"})
    assert Reset.of(feed) == Reset(DAY, RESUME, ["users.student", "enrollments.student"])
    assert Reset.of(config.parse(GOOD)).day is None
