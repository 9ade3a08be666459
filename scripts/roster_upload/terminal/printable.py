"""The one door for text from outside: servers, exports, file names, reports of other hosts.

It goes through here where it enters, and again where the control node shows it.
"""

from __future__ import annotations

import os
from pathlib import PurePath
from typing import Any

LONGEST = 300  # characters of one line
LONGEST_MESSAGE = 4_000  # the same, of a line that is made of several such texts
LONGEST_PATH = 4096


def printable(text: str | bytes, longest: int = LONGEST) -> str:
    """Return text as one bounded line of printable characters.

    Whatever could steer a terminal, break a line or turn the direction of writing round is shown
    as an escape such as `\\x1b`. Text that went through once stays as it is.
    """
    if isinstance(text, bytes):
        text = text.decode("utf-8", "backslashreplace")
    kept = text if len(text) <= longest else text[: longest - 1] + "…"
    if kept.isprintable():  # as most texts are
        return kept
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in kept)
    return shown if len(shown) <= longest else shown[: longest - 1] + "…"


def printable_lines(text: str, longest: int = LONGEST_MESSAGE) -> str:
    """Return text whose lines are printable each."""
    return "\n".join(printable(line, longest) for line in text.split("\n"))


def printable_values(value: Any) -> Any:
    """Return a JSON value whose texts have printable lines."""
    if isinstance(value, str):
        return printable_lines(value)
    if isinstance(value, dict):
        return {printable_lines(key): printable_values(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [printable_values(one) for one in value]
    return value


def path_text(path: PurePath) -> str:
    """Return a path for people, also one whose bytes are not UTF-8."""
    return printable(os.fsencode(path), LONGEST_PATH)
