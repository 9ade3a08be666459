"""The fleet's status as one HTML page that needs nothing but itself.

All data is in it, packed: a night takes about ten characters. Its script draws the table, and a
district's nights when they are asked for. Its policy lets nothing be fetched.
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
from roster_upload.exits import Exit
from roster_upload.host import atomic

from roster_fleet.report import Night
from roster_fleet.status import OUTCOMES, STATES, Row

ASSETS = Path(__file__).parent
DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
UNKNOWN = "!"
KIB = 1024
# The columns of a history, each with its title and unit as they are shown.
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
    """A number in 5-bit digits, the lowest first, each but the last with the bit 32 set."""
    rest = number * 2 if number >= 0 else -number * 2 - 1
    text = ""
    while rest > 31:
        text += DIGITS[rest & 31 | 32]
        rest >>= 5
    return text + DIGITS[rest]


_SMALL = {number: _digits(number) for number in range(-1024, 1024)}


def packed(numbers: Sequence[int | None]) -> str:
    """Numbers as their differences, each from the known one before; `!` for one not known."""
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
    """A feed's nights, packed, the newest first.

    `end` is the newest night, `outcomes` a letter for each; `codes` are the exit codes of those
    that are not green, `series` the columns of SERIES.
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
    """A row for the page's script; what is empty is left out."""
    feed, report = row.feed, row.host.report or {}
    newest = row.newest
    told = {
        "state": STATES.index(row.state),
        "district": row.name,
        "feed": feed.get("feed"),
        "host": row.host.name,
        "stale": row.host.seen if row.host.trouble else None,
        "problems": [[STATES.index(problem.state), problem.text] for problem in row.problems],
        "students": newest.students if newest else None,
        "bytes": newest.bytes if newest else None,
        "days": row.credential_days,
        "maximum": row.host.maximum_days,
        "auth": feed.get("auth"),
        "server": feed.get("remote_host"),
        "window": f"{feed['window_start']}–{feed['deadline']}" if feed.get("deadline") else None,
        "starts": feed.get("starts"),
        "last": (feed.get("last") or {}).get("message"),
        "sent": (feed.get("last_sent") or {}).get("finished"),
        "rehearsal": (feed.get("rehearsal") or {}).get("message"),
        "held": (feed.get("held") or {}).get("reasons"),
        "command": row.command,
        "free": report["free_bytes"] >> 30 if report.get("free_bytes") is not None else None,
        "synced": report.get("clock_synced"),
        "program": report.get("program"),
        "nights": history(row.nights) if row.nights else None,
    }
    return {key: value for key, value in told.items() if value not in (None, "", [], {})}


def embedded(value: Any) -> Markup:
    """A value as JSON that can stand inside a script element, whatever is in it."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    for character in "<\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)  # noqa: S704 - that is what the lines above are for


def source_hash(text: str) -> str:
    """What lets a script or style of just this text run, in a Content-Security-Policy."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def build(rows: Sequence[Row], asked: str) -> str:
    """The page; `asked` is when the hosts were asked (ISO 8601, UTC)."""
    script, style, source = (
        (ASSETS / name).read_text("utf-8") for name in ("page.js", "page.css", "page.html.j2")
    )
    data = embedded(
        {
            "states": STATES,
            "outcomes": {o.letter: [STATES.index(o.state), o.word] for o in OUTCOMES.values()},
            "series": [[title, unit] for _, title, unit in SERIES],
            "meanings": {int(code): code.meaning for code in Exit},
            "rows": [record(row) for row in rows],
        }
    )
    content = hashlib.sha256("\0".join((source, script, style, data)).encode()).hexdigest()
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    return environment.from_string(source).render(
        script=Markup(script),  # noqa: S704 - files of this package
        style=Markup(style),  # noqa: S704
        script_hash=source_hash(script),
        style_hash=source_hash(style),
        data=data,
        content_mark=Markup(CONTENT_MARK),  # noqa: S704
        content=content,
        asked=asked,
        feeds=len(rows),
        hosts=len({row.host.name for row in rows}),
    )


def content_of(html: str) -> str:
    """The mark of a page's content, which its time is no part of; empty where it has none."""
    return html.partition(CONTENT_MARK)[2].partition('"')[0]


def write(path: Path, html: str, *, is_check: bool = False) -> bool:
    """Writes the page unless one that says the same is there; returns whether it differs.

    Raises OSError where it cannot.
    """
    try:
        is_same = content_of(path.read_text("utf-8")) == content_of(html)
    except (OSError, ValueError):
        is_same = False
    if not is_same and not is_check:
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic.replace(path, html.encode())
    return not is_same
