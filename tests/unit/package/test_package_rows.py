"""Rows as bytes: odd ones are copied, line ends are found."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from roster_upload.package.rows import with_crlf
from support import rosters
from support.packages import tables
from unit.package.test_package_repairs import GOOD, REPAIRS, only, repaired
from unit.package.test_package_scope import scoped


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"a\rb\r", b"a\r\nb\r\n"),
        (b"a\r\r\nb\r\r\n", b"a\r\nb\r\n"),
        (b"a\nb\r\nc\n", b"a\r\nb\r\nc\r\n"),
        (b'"a\nb"\n', b'"a\nb"\r\n'),
    ],
)
def test_each_line_end_becomes_crlf_but_in_values(text: bytes, expected: bytes) -> None:
    assert with_crlf(text) == expected


def test_odd_rows_are_copied_byte_for_byte(tmp_path: Path) -> None:
    rows = (
        b'x,,,"a ""b""",school,,\r\nragged,row\r\ny,,,"two\nlines",school,,\r\nz,,,l"k,school,,\n'
    )
    members = {**GOOD, "orgs.csv": GOOD["orgs.csv"] + rows}
    assert repaired(tmp_path, members, *only("line-ends")) == (members, {})


def test_line_ends_are_told_apart_row_by_row(tmp_path: Path) -> None:
    rows = b"a,,,x\ry,school,,district\r\nb,,,z,school,,district \n"
    members = {**GOOD, "orgs.csv": GOOD["orgs.csv"] + rows}
    after, _ = repaired(tmp_path, members, "edge-blanks")
    assert after["orgs.csv"] == GOOD["orgs.csv"] + rows.replace(b"district \n", b"district\n")


@pytest.mark.parametrize("text", [b"", b"sep=;\r\na;b\r\n", b'sourcedId\r\n"open', b"\0\0"])
def test_a_file_that_cannot_be_taken_apart_is_copied(tmp_path: Path, text: bytes) -> None:
    members = {**GOOD, "orgs.csv": text}
    assert repaired(tmp_path, members, *REPAIRS)[0] == members


def test_the_rest_behind_a_broken_quote_is_copied(tmp_path: Path) -> None:
    members = {**GOOD, "orgs.csv": GOOD["orgs.csv"] + b' x,"open\r\n' + b" y,,,,,,\r\n" * 200_000}
    assert repaired(tmp_path, members, *REPAIRS)[0] == members


def test_a_large_package_is_scoped_across_its_pieces(tmp_path: Path) -> None:
    package = rosters.invent(students=6000, schools=4, enrollments_each=2)
    rows = package.tables["enrollments"]
    rows[1:] = random.Random(1).sample(rows[1:], len(rows) - 1)  # noqa: S311 - any order
    built = scoped(tmp_path, package, schools=("school-1", "school-3"))
    found = tables(built.path)
    before = tables(tmp_path / "export.zip")
    wanted = {"school-1", "school-3"}
    assert found["enrollments"] == [
        row for row in before["enrollments"] if row["schoolSourcedId"] in wanted
    ]
    assert found["users"] == [row for row in before["users"] if row["orgSourcedIds"] in wanted]
