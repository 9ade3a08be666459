#!/usr/bin/python3
"""Ansible module: what a district host knows of its deliveries, in one trip, changing nothing."""

from __future__ import annotations

DOCUMENTATION = r"""
module: roster_receipts
short_description: What a district host knows of its deliveries, in one trip
description:
  - Reads the feeds' configuration, their receipts and their schedule, and changes nothing.
  - Nothing of it is personal, and of a credential only the day on which it was written is told.
options:
  nights:
    description: How many of the last nights are told of each feed.
    type: int
    default: 400
  configuration:
    description: Where the feeds' configuration files and credentials lie.
    type: path
    default: /etc/roster-upload
  state:
    description: Where the feeds' receipts lie.
    type: path
    default: /var/lib/roster-upload
  cron:
    description: Cron's table of the deliveries; without it, systemd's timers are asked.
    type: path
    default: /etc/cron.d/roster-upload
  program:
    description: The upload program, which knows its receipts and its schedule.
    type: path
    default: /usr/local/bin/roster-upload
  asked:
    description: The moment by the control node's clock, which the report repeats.
    type: str
    default: ""
  planned:
    description:
      - The feeds that the inventory gives the host. The result repeats them, by the action of the
        control node.
    type: list
    elements: str
  expected:
    description: Whether the host is to have the program; without it, its lack is a failure.
    type: bool
    default: true
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
author: The project's maintainers
"""

EXAMPLES = r"""
- name: Ask for the receipts
  roster_receipts:
    nights: 30
"""

RETURN = r"""
report:
  description:
    - What was found, as one JSON text, since Ansible walks through every value of a result again
      and again. C(scripts/roster_fleet/report.py) says what is in it.
  type: str
  returned: always
"""

import datetime as dt
import json
import os
import sys
import tomllib
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

VERSION = 1  # of the report
DELIVERIES = ("send", "resend")
SHOWN = ("feed", "district", "remote_host", "auth", "window_start", "deadline")  # of a feed's keys
KINDS = ("users.student", "users.teacher", "classes", "enrollments")
WELL = ("sent", "skipped")  # the vendor has that night's file, or was to get none
JUDGED = ("held", "approved", "sent", "rehearsed")
# What keeps a delivery that went well from being green; `cli.render.cautions` reads it.
CAUTIONS = ("feed", "faulty_rows", "unchanged_nights", "unchanged_limit", "waiting")
TOLD = ("command", "outcome", "exit_code", "message", "finished", "night", "minutes_to_deadline")


def stamp(moment):
    """A moment as ISO 8601 in UTC, to the second; `moment` is a datetime or seconds since 1970."""
    if not isinstance(moment, dt.datetime):
        moment = dt.datetime.fromtimestamp(moment, dt.UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def written(path):
    """When a file was last written; None where there is none."""
    try:
        return stamp(path.stat().st_mtime)
    except OSError:
        return None


def night(receipts):
    """One night of a feed in brief, from its deliveries: one that went well, else the last.

    A list: night, outcome, exit code, bytes, students, teachers, classes, enrollments, minutes
    left to the deadline at its end, seconds of work. None stands for what is not known.
    """
    well = [receipt for receipt in receipts if receipt["outcome"] in WELL]
    last = (well or receipts)[-1]
    changes, seconds = last.get("changes", {}), last.get("seconds", {})
    left = last.get("minutes_to_deadline")
    if last.get("deadline"):
        ends = (dt.datetime.fromisoformat(last[key]) for key in ("deadline", "finished"))
        left = int((next(ends) - next(ends)).total_seconds() // 60)
    return [
        last["night"],
        last["outcome"],
        last["exit_code"],
        last.get("source", {}).get("bytes"),
        *(changes[kind]["now"] if kind in changes else None for kind in KINDS),
        left,
        round(sum(seconds.values())),
    ]


def told(receipt):
    """What is told of one receipt; None of none."""
    return {key: receipt.get(key) for key in TOLD} if receipt else None


def cautions(receipts):
    """Of the last delivery that went well, what is to be looked at; None without one.

    Of its findings only the first faulty row is told.
    """
    well = [r for r in receipts if r["command"] in DELIVERIES and r["outcome"] in WELL]
    if not well:
        return None
    faults = [f for f in well[-1].get("findings", []) if f["severity"] == "fault"]
    brief = {key: well[-1][key] for key in CAUTIONS if key in well[-1]}
    return {**brief, "findings": faults[:1]}


def hold(receipts):
    """The export that the guard holds still, or of which removals wait; None where none is.

    Whatever the guard or a person said after it has settled it.
    """
    runs = [r for r in receipts if r["outcome"] in JUDGED]
    if not runs or not (runs[-1]["outcome"] == "held" or runs[-1].get("waiting")):
        return None
    last = runs[-1]
    return {
        "digest": last.get("source", {}).get("sha256", ""),
        "reasons": last.get("held", []),
        "command": last["command"],
        "finished": last["finished"],
    }


def history(receipts, nights, last_night="9999-12-31"):
    """What is told of a feed's receipts (the oldest first): its nights, its last runs, a hold.

    Nights behind `last_night` are those of a wrong clock.
    """
    by_night = {}
    for receipt in receipts:
        receipt.setdefault("command", "send")  # those of version 1 name none
        # What somebody sends by day belongs to no night: the next one has its own to send.
        if (
            receipt["command"] in DELIVERIES
            and receipt.get("night")
            and receipt["night"] <= last_night
            and receipt.get("in_window", True)
        ):
            by_night.setdefault(receipt["night"], []).append(receipt)
    last = {receipt["command"]: receipt for receipt in receipts}
    deliveries = [r for r in receipts if r["command"] in DELIVERIES]
    sent = [r for r in deliveries if r["outcome"] == "sent"]
    return {
        "nights": [night(by_night[name]) for name in sorted(by_night)[-nights:]],
        "last": told(deliveries[-1] if deliveries else None),
        "last_sent": told(sent[-1] if sent else None),
        "rehearsal": told(last.get("rehearse")),
        "watch": told(last.get("watch")),
        "held": hold(receipts),
        "cautions": cautions(receipts),
    }


def feeds(configuration, state, nights, planned, ledger, gaps):
    """All feeds that are configured or have receipts.

    `ledger` opens a folder's receipts, and `gaps` says what they lack.
    """
    found, last_night = [], stamp(dt.datetime.now(dt.UTC) + dt.timedelta(days=2))[:10]
    files = {path.stem: path for path in configuration.glob("*.toml")}
    names = {*files, *(path.parent.name for path in state.glob("*/receipts.jsonl"))}
    for name in sorted(names):
        values, trouble = {}, None
        try:
            if name in files:
                values = tomllib.loads(files[name].read_text("utf-8"))
        except (OSError, ValueError) as error:
            trouble = "its configuration cannot be read: %s" % error
        records = ledger(state / name)
        receipts, broken_at, told_of = [], None, {}
        try:
            found_receipts, broken_at = records.receipts(), records.first_break()
            receipts = [r if isinstance(r, dict) else r.to_json() for r in found_receipts]
        except PermissionError:
            raise
        except OSError as error:  # a link or a pipe: this feed's trouble alone
            trouble = "its receipts cannot be read: %s" % error
        try:
            told_of = history(receipts, nights, last_night)
            if lost := gaps(state / name):
                trouble = trouble or "; ".join(lost)
        except (KeyError, TypeError, ValueError) as error:
            trouble = "its receipts cannot be understood: %r" % error
        found.append(
            {
                "district": next(
                    (r["district"] for r in reversed(receipts) if r.get("district")), ""
                ),
                **{key: values[key] for key in SHOWN if key in values},
                "feed": name,
                "configured": written(files[name]) if name in files else None,
                "credential": written(configuration / "credentials" / name / "current"),
                "starts": {unit: stamp(at) for unit, at in planned.get(name, {}).items()},
                "broken_at": broken_at,
                "trouble": trouble,
                **told_of,
            }
        )
    return found


def main():
    module = AnsibleModule(
        argument_spec={
            "nights": {"type": "int", "default": 400},
            "configuration": {"type": "path", "default": "/etc/roster-upload"},
            "state": {"type": "path", "default": "/var/lib/roster-upload"},
            "cron": {"type": "path", "default": "/etc/cron.d/roster-upload"},
            "program": {"type": "path", "default": "/usr/local/bin/roster-upload"},
            "asked": {"type": "str", "default": ""},
            "expected": {"type": "bool", "default": True},
        },
        supports_check_mode=True,
    )
    given = module.params
    sys.path.insert(0, given["program"])  # a zip of Python modules
    try:
        from roster_upload import __version__  # noqa: PLC0415 - only there now
        from roster_upload.host.schedule import next_starts, said  # noqa: PLC0415
        from roster_upload.records.ledger import Ledger  # noqa: PLC0415
    except ImportError:
        if not given["expected"]:
            module.exit_json(changed=False, report=json.dumps({"v": VERSION, "feeds": []}))
        module.fail_json(msg="there is no upload program on this host; run site.yml")
    try:
        from roster_upload.records.evidence import gaps  # noqa: PLC0415
    except ImportError:  # of an older program

        def gaps(_folder):
            return []

    now = dt.datetime.now(dt.UTC)
    state = Path(given["state"])
    nearest = next(folder for folder in (state, *state.parents) if folder.exists())
    disk = os.statvfs(nearest)
    # A container's clock is the machine's that it runs on.
    is_container = said("systemd-detect-virt", "--container") not in ("", "none")
    synced = "" if is_container else said("timedatectl", "show", "-p", "NTPSynchronized", "--value")
    units = said("systemctl", "list-units", "--failed", "--plain", "--no-legend", "--full")
    failed = [line.split()[0] for line in units.splitlines() if line]
    try:
        found = feeds(
            Path(given["configuration"]),
            state,
            given["nights"],
            next_starts(now, Path(given["cron"])),
            Ledger,
            gaps,
        )
    except OSError as error:
        module.fail_json(msg="the receipts cannot be read: %s" % error)
    report = {
        "v": VERSION,
        "time": stamp(now),
        "asked": given["asked"],
        "clock_synced": {"yes": True, "no": False}.get(synced),
        # Of the deliveries' own units the receipts tell more.
        "failed_units": [unit for unit in failed if not unit.startswith("roster-")],
        "free_bytes": disk.f_bavail * disk.f_frsize,
        "program": __version__,
        "feeds": found,
    }
    module.exit_json(
        changed=False, report=json.dumps(report, ensure_ascii=False, separators=(",", ":"))
    )


if __name__ == "__main__":
    main()
