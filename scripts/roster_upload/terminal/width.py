"""Fit lines of text into the width of a terminal."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from typing import IO

DEFAULT = 100  # columns of a table in an output that is no terminal
UNKNOWN = 80  # columns of a terminal that does not say
LEAST, DEEPEST = 20, 0.5  # columns, and the part of the width that an indent may take
MARGIN = "  "  # of the further lines of a text without an indent
# Values that people copy, such as a path, an address or a digest. They are never broken.
WHOLE = re.compile(r"[!-~]*[/@=0-9_.:][!-~]+|[0-9]+[!-~]?")

# A command to copy: it stays on one line, with its options and their values.
COMMAND = (
    r"[(`\"]?(?:roster-upload|systemctl|journalctl|timedatectl|chronyc|df) -?[a-z-]+(?: [!-~]+)?"
    r"(?: --?[a-z][a-z-]* (?:\"[^\"]*\"|[!-~]+)| /[!-~]+)*"
)
WORD = re.compile(rf"{COMMAND}\S*|\S+")


def columns(out: IO[str] | None) -> int | None:
    """Return the width of a terminal in columns, or that in COLUMNS. None without a terminal.

    A program that reads a pipe gets whole lines, since its own terminal may have left COLUMNS.
    """
    if out is None:
        return None
    try:
        found = os.get_terminal_size(out.fileno()).columns
    except (AttributeError, OSError, ValueError):
        return None
    given = os.environ.get("COLUMNS", "")
    if given.isascii() and given.isdigit() and int(given):
        found = int(given)
    return max(found or UNKNOWN, LEAST)


def fitted(text: str, width: int | None) -> str:
    """Return text with its long lines broken at blanks. Without a width, return it as it is.

    A command is never broken, so that people can copy it. Further lines start below the last
    column of a line such as `next step  Run …`.
    """
    if width is None:
        return text
    return "\n".join(part for line in text.split("\n") for part in _wrapped(line, width))


def cell_len(text: str) -> int:
    """Return the number of columns of a printable text."""
    if text.isascii():  # as most lines are
        return len(text)
    from rich import cells  # noqa: PLC0415 - it takes long to import

    return cells.cell_len(text)


def _wrapped(line: str, width: int) -> Iterator[str]:
    if cell_len(line) <= width:
        yield line
        return
    head, rest = _head(line, int(width * DEEPEST))
    shown, indent = head, " " * cell_len(head) or MARGIN
    for word in _pieces(rest, width - len(indent)):
        gap = " " if shown not in (head, indent) and shown.strip() else ""
        if shown.strip() and cell_len(shown + gap + word) > width:
            yield shown.rstrip()
            # A wide word starts further to the left.
            shown, gap = indent[: max(width - cell_len(word), 0)], ""
        shown += gap + word
    yield shown.rstrip()


def _head(line: str, most: int) -> tuple[str, str]:
    """Return the indent and the labels of a line, at most so many columns, and its text."""
    ends = [match.end() for match in re.finditer(r"(?:^|(?<=\S)) {2,}(?=\S)|^ (?=\S)", line)]
    end = max((end for end in ends if cell_len(line[:end]) <= most), default=0)
    return line[:end], line[end:]


def _pieces(text: str, width: int) -> Iterator[str]:
    """Yield the words and commands of a text. A word wider than `width` is broken, if it may be."""
    for word in WORD.findall(text):
        yield from [word] if " " in word or WHOLE.fullmatch(word) else fold(word, width)


def fold(text: str, width: int) -> list[str]:
    """Return a text in pieces of at most `width` cells."""
    if cell_len(text) <= width:
        return [text]
    lines, used = [""], 0
    for character in text:
        size = cell_len(character)
        if used + size > width:
            lines.append("")
            used = 0
        lines[-1] += character
        used += size
    return lines
