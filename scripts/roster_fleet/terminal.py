"""The operator's terminal: its width, and the filter of what is shown on it.

The filter passes printable characters, line ends and plain colours.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable
from typing import Any

from roster_upload.terminal.printable import printable

# Besides line ends and tabs, these are the colours of Ansible and of this project's tables. Black
# could hide text. No other escape sequence passes.
KEPT = re.compile(r"(\n|\t|\x1b\[(?:[0-2]|1;30|(?:[01];)?3[1-7])m)")

USUAL_WIDTH = 80  # of a terminal that does not know its own


class Terminal:
    """The width of the terminal, or None if the output goes elsewhere.

    Ansible's workers have no terminal. Its main process measures, and they inherit the result.
    """

    def __init__(self) -> None:
        self.width: int | None = None

    def measure(self) -> int | None:
        """Measure again, since an operator can resize the terminal. Return the width.

        The variable COLUMNS comes first, also without a terminal.
        """
        wanted = os.environ.get("COLUMNS", "")
        self.width = int(wanted) if wanted.isdecimal() and int(wanted) else _width_of_output()
        return self.width


def _width_of_output() -> int | None:
    try:
        output = sys.stdout.fileno()
        return os.get_terminal_size(output).columns or USUAL_WIDTH
    except (OSError, ValueError):  # no terminal, or closed
        return None


TERMINAL = Terminal()


def shown(text: str) -> str:
    """Return text of several lines that cannot control the terminal."""
    parts = KEPT.split(text.replace("\r\n", "\n"))
    return "".join(
        part if index % 2 else printable(part, sys.maxsize) for index, part in enumerate(parts)
    )


def guarded(display: Callable[..., Any]) -> Callable[..., Any]:
    """Return Ansible's `Display.display` behind this filter."""

    def show(msg: str, *arguments: Any, **options: Any) -> Any:
        return display(shown(msg), *arguments, **options)

    return show
