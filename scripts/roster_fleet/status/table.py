"""The status of all feeds as a table for the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.filesize import decimal

from roster_fleet import terminal_table
from roster_fleet.status import when
from roster_fleet.status.rows import MARKS, STATES, Row
from roster_fleet.terminal_table import Column

STYLES = {"red": "red", "amber": "yellow", "new": "cyan", "green": "green", "off": "dim"}
# What an operator acts on stays: the district, its host and feed, and the outcome of the night.
COLUMNS = (
    Column("", is_styled=True),
    Column("District"),
    Column("Feed", 1),
    Column("Host"),
    Column("Night", 2),
    Column("Outcome", is_styled=True),
    Column("Students", 4, is_number=True),
    Column("Size", 6, is_number=True),
    Column("Cred.", 5, is_number=True),
    Column("Next start (UTC)", 3),
)


def table(listed: Sequence[Row], width: int | None, *, colours: bool) -> str:
    """Return the rows as a table of at most `width` columns, with a line that counts them.

    Without a width, every row is one line.
    """
    rows = [_row(entry) for entry in listed]
    lines, hidden = terminal_table.render(
        COLUMNS, rows, width, colours=colours, note="Note", has_rule=True
    )
    more = f"Also on the page: {', '.join(hidden)}"
    below = terminal_table.wrapped(more, width) if hidden and width else []
    return "\n".join([*lines, "", *below, summary(listed)])


def _row(entry: Row) -> terminal_table.Row:
    newest, days = entry.newest, entry.credential_days
    students, size = (newest.students, newest.bytes) if newest else (None, None)
    cells = (
        MARKS[entry.state],
        entry.name,
        str(entry.feed.get("feed", "")),
        entry.host.name,
        when.short_night(entry.nights[-1].night) if entry.nights else "",
        entry.outcome,
        f"{students:,}" if students is not None else "",
        decimal(size) if size is not None else "",
        f"{days} d" if days is not None else "",
        when.short_moment(entry.next_start) if entry.next_start else "",
    )
    return terminal_table.Row(
        cells, [problem.text for problem in entry.problems], STYLES[entry.state]
    )


def summary(listed: Sequence[Row]) -> str:
    """Return the number of rows by state: `1 red, 2 amber, 40 green`."""
    counts = {state: sum(entry.state == state for entry in listed) for state in STATES}
    return ", ".join(f"{count:,} {state}" for state, count in counts.items() if count) or "no feed"
