"""Read the keys of a feed's configuration from feed.toml."""

from __future__ import annotations

import datetime as dt
import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from roster_upload.spec import spec
from roster_upload.spec.checks import CHECKS, require, require_known

TYPES: Mapping[str, tuple[type, ...]] = MappingProxyType(
    {
        "str": (str,),
        "int": (int,),
        "float": (int, float),
        "bool": (bool,),
        "date": (str, dt.date),
        "list": (list,),
        "dict": (dict,),
    }
)
TYPE_NAMES = {
    "str": "a text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "date": "a date such as 2027-07-16",
    "list": "a list",
    "dict": "a table",
}


@dataclass(frozen=True)
class Key:
    """A key of a feed's configuration, or a part of a key that is a table."""

    name: str
    type: str
    default: Any = None  # None: the file must have the key
    minimum: float = 0
    maximum: float = 0
    choices: tuple[str, ...] = ()
    check: str = ""
    may_be_empty: bool = False
    if_empty: str = ""
    format: str = ""
    parts: Mapping[str, Key] = field(default_factory=dict)

    @property
    def is_required(self) -> bool:
        """Return whether the file must have the key."""
        return self.default is None

    def parse(self, value: object) -> Any:
        """Return a value as the program uses it.

        Raise ValueError with a sentence on the allowed values.
        """
        is_switch = isinstance(value, bool)  # a bool is also an int in Python
        if not isinstance(value, TYPES[self.type]) or is_switch != (self.type == "bool"):
            raise ValueError(f"must be {TYPE_NAMES[self.type]}")
        parsers: Mapping[str, Callable[[Any], Any]] = {
            "str": self._text,
            "int": self._number,
            "float": self._number,
            "list": self._list,
            "dict": self._table,
            "date": CHECKS["date"],
        }
        return parsers[self.type](value) if self.type in parsers else value

    def _number(self, value: float) -> float:
        if not self.minimum <= value <= self.maximum:
            raise ValueError(f"{value} must be {self.minimum:,} to {self.maximum:,}")
        return float(value) if self.type == "float" else value

    def _text(self, value: str) -> Any:
        if self.choices and value not in self.choices:
            raise ValueError(f"{value!r} is not one of: {', '.join(self.choices)}")
        return self._checked(value) if value or not self.may_be_empty else value

    def _list(self, value: list[Any]) -> tuple[Any, ...]:
        if not value and self.if_empty:
            raise ValueError(self.if_empty)
        return tuple(self._entry(number, item) for number, item in enumerate(value, 1))

    def _entry(self, number: int, item: Any) -> Any:
        try:
            require(isinstance(item, str), "must be a text")
            if self.choices:
                require_known(item, self.choices, "value")
            return self._checked(item)
        except ValueError as error:
            raise ValueError(f"entry {number}: {error}") from None

    def _table(self, value: dict[str, Any]) -> Any:
        return self._parts(value) if self.parts else self._checked(value)

    def _parts(self, value: dict[str, Any]) -> dict[str, Any]:
        found = {}
        for name, item in value.items():
            require_known(name, self.parts, f"key of {self.name}")
            if item == []:
                raise ValueError(f"{name} is an empty list. Remove the key to send everything")
            try:
                found[name] = self.parts[name].parse(item)
            except ValueError as error:
                raise ValueError(f"{name}: {error}") from None
        return found

    def _checked(self, value: Any) -> Any:
        return CHECKS[self.check](value) if self.check else value

    def problem(self, value: object) -> str | None:
        """Return a sentence on the allowed values, None if a value is right."""
        try:
            self.parse(value)
        except ValueError as error:
            return str(error)
        return None


@functools.cache
def keys() -> Mapping[str, Key]:
    """Return every key of a feed by its name, in the order of feed.toml."""
    found = {
        name: _key(name, entry)
        for group in spec("feed").values()
        for name, entry in group.items()
        if name != "title"
    }
    return MappingProxyType(found)


def _key(name: str, entry: Mapping[str, Any]) -> Key:
    known = {word: entry[word] for word in Key.__dataclass_fields__ if word in entry}
    known["choices"] = tuple(entry.get("choices", ()))
    known["parts"] = {part: _key(part, about) for part, about in entry.get("parts", {}).items()}
    return Key(**{**known, "name": name})


@functools.cache
def defaults() -> Mapping[str, Any]:
    """Return the defaults of the optional keys."""
    return MappingProxyType(
        {name: key.default for name, key in keys().items() if not key.is_required}
    )


def default(name: str) -> Any:
    """Return the default of a key."""
    return defaults()[name]


def problem(name: str, value: object) -> str | None:
    """Return a sentence on the allowed values of a key, None if a value is right."""
    return keys()[name].problem(value)
