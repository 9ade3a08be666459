"""The faults of a text in any column."""

from __future__ import annotations

import numpy as np
import pytest
from roster_upload.validation import text
from roster_upload.validation.batch import Batch
from roster_upload.validation.columns import Values

# Unicode's blanks, and characters that leave nothing visible.
BLANKS = [
    " ", "\t", "\n", "\x0b", "\u0085", "\u00a0", "\u1680", "\u2003", "\u2007", "\u2028", "\u202f",
    "\u205f", "\u3000",
]  # fmt: skip
HIDDEN = [
    "\u00ad", "\u034f", "\u061c", "\u180e", "\u200b", "\u200c", "\u200d", "\u200e", "\u2060",
    "\u202a", "\u202e", "\u2066", "\u2069", "\u206a", "\u2800", "\u3164", "\ufeff", "\ufff9",
]  # fmt: skip


def rules(value: str, *, is_list: bool = False, is_name: bool = False) -> list[str]:
    """Return the rules that a value breaks."""
    return [rule for rule, _ in text.faults_of(value, is_list=is_list, is_name=is_name)]


# ---- blanks and what cannot be seen -------------------------------------------------------------


@pytest.mark.parametrize("blank", [*BLANKS, *HIDDEN])
def test_a_value_of_blanks_is_empty(blank: str) -> None:
    for value in (blank, blank * 3, f" {blank}", ""):
        assert text.is_blank(value)
    assert rules(blank) == ["value.blank"]
    assert not text.is_blank(f"{blank}x{blank}")


@pytest.mark.parametrize("blank", [*BLANKS, *HIDDEN])
def test_blanks_at_edges_are_told(blank: str) -> None:
    for value in (f"{blank}ab", f"ab{blank}", f"{blank}ab{blank}"):
        assert text.plain(value) == text.seen(value) == "ab"
        assert rules(value) == ["value.edge-blank"]
        assert rules(value, is_list=True) == ["value.edge-blank"]
        assert text.edge_blank_name(value) == text.name_of(blank)


@pytest.mark.parametrize("blank", [*BLANKS, *HIDDEN])
def test_blanks_at_commas_are_told_of_lists_alone(blank: str) -> None:
    for value in (f"ab,{blank}c", f"ab{blank},c"):
        assert rules(value, is_list=True) == ["value.list-blank"]
        assert "value.list-blank" not in rules(value)
        assert text.plain_list(value) == text.seen_list(value) == "ab,c"
        assert text.edge_blank_name(value) == text.name_of(blank)


@pytest.mark.parametrize("hidden", ["\u00a0", "\u2003", *HIDDEN])
def test_what_cannot_be_seen_inside_is_told(hidden: str) -> None:
    assert text.faults_of(f"a{hidden}b", is_list=False, is_name=True) == (
        ("text.invisible", text.name_of(hidden)),
    )
    assert text.seen(f"a{hidden}b") == ("a b" if hidden.isspace() else "ab")


@pytest.mark.parametrize("control", ["\x00", "\x0b", "\x1b", "\x7f", "\x85", "\x9f", "\t"])
def test_control_characters_inside_are_told(control: str) -> None:
    assert rules(f"a{control}b") == ["text.control"]
    assert text.seen(f"a{control}b") == "ab"


def test_line_breaks_and_usual_blanks_inside_are_told_elsewhere_or_not() -> None:
    assert rules("a b") == rules("a\nb") == rules("a\r\nb") == []


@pytest.mark.parametrize("word", ["می‌خواهم", "क्‍ष", "👩\u200d👧", "é\u200dx"])
def test_scripts_that_join_letters_may_do_so(word: str) -> None:
    assert rules(word) == []


def test_joiners_are_told_where_nothing_is_joined() -> None:
    for joiner in "\u200c\u200d":
        assert rules(f"a{joiner}b") == ["text.invisible"]


@pytest.mark.parametrize(
    ("value", "name"),
    [
        ("a ", "a space"),
        ("\ta", "a tab"),
        ("a\r\n", "a line break"),
        ("\u00a0a ", "U+00A0 NO-BREAK SPACE"),
        ("a,b \u3000", "U+3000 IDEOGRAPHIC SPACE"),
        ("a,\u200bb", "U+200B ZERO WIDTH SPACE"),
        ("a\x1f", "U+001F control character"),
    ],
)
def test_a_blank_has_its_name(value: str, name: str) -> None:
    assert text.edge_blank_name(value) == name


@pytest.mark.parametrize(
    ("found", "expected", "says"),
    [
        ("users ", "users", ". Remove a space beside it"),
        ("\ufeffusers", "users", ". Remove U+FEFF ZERO WIDTH NO-BREAK SPACE beside it"),
        ("us\u200bers", "users", ". Remove U+200B ZERO WIDTH SPACE from it"),
        ("Users", "users", ". Upper and lower case matter"),
        ("usеrs", "users", ". Use ASCII letters only"),
        ("people", "users", ""),
        ("", "", ""),
    ],
)
def test_a_name_differs_in_one_way(found: str, expected: str, says: str) -> None:
    assert text.difference(found, expected) == says


# ---- damage -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "word", ["Größinger", "José", "São", "O’Brien", "Žižek", "Łódź", "Нина", "naïve", "“x”", "€5"]
)
def test_text_that_was_decoded_wrongly_is_told(word: str) -> None:
    assert rules(word) == []
    # Windows-1252 has five bytes without a meaning, which tools take as they are.
    wrong = "".join(
        bytes([byte]).decode("cp1252", "replace").replace("\ufffd", chr(byte))
        for byte in word.encode()
    )
    assert "text.decoded-wrongly" in rules(wrong)
    assert "text.decoded-wrongly" in rules(f"Ö. {wrong} Ł")


@pytest.mark.parametrize("word", ["Ã", "Â", "GRÖẞE", "Ärö", "Â Ã", "ÃO", "Đặng", "Ø°ß"])
def test_rare_letters_are_no_damage(word: str) -> None:
    assert "text.decoded-wrongly" not in rules(word)


@pytest.mark.parametrize(
    ("value", "is_reported"),
    [("&amp;", True), ("O&#39;B", True), ("&#x27;", True), ("&nbsp;", True), ("R&D", False),
     ("AT&T; x", False), ("a & b;", False), ("&;", False)],
)  # fmt: skip
def test_entities_of_html_are_told(value: str, is_reported: bool) -> None:
    assert ("text.entity" in rules(value)) is is_reported


@pytest.mark.parametrize(
    ("value", "anywhere", "in_names"),
    [("Gr??e", True, True), ("Jos?", False, True), ("?lga", False, True), ("Who?", False, True),
     ("?", False, False), ("1?2", False, False), ("a ? b", False, False)],
)  # fmt: skip
def test_question_marks_beside_letters_are_told(value: str, anywhere: bool, in_names: bool) -> None:
    assert ("text.question-marks" in rules(value)) is anywhere
    assert ("text.question-marks" in rules(value, is_name=True)) is in_names


def test_the_replacement_character_is_told() -> None:
    assert rules("Gr\ufffde") == ["text.replaced"]


# ---- batches ------------------------------------------------------------------------------------


def column(*values: str) -> Values:
    """Return a column of these values."""
    return Values(Batch.of_rows(2, [[value] for value in values]), 0)


def leftovers(*values: str, is_name: bool = False) -> list[int]:
    """Return the rows with leftovers of tools."""
    return list(map(int, text.leftover_rows(column(*values), is_name=is_name)))


def test_leftovers_are_told_by_their_exact_spelling() -> None:
    every = sorted(text.leftovers())
    assert leftovers(*every) == list(range(len(every)))
    assert leftovers("Null", "Nan", "Nullmann", "NULLS", "N/A x", "undefined!", "", "x") == []
    assert leftovers("a", "NULL", "a", "NULL") == [1, 3]
    assert leftovers("#DIV/0!", "#DIV/0", "########", "#########") == [0, 2]


def test_people_are_called_none() -> None:
    assert leftovers("None", "NULL", "nan") == [0, 1, 2]
    assert leftovers("None", "NULL", "nan", "None", is_name=True) == [1, 2]


@pytest.mark.parametrize(
    ("value", "is_reported"),
    [("1.23457E+11", True), ("1E+05", True), ("9,87E+12", True), ("1.5E-7", True), ("3E1", False),
     ("12E+5", False), ("1e5", False), ("1.5E", False), ("E12", False), ("1E+2345", False),
     ("1E+5 ", False), ("R1E+5", False), ("1.2.3E+4", False), ("١E+٥", False)],
)  # fmt: skip
def test_shortened_numbers_are_told(value: str, is_reported: bool) -> None:
    assert text.scientific_rows(column("x", value, "12345", "")).tolist() == [1] * is_reported


def test_fields_with_unusual_bytes_are_found_by_column_and_row() -> None:
    rows = [
        ["plain", "two words", "a,b"],
        [" x", "x ", "a, b"],
        ["a ,b", "é", "?"],
        ["x&y", "tab\there", ""],
        [" ", "", "a  b"],
    ]
    found = text.odd_fields(Batch.of_rows(2, rows))
    assert {place: numbers.tolist() for place, numbers in found.items()} == {
        0: [1, 2, 3, 4], 1: [1, 2, 3], 2: [1, 2]
    }  # fmt: skip


def test_quotes_and_line_ends_around_fields_are_not_unusual() -> None:
    data = b'"a","b"\r\nc,d\r\n'
    starts, ends = np.array([[1, 5], [9, 11]]), np.array([[2, 6], [10, 12]])
    assert text.odd_fields(Batch(2, data, starts, ends)) == {}


@pytest.mark.parametrize(
    ("value", "is_it"),
    [("2026-08-10", True), ("2024-02-29", True), ("2026-02-29", False), ("20260810", False),
     ("2026-W01-1", False), ("2026-08-10T00:00:00Z", False), ("8/10/2026", False), ("", False),
     ("0000-00-00", False), ("２０２６-08-10", False), ("2026-08-10 ", False)],
)  # fmt: skip
def test_a_day_is_written_in_one_way(value: str, is_it: bool) -> None:
    assert text.is_day(value) is is_it
