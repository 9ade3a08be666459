"""Districts from a CSV, with the problems of all its rows."""

from __future__ import annotations

import csv
import difflib
import io
import re
from collections.abc import Iterator, Sequence

from roster_fleet.onboard.districts import (
    COLUMNS,
    FEED_COLUMNS,
    OWN_COLUMNS,
    SECRET_COLUMNS,
    District,
    OnboardError,
    from_values,
)


def from_csv(data: bytes, name: str, *, sealed: bool) -> list[District]:
    """Return the districts of a CSV. Raise OnboardError with the problems of all rows.

    A file with passwords must be encrypted (`sealed`).
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise OnboardError(
            [f"{name}, line {line}: is not UTF-8. Save it as 'CSV UTF-8' in the spreadsheet"]
        ) from None
    text, hint = _without_hint(text)
    head = text.lstrip().partition("\n")[0]
    separator = hint or max(",;\t", key=head.count)
    try:
        rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=separator))
    except csv.Error as error:
        raise OnboardError([f"{name}: is not a valid CSV: {error}"]) from None
    numbered = [
        (number, row)
        for number, row in enumerate(rows, start=2 if hint else 1)
        if any(cell.strip() for cell in row)
    ]
    first, head_row = numbered[0] if numbered else (1, [])
    names = [_column(cell) for cell in _cut(head_row, 0)]
    if problems := [f"{name}, row {first}: {message}" for message in _header_problems(names)]:
        raise OnboardError(problems)
    districts: list[District] = []
    for number, cells in numbered[1:]:
        where, row = f"{name}, row {number}", _cut(cells, len(names))
        if len(row) != len(names):
            problems.append(f"{where}: has {len(row)} cells, the first row {len(names)}")
            continue
        if [_column(cell) for cell in row] == names:
            problems.append(f"{where}: repeats the names of the columns. Remove the row")
            continue
        values = dict(zip(names, row, strict=True))
        if not sealed and (exposed := [name for name in SECRET_COLUMNS if values.get(name)]):
            problems.append(
                f"{where}, {' and '.join(exposed)}: is unencrypted. Encrypt the file: "
                f"ansible-vault encrypt --encrypt-vault-id ID {name}. If others could read it, "
                "change the password, too"
            )
            continue
        try:
            districts.append(from_values(values, where))
        except OnboardError as error:
            problems += error.problems
    if not districts and not problems:
        problems = [f"{name}: has no district"]
    if problems:
        raise OnboardError(problems)
    return districts


def _without_hint(text: str) -> tuple[str, str]:
    """Return a text without the line `sep=;` of Excel, and its separator or ""."""
    found = re.match(r'"?sep=([,;\t])"?\r?\n', text)
    return (text[found.end() :], found[1]) if found else (text, "")


def _cut(row: Sequence[str], length: int) -> list[str]:
    """Return a row without empty cells at its end, which spreadsheets add, down to a length."""
    last = max((number for number, cell in enumerate(row, start=1) if cell.strip()), default=0)
    return list(row[: max(last, length)])


def _column(cell: str) -> str:
    """Return the column that a cell of the first row names."""
    return cell.strip().lower().replace(" ", "_")


def _header_problems(names: Sequence[str]) -> Iterator[str]:
    """Yield the problems of the column names of a CSV."""
    for index, column in enumerate(names):
        if not column:
            yield f"column {index + 1} has no name"
        elif column not in (*OWN_COLUMNS, *FEED_COLUMNS):
            near = difflib.get_close_matches(column, (*OWN_COLUMNS, *FEED_COLUMNS), 1)
            hint = f"Did you mean {near[0]}?" if near else f"There are {', '.join(OWN_COLUMNS)}"
            yield f"{column!r} is not a column. {hint}"
        elif column in names[:index]:
            yield f"the column {column} appears twice"
    for known in COLUMNS:
        if known.required and known.name not in names:
            yield f"the column {known.name} is missing"
