"""The filter for an operator's terminal: printable characters, line ends, plain colours."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from typing import Any

from roster_upload.terminal.printable import printable

# Besides line ends and tabs, these are the colours of Ansible and of this project's tables. Black
# could hide text. No other escape sequence passes.
KEPT = re.compile(r"(\n|\t|\x1b\[(?:[0-2]|1;30|(?:[01];)?3[1-7])m)")


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
