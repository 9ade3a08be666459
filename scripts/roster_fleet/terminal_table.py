"""Arrange rows for an operator's terminal: columns give way by importance, and notes wrap.

Widths are counted in the terminal's cells. A wide character takes two, a combining one none.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import NamedTuple

from rich.cells import cell_len

GAP = "  "
INDENT = "  "  # of a note below its row
NARROWEST = 8  # a column whose cells wrap
LEAST_NOTE = 40  # a note beside its row. A longer one that has less room goes below the row.
KEPT = 0  # the rank of a column that is always shown

# A command in a note, with adjacent marks. People copy it, so it is broken only if it is too wide.
COMMAND = re.compile(r"[^\s`]*`[^`]+`[^\s`]*")
NO_BREAK = "\ue000"  # in place of a blank of a command. Printable texts do not contain it.


class Column(NamedTuple):
    """A column. Those of the highest rank are hidden first. Cells of rank 0 wrap instead."""

    title: str
    rank: int = KEPT
    is_number: bool = False
    is_styled: bool = False  # with the style of the row


class Row(NamedTuple):
    """A row: a cell for each column, and its notes, each of which begins a line."""

    cells: Sequence[str]
    notes: Sequence[str] = ()
    style: str = ""


@dataclass(frozen=True)
class Layout:
    """The columns that are shown, by their index, with their widths."""

    shown: Sequence[int]
    widths: Sequence[int]
    note_width: int | None  # of notes beside the rows. None: they are below them.


def _occupied(columns: Sequence[Column], rows: Sequence[Row]) -> list[int]:
    """Return the columns that have a value in any row."""
    return [at for at in range(len(columns)) if any(row.cells[at] for row in rows)]


def _natural(columns: Sequence[Column], rows: Sequence[Row], shown: Sequence[int]) -> list[int]:
    texts = ([columns[at].title, *(row.cells[at] for row in rows)] for at in shown)
    return [max(map(cell_len, column)) for column in texts]


def _total(widths: Sequence[int]) -> int:
    return sum(widths) + len(GAP) * (len(widths) - 1)


def layout(columns: Sequence[Column], rows: Sequence[Row], width: int | None) -> Layout:
    """Return the layout for a width. None: every row is one line, however long."""
    shown = _occupied(columns, rows)
    widths = _natural(columns, rows, shown)
    longest = max((cell_len(note) for row in rows for note in row.notes), default=0)
    if width is None:
        return Layout(shown, widths, longest)
    room = width - _total(widths) - len(GAP)
    if room >= min(longest, LEAST_NOTE):
        return Layout(shown, widths, room)
    while _total(widths) > width:
        rank = max(columns[at].rank for at in shown)
        if rank == KEPT:
            break
        last = next(i for i, at in enumerate(shown) if columns[at].rank == rank)
        del shown[last], widths[last]
    while _total(widths) > width and max(widths) > NARROWEST:
        widths[widths.index(max(widths))] -= 1
    return Layout(shown, widths, None)


def render(
    columns: Sequence[Column],
    rows: Sequence[Row],
    width: int | None,
    *,
    colours: bool = False,
    note: str = "note",
    has_rule: bool = False,
) -> tuple[list[str], list[str]]:
    """Return the lines of the table, and the titles of the columns that are hidden."""
    if not rows:
        return [], []
    plan = layout(columns, rows, width)
    lines = [*_head(columns, rows, plan, note, colours=colours)]
    if has_rule:
        lines.append("─" * (width or max(map(cell_len, lines))))
    for row in rows:
        lines += _lines(columns, row, plan, width, colours=colours)
    hidden = [columns[at].title for at in _occupied(columns, rows) if at not in plan.shown]
    return lines, hidden


def painted(text: str, style: str, *, colours: bool) -> str:
    """Return a text in a style, or as it is."""
    if not colours or not style or not text.strip():
        return text
    from rich.color import ColorSystem  # noqa: PLC0415 - it takes long to import
    from rich.style import Style  # noqa: PLC0415

    return Style.parse(style).render(text, color_system=ColorSystem.STANDARD)


def _head(
    columns: Sequence[Column], rows: Sequence[Row], plan: Layout, note: str, *, colours: bool
) -> Iterator[str]:
    titles = [
        _padded(columns[at].title, width, is_right=columns[at].is_number)
        for at, width in zip(plan.shown, plan.widths, strict=True)
    ]
    if plan.note_width is not None and any(row.notes for row in rows):
        titles.append(note)
    yield painted(GAP.join(titles).rstrip(), "bold", colours=colours)


def _lines(
    columns: Sequence[Column], row: Row, plan: Layout, width: int | None, *, colours: bool
) -> Iterator[str]:
    """Yield the lines of a row."""
    parts = [wrapped(row.cells[at], room) for at, room in zip(plan.shown, plan.widths, strict=True)]
    notes: list[str] = []
    below: list[str] = []
    if width is None:
        notes = ["; ".join(row.notes)]
    elif plan.note_width is not None:
        notes = [line for text in row.notes for line in wrapped(text, plan.note_width)]
    else:
        room = width - len(INDENT)
        below = [line for text in row.notes for line in wrapped(text, room)]
    for *cells, aside in zip_longest(*parts, notes, fillvalue=""):
        texts = []
        for at, cell, room in zip(plan.shown, cells, plan.widths, strict=True):
            text = _padded(cell, room, is_right=columns[at].is_number)
            style = row.style if columns[at].is_styled else ""
            texts.append(painted(text, style, colours=colours))
        yield GAP.join([*texts, aside]).rstrip()
    for line in below:
        yield INDENT + line


def _padded(text: str, width: int, *, is_right: bool) -> str:
    blanks = " " * (width - cell_len(text))
    return blanks + text if is_right else text + blanks


def wrapped(text: str, width: int) -> list[str]:
    """Return a text in lines of at most `width` cells, broken between words if possible."""
    if cell_len(text) <= width:
        return [text]
    from rich.console import Console  # noqa: PLC0415 - it takes long to import
    from rich.text import Text  # noqa: PLC0415

    text = COMMAND.sub(lambda found: _unbroken(found[0], width), text)
    lines = Text(text).wrap(Console(file=io.StringIO(), width=80), width, overflow="fold")
    return [text.replace(NO_BREAK, " ") for line in lines if (text := line.plain.rstrip())]


def _unbroken(command: str, width: int) -> str:
    return command.replace(" ", NO_BREAK) if cell_len(command) <= width else command
