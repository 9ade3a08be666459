"""Invent fleets: the reports of many hosts, always the same."""

from __future__ import annotations

import datetime as dt
import json
import random
from typing import Any

from roster_fleet.report import stamp
from roster_fleet.status.cache import Cache, host
from roster_fleet.status.rows import Host
from roster_upload import __version__

NOW = dt.datetime(2026, 11, 24, 15, 30, tzinfo=dt.UTC)
DIGEST = "3f1c9a7d" * 8
# Awkward names that the page must display.
AWKWARD = [
    "O'Brien Valley",
    "</script><script>alert(1)</script>",
    "Cañon “Norte” Unified",
    "<img src=x onerror=alert(2)>",
    "Línea\u2028Separada & Söhne",
    '"Quoted" --> <!-- District',
    "東京 International",
]
WORDS = ["Alder", "Birch", "Cedar", "Dogwood", "Elm", "Fir", "Hazel", "Juniper", "Maple", "Oak"]
PLACES = [
    "Valley",
    "Hill",
    "Creek",
    "County",
    "Springs",
    "Lake",
    "Prairie",
    "Ridge",
    "Falls",
    "Bay",
]
# Outcome: exit code and message.
FAULTS = {
    "refused": (4, "the export breaks 2 rules and was not sent. The first: users.csv, row 20"),
    "stale": (18, "the export was written 2026-11-22 05:00 UTC, 48 h ago. The limit is 36 h"),
    "failed": (9, "the login as rosters was refused. It is not tried again"),
    "held": (17, "the guard holds the export: users.student: 500 of 2,000 would be removed"),
}


def receipt(command: str, outcome: str, night: dt.date, message: str = "sent") -> dict[str, Any]:
    """Return a short receipt. The deadline is 09:00 UTC."""
    hour = {"rehearse": "20:40", "watch": "08:30"}.get(command, "07:25")
    return {
        "command": command,
        "outcome": outcome,
        "exit_code": FAULTS[outcome][0] if outcome in FAULTS else 0,
        "message": FAULTS[outcome][1] if outcome in FAULTS else message,
        "finished": f"{night.isoformat()}T{hour}:00Z",
        "night": night.isoformat(),
        "minutes_to_deadline": 95,
    }


def feed(number: int, nights: int, fate: str = "sent") -> dict[str, Any]:
    """Return a feed's part of a report. `fate` is the outcome of its last night."""
    chance = random.Random(number)  # noqa: S311 - no secret
    today = NOW.date()
    students = chance.randrange(400, 30_000)
    classes, teachers = students // 18, students // 16
    listed = []
    for back in range(nights - 1, -1, -1):
        day = today - dt.timedelta(days=back)
        outcome = fate if back == 0 else "sent"
        if back and chance.random() < 0.015:
            outcome = chance.choice(["refused", "stale", "failed", "held", "missed", "skipped"])
        if outcome == "missed":
            continue
        if day.weekday() < 5:
            students = max(students + chance.randrange(-9, 10), 1)
            teachers = max(teachers + chance.randrange(-1, 2), 1)
            classes = max(classes + chance.randrange(-1, 2), 1)
        is_read = outcome in ("sent", "held")
        size = students * 1100 + chance.randrange(4000)
        counts = [size, students, teachers, classes, students * 7 + chance.randrange(60)]
        code = FAULTS[outcome][0] if outcome in FAULTS else 29 * (outcome == "skipped")
        listed.append(
            [day.isoformat(), outcome, code, *(counts if is_read else [None] * 5),
             chance.randrange(70, 110), chance.randrange(3, 9)]
        )  # fmt: skip
    word, place = WORDS[number % 10], PLACES[number // 10 % 10]
    name = AWKWARD[number] if number < len(AWKWARD) else f"{word} {place} {number:04}"
    sent = [entry for entry in listed if entry[1] == "sent"]
    last = dt.date.fromisoformat(listed[-1][0]) if listed else today
    hold = {
        "digest": DIGEST,
        "reasons": ["users.student: 500 of 2,000 would be removed (25.0 %); 10 % is the limit"],
        "command": "send",
        "finished": "2026-11-24T07:25:00Z",
    }
    first = NOW.replace(hour=7, minute=10 + number % 30, second=0) + dt.timedelta(days=1)
    return {
        "district": name,
        "feed": f"feed-{number:04}",
        "remote_host": "sftp.vendor.example",
        "auth": "password",
        "window_start": "07:10",
        "deadline": "09:00",
        "configured": "2025-10-01T12:00:00Z",
        "credential": stamp(NOW - dt.timedelta(days=chance.randrange(1, 330))),
        "starts": {
            "roster-upload": stamp(first),
            "roster-rehearse": "2026-11-24T20:40:00Z",
            "roster-watch": "2026-11-25T08:30:00Z",
        },
        "broken_at": None,
        "trouble": None,
        "nights": listed,
        "last": receipt("send", listed[-1][1], last) if listed else None,
        "last_sent": receipt("send", "sent", dt.date.fromisoformat(sent[-1][0])) if sent else None,
        "rehearsal": receipt("rehearse", "rehearsed", today - dt.timedelta(days=1), "it is good"),
        "watch": None,
        "held": hold if fate == "held" else None,
        "cautions": {"feed": f"feed-{number:04}", "unchanged_nights": 1, "unchanged_limit": 10},
    }


def report(feeds: list[dict[str, Any]], **values: Any) -> dict[str, Any]:
    """Return a host's report."""
    return {
        "schema": 1,
        "time": stamp(NOW),
        "clock_synced": True,
        "failed_units": [],
        "free_bytes": 12 << 30,
        "program": __version__,
        "feeds": feeds,
        **values,
    }


def results(count: int, nights: int) -> dict[str, dict[str, Any]]:
    """Return Ansible's registered results of hosts with one feed each, by name.

    Most have sent. Others have not: some of the first fifty, which have awkward names, and some of
    each further fifty.
    """
    fates = {0: "held", 2: "missed", 3: "refused", 5: "stale", 6: "failed"}
    found: dict[str, dict[str, Any]] = {}
    for number in range(count):
        fate = fates.get(number % 50, "sent")
        told = feed(number, nights, fate)
        if number % 50 == 7:
            told["credential"] = stamp(NOW - dt.timedelta(days=345))
        if number % 50 == 8:
            told["rehearsal"] = receipt("rehearse", "refused", NOW.date() + dt.timedelta(days=1))
        text = json.dumps(report([told]), ensure_ascii=False)
        found[f"roster-{number:04}"] = {"report": text, "planned": [told["feed"]]}
    if count > 9:
        found["roster-0009"] = {"unreachable": True, "msg": "ssh: connect: Connection refused"}
    return found


def hosts(found: dict[str, dict[str, Any]], cache: Cache) -> list[Host]:
    """Return the hosts of those results."""
    return [
        host(name, result, cache, stamp(NOW), planned=result.get("planned"))
        for name, result in found.items()
    ]
