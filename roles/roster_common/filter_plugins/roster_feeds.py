"""Jinja2 filters that turn a host's inventory values into feeds and find what is wrong with them.

The rules themselves are the upload program's own (`roster_upload.config`), applied on the control
node before any host is touched; here they only learn the names of the inventory's variables.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "scripts"))

from roster_upload import config

PREFIX = "roster_upload_"


def resolve_feeds(
    feeds: Sequence[Mapping[str, Any]], flat: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """Each feed completed with the flat values that it does not name itself.

    `feeds` is `roster_upload_feeds`; `flat` maps configuration keys to the host's flat values.
    Empty values (null) are left out, and `{feed}` in the source stands for the feed's name.
    """
    resolved = []
    for item in feeds:
        feed = {key: value for key, value in {**flat, **item}.items() if value is not None}
        if isinstance(feed.get("source"), str):
            feed["source"] = feed["source"].replace("{feed}", str(feed.get("feed", "")))
        resolved.append(feed)
    return resolved


def feed_problems(
    resolved: Sequence[Mapping[str, Any]], feeds: Sequence[Mapping[str, Any]]
) -> list[str]:
    """What is wrong with a host's feeds, one sentence each, starting with the variable's name."""
    found = []
    for index, (feed, item) in enumerate(zip(resolved, feeds, strict=True)):
        for problem in config.problems(feed):
            several = problem.key in item or len(feeds) > 1
            name = f"{PREFIX}feeds[{index}].{problem.key}" if several else PREFIX + problem.key
            found.append(f"{name}: {problem.message}")
    between = config.cross_problems(resolved)
    return found + [f"{PREFIX}feeds: {problem.message}" for problem in between]


def planned_starts(
    feeds: Sequence[Mapping[str, Any]], host: str, spread_minutes: int, retries: Sequence[str]
) -> dict[str, list[str]]:
    """Feed name to its planned starts (`HH:MM`, UTC): the spread first one, then the retries.

    The first start is the window's opening plus a number of minutes below `spread_minutes` that is
    a hash of host and feed: stable from run to run, even over a fleet.
    """
    starts = {}
    for feed in feeds:
        digest = hashlib.sha256(f"{host} {feed['feed']}".encode()).digest()
        hours, minutes = map(int, feed["window_start"].split(":"))
        offset = int.from_bytes(digest[:8], "big") % max(spread_minutes, 1)
        first = (hours * 60 + minutes + offset) % (24 * 60)
        starts[feed["feed"]] = [f"{first // 60:02}:{first % 60:02}", *retries]
    return starts


def schedule_problems(
    feeds: Sequence[Mapping[str, Any]], starts: Mapping[str, Sequence[str]]
) -> list[str]:
    """The planned starts (feed name to `HH:MM` texts, UTC) that lie outside their feed's window."""
    return [
        f"roster_schedule_retries: {feed['feed']} would start at {start} UTC, outside its window "
        f"{feed['window_start']}-{feed['deadline']} UTC"
        for feed in feeds
        for start in starts[feed["feed"]]
        if not config.in_window(start, feed["window_start"], feed["deadline"])
    ]


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Any]:
        return {
            "resolve_feeds": resolve_feeds,
            "feed_problems": feed_problems,
            "planned_starts": planned_starts,
            "schedule_problems": schedule_problems,
        }
