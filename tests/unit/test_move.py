"""The plan of a move: its feeds, what is left to do with each, and why it has to wait."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from move import bundle_path, feeds_after, looks_of, move_rows, plan_move, unmoved

NOON = dt.datetime(2026, 11, 27, 12, 0, tzinfo=dt.UTC)
HOME = {"is_here": True, "has_receipts": True, "is_rotating": False, "bytes": 10**7, "free": 10**9}
EMPTY = HOME | {"is_here": False, "has_receipts": False}


def feed(name: str = "elm", **values: Any) -> dict[str, Any]:
    source = f"/srv/roster-upload/{name}/OneRoster.zip"
    hours = {"window_start": "07:10", "deadline": "09:00"}
    return {"feed": name, "district": name.title(), "source": source, **hours, **values}


def look(found: dict[str, Any], mark: str = "", other: str = "") -> dict[str, Any]:
    return {"found": found, "mark": mark, "other": other}


AT_HOME, AWAY = look(HOME), look(EMPTY)
LEFT = look(EMPTY, "moved", "new")


def plan(
    here: dict[str, Any], there: dict[str, Any], now: dt.datetime = NOON, **values: Any
) -> list[tuple[str, str]]:
    """Return stage and problem of a feed."""
    found = plan_move([feed(**values)], {"elm": here}, {"elm": there}, "old", "new", now)
    return [(one["stage"], one["problem"]) for one in found]


@pytest.mark.parametrize(
    ("here", "there", "stages"),
    [
        (AT_HOME, AWAY, ["carry"]),
        # Interrupted before the old host has stopped, with or without a copy on the new one.
        (AT_HOME, look(HOME, "arriving", "old"), ["carry"]),
        # Interrupted between the old host's end and the new one's start: nothing is carried again.
        (look(HOME, "moved", "new"), look(HOME, "arriving", "old"), ["start"]),
        (LEFT, look(HOME, "arrived", "old"), ["clean"]),
        # It has come from elsewhere, or lives there.
        (AWAY, look(HOME, "arrived", "old"), []),
        (AWAY, AT_HOME, []),
        (look(EMPTY, "moved", "third"), AT_HOME, []),
        # It was here once, and came back.
        (look(HOME, "arrived", "new"), look(EMPTY, "moved", "old"), ["carry"]),
    ],
)
def test_the_marks_show_how_far_a_move_came(
    here: dict[str, Any], there: dict[str, Any], stages: list[str]
) -> None:
    assert plan(here, there) == [(stage, "") for stage in stages]


@pytest.mark.parametrize(
    ("now", "is_possible"),
    [("06:10", True), ("06:11", False), ("07:10", False), ("08:59", False), ("09:00", True)],
)
def test_a_move_stays_away_from_the_window(now: str, is_possible: bool) -> None:
    hours, minutes = map(int, now.split(":"))
    [(_, problem)] = plan(AT_HOME, AWAY, NOON.replace(hour=hours, minute=minutes))
    assert problem == "" if is_possible else "at least 60 minutes before" in problem
    midnight = {"window_start": "23:30", "deadline": "01:00"}
    for hour, is_open in ((22, True), (23, True), (0, True), (1, False)):
        at = NOON.replace(hour=hour, minute=45 if hour == 22 else 0)
        [(_, problem)] = plan(AT_HOME, AWAY, at, **midnight)
        assert bool(problem) == is_open, hour


@pytest.mark.parametrize(
    ("here", "there", "reason"),
    [
        (look(HOME | {"is_rotating": True}), AWAY, "being rotated"),
        (AT_HOME, look(EMPTY | {"has_receipts": True}), "new has receipts"),
        (AT_HOME, look(EMPTY | {"free": 3 * 10**7 - 1}), "needs 31 MB"),
    ],
)
def test_what_stops_a_move(here: dict[str, Any], there: dict[str, Any], reason: str) -> None:
    [(_, problem)] = plan(here, there)
    assert reason in problem


def test_an_interrupted_move_ends_at_any_time() -> None:
    """Nobody delivers between the end on the old host and the start on the new one."""
    began = NOON.replace(hour=7, minute=30)
    assert plan(look(HOME, "moved", "new"), look(HOME, "arriving", "old"), began) == [("start", "")]


def test_site_provisions_each_feed_where_it_is_needed() -> None:
    elm, fir, oak = feed("elm"), feed("fir"), feed("oak")
    found = [{"feed": elm, "stage": "carry"}, {"feed": fir, "stage": "start"}]
    assert feeds_after([elm, fir, oak], found, is_new=False) == [elm, oak]
    assert feeds_after([oak], found, is_new=True) == [oak, elm, fir]
    assert feeds_after([oak, fir], found, is_new=True) == [oak, elm, fir]
    assert unmoved(found, "elm") == ["elm"]
    assert unmoved(found, "fir") == []


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("sftp://u@sis/x.zip", []),
        ("/srv/sis-inbox/sis/incoming/x.zip", ["Change the SIS", "to new as sis", "host key"]),
        ("/srv/roster-upload/elm/x.zip", ["Have its export written to /srv/roster-upload/elm"]),
    ],
)
def test_the_table_says_what_to_do(source: str, words: list[str]) -> None:
    one = {"feed": feed(source=source), "stage": "carry"}
    [row] = move_rows([one], "new", "It is in the inventory", is_check=False)
    assert (row["did"], row["feed"]) == ("moved", "elm")
    assert all(
        word in row["note"] for word in (*words, "new delivers it", "It is in the inventory")
    )
    assert words or "export" not in row["note"]
    [checked] = move_rows([one], "new", "", is_check=True)
    assert checked["did"] == "would be moved"
    assert checked["note"].startswith("new would deliver it. ")


def test_looks_are_by_feed() -> None:
    result = {"item": {"feed": "elm"}, **AT_HOME}
    assert looks_of([result]) == {"elm": result}
    assert bundle_path(["inventories/lab"], "elm").endswith("build/lab/move/elm.age")
