"""The text of a file: encodings, line ends, marks at its end."""

from __future__ import annotations

import pytest
from roster_upload.spec import spec
from unit.validation.test_csv_reader import ROW, read


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
    assert "CR CR LF instead" in found["csv.line-ends"].text()
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
