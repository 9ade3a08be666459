"""One receipt between memory and disk: any value can be written, and any JSON can be read.

`plain` makes values that JSON can say and UTF-8 can hold. `healed` gives the keys of a stored
receipt the types that their readers rely on, whatever a damaged disk has made of them.
"""

from __future__ import annotations

import datetime as dt
import math
import numbers
import os
import re
from collections.abc import Callable, Mapping
from pathlib import PurePath
from typing import Any

from roster_upload.terminal.printable import printable, printable_lines

DEEPEST = 12  # levels of a receipt
LARGEST = 1 << 63  # a number beyond it is not one of ours
LONGEST_PATH = 4096
EPOCH = "1970-01-01T00:00:00Z"
UNKNOWN = "unknown"  # the outcome of a receipt that does not say it
YEARS = range(1971, 9999)  # within these every zone's time can be told


def plain(value: Any, depth: int = DEEPEST) -> Any:
    """Return a value as JSON has it. It never fails: what JSON cannot say becomes text."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, numbers.Real):
        return _number(value)
    if depth and isinstance(value, Mapping):
        return {str(plain(k, 0)): plain(v, depth - 1) for k, v in value.items()}
    if depth and isinstance(value, list | tuple | set | frozenset):
        return [plain(one, depth - 1) for one in value]
    return _written(value)


def _number(value: numbers.Real) -> int | float | str:
    if isinstance(value, numbers.Integral):
        count = int(value)
        return count if abs(count) < LARGEST else f"a number of {count.bit_length()} bits"
    size = float(value)
    return size if math.isfinite(size) else str(size)


def _written(value: Any) -> str:
    """Return what is neither a number nor a list as text."""
    if isinstance(value, str):
        return _text(str.__str__(value))
    if isinstance(value, PurePath):
        return path_text(value)
    if isinstance(value, bytes | bytearray):
        return printable(bytes(value), LONGEST_PATH)
    if isinstance(value, dt.date | dt.time):
        return value.isoformat()
    return f"<{type(value).__name__}>"


def path_text(path: PurePath) -> str:
    """Return a path for people, also one whose bytes are not UTF-8."""
    return printable(os.fsencode(path), LONGEST_PATH)


def _text(text: str) -> str:
    """Return text whose lines are printable, so also without what UTF-8 cannot hold."""
    return printable_lines(text)


# ---- reading -------------------------------------------------------------------------------------


class Misfit(ValueError):
    """A value that its readers cannot use."""


Shape = Callable[[Any], Any]  # return the value as its readers may rely on it, or raise Misfit


def text(value: Any) -> str:
    """Return a text. Raise Misfit."""
    if not isinstance(value, str):
        raise Misfit
    return value


def number(value: Any) -> float:
    """Return a number that is finite. Raise Misfit."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Misfit
    return value


def whole(value: Any) -> int:
    """Return a whole number. Raise Misfit."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise Misfit
    return value


def flag(value: Any) -> bool:
    """Return yes or no. Raise Misfit."""
    if not isinstance(value, bool):
        raise Misfit
    return value


def digest(value: Any) -> str:
    """Return a digest in hexadecimal digits, or "". Raise Misfit."""
    if not re.fullmatch("[0-9a-f]{0,128}", text(value)):
        raise Misfit
    return str(value)


def moment(value: Any) -> str:
    """Return a moment that has a time zone, as ISO 8601. Raise Misfit."""
    try:
        at = dt.datetime.fromisoformat(text(value))
    except ValueError:
        raise Misfit from None
    if at.tzinfo is None or at.year not in YEARS:
        raise Misfit
    return str(value)


def day(value: Any) -> str:
    """Return a day as ISO 8601. Raise Misfit."""
    try:
        at = dt.date.fromisoformat(text(value))
    except ValueError:
        raise Misfit from None
    if at.year not in YEARS:
        raise Misfit
    return at.isoformat()


def maybe(shape: Shape) -> Shape:
    """Return the shape of what may also be null."""
    return lambda value: None if value is None else shape(value)


def each(shape: Shape) -> Shape:
    """Return the shape of a list. What does not fit into it is left out."""

    def fit(value: Any) -> list[Any]:
        if not isinstance(value, list):
            raise Misfit
        return [fitted for one in value for fitted in _fitted(shape, one)]

    return fit


def table(shape: Shape) -> Shape:
    """Return the shape of an object with any keys. What does not fit into it is left out."""

    def fit(value: Any) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise Misfit
        return {key: fitted for key, one in value.items() for fitted in _fitted(shape, one)}

    return fit


def keys(needed: Mapping[str, Shape], others: Mapping[str, Shape] | None = None) -> Shape:
    """Return the shape of an object that needs some keys. Of the others those that fit stay."""
    optional = others or {}

    def fit(value: Any) -> dict[str, Any]:
        if not isinstance(value, dict) or not needed.keys() <= value.keys():
            raise Misfit
        found = {key: shape(value[key]) for key, shape in needed.items()}
        for key, one in value.items():
            for fitted in _fitted(optional[key], one) if key in optional else ():
                found[key] = fitted
        return found

    return fit


def _fitted(shape: Shape, value: Any) -> list[Any]:
    """Return a list of the value, or an empty one where it does not fit."""
    try:
        return [shape(value)]
    except Misfit:
        return []


_file = keys({}, {"path": text, "bytes": whole, "sha256": digest, "content": text,
                  "modified": moment, "steps": lambda value: value})  # fmt: skip
_finding = keys(
    {"rule": text, "severity": text, "file": text, "column": text, "count": whole},
    {"detail": text, "rows": each(whole)},
)
_counts = keys({"now": whole}, dict.fromkeys(("before", "added", "removed", "changed"), whole))
_remote = keys(
    {},
    {
        **dict.fromkeys(("host", "dir", "name", "address", "server", "host_key", "login"), text),
        **dict.fromkeys(("method", "verified"), text),
        "port": whole,
        "bytes": maybe(whole),
        "server_changed": each(text),
    },
)


def _change(value: Any) -> dict[str, int]:
    """Return the change of one kind of record, whose counts add up. Raise Misfit."""
    counts = _counts(value)
    return {**dict.fromkeys(("added", "removed"), 0), **counts}


SHAPES: Mapping[str, Shape] = {
    **dict.fromkeys(("feed", "district", "command", "outcome", "message", "program", "run"), text),
    **dict.fromkeys(("who", "why", "at_vendor", "expected_change", "previous", "continues"), text),
    **dict.fromkeys(("exit_code", "attempts", "unchanged_nights", "unchanged_limit"), whole),
    **dict.fromkeys(("started", "finished", "deadline"), moment),
    **dict.fromkeys(("v", "lines"), whole),
    "night": day,
    "in_window": flag,
    "minutes_to_deadline": maybe(number),
    "digest": digest,
    "source": _file,
    "package": _file,
    "rows": table(whole),
    "faulty_rows": table(whole),
    "findings": each(_finding),
    "told": each(keys({"rule": text, "file": text, "column": text, "count": whole})),
    "waiting": keys({"since": day, "nights": whole, "counts": table(whole)}),
    "changes": table(_change),
    "held": each(text),
    "lost": each(text),
    "approved": keys({"who": text, "why": text, "finished": text}),
    "remote": _remote,
    "seconds": table(number),
}
WELL = ("sent", "skipped", "rehearsed")  # outcomes of exit code 0
INTERNAL = 70


def healed(stored: Mapping[str, Any]) -> dict[str, Any]:
    """Return a stored receipt whose known keys have their types, and what its readers rely on.

    Unknown keys stay.
    """
    found: dict[str, Any] = {}
    for key, value in stored.items():
        shape = SHAPES.get(key, plain)
        for fitted in _fitted(shape, plain(value)):
            found[key] = fitted
    outcome = found.setdefault("outcome", UNKNOWN)
    finished = found.setdefault("finished", found.get("started", EPOCH))
    defaults: dict[str, Any] = {"command": "send", "message": "", "source": {}, "remote": {}}
    if outcome == "approved":
        found["command"] = "approve"
    else:
        code = 0 if outcome in WELL else INTERNAL
        defaults |= {"started": finished, "night": finished[:10], "exit_code": code}
    return {**defaults, **found}
