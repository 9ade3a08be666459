"""Check texts of any column for blanks, invisible characters, damage and placeholders.

Only values with unusual bytes are checked one by one.
"""

from __future__ import annotations

import datetime as dt
import functools
import re
import unicodedata
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from roster_upload.spec import spec
from roster_upload.validation.batch import Batch, Indices
from roster_upload.validation.columns import Values

# Characters that look like white space or like nothing, but are not white space in Unicode.
UNSEEN = (
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b\u200e\u200f\u2060"
    "\u2061\u2062\u2063\u2064\u206a\u206b\u206c\u206d\u206e\u206f\u2800\u3164\ufeff\uffa0"
    "\ufff9\ufffa\ufffb"
    "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"  # marks of direction
)
JOINERS = "\u200c\u200d"  # some scripts need them between letters
_SPACES = "".join(filter(str.isspace, map(chr, range(0x3001))))
BLANKS = _SPACES + UNSEEN + JOINERS
_HIDDEN = [*range(0x20), *range(0x7F, 0xA0), *map(ord, UNSEEN + JOINERS)]
_SEEN: dict[int, str | None] = {**dict.fromkeys(map(ord, _SPACES), " "), **dict.fromkeys(_HIDDEN)}
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_INVISIBLE = re.compile(rf"[{UNSEEN}]|[^\S \x00-\x1f\x85]")
_ENTITY = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,30});")
_QUESTION = re.compile(r"[^\W\d_]\?+[^\W\d_]")
_QUESTION_IN_NAME = re.compile(r"[^\W\d_]\?|\?[^\W\d_]")
_DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_SCIENTIFIC = re.compile(r"\d([.,]\d+)?E[+-]\d{1,3}", re.ASCII)  # not names of classes such as 3E1
# UTF-8 that was read as Windows-1252: a letter of its lead bytes, then one of its others.
_NOT_ASCII = re.compile(r"[^\x00-\x7f]+")
_TWICE = re.compile(r"[\u00c2-\u00f4][\u0080-\u00bf\u0152\u0153\u0160\u0161\u0178\u017d\u017e\u0192"
                    r"\u02c6\u02dc\u2013-\u203a\u20ac\u2122]")  # fmt: skip
BLANK, COMMA, QUESTION, AND = b" ,?&"
LEFTOVER_WORD = 8


def plain(value: str) -> str:
    """Return a value without white space at its edges."""
    return value.strip(BLANKS)


def plain_list(value: str) -> str:
    """Return a list without white space at the edges of its items."""
    return ",".join(item.strip(BLANKS) for item in value.split(","))


def seen(value: str) -> str:
    """Return a value as it looks: without invisible characters, and with usual blanks."""
    return plain(value.translate(_SEEN))


def seen_list(value: str) -> str:
    """Return a list as it looks."""
    return plain_list(value.translate(_SEEN))


def is_blank(value: str) -> bool:
    """Return whether a value has no visible character."""
    return not plain(value)


def edge_blank_name(value: str) -> str:
    """Return the name of the first white space at the edges of a value, or of a list's items."""
    for item in (value, *value.split(",")):
        if item != plain(item):
            rest = item.lstrip(BLANKS)
            return name_of(item[0] if rest != item else item[-1])
    return name_of(" ")


def difference(found: str, expected: str) -> str:
    """Return a hint how a name differs from the expected one, "" if it is a different name."""
    if plain(found) != found:
        return f". Remove {edge_blank_name(found)} beside it"
    if hidden := _CONTROL.search(found) or _INVISIBLE.search(found) or _stray_joiner(found):
        return f". Remove {name_of(hidden[0])} from it"
    if found != expected and found.lower() == expected.lower():
        return ". Upper and lower case matter"
    return "" if found.isascii() else ". Use ASCII letters only"


def is_day(value: str) -> bool:
    """Return whether a value is a day, written YYYY-MM-DD."""
    if not _DAY.fullmatch(value):
        return False
    try:
        dt.date.fromisoformat(value)
    except ValueError:
        return False
    return True


def name_of(character: str) -> str:
    """Return the name of a character: `a space`, `a line break`, `U+00A0 NO-BREAK SPACE`."""
    usual = {" ": "a space", "\n": "a line break", "\r": "a line break", "\t": "a tab"}
    if character in usual:
        return usual[character]
    return f"U+{ord(character):04X} {unicodedata.name(character, 'control character')}"


@functools.cache
def leftovers() -> frozenset[str]:
    """Return the texts that programs write for a missing value."""
    return frozenset(spec("text")["leftovers"])


@functools.cache
def _leftover_words() -> npt.NDArray[np.uint64]:
    """Return the first 8 bytes of each placeholder, as in `Values.texts`."""
    starts = [one.encode()[:LEFTOVER_WORD].ljust(LEFTOVER_WORD, b"\0") for one in leftovers()]
    return np.unique(np.frombuffer(b"".join(starts), np.uint64))


@functools.lru_cache(maxsize=20_000)
def faults_of(value: str, *, is_list: bool, is_name: bool) -> tuple[tuple[str, str], ...]:
    """Return the rules that a value breaks, each with a detail."""
    return tuple(_faults_of(value, is_list=is_list, is_name=is_name))


def _faults_of(value: str, *, is_list: bool, is_name: bool) -> Iterator[tuple[str, str]]:
    if is_blank(value):
        yield "value.blank", edge_blank_name(value)
        return
    if plain(value) != value:
        yield "value.edge-blank", edge_blank_name(value)
    if is_list and plain_list(value) != plain(value):
        yield "value.list-blank", edge_blank_name(plain(value))
    inner = plain_list(value) if is_list else plain(value)
    if found := _CONTROL.search(inner.replace("\n", "").replace("\r", "")):
        yield "text.control", name_of(found[0])
    if found := _INVISIBLE.search(inner) or _stray_joiner(inner):
        yield "text.invisible", name_of(found[0])
    if "\ufffd" in value:
        yield "text.replaced", ""
    if _is_decoded_wrongly(value):
        yield "text.decoded-wrongly", ""
    if _ENTITY.search(value):
        yield "text.entity", ""
    if "?" in value and (_QUESTION_IN_NAME if is_name else _QUESTION).search(value):
        yield "text.question-marks", ""


def _stray_joiner(value: str) -> re.Match[str] | None:
    """Return the first joiner in a text that is otherwise ASCII."""
    rest = value.translate(dict.fromkeys(map(ord, JOINERS)))
    return re.search(f"[{JOINERS}]", value) if rest.isascii() else None


def _is_decoded_wrongly(value: str) -> bool:
    """Return whether a part of a value is UTF-8 that was read as Windows-1252 or Latin-1."""
    return bool(_TWICE.search(value)) and any(map(_is_utf8, _NOT_ASCII.findall(value)))


def _is_utf8(letters: str) -> bool:
    """Return whether letters beyond ASCII, read as Windows-1252 bytes, are UTF-8."""
    try:
        b"".join(map(_byte_of, letters)).decode("utf-8")
    except UnicodeError:
        return False
    return True


def _byte_of(character: str) -> bytes:
    try:
        return character.encode("cp1252")
    except UnicodeEncodeError:
        return character.encode("latin-1")


def odd_fields(batch: Batch) -> dict[int, Indices]:
    """Return the rows of the batch with unusual bytes, by column.

    Unusual are invisible ASCII and non-ASCII bytes, question marks, ampersands, and blanks at an
    edge or beside a comma. Blanks between words are usual.
    """
    buffer = batch.buffer
    is_odd = (buffer < 33) | (buffer > 126) | (buffer == QUESTION) | (buffer == AND)
    ends = batch.ends.ravel()
    at = np.flatnonzero(is_odd)
    fields = np.searchsorted(ends, at, "right")
    inside = fields < len(ends)
    at, fields = at[inside], fields[inside]
    starts = batch.starts.ravel()[fields]
    inside = at >= starts
    at, fields, starts = at[inside], fields[inside], starts[inside]
    if not len(at):
        return {}
    before, after = buffer[np.maximum(at - 1, 0)], batch.padded[at + 1]
    is_between = (buffer[at] == BLANK) & (at > starts) & (at < ends[fields] - 1)
    is_between &= (before != COMMA) & (after != COMMA)
    fields = np.unique(fields[~is_between])
    width = batch.ends.shape[1]
    rows, columns = fields // width, fields % width
    return {int(column): rows[columns == column] for column in np.unique(columns)}


def leftover_rows(values: Values, *, is_name: bool) -> Indices:
    """Return the rows with a text that programs write for a missing value.

    Capitalized texts in names are allowed, since there are people named None.
    """
    if values.longest < 2:
        return np.zeros(0, np.int64)
    first = values.texts.view(np.uint64)[:, 0]
    rows = np.flatnonzero(np.isin(first, _leftover_words()))
    if not len(rows):
        return rows
    strings, sums = values.distinct(rows)
    found = [
        sums[at]
        for at, text in enumerate(strings)
        if text in leftovers() and not (is_name and text.istitle())
    ]
    return values.rows_of(np.array(found, np.uint64)) if found else rows[:0]


def scientific_rows(values: Values) -> Indices:
    """Return the rows with a number that a spreadsheet has shortened, such as 1.23457E+11."""
    if values.longest < 4:
        return np.zeros(0, np.int64)
    has_e = (values.texts == ord("E")).any(axis=1) & (values.texts[:, 0] <= ord("9"))
    has_e &= values.texts[:, 0] >= ord("0")
    rows = np.flatnonzero(has_e)
    if not len(rows):
        return rows
    strings = values.strings(rows)
    is_it = np.fromiter((bool(_SCIENTIFIC.fullmatch(s)) for s in strings), np.bool_, len(rows))
    return rows[is_it]
