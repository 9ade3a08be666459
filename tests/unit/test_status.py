"""The fleet's status: the hosts' reports of their receipts, judged, packed and stored."""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.cells import cell_len
from roster_fleet.report import Night, parsed, stamp
from roster_fleet.status import cache as caches
from roster_fleet.status import page
from roster_fleet.status import rows as status
from roster_fleet.status import table as tables
from roster_fleet.status.cache import Cache
from roster_upload import __version__, version
from roster_upload.terminal.printable import printable
from support import fleets
from support.fleets import DIGEST, NOW

ROOT = Path(__file__).resolve().parents[2]
WAITS = {"since": "2026-11-23", "nights": 2, "counts": {"users.student": 40}}
FINDINGS = [
    {
        "rule": rule, "severity": severity, "file": "users.csv", "column": "role",
        "detail": "", "count": 3, "rows": [20],
    } for rule, severity in (("a.b", "warning"), ("c.d", "fault"), ("e.f", "fault"))
]  # fmt: skip


# ---- judging -------------------------------------------------------------------------------------


def judged(feed: dict[str, Any], **report: Any) -> status.Row:
    """Return a feed of a host that was reached just now."""
    told = parsed(fleets.report([feed], **report))
    host = status.Host("roster-1", told, stamp(NOW), planned=[feed["feed"]])
    return status.build_rows([host], "inventories/my district")[0]


def texts(row: status.Row) -> str:
    return "; ".join(problem.text for problem in row.problems)


@pytest.mark.parametrize(
    ("fate", "state"),
    [
        ("sent", "green"),
        ("skipped", "green"),
        ("held", "red"),
        ("refused", "red"),
        ("stale", "red"),
        ("failed", "red"),
        ("missed", "red"),
    ],
)
def test_only_what_was_sent_or_skipped_by_plan_is_green(fate: str, state: str) -> None:
    row = judged(fleets.feed(20, 40, fate))
    assert (row.state, row.outcome) == (state, fate)
    assert row.nights[-1].night == "2026-11-24"
    assert len(row.nights) == 40
    assert bool(row.problems) == (state == "red")


def test_a_night_is_missed_from_its_deadline_on() -> None:
    feed = fleets.feed(20, 40, "missed")
    before, after = "2026-11-24T08:59:00Z", "2026-11-24T09:00:00Z"
    for time, state in ((before, "green"), (after, "red")):
        host = status.Host("roster-1", parsed(fleets.report([feed], time=time)), time)
        assert status.build_rows([host], "")[0].state == state


def test_the_watchers_words_are_the_reason() -> None:
    feed = fleets.feed(20, 40, "missed")
    feed["watch"] = fleets.receipt("watch", "failed", NOW.date()) | {"message": "no try was made"}
    assert "no try was made" in texts(judged(feed))


@pytest.mark.parametrize(
    ("change", "state", "told"),
    [
        ({"credential": "2025-12-15T00:00:00Z"}, "amber", "its password is too old in 22 days"),
        ({"credential": "2025-11-01T00:00:00Z"}, "amber", "388 days old, 365 are allowed"),
        ({"credential": None}, "amber", "no credential"),
        ({"credential": "2031-06-01T00:00:00Z"}, "amber", "ahead of the clock"),
        (
            {"source_credential": "2025-11-01T00:00:00Z"},
            "amber",
            "its credential for the SIS's server is 388 days old, 365 are allowed",
        ),
        (
            {"sealed": [{"key": "host+tpm2", "pcrs": [7]}]},
            "amber",
            "sealed by the host's key and the TPM, with PCR 7. An update of Secure Boot would lock",
        ),
        ({"sealed": [{"key": "host+tpm2", "pcrs": [23]}]}, "green", ""),
        ({"sealed": [{"key": "of a newer release", "pcrs": []}]}, "green", ""),
        ({"starts": {}}, "amber", "no delivery is planned"),
        ({"broken_at": 7}, "amber", "changed by hand, line 7"),
        ({"trouble": "its receipts are gone"}, "red", "its receipts are gone"),
        ({"configured": None}, "off", "not delivered any more"),
        ({"nights": [], "last": None}, "red", "nothing was ever delivered"),
        (
            {"nights": [], "last": None, "configured": stamp(NOW)},
            "new",
            "waits for its first night, the night of 24 to 25 November",
        ),
        ({"nights": []}, "amber", "no night yet, but sent by hand since, 2026-11-24 07:25 UTC"),
    ],
)
def test_what_is_not_in_order_is_told(change: dict[str, Any], state: str, told: str) -> None:
    row = judged(fleets.feed(20, 40) | change)
    assert row.state == state
    assert told in texts(row)


@pytest.mark.parametrize(
    ("caution", "told"),
    [
        ({"waiting": WAITS}, "40 users.student. Run roster-upload diff feed-0020 to see who"),
        ({"faulty_rows": {"users": 3}, "findings": FINDINGS[1:2]}, "has 3 faulty rows, first: "),
        ({"unchanged_nights": 10, "unchanged_limit": 10}, "changed for 10 school nights"),
        ({"unchanged_nights": 9, "unchanged_limit": 10, "findings": []}, ""),
    ],
)
def test_a_delivery_with_something_to_look_at_is_amber(caution: dict[str, Any], told: str) -> None:
    row = judged(fleets.feed(20, 40) | {"cautions": {"feed": "feed-0020", **caution}})
    assert row.state == ("amber" if told else "green")
    assert told in texts(row)
    red = judged(fleets.feed(20, 40, "held") | {"cautions": {"feed": "feed-0020", **caution}})
    assert red.state == "red"
    assert told in texts(red)


def by_hand(outcome: str) -> dict[str, Any]:
    """Manual tries during the day, after the night of NOW's day."""
    return fleets.receipt("send", outcome, NOW.date() + dt.timedelta(days=1))


def test_what_is_sent_by_hand_makes_a_bad_night_less_grave() -> None:
    row = judged(fleets.feed(20, 40, "failed") | {"last": by_hand("sent")})
    assert (row.state, row.outcome) == ("amber", "failed")
    assert "sent by hand since" in texts(row)
    row = judged(fleets.feed(20, 40) | {"last": by_hand("refused")})
    assert (row.state, row.outcome) == ("red", "sent")
    assert "refused by hand" in texts(row)


def test_a_later_try_of_the_same_night_does_not_undo_what_was_sent() -> None:
    later = fleets.receipt("send", "failed", NOW.date())
    row = judged(fleets.feed(20, 40) | {"last": later})
    assert (row.state, row.outcome) == ("amber", "sent")
    assert "a later try was not" in texts(row)


def test_a_report_is_compared_with_the_moment_at_which_it_was_asked_for() -> None:
    seen = stamp(NOW + dt.timedelta(minutes=30))  # the fleet is large, hosts do not answer
    for asked, state in ((stamp(NOW), "green"), (seen, "amber")):
        host = status.Host(
            "roster-1", parsed(fleets.report([fleets.feed(20, 40)], asked=asked)), seen
        )
        [row] = status.build_rows([host], "")
        assert row.state == state
        assert ("30 min off" in texts(row)) == (state == "amber")
    unsynced = fleets.report([fleets.feed(20, 40)], clock_synced=False)
    [row] = status.build_rows([status.Host("roster-1", parsed(unsynced), stamp(NOW))], "")
    assert "not synchronised" in texts(row)


def test_a_host_without_feeds_by_plan_is_not_in_disorder() -> None:
    [row] = status.build_rows(
        [status.Host("roster-1", parsed({"schema": 1, "feeds": []}), stamp(NOW))], ""
    )
    assert (row.state, texts(row)) == ("off", "has no feed, by plan")
    [row] = status.build_rows([status.Host("roster-1", parsed(fleets.report([])), stamp(NOW))], "")
    assert row.state == "amber"


def test_a_failed_rehearsal_is_amber_until_something_is_sent() -> None:
    feed = fleets.feed(20, 40)
    feed["rehearsal"] = fleets.receipt("rehearse", "refused", NOW.date())
    assert judged(feed).state == "amber"
    feed["rehearsal"] = fleets.receipt("rehearse", "refused", NOW.date() - dt.timedelta(days=1))
    assert judged(feed).state == "green"


def test_a_night_sent_past_its_deadline_is_amber() -> None:
    feed = fleets.feed(20, 40)
    feed["nights"][-1][8] = -12
    row = judged(feed)
    assert (row.state, row.outcome) == ("amber", "sent late")
    assert "12 min past the deadline" in texts(row)


def test_the_hosts_own_troubles_are_amber() -> None:
    feed = fleets.feed(20, 40)
    assert "MB left on its disk" in texts(judged(feed, free_bytes=200_000_000))
    units = ["aide.service"]
    assert "failed on the host: aide.service" in texts(judged(feed, failed_units=units))
    assert "5 min off" in texts(judged(feed, time=stamp(NOW - dt.timedelta(minutes=5))))


def test_a_held_export_shows_the_command_that_lets_it_through() -> None:
    assert judged(fleets.feed(20, 40, "held")).command == (
        "ansible-playbook playbooks/approve.yml -i 'inventories/my district' --limit roster-1 "
        f'-e \'{{"roster_feed": "feed-0020", "approve_digest": "{DIGEST}", '
        '"approve_reason": "..."}\''
    )
    assert judged(fleets.feed(20, 40, "stale")).command == ""


# ---- hosts that do not answer --------------------------------------------------------------------


def test_an_unreachable_host_shows_what_was_seen_last(tmp_path: Path) -> None:
    cache, name = Cache(tmp_path / "status"), "roster/../1"
    told = {"report": json.dumps(fleets.report([fleets.feed(20, 40)]))}
    silent = {
        "unreachable": True,
        "msg": "Make sure it can be reached over ssh: A banner\n\n no route\n",
    }
    never = caches.host(name, silent, cache, stamp(NOW))
    assert never.trouble == ("red", "unreachable: no route (never seen)")
    assert status.build_rows([never], "")[0].name == name
    cache.keep([never, caches.host(name, told, cache, stamp(NOW), 90)])
    assert [path.parent for path in tmp_path.rglob("*.json")] == [cache.folder]
    assert cache.folder.stat().st_mode & 0o777 == 0o700
    row = status.build_rows([caches.host(name, silent, cache, "2026-11-30T12:00:00Z")], "")[0]
    assert row.state == "red"
    assert row.host.maximum_days == 90
    assert row.name == told_district()
    assert len(row.nights) == 40
    assert row.problems[0].text.endswith("(last seen 2026-11-24 15:30 UTC)")
    assert page.record(row)["stale"] == "24 Nov 15:30"
    assert status.build_rows([caches.host(name, None, cache, stamp(NOW))], "")[0].state == "amber"
    broken = caches.host(name, {"failed": True, "msg": "no python"}, cache, stamp(NOW))
    assert broken.trouble
    assert broken.trouble.text.startswith("could not be read: no python")
    next(cache.folder.glob("*.json")).write_text("{")
    assert caches.host(name, silent, cache, stamp(NOW)).report is None


def told_district() -> str:
    return str(fleets.feed(20, 1)["district"])


# ---- the table -----------------------------------------------------------------------------------


def fleet(count: int, nights: int, folder: Path) -> list[status.Row]:
    return status.build_rows(
        fleets.hosts(fleets.results(count, nights), Cache(folder)), "inventories/mine"
    )


def test_another_build_is_named_but_no_problem() -> None:
    own, other = (judged(fleets.feed(30, 1), program=p) for p in (version(), f"{__version__}+0a"))
    assert other.problems == own.problems
    assert status.other_builds([own]) == ""
    said = status.other_builds([own, other, replace_host(other, "roster-2"), other])
    assert "roster-1" not in status.other_builds([replace_host(own, "roster-1")])
    assert f"({version()}): roster-1 ({__version__}+0a), roster-2 ({__version__}+0a)" in said
    many = [replace_host(other, f"h{n}") for n in range(7)]
    assert "h4 " in status.other_builds(many)
    assert "and 2 more" in status.other_builds(many)
    old = judged(fleets.feed(30, 1), program="0.1.0")
    assert status.other_builds([old]) == "", "another release is a problem of its own"


def replace_host(row: status.Row, name: str) -> status.Row:
    return replace(row, host=replace(row.host, name=name))


def test_the_table_shows_the_worst_first(tmp_path: Path) -> None:
    text = tables.table(fleet(12, 30, tmp_path), None, colours=False)
    lines = text.splitlines()
    assert "".join(line[0] for line in lines[2:-2]) == "✗✗✗✗✗✗!!✓✓✓✓"
    assert lines[-1] == "6 red, 2 amber, 4 green"
    assert "\x1b" not in text
    assert "\x1b[31m" in tables.table(fleet(12, 30, tmp_path), 150, colours=True)


@pytest.mark.parametrize("width", [60, 80, 100, 160])
def test_the_table_fits_the_terminal(tmp_path: Path, width: int) -> None:
    rows = fleet(12, 30, tmp_path)
    lines = tables.table(rows, width, colours=False).splitlines()
    assert max(map(cell_len, lines)) <= width
    shown = re.sub(r"\s+", "", "".join(lines))
    for row in rows:
        for text in (row.host.name, row.outcome, *(problem.text for problem in row.problems)):
            if width <= 100:  # otherwise a note has lines of its own beside other cells
                assert re.sub(r"\s+", "", text) in shown
    left_out = " ".join(lines).partition("Also on the page: ")[2].partition(" 6 red")[0]
    assert (
        left_out
        == {
            60: "Feed, Night, Students, Size, Cred., Next start (UTC)",
            80: "Night, Students, Size, Cred., Next start (UTC)",
            100: "Students, Size, Cred.",
            160: "",
        }[width]
    )


def test_the_table_of_the_first_day_has_no_empty_columns() -> None:
    feed = fleets.feed(20, 0) | {"configured": stamp(NOW), "last": None, "last_sent": None}
    text = tables.table([judged(feed)], None, colours=False)
    head, _, row, *_, count = text.splitlines()
    assert re.split(r"\s{2,}", head.strip()) == [
        "District", "Feed", "Host", "Cred.", "Next start (UTC)", "Note",
    ]  # fmt: skip
    assert row.startswith("○  Alder Creek 0020  ")
    assert row.endswith(
        "25 Nov 07:30      waits for its first night, the night of 24 to 25 November"
    )
    assert count == "1 new"


# ---- the page ------------------------------------------------------------------------------------


def unpacked(text: str) -> list[int | None]:
    """Return the page's script's reading of packed numbers."""
    found: list[int | None] = []
    before = value = shift = 0
    for character in text:
        if character == page.UNKNOWN:
            found.append(None)
            continue
        digit = page.DIGITS.index(character)
        value |= (digit & 31) << shift
        shift += 5
        if digit < 32:
            before += -(value + 1) // 2 if value % 2 else value // 2
            found.append(before)
            value = shift = 0
    return found


@pytest.mark.parametrize(
    "numbers",
    [[], [0], [None], [5, 5, None, 4], [-1, 15, 16, -16, -17], [2**40, 0, 1024, -1023, 1, None]],
)
def test_numbers_survive_packing(numbers: list[int | None]) -> None:
    assert unpacked(page.packed(numbers)) == numbers


def test_a_history_is_packed_newest_first() -> None:
    nights = [Night("2026-11-23", "sent", 0, 2048, 10), Night("2026-11-24", "held", 17, 2049, 9)]
    told = page.history(nights)
    assert (told["end"], told["outcomes"], told["codes"]) == ("2026-11-24", "hs", [17])
    assert unpacked(told["series"][0]) == [9, 10]
    assert unpacked(told["series"][4]) == [3, 2]


def test_no_name_leaves_its_place_in_the_page(tmp_path: Path) -> None:
    html = page.build(fleet(len(fleets.AWKWARD), 20, tmp_path), stamp(NOW))
    assert html.count("</script>") == 2
    assert "alert(1)</script>" not in html
    assert "\u2028" not in html
    data = json.loads(html.partition('id="data">')[2].partition("</script>")[0])
    assert {row["district"] for row in data["rows"]} == {*map(printable, fleets.AWKWARD)}


def test_the_policy_lets_just_the_pages_own_script_and_style_run(tmp_path: Path) -> None:
    html = page.build(fleet(3, 20, tmp_path), stamp(NOW))
    policy = re.findall(r'Content-Security-Policy" content="([^"]+)"', html)[0]
    assert policy.startswith("default-src 'none';")
    for tag in ("script", "style"):
        (source,) = re.findall(rf"<{tag}>(.*?)</{tag}>", html, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy
    assert not re.search(r"""(?:src|href)=["'](?!#|data:)""", html.partition('id="data"')[0])


def test_a_page_without_news_has_only_another_time(tmp_path: Path) -> None:
    path, rows = tmp_path / "build" / "status.html", fleet(3, 20, tmp_path)
    assert page.write(path, page.build(rows, stamp(NOW)), is_check=True)
    assert not path.exists()
    assert page.write(path, page.build(rows, stamp(NOW)))
    assert path.stat().st_mode & 0o777 == 0o600
    before = path.read_bytes()
    assert not page.write(path, page.build(rows, "2026-11-24T16:00:00Z"), is_check=True)
    assert path.read_bytes() == before
    assert not page.write(path, page.build(rows, "2026-11-24T16:00:00Z"))
    assert 'Written <time id="asked" datetime="2026-11-24T16:00:00Z">2026-11-24 16:00 UTC' in (
        path.read_text("utf-8")
    )
    assert page.write(path, page.build(rows, "2026-11-24T16:00:00Z", "another"))
    assert page.write(path, page.build(fleet(4, 20, tmp_path), "2026-11-24T16:00:00Z"))
    assert list(path.parent.iterdir()) == [path]


def test_the_page_names_the_inventory(tmp_path: Path) -> None:
    rows = fleet(1, 20, tmp_path)
    html = page.build(rows, stamp(NOW), "<b>state</b>")
    assert "<title>&lt;b&gt;state&lt;/b&gt;: roster deliveries</title>" in html
    assert "<h1>&lt;b&gt;state&lt;/b&gt;: roster deliveries</h1>" in html
    assert "<h1>Roster deliveries</h1>" in page.build(rows, stamp(NOW))


def test_times_are_in_utc_and_in_the_districts_zone() -> None:
    told = page.record(judged(fleets.feed(20, 40) | {"time_zone": "America/Denver"}))
    assert told["next"] == "07:30 UTC (00:30 MST)"
    assert told["sent"] == "2026-11-24 07:25 UTC (00:25 MST)"
    assert told["starts"]["roster-rehearse"] == [
        "2026-11-24T20:40:00Z", "2026-11-24 20:40 UTC (13:40 MST)",
    ]  # fmt: skip


def test_a_thousand_districts_fit_into_five_megabytes(tmp_path: Path) -> None:
    html = page.build(fleet(50, 400, tmp_path), stamp(NOW))
    assets = sum((page.ASSETS / name).stat().st_size for name in ("page.js", "page.css"))
    assert (len(html.encode()) - assets) * 20 + assets < 5e6


# ---- to the last value --------------------------------------------------------------------------


def at(days: int = 0, **before: float) -> str:
    """Return a time so long before NOW."""
    return stamp(NOW - dt.timedelta(days=days, **before))


@pytest.mark.parametrize(
    ("days", "state", "told"),
    [
        (335, "green", ""),
        (336, "amber", "is too old in 30 days"),
        (365, "amber", "is too old in 1 days"),
        (366, "amber", "366 days old, 365 are allowed"),
    ],
)
def test_a_credential_is_told_before_it_is_too_old(days: int, state: str, told: str) -> None:
    row = judged(fleets.feed(20, 40) | {"credential": at(days)})
    assert (row.state, row.credential_days) == (state, days)
    assert told in texts(row)


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize(("seconds", "state"), [(60, "green"), (61, "amber")])
def test_a_clock_may_be_a_minute_off(seconds: int, sign: int, state: str) -> None:
    report = fleets.report([fleets.feed(20, 40)], time=stamp(NOW))
    asked = at(seconds=sign * seconds)
    [row] = status.build_rows([status.Host("a", parsed(report | {"asked": asked}), stamp(NOW))], "")
    assert row.state == state


@pytest.mark.parametrize(
    ("free", "state"), [((1 << 30) - 1, "amber"), (1 << 30, "green"), (1 << 31, "green")]
)
def test_a_disk_is_full_below_a_gigabyte(free: int, state: str) -> None:
    assert judged(fleets.feed(20, 40), free_bytes=free).state == state


@pytest.mark.parametrize(
    ("is_synced", "state"), [(True, "green"), (None, "green"), (False, "amber")]
)
def test_a_clock_of_which_nothing_is_known_is_no_trouble(
    is_synced: bool | None, state: str
) -> None:
    assert judged(fleets.feed(20, 40), clock_synced=is_synced).state == state


@pytest.mark.parametrize(
    ("minutes", "outcome"), [(None, "sent"), (0, "sent"), (1, "sent"), (-1, "late")]
)
def test_a_night_is_late_behind_its_deadline(minutes: int | None, outcome: str) -> None:
    entry = ["2026-11-24", "sent", 0, *[None] * 5, minutes, None]
    assert [night.outcome for night in status.calendar([entry], "2026-11-24")] == [outcome]


@pytest.mark.parametrize(
    ("listed", "due", "found"),
    [
        ([], "2026-11-24", []),
        ([["2026-11-23", "sent"]], "2026-11-22", ["sent"]),
        ([["2026-11-23", "sent"]], "2026-11-24", ["sent", "missed"]),
        (
            [["2026-11-21", "held"], ["2026-11-23", "of another version"]],
            "2026-11-23",
            ["held", "missed", "failed"],
        ),
    ],
)
def test_a_calendar_has_no_gaps(listed: list[list[Any]], due: str, found: list[str]) -> None:
    assert [night.outcome for night in status.calendar(listed, due)] == found


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({}, True),
        ({"outcome": "skipped"}, False),
        ({"exit_code": 0}, False),
    ],
)
@pytest.mark.parametrize("since", ["", "last", "last_sent"])
def test_a_rehearsal_counts_until_something_came_after_it(
    change: dict[str, Any], told: bool, since: str
) -> None:
    today = NOW.date()
    feed = fleets.feed(20, 40)
    feed |= {"rehearsal": fleets.receipt("rehearse", "held", today) | change}
    feed |= {"last": None, "last_sent": None}
    feed["rehearsal"]["finished"] = at(hours=1)
    if since:
        feed[since] = fleets.receipt("send", "sent", today) | {"finished": at(minutes=59)}
    assert ("the rehearsal " in texts(judged(feed))) is (told and not since)


@pytest.mark.parametrize(
    ("outcome", "nights", "state", "first"),
    [
        ("sent", "failed", "amber", "was refused. It is not tried again, but sent by hand since"),
        ("skipped", "failed", "red", "was refused"),
        ("held", "sent", "red", "held by hand"),
        ("of another version", "sent", "red", "of another version by hand"),
        ("held", "held", "red", "held by hand"),
    ],
)
def test_what_was_tried_by_hand_since(outcome: str, nights: str, state: str, first: str) -> None:
    last = by_hand("failed") | {"outcome": outcome}
    row = judged(fleets.feed(20, 40, nights) | {"last": last})
    assert row.state == state
    assert first in texts(row)
    assert ("by hand" in texts(row)) is (outcome != "skipped")


@pytest.mark.parametrize(
    ("configured", "state"),
    [
        ("2026-11-24T07:09:59Z", "red"),
        ("2026-11-24T07:10:01Z", "new"),  # in its window, the start has passed
        ("2026-11-24T09:00:01Z", "new"),
    ],
)
def test_a_new_district_waits_for_the_first_window(configured: str, state: str) -> None:
    feed = fleets.feed(20, 0) | {"configured": configured, "last": None, "last_sent": None}
    assert judged(feed).state == state


def test_a_new_district_that_was_sent_by_hand_is_green() -> None:
    feed = fleets.feed(20, 0) | {"configured": stamp(NOW), "last": by_hand("sent")}
    row = judged(feed | {"time_zone": "America/Denver"})
    assert row.state == "green"
    assert texts(row) == (
        "was sent by hand, 2026-11-25 07:25 UTC (00:25 MST), "
        "and waits for its first night, the night of 24 to 25 November"
    )
    assert judged(feed | {"last": by_hand("refused")}).state == "red"
    assert judged(feed | {"starts": {}}).state == "amber"


def test_a_start_without_a_night_is_none_by_hand() -> None:
    last = by_hand("failed") | {"night": ""}
    assert "by hand" not in texts(judged(fleets.feed(20, 40) | {"last": last}))


def test_the_watcher_of_another_night_gives_no_reason() -> None:
    feed = fleets.feed(20, 40, "missed")
    before = NOW.date() - dt.timedelta(days=1)
    feed["watch"] = fleets.receipt("watch", "failed", before) | {"message": "of yesterday"}
    assert "missed the night of 23 to 24 November: no delivery was tried" in texts(judged(feed))


def test_the_worst_comes_first_and_then_the_name() -> None:
    named = {"Cedar": "sent", "alder": "sent", "Birch": "held"}
    feeds = [fleets.feed(20, 40, fate) | {"district": name} for name, fate in named.items()]
    feeds.append(fleets.feed(20, 40) | {"district": "Ash", "starts": {}})
    feeds.append(fleets.feed(20, 40) | {"district": "A", "configured": None})
    host = status.Host("roster-1", parsed(fleets.report(feeds)), stamp(NOW))
    listed = status.build_rows([host], "")
    assert [row.name for row in listed] == ["Birch", "Ash", "alder", "Cedar", "A"]
    assert tables.summary(listed) == "1 red, 1 amber, 2 green, 1 off"
    assert tables.summary([]) == "no feed"


def test_the_worst_problem_is_told_first() -> None:
    feed = fleets.feed(20, 40, "held") | {"starts": {}, "trouble": "its receipts are gone"}
    states = [problem.state for problem in judged(feed).problems]
    assert states == ["red", "red", "amber"]


def test_a_report_with_a_trouble_is_not_kept(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "status")
    report = parsed(fleets.report([fleets.feed(20, 40)]))
    bad = status.Host("a", report, stamp(NOW), status.Problem("red", "unreachable"))
    cache.keep([bad])
    assert cache.load("a").report is None
    cache.keep([status.Host("a", {**report, "schema": 2}, stamp(NOW))])
    assert cache.load("a").report is None, "of another version"
