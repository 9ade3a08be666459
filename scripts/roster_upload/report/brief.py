"""A feed's receipts in brief: its nights, its last runs, a held export, cautions."""

from __future__ import annotations

from typing import Any

from roster_upload.records.history import History
from roster_upload.records.night_result import NightResult
from roster_upload.records.receipt import Receipt

KINDS = ("users.student", "users.teacher", "classes", "enrollments")
# Keys that keep a successful delivery from being green. `records.summary.cautions` reads them.
CAUTIONS = ("feed", "faulty_rows", "unchanged_nights", "unchanged_limit", "waiting")
BRIEF = ("command", "outcome", "exit_code", "message", "finished", "night", "minutes_to_deadline")


def brief(history: History, nights: int, last_night: str) -> dict[str, Any]:
    """Return a feed's receipts in brief.

    Nights after `last_night` are skipped, since a clock that was ahead wrote them.
    """
    by_command = {receipt.command: receipt for receipt in history}
    deliveries = history.deliveries()
    return {
        "nights": [_night(result) for result in history.nights(last_night)[-nights:]],
        "last": _receipt(deliveries[-1] if deliveries else None),
        "last_sent": _receipt(history.last_sent()),
        "rehearsal": _receipt(by_command.get("rehearse")),
        "watch": _receipt(by_command.get("watch")),
        "held": _held(history.open_hold()),
        "cautions": _cautions(history.last_in_order()),
        "banner": next((r.remote.banner for r in reversed(history.receipts) if r.remote.login), ""),
    }


def _night(result: NightResult) -> list[Any]:
    """Return one night of a feed.

    In order: night, outcome, exit code, bytes, students, teachers, classes, enrollments, minutes
    left to the deadline at its end, seconds of work. Unknown values are None.
    """
    receipt = result.receipt or Receipt()
    changes = receipt.changes
    return [
        receipt.night,
        receipt.outcome,
        receipt.exit_code,
        receipt.source.bytes,
        *(changes[kind].now if kind in changes else None for kind in KINDS),
        result.minutes_left,
        round(sum(receipt.seconds.values())),
    ]


def _receipt(receipt: Receipt | None) -> dict[str, Any] | None:
    """Return those values of a receipt that a report contains."""
    if not receipt:
        return None
    values = receipt.to_json()
    return {key: values.get(key) for key in BRIEF}


def _cautions(receipt: Receipt | None) -> dict[str, Any] | None:
    """Return the cautions of the last successful delivery, with only its first faulty row."""
    if not receipt:
        return None
    values = receipt.to_json()
    faults = [one for one in values.get("findings", ()) if one["severity"] == "fault"]
    return {**{key: values[key] for key in CAUTIONS if values.get(key)}, "findings": faults[:1]}


def _held(receipt: Receipt | None) -> dict[str, Any] | None:
    """Return the export that is still held, or has waiting removals."""
    if not receipt:
        return None
    return {
        "digest": receipt.source.sha256,
        "reasons": list(receipt.reasons),
        "command": receipt.command,
        "finished": receipt.finished,
    }
