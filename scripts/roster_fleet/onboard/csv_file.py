"""Districts from a CSV, with the problems of all its rows."""

from __future__ import annotations

import csv
import difflib
import io
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
    head = text.partition("\n")[0]
    separator = max(",;\t", key=head.count)
    try:
        rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=separator))
    except csv.Error as error:
        raise OnboardError([f"{name}: is not a valid CSV: {error}"]) from None
    names = [_column(cell) for cell in rows[0]] if rows else []
    if problems := [f"{name}, row 1: {message}" for message in _header_problems(names)]:
        raise OnboardError(problems)
    districts: list[District] = []
    for number, row in enumerate(rows[1:], start=2):
        where = f"{name}, row {number}"
        if not any(cell.strip() for cell in row):
            continue
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


def _column(cell: str) -> str:
    """Return the column that a cell of the first row names."""
    return cell.strip().lower().replace(" ", "_")


def _header_problems(names: Sequence[str]) -> Iterator[str]:
    """Yield the problems of the column names of a CSV."""
    for index, column in enumerate(names):
        if column not in (*OWN_COLUMNS, *FEED_COLUMNS):
            near = difflib.get_close_matches(column, (*OWN_COLUMNS, *FEED_COLUMNS), 1)
            hint = f"Did you mean {near[0]}?" if near else f"There are {', '.join(OWN_COLUMNS)}"
            yield f"{column!r} is not a column. {hint}"
        elif column in names[:index]:
            yield f"the column {column} appears twice"
    for known in COLUMNS:
        if known.required and known.name not in names:
            yield f"the column {known.name} is missing"
