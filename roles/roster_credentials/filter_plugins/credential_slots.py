"""Jinja2 filters that list the credentials which `systemd_credentials` keeps on a host."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

SETTINGS = "/etc/roster-upload"


# The slots of the alerts' secrets, where they differ from the keys of alerts.vault.
ALERT_SLOTS = {"urls": "alerts"}


def _as_text(secret: Any) -> str:
    """Return a secret as the program reads it: a list as JSON."""
    return secret if isinstance(secret, str) else json.dumps(secret)


def slot(feed: str, name: str, folder: str = "credentials") -> dict[str, Any]:
    """Return name and path of one of a feed's credentials."""
    return {"name": f"{feed}_{name}", "path": f"{SETTINGS}/{folder}/{feed}/{name}"}


def feed_credentials(
    feeds: Sequence[Mapping[str, Any]],
    secrets: Mapping[str, Mapping[str, Any]],
    alerts: Mapping[str, Any],
    locks: str,
) -> list[dict[str, Any]]:
    """Return the credentials of each feed: its secret or key, its state's key, its alerts' secrets.

    `secrets` holds the feeds' vault files. `locks` is the folder of the rotations' locks.
    """
    found: list[dict[str, Any]] = []
    for feed in (feed["feed"] for feed in feeds):
        entry = secrets.get(feed, {})
        current = {**slot(feed, "current"), "lock": f"{locks}/{feed}"}
        if "secret" in entry:
            current |= {
                "secret": entry["secret"],
                # During a rotation the host may have either.
                "accept": [entry["next"]] if "next" in entry else [],
                "since": entry.get("since", ""),
                "newer_only": True,
            }
        else:
            current["generate"] = "ssh_key"
        found += [current, {**slot(feed, "state"), "generate": "bytes"}]
        found += [
            {**slot(feed, ALERT_SLOTS.get(name, name)), "secret": _as_text(secret)}
            for name, secret in alerts.items()
        ]
    return found


def rotated_feeds(
    feeds: Sequence[Mapping[str, Any]],
    secrets: Mapping[str, Mapping[str, Any]],
    new_password: str = "",
) -> list[dict[str, Any]]:
    """Return the feeds with the `secret` in use and the `new` one, either empty if there is none.

    `new_password` takes precedence over the `next` of a vault file. `is_hosts_key` is true if the
    host makes the key.
    """
    found = []
    for feed in feeds:
        entry = secrets.get(feed["feed"], {})
        found.append(
            {
                "feed": feed["feed"],
                "district": feed["district"],
                "secret": entry.get("secret", ""),
                "since": entry.get("since", ""),
                "new": new_password or entry.get("next", ""),
                "is_hosts_key": feed["auth"] == "key" and "secret" not in entry,
            }
        )
    return found


def rotation_slots(feeds: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the slots that a rotation compares, from `rotated_feeds`: current and pending."""
    found: list[dict[str, Any]] = []
    for feed in feeds:
        current, pending = slot(feed["feed"], "current"), slot(feed["feed"], "pending", "pending")
        if feed["is_hosts_key"]:
            current["generate"] = pending["generate"] = "ssh_key"
        else:
            pending["state"] = "absent"
            if feed["new"]:
                current |= {"secret": feed["new"], "accept": [feed["secret"]]}
            else:
                current["state"] = "absent"
        found += [current, pending]
    return found


def feeds_without_secret(
    feeds: Sequence[Mapping[str, Any]], secrets: Mapping[str, Mapping[str, Any]]
) -> list[str]:
    """Return the names of feeds that log in by a password, and have none in use."""
    return [
        feed["feed"]
        for feed in feeds
        if feed["auth"] != "key" and "secret" not in secrets.get(feed["feed"], {})
    ]


def feeds_of_other_kind(
    feeds: Sequence[Mapping[str, Any]], secrets: Mapping[str, Mapping[str, Any]]
) -> list[str]:
    """Return the names of feeds whose secret is a password instead of a key, or the reverse."""
    found = []
    for feed in feeds:
        secret = secrets.get(feed["feed"], {}).get("secret")
        is_key = str(secret).startswith("-----BEGIN ")
        if secret is not None and is_key != (feed["auth"] == "key"):
            found.append(feed["feed"])
    return found


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Any]:
        """Return the filters by name."""
        return {
            "feed_credentials": feed_credentials,
            "rotated_feeds": rotated_feeds,
            "rotation_slots": rotation_slots,
            "feeds_without_secret": feeds_without_secret,
            "feeds_of_other_kind": feeds_of_other_kind,
        }
