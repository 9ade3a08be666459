"""What the program writes to its terminal, its journal or a pipe: lines of printable characters.

Receipts, profiles and a unit's journal can be written by the program's user, and root reads them.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from typing import IO

from roster_upload.terminal.printable import printable_lines


def show(text: str) -> None:
    """Write lines of text to the output."""
    print(printable_lines(text))


def show_json(value: object) -> None:
    """Write a value to the output as JSON, in which all but ASCII is escaped."""
    print(json.dumps(value, indent=2).replace("\x7f", r"\u007f"))


def say(text: str, out: IO[str] | None = None) -> None:
    """Write lines of text, by default to the error output, whether or not anybody reads them."""
    out = out or sys.stderr
    if out is None:  # it was closed before the program began
        return
    try:
        print(printable_lines(text), file=out, flush=True)
    except (OSError, ValueError):
        discard(out)


def discard(out: IO[str]) -> None:
    """Let what is left in a stream's buffer go nowhere, so that the program's end is quiet."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), out.fileno())
