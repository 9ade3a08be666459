"""Receipts as a ledger holds them, and the views of them."""

from __future__ import annotations

from typing import Any

from roster_upload import config
from roster_upload.cli import explain as explaining
from roster_upload.cli import render
from roster_upload.exits import Exit
from roster_upload.records import summary
from roster_upload.records.receipt import Receipt
from unit.test_config import GOOD

from support.receipts import history

DIGEST = "3f1c9a7d" * 8
FINDING = {
    "rule": "oneroster.missing-value",
    "severity": "error",
    "file": "users.csv",
    "column": "sourcedId",
    "detail": "",
    "count": 3,
    "rows": [4, 9, 17],
}


WARNING = {**FINDING, "severity": "warning"}
TOLD = [{"rule": FINDING["rule"], "file": "users.csv", "column": "sourcedId", "count": 3}]


SENT: dict[str, Any] = {
    "v": 2,
    "feed": "maple-grove",
    "district": "Maple Grove",
    "command": "send",
    "outcome": "sent",
    "exit_code": 0,
    "message": "Maple Grove: sent",
    "started": "2026-11-20T07:10:00Z",
    "finished": "2026-11-20T08:12:00Z",
    "night": "2026-11-20",
    "deadline": "2026-11-20T09:00:00Z",
    "in_window": True,
    "minutes_to_deadline": 110,
    "source": {"path": "/srv/OneRoster.zip", "bytes": 1_942_113, "sha256": DIGEST},
    "rows": {"users": 13_100, "classes": 611},
    "findings": [],
    "changes": {
        "users.student": {
            "before": 12_470,
            "now": 12_481,
            "added": 14,
            "removed": 3,
            "changed": 40,
        },
        "classes": {"before": 612, "now": 611, "added": 0, "removed": 1, "changed": 0},
    },
    "held": [],
    "remote": {
        "host": "sftp.vendor.example",
        "port": 22,
        "dir": "imagine/0123456-Maple Grove/product",
        "name": "OneRoster.zip",
        "address": "192.0.2.7",
        "server": "SSH-2.0-Vendor_9",
        "host_key": "SHA256:abcdefgh",
    },
    "seconds": {"dns": 0.1, "kex": 2.25, "write": 1.5},
}


YESTERDAY = {
    **SENT,
    "night": "2026-11-19",
    "finished": "2026-11-19T08:11:00Z",
    "source": {**SENT["source"], "sha256": "0" * 64},
}


HELD = {
    **SENT,
    "outcome": "held",
    "exit_code": int(Exit.HELD),
    "message": "the guard holds the export: users.student: 500 of 12,481 would be removed",
    "findings": [FINDING],
    "held": ["users.student: 500 of 12,481 would be removed", "2 schools would be empty"],
    "night": "2026-11-21",
    "finished": "2026-11-21T07:12:00Z",
}


APPROVED = {
    "feed": "maple-grove",
    "outcome": "approved",
    "command": "approve",
    "digest": DIGEST,
    "who": "kim",
    "why": "three schools closed",
    "finished": "2026-11-21T14:00:00Z",
    "message": "kim lets the held export 3f1c9a7d3f1c9a7d through once: three schools closed",
}


ALARM: dict[str, Any] = {
    "v": 2,
    "feed": "maple-grove",
    "district": "Maple Grove",
    "command": "watch",
    "outcome": "failed",
    "exit_code": int(Exit.MISSED),
    "message": "Maple Grove: tonight's roster is not delivered, 30 min before the deadline. No try",
    "started": "2026-11-22T08:30:00Z",
    "finished": "2026-11-22T08:30:01Z",
    "night": "2026-11-22",
    "deadline": "2026-11-22T09:00:00Z",
    "minutes_to_deadline": 30,
}


REHEARSED: dict[str, Any] = {
    **SENT,
    "command": "rehearse",
    "outcome": "rehearsed",
    "message": "Maple Grove: this export can be delivered tonight. Nothing was sent",
    "night": "2026-11-23",
    "finished": "2026-11-22T21:00:00Z",
}


NEWER_KEYS = ("command", "deadline", "changes", "held", "attempts")
OLD = {key: value for key, value in {**SENT, "v": 1}.items() if key not in NEWER_KEYS}


Stored = dict[str, Any]


def receipt_of(stored: Stored | None) -> Receipt | None:
    return Receipt.parse(stored) if stored else None


def json_of(stored: Stored) -> Stored:
    """Return a receipt as it is shown."""
    return Receipt.parse(stored).to_json()


def explain(code: Exit, stored: Stored | None, feed: config.Feed | None) -> dict[str, Any]:
    return explaining.explain(code, receipt_of(stored), feed)


def summary_line(stored: Stored, before: Stored | None, zone: str = "") -> str:
    return summary.summary_line(Receipt.parse(stored), receipt_of(before), zone=zone)


def cautions(stored: Stored | None) -> list[str]:
    return summary.cautions(receipt_of(stored))


def status(name: str, receipts: list[Stored], broken_at: int | None) -> dict[str, Any]:
    return render.status(name, history(receipts), broken_at)


def rows_of(receipts: list[Stored], nights: int) -> list[dict[str, Any]]:
    return render.history(history(receipts), nights)


def history_text(
    receipts: list[Stored], nights: int, width: int | None = None, zone: str = ""
) -> str:
    return render.history_text(history(receipts), nights, width, zone)


KNOWN = {
    "district": "Maple Grove",
    "feed": "maple-grove",
    "message": "it went wrong",
    "when": "2026-11-21 07:12 UTC",
    "host": "roster-host.example",
    "remote_host": "sftp.vendor.example",
    "username": "rosters@maple.example",
    "remote_dir": "imagine/0123456-Maple Grove/product",
    "server": "SSH-2.0-Vendor_9",
    "host_key": "SHA256:abcdefgh",
    "address": "192.0.2.7",
    "sha256": DIGEST,
    "reasons": "- users.student: 500 of 12,481 would be removed\n- 2 schools would be empty",
}


def feed(**changes: Any) -> config.Feed:
    values = {
        "district": KNOWN["district"],
        "remote_host": KNOWN["remote_host"],
        "remote_dir": KNOWN["remote_dir"],
        "username": KNOWN["username"],
    }
    return config.parse({**GOOD, **values, **changes})


WAITS = {"since": "2026-11-19", "nights": 2, "counts": {"users.student": 1200, "classes": 3}}


def nights(count: int) -> list[dict[str, Any]]:
    """Return so many nights' deliveries, each with one more student."""
    change = SENT["changes"]["users.student"]
    return [
        {
            **SENT,
            "night": f"2026-11-{day:02}",
            "finished": f"2026-11-{day:02}T08:12:00Z",
            "changes": {"users.student": {**change, "now": 12_400 + day}},
        }
        for day in range(1, count + 1)
    ]
