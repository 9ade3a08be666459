"""The watch's decisions: what is reported, once a night, and what is in order again."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from roster_fleet.report import parsed, stamp
from roster_fleet.status import rows as status
from roster_fleet.status.rows import Host, Problem, Row
from roster_fleet.watch import news
from roster_fleet.watch.news import Entry
from support import fleets
from support.fleets import NOW

AT = stamp(NOW)
SILENT = Problem("red", "unreachable: Connection refused (last seen 2026-11-23 09:20 UTC)")


def host(*fates: str, name: str = "roster-1", trouble: Problem | None = None) -> Host:
    """Return a host with a feed for each fate."""
    feeds = [fleets.feed(20 + number, 40, fate) for number, fate in enumerate(fates)]
    planned = [feed["feed"] for feed in feeds]
    return Host(name, parsed(fleets.report(feeds)), AT, trouble, planned=planned)


def rows(*hosts: Host) -> list[Row]:
    return status.build_rows(hosts, "inventories/mine")


def found(*hosts: Host, now: str = AT) -> list[Entry]:
    return news.entries(rows(*hosts), now)


def told(entries: Sequence[Entry]) -> dict[str, Any]:
    """Return the memory after all of these were reported."""
    return {entry.key: entry.memory for entry in entries}


@pytest.mark.parametrize("fate", ["held", "refused", "stale", "failed", "missed"])
def test_a_red_feed_is_told_with_its_cause_and_next_step(fate: str) -> None:
    [entry] = found(host("sent", fate, "skipped"))
    assert (entry.host, entry.feed, entry.night) == ("roster-1", "feed-0021", "2026-11-24")
    assert not entry.is_silent
    assert entry.title == f"{entry.name} (feed-0021 on roster-1)"
    assert entry.causes
    assert entry.step


def test_a_green_or_amber_feed_is_not_told() -> None:
    amber = host("sent")
    amber = replace(amber, report={**(amber.report or {}), "free_bytes": 0})
    assert [row.state for row in rows(amber)] == ["amber"]
    assert found(host("sent", "skipped"), amber) == []


def test_the_next_step_fits_the_cause() -> None:
    held, stale, missed = found(host("held", "stale", "missed"))
    assert held.step.startswith("Look at the export in the SIS. If it is right, run: ansible-")
    assert "approve_digest" in held.step
    assert "SIS" in stale.step
    assert missed.step == "Log in to roster-1 and run sudo roster-upload explain feed-0022."


def test_no_command_names_a_feed_that_only_the_host_knows() -> None:
    strange = replace(host("failed"), planned=())
    [entry] = found(strange)
    assert entry.step == "See the row of roster-1 on the page."


def test_a_silent_host_is_told_once_for_all_of_its_feeds() -> None:
    entries = found(host("failed", name="roster-0"), host("held", "sent", trouble=SILENT))
    silent, red = entries
    assert (silent.host, silent.feed, silent.is_silent) == ("roster-1", "", True)
    assert silent.causes == (SILENT.text,)
    assert "Check that roster-1 is on" in silent.step
    assert red.host == "roster-0"


def test_a_host_that_was_never_seen_is_silent() -> None:
    [entry] = found(Host("new", None, "", SILENT))
    assert (entry.key, entry.is_silent) == ("new/", True)


def test_a_host_that_was_not_asked_is_not_silent() -> None:
    assert found(host("sent", trouble=Problem("amber", "was not asked in this run"))) == []


def test_a_feed_that_cannot_be_read_is_no_silent_host() -> None:
    report = parsed(fleets.report([{"feed": 1}]))
    [entry] = found(Host("roster-1", report, AT, planned=["elm"]))
    assert not entry.is_silent
    assert entry.key == "roster-1/?"


def test_the_same_state_is_told_once_a_night() -> None:
    hosts = host("held", "sent"), host(name="roster-2", trouble=SILENT)
    first = found(*hosts)
    known = told(first)
    asked = ["roster-1", "roster-2"]
    assert news.compare(first, {}, asked).new == first
    later = found(*hosts, now="2026-11-25T08:59:00Z")
    assert news.compare(later, known, asked).new == []
    next_night = found(*hosts, now="2026-11-25T09:00:00Z")
    assert news.compare(next_night, known, asked).new == next_night


def test_numbers_make_no_new_state_and_words_do() -> None:
    [entry] = found(host("stale"))
    known = told([entry])
    older = replace(entry, causes=tuple(text.replace("48", "49") for text in entry.causes))
    assert older != entry
    assert news.compare([older], known, ["roster-1"]).new == []
    other = replace(entry, causes=("the login as rosters was refused",))
    assert news.compare([other], known, ["roster-1"]).new == [other]


def test_a_host_that_is_silent_for_another_reason_is_still_silent() -> None:
    [entry] = found(host(trouble=SILENT))
    known = told([entry])
    other = replace(entry, causes=("unreachable: timed out",))
    assert news.compare([other], known, ["roster-1"]).new == []


def test_what_is_no_longer_red_is_in_order_again() -> None:
    known = told(found(host("held"), host("sent", name="roster-2", trouble=SILENT)))
    asked = ["roster-1", "roster-2"]
    after = news.compare(found(host("sent"), host("sent", name="roster-2")), known, asked)
    assert after.new == []
    assert list(after.resolved) == ["roster-2/", "roster-1/feed-0020"]
    assert after.resolved["roster-2/"] == "roster-2"


def test_a_red_feed_of_a_host_that_fell_silent_is_not_in_order() -> None:
    known = told(found(host("held")))
    entries = found(host("held", trouble=SILENT))
    after = news.compare(entries, known, ["roster-1"])
    assert after.resolved == {}
    assert after.new == entries


def test_a_host_outside_the_limit_is_not_in_order_again() -> None:
    known = told(found(host("held")))
    assert news.compare([], known, ["roster-2"]).resolved == {}


def test_what_nobody_was_told_is_told_by_the_next_run() -> None:
    entries = found(host("held", "stale"))
    first, second = entries
    known = news.remembered(entries, {}, news.compare(entries, {}, ["roster-1"]), {first.key})
    assert known == told([first])
    assert news.compare(entries, known, ["roster-1"]).new == [second]


def test_the_memory_drops_what_was_told_as_in_order() -> None:
    entries = found(host("held", "stale"))
    known = told(entries)
    after = news.compare([], known, ["roster-1"])
    assert news.remembered([], known, after, set()) == known
    assert news.remembered([], known, after, {entries[0].key}) == told(entries[1:])


def test_each_feed_has_the_night_of_its_own_deadline() -> None:
    feed = fleets.feed(20, 40, "held") | {"deadline": "16:00"}
    late = Host("roster-1", parsed(fleets.report([feed])), AT, planned=[feed["feed"]])
    [entry] = found(late)
    assert entry.night == (NOW.date() - dt.timedelta(days=1)).isoformat()
