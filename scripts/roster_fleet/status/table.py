"""The status of all feeds as a table for the terminal."""

from __future__ import annotations

import io
from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.filesize import decimal
from rich.table import Table
from rich.text import Text

from roster_fleet.status.rows import MARKS, STATES, Row

STYLES = {"red": "red", "amber": "yellow", "green": "green", "off": "dim"}


def table(listed: Sequence[Row], width: int, *, colours: bool) -> str:
    """Return the rows as a table `width` columns wide, with a line that counts them."""
    shown = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    for title in ("", "District", "Feed", "Host", "Night", "Outcome"):
        shown.add_column(title, no_wrap=title in ("", "Night"), overflow="fold")
    for title in ("Students", "Size", "Cred."):
        shown.add_column(title, justify="right", no_wrap=True)
    shown.add_column("Next start", no_wrap=True)
    shown.add_column("Note", overflow="fold", ratio=1)
    for entry in listed:
        newest = entry.newest
        students = newest.students if newest else None
        days = entry.credential_days
        shown.add_row(
            Text(MARKS[entry.state], style=STYLES[entry.state]),
            Text(entry.name),
            Text(str(entry.feed.get("feed", ""))),
            Text(entry.host.name),
            entry.nights[-1].night[5:] if entry.nights else "",
            Text(entry.outcome, style=STYLES[entry.state]),
            f"{students:,}" if students is not None else "",
            decimal(newest.bytes) if newest and newest.bytes is not None else "",
            f"{days} d" if days is not None else "",
            entry.next_start.replace("T", " ")[5:16],
            Text("; ".join(problem.text for problem in entry.problems)),
        )
    out = Console(
        file=io.StringIO(), width=width, force_terminal=colours, no_color=not colours,
        color_system="standard" if colours else None,
    )  # fmt: skip
    out.print(shown)
    text: str = out.file.getvalue()  # type: ignore[attr-defined]
    lines = [line.rstrip() for line in text.splitlines()]
    return "\n".join([*lines, "", summary(listed)])


def summary(listed: Sequence[Row]) -> str:
    """Return the number of rows by state: `1 red, 2 amber, 40 green`."""
    counts = {state: sum(entry.state == state for entry in listed) for state in STATES}
    return ", ".join(f"{count:,} {state}" for state, count in counts.items() if count) or "no feed"
