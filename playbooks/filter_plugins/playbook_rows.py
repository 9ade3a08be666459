"""Jinja2 filters of the playbooks: the feeds of a run, and its rows of the closing table."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))

from roster_upload.cli.suggest import did_you_mean

Feeds = Sequence[Mapping[str, Any]]
DELIVERED = (0, 29)  # exit codes: sent, or nothing to send on this day


def chosen_feeds(feeds: Feeds, name: str = "") -> list[Mapping[str, Any]]:
    """Return the feed of a name, or all feeds without one."""
    return [feed for feed in feeds if not name or feed["feed"] == name]


def nearest_feed(name: str, known: Sequence[str]) -> str:
    """Return a question with the nearest feed, or an empty text without one."""
    return did_you_mean(str(name), known)


def checked_rows(feeds: Feeds) -> list[dict[str, Any]]:
    """Return the rows of `site.yml --tags validate`."""
    note = "its variables are right. No host was changed"
    return [about(feed) | {"did": "checked", "note": note} for feed in feeds]


def site_rows(
    feeds: Feeds,
    starts: Mapping[str, Mapping[str, Sequence[str]]],
    kept: Mapping[str, Any] | None = None,
) -> list[dict[str, Any]]:
    """Return the rows of site.yml: when each feed is delivered, and its public key.

    `kept` is the result of `systemd_credentials`, or empty if the run skipped them.
    """
    rows = []
    for feed in feeds:
        slot = f"{feed['feed']}_current"
        notes = [", ".join(starts[feed["feed"]]["roster-upload"]) + " UTC"]
        if kept and (key := kept["public_keys"].get(slot)):
            notes.append(f"the public key for the vendor: {key}")
        if kept and (key := kept["public_keys"].get(f"{feed['feed']}_source_current")):
            notes.append(f"the public key for the SIS's server: {key}")
        if kept and logs_in_by_its_password(feed, slot, kept):
            notes.append(
                "logs in with its password until rotate_credentials.yml "
                "-e rotate_key_action=generate"
            )
        rows.append(about(feed) | {"note": ". ".join(notes)})
    return rows


def logs_in_by_its_password(feed: Mapping[str, Any], slot: str, kept: Mapping[str, Any]) -> bool:
    """Return whether the feed's key is still to be generated, and a password is in its place."""
    is_other = feed["auth"] == "key" and kept["held"][slot] == "other"
    return is_other and slot not in kept["changed_names"]


def send_rows(results: Sequence[Mapping[str, Any]], is_check: bool) -> list[dict[str, Any]]:
    """Return the rows of send.yml, from the results of `deliver_feed`."""
    rows = []
    for result in results:
        good = result["exit_code"] in DELIVERED
        if good and not result["changed"]:
            did = "nothing to send"
        elif is_check:
            did = "would be tried" if good else "could NOT be sent"
        else:
            did = "sent" if good else "NOT SENT"
        rows.append(about(result["item"]) | {"did": did, "note": result["said"], "ok": good})
    return rows


def unsent(results: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the names of feeds that send.yml could not deliver."""
    return [result["item"]["feed"] for result in results if result["exit_code"] not in DELIVERED]


def about(feed: Mapping[str, Any]) -> dict[str, Any]:
    """Return the first columns of a feed's row."""
    return {"district": feed["district"], "feed": feed["feed"]}


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Any]:
        """Return the filters by name."""
        return {
            "chosen_feeds": chosen_feeds,
            "nearest_feed": nearest_feed,
            "checked_rows": checked_rows,
            "site_rows": site_rows,
            "send_rows": send_rows,
            "unsent": unsent,
        }
