"""Ansible filter: the action of a rotation for each feed."""

from __future__ import annotations

import datetime as dt
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "scripts"))

from roster_upload.spec import spec

DOCUMENTATION = """
name: rotation_plan
short_description: The action of a rotation for each feed
description:
  - Compares feeds with the slots on the host. Returns one mapping a feed, without any secret.
  - Its keys are C(feed), C(district), C(is_hosts_key), C(action) and C(row). C(row) is the row of
    the closing table for a feed without an action.
  - C(action) is empty, C(rotate), C(finish) (the host has switched already), C(generate)
    (a key) or C(discard) (the pending one).
author: The Roster Delivery authors
options:
  _input:
    description: The feeds, as in C(vars/main.yml).
    type: list
    elements: dict
    required: true
  slots:
    description: The result of M(systemd_credentials) for C(FEED_current) and C(FEED_pending).
    type: dict
    required: true
  key_action:
    description:
      - The action for keys that hosts make themselves - C(generate), C(activate), C(discard), or
        empty.
    type: str
    required: true
  maximum_days:
    description: Age in days at which you should rotate a credential.
    type: int
    required: true
  today:
    description: The day, C(YYYY-MM-DD).
    type: str
    required: true
  credential:
    description: The login that is rotated, C(vendor) or C(source).
    type: str
    default: vendor
"""

RETURN = """
_value:
  description: The plan, in the feeds' order.
  type: list
  elements: dict
"""

WARNING_DAYS: int = spec("host")["credential_warning_days"]
SLOTS = ("current", "pending")
# Of each login: the beginning of its slots' names, who installs its key, and the command's option.
LOGINS = {
    "vendor": ("", "the vendor", ""),
    "source": ("source_", "the administrator of the SIS's server", "-e rotate_credential=source "),
}


def age(since: str, maximum_days: int, today: str) -> dict[str, Any]:
    """Return the `note` on a credential's age. `ok` is false if somebody must act."""
    if not since:
        return {"note": "its age is unknown, since the host has none. Run site.yml", "ok": False}
    days = (dt.date.fromisoformat(today) - dt.date.fromisoformat(since)).days
    is_old = days >= maximum_days - WARNING_DAYS
    note = f"{days} of {maximum_days} days old{': rotate it' if is_old else ''}"
    return {"note": note, "ok": not is_old}


def of_key(name: str, slots: Mapping[str, Mapping[str, str]], asked: str) -> str:
    """Return the action for a key that the host makes itself, from the key action `asked`.

    `name` is the feed's, with the beginning of the slots' names.
    """
    current, pending = (slots["public_keys"].get(f"{name}{slot}") for slot in SLOTS)
    if slots["held"][f"{name}pending"] == "nothing":
        return "generate" if asked == "generate" else ""
    if not pending or asked == "discard":
        return "discard"  # also a leftover of the time before the feed had a key
    if pending == current:
        return "finish"
    return "rotate" if asked == "activate" else ""


def of_password(name: str, feed: Mapping[str, Any], slots: Mapping[str, Mapping[str, str]]) -> str:
    """Return the action for a secret of the vault file."""
    held = {slot: slots["held"][f"{name}{slot}"] for slot in SLOTS}
    if not feed["new"]:
        return "discard" if held["pending"] != "nothing" else ""  # a leftover of an interrupted run
    if feed["new"] == feed["secret"]:
        return "rotate" if held["current"] == "other" else ""
    return "finish" if held["current"] == "wanted" else "rotate"


def rotation_plan(
    feeds: Sequence[Mapping[str, Any]],
    slots: Mapping[str, Mapping[str, str]],
    key_action: str,
    maximum_days: int,
    today: str,
    credential: str = "vendor",
) -> list[dict[str, Any]]:
    """See DOCUMENTATION."""
    plan: list[dict[str, Any]] = []
    prefix, who, option = LOGINS[credential]
    for feed in feeds:
        name = f"{feed['feed']}_{prefix}"
        since = feed["since"] or slots["written"].get(f"{name}current", "")
        row = {"did": "not due", **age(since, int(maximum_days), today)}
        if feed["is_hosts_key"]:
            action = of_key(name, slots, key_action)
            if key := slots["public_keys"].get(f"{name}pending"):
                note = (
                    f"a new key is pending. Once {who} has installed it: {option}"
                    f"-e rotate_key_action=activate (or never: -e rotate_key_action=discard): {key}"
                )
                row = {"did": "waiting", "note": note, "ok": True}
        else:
            action = of_password(name, feed, slots)
            if feed["new"] and not action:
                row["note"] += ". The new one that you gave is in use already"
        about = {"feed": feed["feed"], "district": feed["district"]}
        plan.append(
            {**about, "is_hosts_key": feed["is_hosts_key"], "action": action, "row": about | row}
        )
    return plan


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Any]:
        """Return the filters by name."""
        return {"rotation_plan": rotation_plan}
