"""The reader of CSV files: what it takes apart at once, and what it says of odd text."""

from __future__ import annotations

import io
import zipfile
from contextlib import suppress

import pytest
from roster_upload.records.finding import Finding
from roster_upload.validation.csv_reader import Rows
from roster_upload.validation.findings import Findings
from roster_upload.validation.lines import Unreadable
from support import rosters

ROW = b"1,2\r\n"


def read(content: bytes) -> tuple[list[list[str]], dict[str, Finding], Rows | None]:
    """Return the rows after the header, the findings by rule, and the reader."""
    package = zipfile.ZipFile(io.BytesIO(rosters.to_zip([("a.csv", content)])))
    findings, found, rows = Findings(), [], None
    with suppress(Unreadable):
        rows = Rows(package, package.infolist()[0], "a.csv", findings)
        for batch in rows:
            found += [list(row) for row in zip(*map(batch.values, range(2)), strict=True)]
    return found, {finding.rule: finding for finding in findings}, rows


# ---- before the header --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mark", "word"),
    [(";", "semicolon"), ("\t", "tab"), ("|", "bar"), ("~", "tilde"), ("^", "caret")],
)
@pytest.mark.parametrize("header", ["a{}b", '"a"{}"b"', "\ufeffa{}b{}c"])
def test_another_separator_is_named(header: str, mark: str, word: str) -> None:
    _, found, _ = read(f"{header}\r\n1{{}}2\r\n".replace("{}", mark).encode())
    assert f"it is a {word}" in found["csv.separator"].text()
    assert found.keys() <= {"csv.separator", "csv.bom"}


def test_a_header_with_commas_has_the_right_separator() -> None:
    for header in (b"a;x,b\r\n", b"\t\r\na,b\r\n"):
        assert "csv.separator" not in read(header + ROW)[1]


@pytest.mark.parametrize(
    "line", [b"sep=,", b"SEP=;", b'"sep=,"', b"#TYPE System.Object", b"#type x"]
)
def test_a_line_before_the_header_is_passed_over(line: bytes) -> None:
    rows, found, _ = read(line + b"\r\na,b\r\n" + ROW)
    assert rows == [["1", "2"]]
    assert (list(found), found["csv.no-header"].rows) == (["csv.no-header"], [1])


@pytest.mark.parametrize("blank", ["\r\n", " \r\n", "\u00a0\r\n", "\t\r\n"])
def test_a_blank_line_before_the_header_is_one(blank: str) -> None:
    rows, found, _ = read((blank * 2).encode() + b"a,b\r\n" + ROW)
    assert rows == [["1", "2"]]
    assert (list(found), found["csv.blank-line"].rows) == (["csv.blank-line"], [1, 2])


@pytest.mark.parametrize("blank", [b"\r\n", b"  \r\n", "\u00a0\r\n".encode(), b'""\r\n'])
def test_blank_lines_at_the_end_only_warn(blank: bytes) -> None:
    rows, found, made = read(b"a,b\r\n" + ROW + blank * 2)
    assert made
    assert (rows, made.count) == ([["1", "2"]], 2)
    assert (found["csv.blank-end"].rows, len(found)) == ([3, 4], 1)


def test_blank_lines_among_rows_are_errors() -> None:
    for row in (b"5,6\r\n", b"5,6,7\r\n"):
        rows, found, _ = read(b"a,b\r\n" + ROW + b"\r\n \r\n" + row + b"\r\n")
        assert rows[0] == ["1", "2"]
        assert found["csv.blank-line"].rows == [3, 4]
        assert found["csv.blank-end"].rows == [6]
        assert ("csv.row-width" in found) is (row == b"5,6,7\r\n")


@pytest.mark.usefixtures("small_pieces")
def test_blank_lines_among_rows_are_errors_also_between_pieces() -> None:
    _, found, _ = read(b"a,b\r\n" + ROW + b"\r\n" * 5 + ROW * 5)
    assert (found["csv.blank-line"].rows, len(found)) == ([3, 4, 5, 6, 7], 1)


def test_an_empty_file_has_no_header() -> None:
    for content in (b"", b"\r\n"):
        assert "csv.empty" in read(content)[1]


# ---- rows ---------------------------------------------------------------------------------------


def test_rows_of_another_width_are_left_out_and_told() -> None:
    rows, found, made = read(b"a,b\r\n" + ROW + b"3\r\n4,5,6\r\n" + ROW)
    assert rows == [["1", "2"]] * 2
    assert (found["csv.row-width"].rows, made and made.count) == ([3, 4], 5)


@pytest.mark.parametrize("again", [b"a,b\r\n", b'"a","b"\r\n'])
def test_a_header_among_the_rows_is_none_of_them(again: bytes) -> None:
    rows, found, made = read(b"a,b\r\n" + ROW + again + b"a,c\r\n" + again)
    assert made
    assert (rows, made.count) == ([["1", "2"], ["a", "c"]], 5)
    assert (found["csv.header-again"].rows, list(found)) == ([3, 5], ["csv.header-again"])


def test_quotes_inside_fields_have_their_rows() -> None:
    rows, found, _ = read(b'a,b\r\n1,2\r\n5" pipe,x\r\n"a ""b""",c\r\nx"",y\r\n')
    assert rows[1:] == [['5" pipe', "x"], ['a "b"', "c"], ['x""', "y"]]
    assert (found["csv.quotes-inside"].rows, len(found)) == ([3, 5], 1)


def test_an_open_quote_has_the_row_where_it_begins() -> None:
    _, found, _ = read(b'a,b\r\n1,2\r\n"3,4\r\n5,6\r\n')
    assert (found["csv.quotes"].rows, len(found)) == ([3], 1)


@pytest.mark.usefixtures("small_pieces")
def test_rows_are_counted_over_pieces() -> None:
    _, found, _ = read(b"a,b\r\n" + ROW * 20 + b"x\xf6,2\r\n")
    assert (found["csv.encoding"].rows, len(found)) == ([22], 1)
