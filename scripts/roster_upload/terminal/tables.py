"""Arrange rows in columns of plain text, for terminals. It is fast enough for many rows."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest

from roster_upload.terminal.width import cell_len, fold

GAP = "  "
NARROWEST = 4  # a column, in cells of the terminal


def table(rows: Sequence[Sequence[str]], width: int, *, numbers: bool = False) -> list[list[str]]:
    """Return the lines of each row, as wide as `width` at most.

    Cells that are too wide continue in the next line. With `numbers` all columns but the first are
    aligned to the right.
    """
    widths = [max(map(cell_len, column)) for column in zip(*rows, strict=True)]
    room = width - len(GAP) * (len(widths) - 1)
    while sum(widths) > room and max(widths) > NARROWEST:
        widths[widths.index(max(widths))] -= 1
    return [_lines(row, widths, numbers=numbers) for row in rows]


def _lines(row: Sequence[str], widths: Sequence[int], *, numbers: bool) -> list[str]:
    cells = [fold(cell, width) for cell, width in zip(row, widths, strict=True)]
    return [
        GAP.join(
            _padded(part, width, is_right=numbers and at > 0)
            for at, (part, width) in enumerate(zip(parts, widths, strict=True))
        ).rstrip()
        for parts in zip_longest(*cells, fillvalue="")
    ]


def _padded(text: str, width: int, *, is_right: bool) -> str:
    blanks = " " * (width - cell_len(text))
    return blanks + text if is_right else text + blanks
