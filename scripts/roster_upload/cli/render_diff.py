"""Show `diff` on a terminal. Names come from an export, so control characters are escaped."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, groupby

from roster_upload.diff.people import ACTIONS, Diff, Record
from roster_upload.terminal.tables import table
from roster_upload.terminal.width import fitted, fold

TITLES = ("sourcedId", "Name", "School", "Grade")
INDENT = " " * 4
# Unicode categories of characters that a terminal interprets or does not show.
UNSEEN = ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")
WHY = {
    "deleted": "its status is tobedeleted",
    "disabled": "the account is disabled",
    "faulty": "its row breaks a rule",
    "days": "its days, or those of its class, do not include tonight",
}


def escaped(text: str) -> str:
    """Return a text with escapes for characters that a terminal interprets or does not show."""
    return "".join(map(_spelt, text))


def _spelt(character: str) -> str:
    if unicodedata.category(character) not in UNSEEN:
        return character
    number = ord(character)
    return f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}"


def text(diff: Diff, schools: Mapping[str, str], width: int) -> str:
    """Return all records as tables, removed ones first, then their numbers by kind.

    `schools` has the names of schools by sourcedId, `width` is in columns.
    """
    lines: list[str] = []
    for (action, kind), records in groupby(diff.records, lambda r: (r.action, r.kind)):
        listed = list(records)
        lines += [f"{escaped(kind)}: {len(listed):,} {action}", *_records(listed, schools, width)]
        lines.append("")
    notes = (fitted(escaped(note), width) for note in diff.notes)
    return "\n".join([*lines, *_counts(diff, width), *notes])


def _records(records: Sequence[Record], schools: Mapping[str, str], width: int) -> Iterator[str]:
    rows: list[Sequence[str]] = [TITLES]
    for record in records:
        names = (schools.get(one, one) for one in record.schools.split(","))
        cells = (record.sourced_id, record.name, ", ".join(names), record.grades)
        rows.append([escaped(cell) for cell in cells])
    head, *rest = table(rows, width)
    yield from head
    for record, lines in zip(records, rest, strict=True):
        yield from lines
        for line in _more(record):
            yield from (INDENT + part for part in fold(escaped(line), width - len(INDENT)))


def _more(record: Record) -> list[str]:
    """Return the reason of a removal, and each change with its old and new value."""
    lines = [WHY[record.why]] if record.why else []
    for column, before, after in record.changes:
        is_shown = before or after
        lines.append(f"{column}: {_quoted(before)} → {_quoted(after)}" if is_shown else
                     f"{column}: changed, not shown")  # fmt: skip
    return lines


def _quoted(value: str) -> str:
    """Return a value as it is, or in quotes if it is empty or has blanks at an edge."""
    return value if value and value == value.strip() else f'"{value}"'


def _counts(diff: Diff, width: int) -> list[str]:
    if not diff.counts:
        return ["nothing differs from the last accepted package"]
    actions = [one for one in ACTIONS if any(counts[one] for counts in diff.counts.values())]
    rows = [["", *actions]]
    for kind, counts in diff.counts.items():
        rows.append([escaped(kind), *(f"{counts[action]:,}" for action in actions)])
    return list(chain.from_iterable(table(rows, width, numbers=True)))
