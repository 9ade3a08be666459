"""Read a host's report by its schema. Unfit values never reach the fleet's table or page.

`roster-upload report --json` writes it. Its keys are in `roster_upload/spec/answers.schema.json`.

All moments are ISO 8601 in UTC. Keys of a newer release are ignored. A key that an older release
lacks gets its default, except `schema`, `feeds`, `feed` and `configured`.
"""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, NoReturn

from roster_upload import __version__
from roster_upload.spec.checks import is_feed_name
from roster_upload.terminal.output import SCHEMA
from roster_upload.terminal.printable import printable

LONGEST_REPORT = 4_000_000  # characters
LONGEST_LIST = 4_000
LONGEST_TABLE = 100
LONGEST_MESSAGE = 2_000
FIRST_YEAR, LAST_YEAR = 2000, 2099
MOST = 1 << 53  # a browser counts no further
MOST_LINES = 10**12  # of a feed's receipts
MISSING = object()
Reader = Callable[[Any, str], Any]  # of a value and its place in the report


class Night(NamedTuple):
    """One night of a feed, in the order of the report's lists. None is unknown."""

    night: str
    outcome: str
    exit_code: int | None = None
    bytes: int | None = None
    students: int | None = None
    teachers: int | None = None
    classes: int | None = None
    enrollments: int | None = None
    minutes: int | None = None
    seconds: int | None = None


class UnfitError(ValueError):
    """A value that does not fit the schema: its place in the report, and what is wrong with it."""

    def __init__(self, where: str, wrong: str) -> None:
        super().__init__(f"{where or 'it'} {wrong}")


def other_release(program: str) -> str:
    """Return the message for a host with another release, with the remedy."""
    program = release_of(program)
    remedy = "Update this checkout" if _numbers(program) > _numbers(__version__) else "Run site.yml"
    return f"the host runs release {program}, this control node {__version__}. {remedy}"


def release_of(program: str) -> str:
    """Return the release in a version such as 0.2.0+3f9c2a1."""
    return program.partition("+")[0]


def _numbers(release: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d{1,9}", release)]


def stamp(when: dt.datetime) -> str:
    """Return a moment in the format of reports."""
    return when.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


# ---- readers of values ---------------------------------------------------------------------------


def text(value: Any, where: str, longest: int = LONGEST_MESSAGE) -> str:
    """Return a text as printable characters. Raise UnfitError."""
    if not isinstance(value, str):
        raise UnfitError(where, "is not text")
    return printable(value, longest)


def word(value: Any, where: str) -> str:
    """Return a short text. Raise UnfitError."""
    return text(value, where, 300)


def matching(is_right: Callable[[str], Any], meant: str) -> Reader:
    """Return the reader of a text for which `is_right` holds."""

    def read(value: Any, where: str) -> str:
        if not isinstance(value, str) or not is_right(value):
            raise UnfitError(where, f"is not {meant}")
        return value

    return read


def flag(value: Any, where: str) -> bool:
    """Return true or false. Raise UnfitError."""
    if not isinstance(value, bool):
        raise UnfitError(where, "is neither true nor false")
    return value


def whole(value: Any, where: str) -> int:
    """Return a whole number that a browser can count. Raise UnfitError."""
    if type(value) is not int or not -MOST < value < MOST:
        raise UnfitError(where, "is not a whole number")
    return value


def count(value: Any, where: str) -> int:
    """Return a number of lines. Raise UnfitError."""
    if not 0 <= whole(value, where) < MOST_LINES:
        raise UnfitError(where, "is not a number of lines")
    return int(value)


def date(value: Any, where: str) -> str:
    """Return a date as it is written. Raise UnfitError."""
    try:
        found = dt.date.fromisoformat(value)
    except (TypeError, ValueError):
        raise UnfitError(where, "is not a date") from None
    return _sane(found, where).isoformat()


def moment(value: Any, where: str) -> str:
    """Return a moment, in UTC and to the second. Raise UnfitError."""
    try:
        found = dt.datetime.fromisoformat(value)
        _sane(found, where)
        if found.tzinfo:
            return stamp(found)
    except (TypeError, ValueError, OverflowError) as error:
        if isinstance(error, UnfitError):
            raise
    raise UnfitError(where, "is not a moment with its time zone")


def _sane(found: dt.date, where: str) -> dt.date:
    if not FIRST_YEAR <= found.year <= LAST_YEAR:
        raise UnfitError(where, f"lies outside the years {FIRST_YEAR} to {LAST_YEAR}")
    return found


def maybe(reader: Reader, default: Any = None) -> Reader:
    """Return a reader that accepts null or a missing value, and then returns the default."""
    return lambda value, where: default if value in (None, MISSING) else reader(value, where)


def empty_or(reader: Reader) -> Reader:
    """Return a reader that returns an empty text for null or a missing value."""
    return lambda value, where: "" if value in (None, MISSING, "") else reader(value, where)


def nullable(reader: Reader) -> Reader:
    """Return a reader that accepts null, but not a missing value."""
    return lambda value, where: None if value is None else reader(value, where)


def several(reader: Reader, longest: int = LONGEST_TABLE) -> Reader:
    """Return the reader of a list."""

    def read(value: Any, where: str) -> list[Any]:
        if not isinstance(value, list):
            raise UnfitError(where, "is not a list")
        if len(value) > longest:
            raise UnfitError(where, f"has {len(value):,} entries. At most {longest:,} are read")
        return [reader(entry, f"{where}[{index}]") for index, entry in enumerate(value)]

    return read


def mapping(reader: Reader) -> Reader:
    """Return the reader of a table whose keys the host chooses."""

    def read(value: Any, where: str) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise UnfitError(where, "is not a table")
        if len(value) > LONGEST_TABLE:
            raise UnfitError(where, f"has {len(value):,} entries. At most {LONGEST_TABLE} are read")
        return {
            word(key, where): reader(entry, f"{where}.{printable(key)}")
            for key, entry in value.items()
        }

    return read


def table(readers: Mapping[str, Reader]) -> Reader:
    """Return the reader of a table with these keys. Others are ignored."""

    def read(value: Any, where: str) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise UnfitError(where, "is not a table")
        prefix = f"{where}." if where else ""
        return {
            key: reader(value.get(key, MISSING), prefix + key) for key, reader in readers.items()
        }

    return read


def night(value: Any, where: str) -> list[Any]:
    """Return a night's list in the order of `Night`. Raise UnfitError."""
    if not isinstance(value, list) or len(value) < 2:
        raise UnfitError(where, "is not a night")
    readers = dict(zip(Night._fields, (date, word, *[maybe(whole)] * 8), strict=True))
    return [
        reader(entry, f"{where}.{name}")
        for entry, (name, reader) in zip(value, readers.items(), strict=False)
    ]


# ---- the schema ----------------------------------------------------------------------------------

feed_name = matching(is_feed_name, "a feed's name")
digest = matching(re.compile(r"[0-9a-f]{64}").fullmatch, "a SHA-256 in hexadecimal digits")
half_digest = matching(re.compile(r"([0-9a-f]{32}){1,2}").fullmatch, "a SHA-256 or half of one")
time_of_day = matching(re.compile(r"([01]\d|2[0-3]):[0-5]\d").fullmatch, "a time of day (HH:MM)")

RECEIPT = table(
    {
        "command": maybe(word, ""),
        "outcome": maybe(word, ""),
        "exit_code": maybe(whole),
        "message": maybe(text, ""),
        "finished": empty_or(moment),
        "night": empty_or(date),
    }
)
FINDING = table(
    {
        "rule": word,
        "severity": word,
        "file": word,
        "column": maybe(word, ""),
        "detail": maybe(text, ""),
        "count": maybe(whole, 0),
        "rows": maybe(several(whole), []),
    }
)
CAUTIONS = table(
    {
        "faulty_rows": maybe(mapping(whole), {}),
        "unchanged_nights": maybe(whole, 0),
        "unchanged_limit": maybe(whole, 0),
        "waiting": maybe(table({"since": word, "nights": whole, "counts": mapping(whole)})),
        "findings": maybe(several(FINDING), []),
    }
)
HELD = table(
    {
        "digest": digest,
        "reasons": maybe(several(text), []),
        "command": maybe(word, ""),
        "finished": empty_or(moment),
    }
)
BREAK = table(
    {
        "code": word,
        "position": maybe(count, 0),
        "line": maybe(count, 0),
        "night": empty_or(date),
    }
)
CHAIN = table(
    {
        "lines": count,
        "digest": empty_or(digest),
        "position": count,
        "digest_there": empty_or(half_digest),
        "checked": empty_or(moment),
        "breaks": several(BREAK),
    }
)
FEED = table(
    {
        "district": maybe(word, ""),
        "feed": feed_name,
        "time_zone": maybe(word, ""),
        "remote_host": maybe(word, ""),
        "auth": maybe(word, "credential"),
        "window_start": maybe(time_of_day),
        "deadline": maybe(time_of_day),
        "configured": nullable(moment),
        "credential": maybe(moment),
        "source_credential": maybe(moment),
        "sealed": maybe(several(table({"key": word, "pcrs": several(whole)})), []),
        "starts": maybe(mapping(moment)),
        "nights": maybe(several(night, LONGEST_LIST), []),
        "last": maybe(RECEIPT),
        "last_sent": maybe(RECEIPT),
        "rehearsal": maybe(RECEIPT),
        "watch": maybe(RECEIPT),
        "held": maybe(HELD),
        "cautions": maybe(CAUTIONS),
        "broken_at": maybe(whole),
        "chain": maybe(CHAIN),
        "trouble": maybe(text, ""),
    }
)
REPORT = table(
    {
        "schema": whole,
        "time": maybe(moment),
        "asked": empty_or(moment),
        "clock_synced": maybe(flag),
        "free_bytes": maybe(whole),
        "failed_units": maybe(several(word, LONGEST_LIST), []),
        "program": maybe(word, ""),
        "feeds": several(lambda value, _: value),  # each is read by itself
    }
)


def _feed(value: Any, where: str) -> dict[str, Any]:
    """Return a feed of a report. If it does not fit, return its name and `fault`."""
    try:
        return {**FEED(value, where), "fault": ""}
    except UnfitError as error:
        name = value.get("feed") if isinstance(value, dict) else None
        known = name if isinstance(name, str) and is_feed_name(name) else ""
        nothing = FEED({"feed": "none", "configured": None}, where)
        return {**nothing, "feed": known, "fault": str(error)}


def parsed(value: Any) -> dict[str, Any]:
    """Return a report with all keys of its schema. Raise UnfitError.

    A feed that does not fit has a `fault`, and is empty otherwise. The others are read.
    """
    if isinstance(value, dict) and "schema" not in value and "v" in value:
        value = {**value, "schema": value["v"]}  # written by release 0.1.0
    report: dict[str, Any] = REPORT(value, "")
    if report["schema"] != SCHEMA:
        raise UnfitError("schema", f"is {report['schema']}. This release reads {SCHEMA}")
    feeds = [_feed(feed, f"feeds[{index}]") for index, feed in enumerate(report["feeds"])]
    return {**report, "feeds": feeds}


def loaded(source: str) -> Any:
    """Return the values of a JSON text. Raise UnfitError."""
    if len(source) > LONGEST_REPORT:
        limit = f"At most {LONGEST_REPORT:,} are read"
        raise UnfitError("", f"has {len(source):,} characters. {limit}")
    try:
        return json.loads(source, parse_constant=_no_number)
    except (ValueError, RecursionError):
        raise UnfitError("", "is not JSON") from None


def _no_number(name: str) -> NoReturn:
    raise ValueError(name)
