"""The reader of CSV files: what it takes apart at once, and what it says of odd text."""

from __future__ import annotations

import io
import threading
import zipfile
from contextlib import suppress

import pytest
from roster_upload.records.finding import Finding
from roster_upload.spec import spec
from roster_upload.validation import csv_reader
from roster_upload.validation.csv_reader import Batch, Rows, Unreadable, split
from roster_upload.validation.findings import Findings
from support import rosters

ROW = b"1,2\r\n"


def taken_apart(data: bytes, width: int) -> list[list[bytes]] | None:
    """Return the fields of whole lines, None where they are not plain."""
    places = split(data, width)
    if places is None:
        return None
    return [
        [data[start:end] for start, end in zip(*row, strict=True)]
        for row in zip(*places, strict=True)
    ]


def read(content: bytes) -> tuple[list[list[str]], dict[str, Finding], Rows | None]:
    """Return the rows behind the header, the findings by rule, and the reader."""
    package = zipfile.ZipFile(io.BytesIO(rosters.to_zip([("a.csv", content)])))
    findings, found, rows = Findings(), [], None
    with suppress(Unreadable):
        rows = Rows(package, package.infolist()[0], "a.csv", findings)
        for batch in rows:
            found += [list(row) for row in zip(*map(batch.values, range(2)), strict=True)]
    return found, {finding.rule: finding for finding in findings}, rows


@pytest.fixture
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let each piece end after a few bytes, also within line ends."""
    monkeypatch.setattr(csv_reader, "PIECE_BYTES", 4)
    monkeypatch.setattr(csv_reader, "FIRST_BYTES", 8)


# ---- blocks -------------------------------------------------------------------------------------


@pytest.mark.parametrize("length", [0, 1, 63, 64, 65, 127, 128, 1000])
def test_a_stream_is_read_to_its_end_and_a_short_one_without_a_thread(
    monkeypatch: pytest.MonkeyPatch, length: int
) -> None:
    monkeypatch.setattr(csv_reader, "BLOCK_BYTES", 64)
    names: set[str] = set()

    class Stream(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            names.add(threading.current_thread().name)
            return super().read(size)

    content = bytes(range(256)) * 4
    assert b"".join(csv_reader.blocks(Stream(content[:length]))) == content[:length]
    assert (len(names) == 1) is (length < 64)


# ---- whole lines at once ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "width", "rows"),
    [
        (b"a,b\n1,2\n", 2, [[b"a", b"b"], [b"1", b"2"]]),
        (b"a,b\r\n,\r\n", 2, [[b"a", b"b"], [b"", b""]]),
        (b'"a,b",c\n', 2, [[b"a,b", b"c"]]),
        (b'"",""\r\n"a"," "\r\n', 2, [[b"", b""], [b"a", b" "]]),
        (b'a,"b"\r\n', 2, [[b"a", b"b"]]),
    ],
)
def test_plain_rows_are_taken_apart(data: bytes, width: int, rows: list[list[bytes]]) -> None:
    assert taken_apart(data, width) == rows


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"a,b\n1\n",
        b"a,b,c\n",
        b"a,b\n1,2,3\n4\n",  # as many separators as two rows of two fields and one more have
        b'"a\nb",c\n',
        b'"a\n,b\n',
        b'a"b,c\n',
        b'a",b"\n',
        b'"a""b",c\n',
        b'"a"b,c\n',
        b'a"b",c\n',
        b'",\n',
        b"a,b\r\n1,2\n",
        b"a\r,b\n1,2\r\n",
        b"a\rb,c\n",
        b"a,b\r\n1\r,2\r\n",
    ],
)
def test_anything_else_is_left_to_the_csv_reader(data: bytes) -> None:
    assert split(data, 2) is None


def test_a_batch_of_text_has_its_places() -> None:
    batch = Batch.of_rows(7, [["é", ""], ["b,c", "d"]])
    assert (batch.values(0), batch.values(1)) == (["é", "b,c"], ["", "d"])
    assert batch.value(1, 0) == "b,c"
    assert batch.numbers.tolist() == [7, 8]
    assert batch.lines() == ["é,", "b,c,d"]


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


@pytest.mark.parametrize(
    ("encoding", "name"),
    [("utf-16", "UTF-16"), ("utf-16-be", "UTF-16"), ("utf-16-le", "UTF-16"), ("utf-32", "UTF-32")],
)
def test_wide_encodings_are_named(encoding: str, name: str) -> None:
    _, found, _ = read("a,b\r\n1,2\r\n".encode(encoding))
    assert name in found["csv.encoding"].text()
    assert len(found) == 1


# ---- line ends ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content",
    [b"a,b\r1,2\r", b"a,b\r1,2", b"a,b\r1,2\r\n", b'"a","b"\r"1","2"\r', b"a,b\r1,2\r\n\r\n"],
)
@pytest.mark.parametrize("pieces", ["whole", "small"])
def test_lines_that_end_with_cr_are_read_and_refused(
    content: bytes, pieces: str, request: pytest.FixtureRequest
) -> None:
    if pieces == "small":
        request.getfixturevalue("small_pieces")
    rows, found, _ = read(content)
    assert rows == [["1", "2"]]
    assert "with CR" in found["csv.line-ends"].text()
    assert found["csv.line-ends"].severity == "error"


@pytest.mark.usefixtures("small_pieces")
def test_lines_that_end_with_cr_cr_lf_count_once() -> None:
    rows, found, made = read(b"a,b\r\r\n" + b"1,2\r\r\n" * 5)
    assert made
    assert (rows, made.count) == ([["1", "2"]] * 5, 6)
    assert "CR CR LF;" in found["csv.line-ends"].text()
    assert len(found) == 1


def test_one_line_that_ends_with_cr_is_an_error_wherever_it_is() -> None:
    for before in (1, 5000):
        rows, found, _ = read(b"a,b\r\n" + ROW * before + b"3,4\r" + ROW)
        assert rows[-2:] == [["3", "4"], ["1", "2"]]
        assert found["csv.line-ends"].severity == "error"
        assert len(found) == 1


@pytest.mark.parametrize(
    "content", [b'a,b\r\n"1\r",2\r\n', b'a,b\r\n"1\r",2\r\n"3\rx",4\r\n', b"a,b\r\n1,2\r"]
)
def test_a_cr_that_ends_no_line_is_no_line_end(content: bytes) -> None:
    _, found, _ = read(content)
    assert found.keys() <= {"csv.line-break"}


def test_bare_line_feeds_only_warn() -> None:
    rows, found, _ = read(b"a,b\n1,2\n")
    assert rows == [["1", "2"]]
    assert (list(found), found["csv.line-ends"].severity) == (["csv.line-ends"], "warning")


# ---- the end ------------------------------------------------------------------------------------


@pytest.mark.parametrize("end", [b"\x1a", b"\x1a\x1a", b"\x1a\r\n", b"\x1a\n"])
def test_ctrl_z_is_named_and_is_no_row(end: bytes) -> None:
    rows, found, made = read(b"a,b\r\n" + ROW + end)
    assert made
    assert (rows, made.count) == ([["1", "2"]], 2)
    assert found["csv.end-mark"].rows == [3]
    assert found.keys() <= {"csv.end-mark", "csv.line-ends"}


def test_ctrl_z_behind_the_last_value() -> None:
    rows, found, _ = read(b"a,b\r\n1,2\x1a")
    assert rows == [["1", "2"]]
    assert found["csv.end-mark"].rows == [2]


def test_ctrl_z_in_the_middle_is_a_character_of_its_row() -> None:
    rows, found, _ = read(b"a,b\r\n1,x\x1a\r\n" + ROW)
    assert rows == [["1", "x\x1a"], ["1", "2"]]
    assert not found


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


@pytest.mark.parametrize(
    ("bad", "rule", "says"),
    [
        (b"\0", "csv.nul", ""),
        (b"\xf6", "csv.encoding", "Windows-1252"),
        (b"\xed\xa0\xbd\xed\xb8\x80", "csv.encoding", "CESU-8"),
    ],
)
def test_bytes_that_are_no_text_have_their_row(bad: bytes, rule: str, says: str) -> None:
    _, found, _ = read(b"a,b\r\n" + ROW * 3 + b"x," + bad + b"\r\n" + ROW)
    assert (found[rule].rows, len(found)) == ([5], 1)
    assert says in found[rule].text()


def test_a_line_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(spec("limits"), "line_bytes", 500)
    assert read(b"a,b\r\n" + b"x" * 490 + b",y\r\n")[1] == {}
    _, found, _ = read(b"a,b\r\n" + ROW + b"x" * 501)
    assert (found["csv.line-length"].rows, len(found)) == ([3], 1)
    rows, found, _ = read(b"a,b\r" + b"1,2\r" * 500)
    assert (len(rows), list(found)) == (500, ["csv.line-ends"])


@pytest.mark.usefixtures("small_pieces")
def test_rows_are_counted_over_pieces() -> None:
    _, found, _ = read(b"a,b\r\n" + ROW * 20 + b"x\xf6,2\r\n")
    assert (found["csv.encoding"].rows, len(found)) == ([22], 1)
