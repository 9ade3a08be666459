"""The fleet's status as one self-contained HTML page.

It contains all data in a packed form: a night takes about ten characters. Its script draws the
table, and a district's nights on request. Its policy forbids every network request.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup
from roster_upload import version
from roster_upload.exits import Exit
from roster_upload.host import atomic
from roster_upload.records.night import clock_text, time_text

from roster_fleet.report import Night
from roster_fleet.status import when
from roster_fleet.status.rows import OUTCOMES, STATES, Row, seals

ASSETS = Path(__file__).parent
DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
UNKNOWN = "!"
KIB = 1024
# The columns of a history, each with its title and its unit.
SERIES = (
    ("students", "Students", ""),
    ("teachers", "Teachers", ""),
    ("classes", "Classes", ""),
    ("enrollments", "Enrollments", ""),
    ("bytes", "Size", "KiB"),
    ("minutes", "Minutes early", ""),
    ("seconds", "Seconds taken", ""),
)
CONTENT_MARK = '<meta name="roster-content" content="'


def _digits(number: int) -> str:
    """Return a number in 5-bit digits, the lowest first. All but the last have bit 32 set."""
    rest = number * 2 if number >= 0 else -number * 2 - 1
    text = ""
    while rest > 31:
        text += DIGITS[rest & 31 | 32]
        rest >>= 5
    return text + DIGITS[rest]


_SMALL = {number: _digits(number) for number in range(-1024, 1024)}


def packed(numbers: Sequence[int | None]) -> str:
    """Return numbers as differences from the known number before. `!` is an unknown number."""
    text, before = [], 0
    for number in numbers:
        if number is None:
            text.append(UNKNOWN)
            continue
        step = number - before
        text.append(_SMALL[step] if -1024 <= step < 1024 else _digits(step))
        before = number
    return "".join(text)


def history(nights: Sequence[Night]) -> dict[str, Any]:
    """Return a feed's nights in packed form, the newest first.

    `end` is the newest night, and `outcomes` has a letter for each night. `codes` has the exit
    codes of nights that are not green, and `series` the columns of SERIES.
    """
    newest = nights[::-1]
    names = [name for name, _, _ in SERIES]
    columns = {name: [getattr(night, name) for night in newest] for name in names}
    columns["bytes"] = [size if size is None else -(-size // KIB) for size in columns["bytes"]]
    return {
        "end": newest[0].night,
        "outcomes": "".join(OUTCOMES[night.outcome].letter for night in newest),
        "codes": [n.exit_code or 0 for n in newest if OUTCOMES[n.outcome].state != "green"],
        "series": [packed(columns[name]) for name in names],
    }


def record(row: Row) -> dict[str, Any]:
    """Return a row for the page's script, without empty values."""
    feed, report = row.feed, row.host.report or {}
    newest, zone = row.newest, feed.get("time_zone", "")
    starts = feed.get("starts") or {}
    is_stale = row.host.trouble and row.host.seen
    sent = (feed.get("last_sent") or {}).get("finished")
    values = {
        "state": STATES.index(row.state),
        "district": row.name,
        "feed": feed.get("feed"),
        "host": row.host.name,
        "stale": when.short_moment(row.host.seen) if is_stale else None,
        "problems": [[STATES.index(problem.state), problem.text] for problem in row.problems],
        "students": newest.students if newest else None,
        "bytes": newest.bytes if newest else None,
        "days": row.credential_days,
        "maximum": row.host.maximum_days,
        "auth": feed.get("auth"),
        "sealed": "; ".join(seal.text for seal in seals(feed)),
        "server": feed.get("remote_host"),
        "window": f"{feed['window_start']}–{feed['deadline']}" if feed.get("deadline") else None,
        "starts": {unit: [at, time_text(at, zone)] for unit, at in starts.items()},
        "next": clock_text(row.next_start, zone) if row.next_start else None,
        "last": (feed.get("last") or {}).get("message"),
        "sent": time_text(sent, zone) if sent else None,
        "rehearsal": (feed.get("rehearsal") or {}).get("message"),
        "held": (feed.get("held") or {}).get("reasons"),
        "command": row.command,
        "free": report["free_bytes"] >> 30 if report.get("free_bytes") is not None else None,
        "synced": report.get("clock_synced"),
        "program": report.get("program"),
        "nights": history(row.nights) if row.nights else None,
    }
    return {key: value for key, value in values.items() if value not in (None, "", [], {})}


def embedded(value: Any) -> Markup:
    """Return a value as JSON that is safe inside a script element."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    for character in "<\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)  # noqa: S704 - the lines above escape it


def source_hash(text: str) -> str:
    """Return the source expression of a Content-Security-Policy for exactly this text."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def build(rows: Sequence[Row], asked: str, inventory_name: str = "") -> str:
    """Return the page of an inventory.

    `asked` is the time of the questions to the hosts (ISO 8601, UTC).
    """
    title = f"{inventory_name}: roster deliveries" if inventory_name else "Roster deliveries"
    script, style, source = (
        (ASSETS / name).read_text("utf-8") for name in ("page.js", "page.css", "page.html.j2")
    )
    data = embedded(
        {
            "states": STATES,
            "outcomes": {o.letter: [STATES.index(o.state), o.word] for o in OUTCOMES.values()},
            "series": [[title, unit] for _, title, unit in SERIES],
            "meanings": {int(code): code.meaning for code in Exit},
            "program": version(),
            "rows": [record(row) for row in rows],
        }
    )
    content = hashlib.sha256("\0".join((title, source, script, style, data)).encode()).hexdigest()
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    return environment.from_string(source).render(
        script=Markup(script),  # noqa: S704 - files of this package
        style=Markup(style),  # noqa: S704
        script_hash=source_hash(script),
        style_hash=source_hash(style),
        data=data,
        content_mark=Markup(CONTENT_MARK),  # noqa: S704
        content=content,
        title=title,
        asked=asked,
        written=time_text(asked),
        feeds=len(rows),
        hosts=len({row.host.name for row in rows}),
    )


def content_of(html: str) -> str:
    """Return the hash of a page's content without its time, or an empty text."""
    return html.partition(CONTENT_MARK)[2].partition('"')[0]


def write(path: Path, html: str, *, is_check: bool = False) -> bool:
    """Write the page with its new time. Return whether anything else differs. Raise OSError."""
    try:
        is_same = content_of(path.read_text("utf-8")) == content_of(html)
    except (OSError, ValueError):
        is_same = False
    if not is_check:
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic.replace(path, html.encode())
    return not is_same
