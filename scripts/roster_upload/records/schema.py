"""The schema of a record: the type, the description and the default of each key.

A shape takes a JSON value. It returns the checked value, or raises Misfit.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import field, fields
from enum import StrEnum
from typing import Any, Protocol, Self, cast

YEARS = range(1971, 9999)  # every time zone can show these years


class Misfit(ValueError):
    """A value of the wrong type or form."""


Shape = Callable[[Any], Any]


def text(value: Any) -> str:
    """Return a text. Raise Misfit."""
    if not isinstance(value, str):
        raise Misfit
    return value


def number(value: Any) -> float:
    """Return a number. Raise Misfit."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Misfit
    return value


def whole(value: Any) -> int:
    """Return a whole number. Raise Misfit."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise Misfit
    return value


def flag(value: Any) -> bool:
    """Return true or false. Raise Misfit."""
    if not isinstance(value, bool):
        raise Misfit
    return value


def digest(value: Any) -> str:
    """Return a digest in hexadecimal digits, or "". Raise Misfit."""
    if not re.fullmatch("[0-9a-f]{0,128}", text(value)):
        raise Misfit
    return str(value)


def moment(value: Any) -> str:
    """Return a moment with a time zone, as ISO 8601. Raise Misfit."""
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
    """Return the shape of a value that may also be null."""
    return lambda value: None if value is None else shape(value)


def each(shape: Shape) -> Shape:
    """Return the shape of a list. Items that do not fit are dropped."""

    def fit(value: Any) -> tuple[Any, ...]:
        if not isinstance(value, list | tuple):
            raise Misfit
        return tuple(fitted for one in value for fitted in _fitted(shape, one))

    return fit


def table(shape: Shape) -> Shape:
    """Return the shape of an object with any keys. Values that do not fit are dropped."""

    def fit(value: Any) -> dict[str, Any]:
        if not isinstance(value, Mapping):
            raise Misfit
        return {str(key): fitted for key, one in value.items() for fitted in _fitted(shape, one)}

    return fit


def _fitted(shape: Shape, value: Any) -> list[Any]:
    """Return a list of the value, or an empty list if it does not fit."""
    try:
        return [shape(value)]
    except Misfit:
        return []


# ---- keys of a record ----------------------------------------------------------------------------

NEEDED = object()  # the default of a key without which a record is unusable


def key(
    shape: Shape, words: str, default: Any = "", *, name: str = "", always: bool = False
) -> Any:
    """Return a dataclass field for a key of a record.

    `words` describe it in the documents. `name` is the key's name in JSON if it differs.
    `always` writes the key even with its default.
    """
    metadata = {"shape": shape, "words": words, "name": name, "always": always}
    if default is NEEDED:
        return field(metadata=metadata)
    if isinstance(default, dict):
        return field(default_factory=dict, metadata=metadata)
    return field(default=default, metadata=metadata)


def keys_of(kind: type[Any]) -> Iterator[tuple[str, dataclasses.Field[Any]]]:
    """Yield the name in JSON and the field of each key of a record."""
    for one in fields(kind):
        if "shape" in one.metadata:
            yield one.metadata["name"] or one.name, one


def parse_keys(kind: type[Any], values: Any) -> dict[str, Any]:
    """Return the arguments of a record from JSON. Optional keys that do not fit are dropped.

    Raise Misfit if the value is not an object, or if a needed key is missing or unusable.
    """
    if not isinstance(values, Mapping):
        raise Misfit
    found = {}
    for name, one in keys_of(kind):
        is_needed = one.default is dataclasses.MISSING
        is_needed = is_needed and one.default_factory is dataclasses.MISSING
        shape = one.metadata["shape"]
        if is_needed and name not in values:
            raise Misfit
        if is_needed:
            found[one.name] = shape(values[name])
        elif name in values:
            for fitted in _fitted(shape, values[name]):
                found[one.name] = fitted
    return found


def to_json(value: Any) -> Any:
    """Return a value of a record as JSON has it. Enumerations become their text."""
    if isinstance(value, StrEnum):
        return value.value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return cast("Writable", value).to_json()
    if isinstance(value, tuple | list):
        return [to_json(one) for one in value]
    if isinstance(value, Mapping):
        return {name: to_json(one) for name, one in value.items()}
    return value


def written_keys(record: Any, *, is_full: bool = False) -> dict[str, Any]:
    """Return the keys of a record to write. Empty values and defaults are skipped.

    `is_full` includes empty lists, objects and numbers.
    """
    found = {}
    for name, one in keys_of(type(record)):
        value = getattr(record, one.name)
        if value is None:
            continue
        is_said = value not in ("", (), {}) and value != one.default
        is_kept = is_full and value != ""
        if is_said or is_kept or one.metadata["always"]:
            found[name] = to_json(value)
    return found


class Writable(Protocol):
    """An object inside a record."""

    def to_json(self) -> dict[str, Any]:
        """Return the object as JSON values."""


class Part:
    """An object inside a record, as a frozen dataclass of keys."""

    @classmethod
    def parse(cls, values: Any) -> Self:
        """Return the object from JSON. Raise Misfit."""
        return cls(**parse_keys(cls, values))

    def to_json(self) -> dict[str, Any]:
        """Return the object as JSON values."""
        return written_keys(self)
