"""Reports of hosts: values that fit the schema are read, and nothing else reaches the fleet."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from roster_fleet import report
from roster_fleet.report import UnfitError, loaded, parsed, stamp
from roster_fleet.status import cache as caches
from roster_fleet.status import page
from roster_fleet.status import rows as status
from roster_fleet.status import table as tables
from roster_fleet.status.cache import Cache
from support import fleets
from support.fleets import DIGEST, NOW

EVIL = "\x1b]0;All districts delivered\x07\x9b2J\u202e\r\n"
SEEN = r"\x1b]0;All districts delivered\x07\x9b2J\u202e\r\n"
BIG = 1 << 60
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda values: st.lists(values) | st.dictionaries(st.text(), values),
    max_leaves=5,
)


def full() -> dict[str, Any]:
    """Return a report with all keys of its schema."""
    finding = {
        "rule": "a.b", "severity": "fault", "file": "users.csv", "column": "role",
        "detail": "", "count": 3, "rows": [20],
    }  # fmt: skip
    feed = fleets.feed(20, 3, "held")
    feed["cautions"] |= {
        "faulty_rows": {"users": 3},
        "findings": [finding],
        "waiting": {"since": "2026-11-23", "nights": 2, "counts": {"users.student": 40}},
    }
    feed["watch"] = fleets.receipt("watch", "failed", NOW.date())
    return fleets.report([feed, fleets.feed(21, 3)], asked=stamp(NOW))


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path to every value of a report."""
    yield path
    entries = value.items() if isinstance(value, dict) else enumerate(value)
    for key, entry in entries:
        if isinstance(entry, dict | list):
            yield from places(entry, (*path, key))
        else:
            yield (*path, key)


PLACES = list(places(full()))


def changed(path: tuple[Any, ...], value: Any) -> Any:
    """Return the full report with another value at a path."""
    whole = copy.deepcopy(full())
    if not path:
        return value
    *way, last = path
    inner: Any = whole
    for key in way:
        inner = inner[key]
    inner[last] = value
    return whole


def rows_of(told: Any, cache: Cache) -> list[status.Row]:
    """Return the rows of a host with that report, and of a good one."""
    good = json.dumps(fleets.report([fleets.feed(30, 3)]))
    results = {
        "bad": {"report": json.dumps(told), "planned": ["feed-0020", "feed-0021"]},
        "good": {"report": good, "planned": ["feed-0030"]},
    }
    return status.build_rows(fleets.hosts(results, cache), "inventories/mine")


@given(
    st.sampled_from(PLACES),
    JSON | st.sampled_from([EVIL, BIG, -BIG, "9999-12-31", "2099-01-01T00:00:00Z"]),
)
def test_whatever_a_report_holds_blinds_nobody(path: tuple[Any, ...], value: Any) -> None:
    rows = rows_of(changed(path, value), Cache(Path("/nonexistent")))
    assert [row.state for row in rows if row.host.name == "good"] == ["green"]
    assert any(row.host.name == "bad" for row in rows)
    text = tables.table(rows, 200, colours=False)
    assert all(character.isprintable() or character == "\n" for character in text)
    assert len(page.build(rows, stamp(NOW))) < 200_000
    for row in rows:
        assert row.command == "" or f'"approve_digest": "{DIGEST}"' in row.command


@given(st.sampled_from(PLACES[1:]))
def test_a_key_of_an_older_release_may_lack(path: tuple[Any, ...]) -> None:
    told = copy.deepcopy(full())
    inner: Any = told
    for key in path[:-1]:
        inner = inner[key]
    if isinstance(inner, dict):
        del inner[path[-1]]
    rows = rows_of(told, Cache(Path("/nonexistent")))
    assert [row.state for row in rows if row.host.name == "good"] == ["green"]


def test_keys_of_a_newer_release_are_left_out() -> None:
    told = full() | {"more": 1}
    told["feeds"][0] |= {"more": EVIL}
    assert parsed(told) == parsed(full())


@pytest.mark.parametrize(
    ("path", "value", "wrong"),
    [
        (("schema",), 2, "schema is 2. This release reads 1"),
        (("schema",), "1", "schema is not a whole number"),
        (("schema",), True, "schema is not a whole number"),
        (("feeds",), {}, "feeds is not a list"),
        (("feeds",), [{}] * 101, "feeds has 101 entries. At most 100 are read"),
        (("time",), "2026-11-24", "time is not a moment with its time zone"),
        (("time",), "9999-12-31T23:59:59Z", "time lies outside the years 2000 to 2099"),
        (("time",), "2026-11-24T15:30:00", "time is not a moment with its time zone"),
        (("clock_synced",), "no", "clock_synced is neither true nor false"),
        (("free_bytes",), 1.5, "free_bytes is not a whole number"),
        (("free_bytes",), 1 << 53, "free_bytes is not a whole number"),
        (("failed_units",), [1], "failed_units[0] is not text"),
    ],
)
def test_a_report_that_does_not_fit_says_where(path: Any, value: Any, wrong: str) -> None:
    with pytest.raises(UnfitError) as caught:
        parsed(changed(path, value))
    assert str(caught.value) == wrong


@pytest.mark.parametrize(
    ("path", "value", "wrong"),
    [
        ((), 5, "feeds[0] is not a table"),
        (("feed",), "alder valley", "feeds[0].feed is not a feed's name"),
        (("feed",), "a\n", "feeds[0].feed is not a feed's name"),
        (("deadline",), "25:00", "feeds[0].deadline is not a time of day (HH:MM)"),
        (("nights", 2, 1), 7, "feeds[0].nights[2].outcome is not text"),
        (("nights", 2, 0), "0001-01-01", "feeds[0].nights[2].night lies outside the years 2000"),
        (("nights", 2, 0), "yesterday", "feeds[0].nights[2].night is not a date"),
        (("nights", 2, 3), float("inf"), "feeds[0].nights[2].bytes is not a whole number"),
        (("nights", 2), ["2026-11-24"], "feeds[0].nights[2] is not a night"),
        (("nights",), [["2026-11-24", "sent"]] * 4001, "feeds[0].nights has 4,001 entries"),
        (("held", "digest"), "$(id)", "feeds[0].held.digest is not a SHA-256"),
        (("held", "digest"), DIGEST + "\n", "feeds[0].held.digest is not a SHA-256"),
        (("starts", "roster-upload"), "soon", "feeds[0].starts.roster-upload is not a moment"),
    ],
)
def test_a_feed_that_does_not_fit_leaves_the_others(path: Any, value: Any, wrong: str) -> None:
    bad, good = parsed(changed(("feeds", 0, *path), value))["feeds"]
    assert bad["fault"].startswith(wrong)
    assert (good["feed"], good["fault"]) == ("feed-0021", "")


def test_the_row_of_what_does_not_fit_is_red_and_names_host_and_place(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    assert rows_of(full(), cache)
    cache.keep([caches.host("bad", {"report": json.dumps(full())}, cache, stamp(NOW))])
    told = changed(("feeds", 0, "nights", 1, 1), None)
    [first] = [row for row in rows_of(told, cache) if row.feed.get("feed") == "feed-0020"]
    assert (first.state, first.host.name) == ("red", "bad")
    assert first.problems[0].text == "report not understood: feeds[0].nights[1].outcome is not text"
    [row, *_] = rows_of({"schema": 1}, cache)
    assert row.problems[0] == (
        "red", "report not understood: feeds is not a list (last seen 2026-11-24 15:30 UTC)"
    )  # fmt: skip


@pytest.mark.parametrize(
    "text",
    ["", "{", "[" * 100_000, '{"v": NaN}', '{"v": Infinity}', "1" + " " * report.LONGEST_REPORT],
)
def test_what_is_no_json_or_too_long_is_not_read(text: str) -> None:
    with pytest.raises(UnfitError):
        loaded(text)


def test_texts_become_printable_and_bounded() -> None:
    told = full()
    told["feeds"][0] |= {"district": EVIL, "trouble": "x" * 10**6}
    feed = parsed(told)["feeds"][0]
    assert feed["district"] == SEEN
    assert len(feed["trouble"]) == report.LONGEST_MESSAGE


def test_nights_ahead_of_the_clock_and_of_long_ago_are_no_calendar(tmp_path: Path) -> None:
    nights = [["2001-01-01", "sent"], ["2026-11-24", "sent"], ["2031-01-01", "sent"]]
    rows = rows_of(changed(("feeds", 1, "nights"), nights), Cache(tmp_path))
    [row] = [row for row in rows if row.feed["feed"] == "feed-0021"]
    assert len(row.nights) == status.LONGEST_CALENDAR
    assert row.nights[-1].night == "2026-11-24"
    assert "receipts of 1 nights lie ahead" in "; ".join(p.text for p in row.problems)


@pytest.mark.parametrize("planned", [[], ["feed-0021"], None])
def test_a_feed_that_the_inventory_lacks_goes_into_no_command(planned: list[str] | None) -> None:
    host = status.Host("a", parsed(full()), stamp(NOW), planned=planned)
    [row] = [row for row in status.build_rows([host], "") if row.feed["feed"] == "feed-0020"]
    assert row.command == ""
    told = "; ".join(problem.text for problem in row.problems)
    assert ("the inventory gives the host no feed of this name" in told) is (planned is not None)
    assert ("roster-upload diff feed-0020" in told) is (planned is None)


@pytest.mark.parametrize(
    "kept",
    ["", "[]", "{", '{"seen": 1}', "[" * 100_000, b"\xff", '{"report": {"schema": 1}}', None],
)
def test_a_damaged_report_of_before_ends_no_run(tmp_path: Path, kept: str | bytes | None) -> None:
    cache = Cache(tmp_path)
    good = caches.host("a", {"report": json.dumps(full())}, cache, stamp(NOW), planned=["x"])
    assert cache.keep([good]) == []
    assert cache.load("a").planned == ["x"]
    path = tmp_path / "a.json"
    path.unlink()
    if kept is None:
        path.mkdir()
    else:
        path.write_bytes(kept if isinstance(kept, bytes) else kept.encode())
    assert cache.load("a").report is None
    told = cache.keep([good, caches.host("b", {"report": json.dumps(full())}, cache, stamp(NOW))])
    assert [text.partition(" cannot")[0] for text in told] == ["the report of a"] * (kept is None)
    assert cache.load("b").report


def test_a_report_with_a_fault_is_not_kept(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    told = changed(("feeds", 0, "auth"), 5)
    cache.keep([caches.host("a", {"report": json.dumps(told)}, cache, stamp(NOW))])
    assert cache.load("a").report is None


def test_many_failed_units_are_counted() -> None:
    told = parsed(full() | {"failed_units": [f"{n}.service" for n in range(7)]})
    [row, *_] = status.build_rows([status.Host("a", told, stamp(NOW))], "")
    assert "4.service and 2 more" in "; ".join(problem.text for problem in row.problems)
