"""A feed's receipts in brief: its nights, its last runs, a held export, cautions."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any

from roster_upload.records.receipts import DELIVERIES, GREEN

Receipt = Mapping[str, Any]

KINDS = ("users.student", "users.teacher", "classes", "enrollments")
# Outcomes by which the guard or a person has judged an export.
JUDGED = ("held", "approved", "sent", "rehearsed")
# Keys that keep a successful delivery from being green. `cli.render.cautions` reads them.
CAUTIONS = ("feed", "faulty_rows", "unchanged_nights", "unchanged_limit", "waiting")
BRIEF = ("command", "outcome", "exit_code", "message", "finished", "night", "minutes_to_deadline")


def history(receipts: Sequence[Receipt], nights: int, last_night: str) -> dict[str, Any]:
    """Return a feed's receipts (the oldest first) in brief.

    A clock that was ahead wrote the nights after `last_night`. They are left out.
    """
    by_night: dict[str, list[Receipt]] = {}
    for receipt in receipts:
        # A delivery by hand during the day belongs to no night.
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
        "nights": [_night(by_night[name]) for name in sorted(by_night)[-nights:]],
        "last": _brief(deliveries[-1] if deliveries else None),
        "last_sent": _brief(sent[-1] if sent else None),
        "rehearsal": _brief(last.get("rehearse")),
        "watch": _brief(last.get("watch")),
        "held": _held(receipts),
        "cautions": _cautions(deliveries),
    }


def _night(receipts: Sequence[Receipt]) -> list[Any]:
    """Return one night of a feed, by its last successful delivery or its last one.

    In order: night, outcome, exit code, bytes, students, teachers, classes, enrollments, minutes
    left to the deadline at its end, seconds of work. Unknown values are None.
    """
    well = [receipt for receipt in receipts if receipt["outcome"] in GREEN]
    last = (well or receipts)[-1]
    changes, seconds = last.get("changes", {}), last.get("seconds", {})
    left = last.get("minutes_to_deadline")
    if last.get("deadline"):
        deadline, finished = (
            dt.datetime.fromisoformat(last[key]) for key in ("deadline", "finished")
        )
        left = int((deadline - finished).total_seconds() // 60)
    return [
        last["night"],
        last["outcome"],
        last["exit_code"],
        last.get("source", {}).get("bytes"),
        *(changes[kind]["now"] if kind in changes else None for kind in KINDS),
        left,
        round(sum(seconds.values())),
    ]


def _brief(receipt: Receipt | None) -> dict[str, Any] | None:
    """Return the keys of a receipt that a report has."""
    return {key: receipt.get(key) for key in BRIEF} if receipt else None


def _cautions(deliveries: Sequence[Receipt]) -> dict[str, Any] | None:
    """Return the cautions of the last successful delivery, with its first faulty row alone."""
    well = [r for r in deliveries if r["outcome"] in GREEN]
    if not well:
        return None
    faults = [f for f in well[-1].get("findings", []) if f["severity"] == "fault"]
    brief = {key: well[-1][key] for key in CAUTIONS if key in well[-1]}
    return {**brief, "findings": faults[:1]}


def _held(receipts: Sequence[Receipt]) -> dict[str, Any] | None:
    """Return the export that is still held, or whose removals wait. None without one."""
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
