"""Make text from outside printable: from servers, exports, file names, other hosts' reports.

The program does so when it reads such text. The control node does so again before it shows it.
"""

from __future__ import annotations

import os
from pathlib import PurePath
from typing import Any

LONGEST = 300  # characters of one line
LONGEST_MESSAGE = 4_000  # characters of a line that is made of several such texts
LONGEST_PATH = 4096


def printable(text: str | bytes, longest: int = LONGEST) -> str:
    """Return text as one bounded line of printable characters.

    Characters that control a terminal, break a line or reverse the direction of writing become
    escapes such as `\\x1b`. Printable text of this length stays as it is.
    """
    if isinstance(text, bytes):
        text = text.decode("utf-8", "backslashreplace")
    kept = text if len(text) <= longest else text[: longest - 1] + "…"
    if kept.isprintable():  # as most texts are
        return kept
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in kept)
    return shown if len(shown) <= longest else shown[: longest - 1] + "…"


def printable_lines(text: str, longest: int = LONGEST_MESSAGE) -> str:
    """Return text with each line made printable."""
    return "\n".join(printable(line, longest) for line in text.split("\n"))


def printable_values(value: Any) -> Any:
    """Return a JSON value with all its texts made printable."""
    if isinstance(value, str):
        return printable_lines(value)
    if isinstance(value, dict):
        return {printable_lines(key): printable_values(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [printable_values(one) for one in value]
    return value


def path_text(path: PurePath) -> str:
    """Return a path for people, even if its bytes are not UTF-8."""
    return printable(os.fsencode(path), LONGEST_PATH)
