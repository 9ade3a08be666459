"""What the inventory's filters make of feeds: when each unit starts, and whom the host talks to."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest
from roster_feeds import (
    feed_destinations,
    feed_problems,
    planned_starts,
    resolve_feeds,
    schedule_problems,
    to_toml,
    upkeep_problems,
)

FEED: dict[str, Any] = {
    "feed": "maple-grove",
    "window_start": "07:10",
    "deadline": "09:00",
    "remote_host": "sftp.example.org",
    "remote_port": 22,
}


def test_each_unit_has_its_starts() -> None:
    [starts] = planned_starts([FEED], "host", 30, ["07:55"], "20:30", 30).values()
    first = starts["roster-upload"][0]
    assert "07:10" <= first < "07:40"
    assert starts["roster-upload"][1:] == ["07:55"]
    assert starts["roster-watch"] == ["08:30"]
    # As long after its own time as the first start after the window's opening.
    minutes = int(first[3:]) - 10
    assert starts["roster-rehearse"] == [f"{20 + (30 + minutes) // 60}:{(30 + minutes) % 60:02}"]
    assert planned_starts([FEED], "host", 30, []) == {"maple-grove": {"roster-upload": [first]}}


def test_a_watcher_of_a_deadline_after_midnight_starts_before_it() -> None:
    feed = {**FEED, "window_start": "23:00", "deadline": "00:10"}
    [starts] = planned_starts([feed], "host", 1, [], "", 30).values()
    assert starts == {"roster-upload": ["23:00"], "roster-watch": ["23:40"]}


def test_only_deliveries_have_to_lie_in_the_window() -> None:
    starts = planned_starts([FEED], "host", 1, ["09:30"], "20:30", 30)
    [problem] = schedule_problems([FEED], starts)
    assert "09:30" in problem


@pytest.mark.parametrize(
    ("time", "is_wrong"),
    [("05:39", False), ("05:45", True), ("07:10", True), ("08:59", True), ("09:00", False)],
)
def test_upgrades_and_restarts_keep_away_from_deliveries(time: str, is_wrong: bool) -> None:
    found = upkeep_problems([FEED], {"the_variable": time})
    assert [text.split()[:2] for text in found] == [["the_variable:", time]] * is_wrong


def test_whom_the_host_talks_to() -> None:
    alerts = {
        "heartbeat_url": "https://beat.example/{secret}",
        "webhook_url": "http://hooks.example:8080/x",
        "smtp_host": "mail.example",
        "smtp_port": 587,
    }
    silent = {"heartbeat_url": "", "webhook_url": "", "smtp_host": "", "smtp_port": 25}
    assert feed_destinations([{**FEED, **alerts}, {**FEED, **silent}]) == [
        "sftp.example.org:22",
        "beat.example:443",
        "hooks.example:8080",
        "mail.example:587",
    ]


def test_a_feed_that_the_list_forgets_is_told() -> None:
    resolved = [{**FEED, "feed": "fir"}]
    assert not [p for p in feed_problems(resolved, [{"feed": "fir"}]) if "does not name" in p]
    [told] = [p for p in feed_problems(resolved, [{"feed": "fir"}], "elm") if "does not name" in p]
    assert "roster_upload_feeds: does not name elm" in told
    assert not [p for p in feed_problems([], [], "elm") if "does not name" in p]


@pytest.mark.parametrize(
    "value",
    [
        0.5,
        1e-7,
        100,
        True,
        'a "quoted" \\ text\x7f',
        [],
        {},
        {"schools": ["s-1", "ü"], "enrolled_only": True, "blank": ["users.sms"]},
        {"enrollments": {"removed": 100}, "users.student": {"added": 5, "changed": 0}},
        {"value.enum:enrollments.role": "warning"},
    ],
)
def test_a_value_reaches_the_program_as_it_is(value: object) -> None:
    read = tomllib.loads(f"key = {to_toml(value)}\n")["key"]
    assert (read, type(read)) == (value, type(value))


def test_a_feed_of_the_list_has_a_scope_and_limits_of_its_own() -> None:
    flat = {"scope": {"schools": ["a"]}, "faulty_rows_percent": 0.5, "feed": "fir"}
    item = {"feed": "elm", "scope": {"grades": ["03"]}, "guard_limits": {"enrolments": {}}}
    [own, other] = resolve_feeds([item, {}], flat)
    assert (own["scope"], other["scope"]) == ({"grades": ["03"]}, {"schools": ["a"]})
    told = [text for text in feed_problems([own, other], [item, {}]) if "guard_limits" in text]
    assert told
    assert told[0].startswith("roster_upload_feeds[0].guard_limits: ")
