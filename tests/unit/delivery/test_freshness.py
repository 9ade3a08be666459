"""The age of an export: for a delivery now, and for tonight's."""

from __future__ import annotations

import datetime as dt

import pytest
from roster_upload import config
from roster_upload.delivery.freshness import require_fresh, require_tonights
from roster_upload.exits import Exit, Failure
from unit.test_config import GOOD

# The window is 07:10 to 09:00 UTC. The rehearsal starts in the afternoon, at 20:30.
AFTERNOON = dt.datetime(2026, 11, 23, 20, 30, tzinfo=dt.UTC)
NIGHT = dt.datetime(2026, 11, 24, 7, 12, tzinfo=dt.UTC)
FRESH, TO_COME, STALE = "fresh", "to come", "stale"


def tonight(now: dt.datetime, written: dt.datetime, hours: int = 36, *blackouts: str) -> str:
    """Return the judgement of an export for tonight."""
    feed = config.parse({**GOOD, "maximum_age_hours": hours, "blackouts": list(blackouts)})
    try:
        text = require_tonights(feed, "/srv/OneRoster.zip", written, now)
    except Failure as failure:
        return STALE if failure.code is Exit.STALE else failure.code.name
    assert not text or "tonight's export is still to come" in text
    return TO_COME if text else FRESH


@pytest.mark.parametrize(
    ("age", "hours", "judged"),
    [
        (0, 36, FRESH),
        (23.5, 36, FRESH),  # it lasts until 09:00
        (23.51, 36, TO_COME),
        (36, 36, TO_COME),
        (36.01, 36, STALE),
        (96, 36, STALE),
        # A strict limit raises no alarm each afternoon: last night's export is old by then.
        (18.5, 12, TO_COME),
        (18.5, 24, TO_COME),
        (11.5, 24, FRESH),
        (36, 12, TO_COME),
        (36.01, 12, STALE),  # last night had none
        # A limit that allows for a weekend.
        (59.5, 72, FRESH),
        (59.51, 72, TO_COME),
        (72, 72, TO_COME),
        (72.01, 72, STALE),
    ],
)
def test_in_the_afternoon_tonights_export_may_still_come(
    age: float, hours: int, judged: str
) -> None:
    assert tonight(AFTERNOON, AFTERNOON - dt.timedelta(hours=age), hours) == judged


@pytest.mark.parametrize(
    ("age", "judged"), [(10.2, FRESH), (10.21, TO_COME), (12, TO_COME), (12.01, STALE)]
)
def test_in_the_window_the_limit_itself_counts(age: float, judged: str) -> None:
    assert tonight(NIGHT, NIGHT - dt.timedelta(hours=age), 12) == judged


def test_after_a_break_the_first_export_is_still_to_come() -> None:
    june = AFTERNOON - dt.timedelta(days=60, hours=20)
    summer = "2026-09-25..2026-11-23 autumn break"
    assert tonight(AFTERNOON, june, 36, summer) == TO_COME
    assert tonight(AFTERNOON, june - dt.timedelta(days=1), 36, summer) == STALE
    assert tonight(AFTERNOON, june, 36, "2026-09-25..2026-11-22") == STALE, "last night had none"
    assert tonight(AFTERNOON, AFTERNOON, 36, "0001-01-01..2026-11-23 ever") == FRESH


def test_the_text_says_until_when_it_can_be_sent() -> None:
    feed = config.parse({**GOOD, "maximum_age_hours": 12})
    written = AFTERNOON - dt.timedelta(hours=18)
    assert require_tonights(feed, "/srv/OneRoster.zip", written, AFTERNOON) == (
        "tonight's export is still to come. /srv/OneRoster.zip was written 2026-11-23 02:30 UTC, "
        "and the limit is 12 h. So it is too old from 2026-11-23 14:30 UTC on"
    )


@pytest.mark.parametrize(
    ("hours", "is_stale"), [(36, False), (36.001, True), (-1, False), (-1.001, True)]
)
def test_a_delivery_takes_an_export_up_to_its_limit(hours: float, is_stale: bool) -> None:
    written = AFTERNOON - dt.timedelta(hours=hours)
    arguments = config.parse(GOOD), "/srv/OneRoster.zip", written, AFTERNOON
    if not is_stale:
        require_fresh(*arguments)
        return
    for judge in (require_fresh, require_tonights):
        with pytest.raises(Failure, match=r"/srv/OneRoster\.zip was written") as failed:
            judge(*arguments)
        assert failed.value.code is Exit.STALE
