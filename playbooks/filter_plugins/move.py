"""Jinja2 filters of move.yml: which feeds move, how far they are, and the report."""

from __future__ import annotations

import datetime as dt
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ansible import constants

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))

from roster_fleet import outputs

Feeds = Sequence[Mapping[str, Any]]
Looks = Mapping[str, Mapping[str, Any]]  # by feed, from `feed_move`
DAY = 24 * 60
LEAST_MINUTES = 60  # from a move to the next window
ROOM = 3  # times the state: encrypted, unpacked, and once more as a reserve
INBOXES = ("/srv/sis-inbox/", "/srv/dropbox/")
# What is left to do with a feed.
CARRY, START, CLEAN = "carry", "start", "clean"
CHECKED = {
    CARRY: "would be moved",
    START: "would be started",
    CLEAN: "would be finished",
}


def looks_of(results: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return what a host knows of each feed, from the results of a loop over feeds."""
    return {result["item"]["feed"]: result for result in results}


def plan_move(
    feeds: Feeds, at_old: Looks, at_new: Looks, old: str, new: str, now: dt.datetime
) -> list[dict[str, Any]]:
    """Return `feed`, `stage` and `problem` of each feed that moves from `old` to `new`.

    `feeds` are those of both hosts. A feed of the new host moves only if an earlier run has begun.
    """
    found = []
    for feed in feeds:
        here, there = at_old[feed["feed"]], at_new[feed["feed"]]
        if stage := stage_of(here, there, old, new):
            problem = problem_of(feed, here, there, new, now) if stage == CARRY else ""
            found.append({"feed": feed, "stage": stage, "problem": problem})
    return found


def stage_of(here: Mapping[str, Any], there: Mapping[str, Any], old: str, new: str) -> str:
    """Return what is left to do with a feed, or "" if it is at home on the new host."""
    has_left = (here["mark"], here["other"]) == ("moved", new)
    if has_left and there["other"] == old:
        return START if there["mark"] == "arriving" else CLEAN
    if (there["mark"], there["other"]) == ("arriving", old):
        return CARRY
    return CARRY if here["found"]["is_here"] and not has_left else ""


def problem_of(
    feed: Mapping[str, Any], here: Mapping[str, Any], there: Mapping[str, Any], new: str,
    now: dt.datetime,
) -> str:  # fmt: skip
    """Return why a feed cannot move now, or ""."""
    name, found, room = feed["feed"], here["found"], there["found"]
    begins, ends = _minute(feed["window_start"]), _minute(feed["deadline"])
    present = now.hour * 60 + now.minute
    left = (begins - present) % DAY
    if (present - begins) % DAY < (ends - begins) % DAY or left < LEAST_MINUTES:
        return (
            f"{name} delivers from {feed['window_start']} to {feed['deadline']} UTC. Move it "
            f"outside of that, and at least {LEAST_MINUTES} minutes before"
        )
    if found["is_rotating"]:
        return f"a credential of {name} is being rotated. Finish that with rotate_credentials.yml"
    if there["mark"] == "" and room["has_receipts"]:
        return f"{new} has receipts of a feed {name} of its own. Decommission that first"
    if room["free"] < ROOM * found["bytes"]:
        needed = ROOM * found["bytes"] // 10**6 + 1
        return f"{new} has too little space for the state of {name}. It needs {needed:,} MB"
    return ""


def _minute(text: str) -> int:
    """Return the minute of the day of a text HH:MM."""
    hours, _, minutes = text.partition(":")
    return int(hours) * 60 + int(minutes)


def feeds_after(own: Feeds, plan: Sequence[Mapping[str, Any]], *, is_new: bool) -> list[Any]:
    """Return the feeds that site.yml provisions on a host before the states are carried."""
    moving = {one["feed"]["feed"]: one for one in plan}
    if is_new:
        kept = [feed for feed in own if feed["feed"] not in moving]
        return [*kept, *(one["feed"] for one in plan)]
    is_here = [
        feed["feed"] for feed in own if moving.get(feed["feed"], {}).get("stage", CARRY) == CARRY
    ]
    return [feed for feed in own if feed["feed"] in is_here]


def unmoved(plan: Sequence[Mapping[str, Any]], feed: str) -> list[str]:
    """Return the names of the feeds from this one on that still have to be carried."""
    names = [one["feed"]["feed"] for one in plan]
    return [one["feed"]["feed"] for one in plan[names.index(feed) :] if one["stage"] == CARRY]


def move_rows(
    plan: Sequence[Mapping[str, Any]], new: str, inventory_note: str, *, is_check: bool
) -> list[dict[str, Any]]:
    """Return the rows of the closing table.

    `inventory_note` says what has become of the entries in the inventory.
    """
    rows = []
    for one in plan:
        feed = one["feed"]
        note = f"{new} would deliver it" if is_check else f"{new} delivers it"
        note += f". {brought(feed, new)}{inventory_note}"
        did = CHECKED[one["stage"]] if is_check else "moved"
        rows.append({"district": feed["district"], "feed": feed["feed"], "did": did, "note": note})
    return rows


def brought(feed: Mapping[str, Any], new: str) -> str:
    """Return who has to bring the export to the new host, as a sentence."""
    source = feed["source"]
    if "://" in source:
        return ""
    if source.startswith(INBOXES):
        user = source.split("/")[3]
        return (
            f"Change the SIS to bring its export to {new} as {user}: host name, and the host key "
            f"of {new}. "
        )
    return f"Have its export written to {source} on {new}. "


def bundle_path(sources: Sequence[str], feed: str) -> str:
    """Return the path of an encrypted state on the control node, on its way."""
    return str(outputs.of(sources, constants.CONFIG_FILE).folder / "move" / f"{feed}.age")


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Any]:
        """Return the filters by name."""
        return {
            "looks_of": looks_of,
            "plan_move": plan_move,
            "feeds_after": feeds_after,
            "unmoved": unmoved,
            "move_rows": move_rows,
            "bundle_path": bundle_path,
        }
