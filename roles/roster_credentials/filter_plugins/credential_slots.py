"""Jinja2 filters that list the credentials which `systemd_credentials` keeps on a host."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "scripts"))

from roster_fleet import sources

SETTINGS = "/etc/roster-upload"
SOURCE = "source"  # the login at the server that an export is fetched from
Feeds = Sequence[Mapping[str, Any]]
Secrets = Mapping[str, Mapping[str, Any]]


def prefix_of(credential: str) -> str:
    """Return what the slots' names of a login begin with."""
    return f"{SOURCE}_" if credential == SOURCE else ""


def logins(feeds: Feeds, secrets: Secrets, credential: str) -> tuple[list[dict[str, Any]], Secrets]:
    """Return the feeds that have a login, with `auth` of this login, and its secrets by feed.

    `credential` is `vendor` or `source`.
    """
    if credential != SOURCE:
        return [dict(feed) for feed in feeds], secrets
    found = [{**feed, "auth": sources.auth_of(feed)} for feed in feeds]
    parts = {name: entry[SOURCE] for name, entry in secrets.items() if SOURCE in entry}
    return [feed for feed in found if feed["auth"]], parts


# The slots of the alerts' secrets, where they differ from the keys of alerts.vault.
ALERT_SLOTS = {"urls": "alerts"}
# The slots of alerts in this release and in earlier ones.
ALL_ALERT_SLOTS = ("alerts", "heartbeat", "webhook", "smtp")


def _as_text(secret: Any) -> str:
    """Return a secret as the program reads it: a list as JSON."""
    return secret if isinstance(secret, str) else json.dumps(secret)


def slot(feed: str, name: str, folder: str = "credentials") -> dict[str, Any]:
    """Return name and path of one of a feed's credentials."""
    return {"name": f"{feed}_{name}", "path": f"{SETTINGS}/{folder}/{feed}/{name}"}


def feed_credentials(
    feeds: Feeds, secrets: Secrets, alerts: Mapping[str, Any], locks: str
) -> list[dict[str, Any]]:
    """Return the credentials of each feed: its logins, its state's key, its alerts' secrets.

    `secrets` holds the feeds' vault files. `locks` is the folder of the rotations' locks.
    """
    found: list[dict[str, Any]] = []
    for feed in feeds:
        name = feed["feed"]
        found += [
            current(name, "current", secrets.get(name, {}), locks),
            source_credential(feed, secrets, locks),
            {**slot(name, "state"), "generate": "bytes"},
        ]
        used = {ALERT_SLOTS.get(purpose, purpose): secret for purpose, secret in alerts.items()}
        found += [{**slot(name, key), "secret": _as_text(used[key])} for key in used]
        # A file that nobody needs would stop the unit once the host can no longer decrypt it.
        unused = [key for key in ALL_ALERT_SLOTS if key not in used]
        found += [{**slot(name, key), "state": "absent"} for key in unused]
    return found


def current(feed: str, name: str, entry: Mapping[str, Any], locks: str) -> dict[str, Any]:
    """Return the credential of a login, from its part of the vault file."""
    kept = {**slot(feed, name), "lock": f"{locks}/{feed}"}
    if "secret" not in entry:
        return {**kept, "generate": "ssh_key"}
    return {
        **kept,
        "secret": entry["secret"],
        # During a rotation the host may have either.
        "accept": [entry["next"]] if "next" in entry else [],
        "since": entry.get("since", ""),
        "newer_only": True,
    }


def source_credential(feed: Mapping[str, Any], secrets: Secrets, locks: str) -> dict[str, Any]:
    """Return the credential of the source's server. Without a login there, there is none."""
    found, parts = logins([feed], secrets, SOURCE)
    if not found:
        return {**slot(feed["feed"], f"{SOURCE}_current"), "state": "absent"}
    entry = parts.get(feed["feed"], {})
    return current(feed["feed"], f"{SOURCE}_current", entry, locks)


def rotated_feeds(
    feeds: Feeds, secrets: Secrets, new_password: str = "", credential: str = "vendor"
) -> list[dict[str, Any]]:
    """Return the feeds with the `secret` in use and the `new` one, either empty if there is none.

    `new_password` takes precedence over the `next` of a vault file. `is_hosts_key` is true if the
    host makes the key. Feeds without this login are skipped, and shares as well: only a new mount
    can try their password.
    """
    found, (known, parts) = [], logins(feeds, secrets, credential)
    for feed in known:
        if credential == SOURCE and sources.share_of(feed):
            continue
        entry = parts.get(feed["feed"], {})
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


def unrotated_rows(feeds: Feeds, credential: str) -> list[dict[str, Any]]:
    """Return the rows of the closing table for feeds that `rotated_feeds` skips."""
    if credential != SOURCE:
        return []
    none = "its export is not fetched from a server with a login"
    share = "change secret and since below source in its vault file, then run site.yml"
    return [
        {
            "district": feed["district"],
            "feed": feed["feed"],
            "did": "skipped",
            "note": share if sources.auth_of(feed) else none,
        }
        for feed in feeds
        if sources.share_of(feed) or not sources.auth_of(feed)
    ]


def rotation_slots(feeds: Feeds, credential: str = "vendor") -> list[dict[str, Any]]:
    """Return the slots that a rotation compares, from `rotated_feeds`: current and pending."""
    found: list[dict[str, Any]] = []
    prefix = prefix_of(credential)
    for feed in feeds:
        used = slot(feed["feed"], f"{prefix}current")
        pending = slot(feed["feed"], f"{prefix}pending", "pending")
        if feed["is_hosts_key"]:
            used["generate"] = pending["generate"] = "ssh_key"
        else:
            pending["state"] = "absent"
            if feed["new"]:
                used |= {"secret": feed["new"], "accept": [feed["secret"]]}
            else:
                used["state"] = "absent"
        found += [used, pending]
    return found


def feeds_without_secret(feeds: Feeds, secrets: Secrets, credential: str = "vendor") -> list[str]:
    """Return the names of feeds that log in by a password, and have none in use."""
    known, parts = logins(feeds, secrets, credential)
    return [
        feed["feed"]
        for feed in known
        if feed["auth"] != "key" and "secret" not in parts.get(feed["feed"], {})
    ]


def feeds_of_other_kind(feeds: Feeds, secrets: Secrets, credential: str = "vendor") -> list[str]:
    """Return the names of feeds whose secret is a password instead of a key, or the reverse."""
    found, (known, parts) = [], logins(feeds, secrets, credential)
    for feed in known:
        secret = parts.get(feed["feed"], {}).get("secret")
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
            "unrotated_rows": unrotated_rows,
            "rotation_slots": rotation_slots,
            "feeds_without_secret": feeds_without_secret,
            "feeds_of_other_kind": feeds_of_other_kind,
        }
