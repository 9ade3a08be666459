"""Convert any value to JSON, so that every record can be written."""

from __future__ import annotations

import datetime as dt
import math
import numbers
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

from roster_upload.terminal.printable import (
    LONGEST_PATH,
    path_text,
    printable,
    printable_lines,
)

DEEPEST = 12  # levels of nesting
LARGEST = 1 << 63  # no number of ours is larger


def plain(value: Any, depth: int = DEEPEST) -> Any:
    """Return a value as JSON has it. Never fail: a value without a form in JSON becomes text."""
    if isinstance(value, str):  # first, because most values are texts
        return printable_lines(str.__str__(value))
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, numbers.Real):
        return _number(value)
    if depth and isinstance(value, Mapping):
        return {str(plain(k, 0)): plain(v, depth - 1) for k, v in value.items()}
    if depth and isinstance(value, list | tuple | set | frozenset):
        return [plain(one, depth - 1) for one in value]
    return _text(value)


def _number(value: numbers.Real) -> int | float | str:
    if isinstance(value, numbers.Integral):
        count = int(value)
        return count if abs(count) < LARGEST else f"a number of {count.bit_length()} bits"
    size = float(value)
    return size if math.isfinite(size) else str(size)


def _text(value: Any) -> str:
    """Return a value that is neither a text, a number nor a list as text."""
    if isinstance(value, PurePath):
        return path_text(value)
    if isinstance(value, bytes | bytearray):
        return printable(bytes(value), LONGEST_PATH)
    if isinstance(value, dt.date | dt.time):
        return value.isoformat()
    return f"<{type(value).__name__}>"
