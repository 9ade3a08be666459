"""Tables on terminals: columns give way by importance, notes wrap, and nothing is cut."""

from __future__ import annotations

import re

import pytest
from rich.cells import cell_len
from roster_fleet import terminal_table
from roster_fleet.terminal_table import Column, Row

COLUMNS = (
    Column("", is_styled=True),
    Column("district"),
    Column("feed", 1),
    Column("size", 2, is_number=True),
    Column("empty"),
)
NOTES = [
    "the guard holds the export: users.student: 500 of 2,000 would be removed",
    "its password is too old in 21 days",
]
ROWS = [
    Row(("✗", "Maple Valley Unified", "maple", "13.9 MB", ""), NOTES, "red"),
    Row(("✓", "東京 International", "tokyo", "9 MB", "")),
    Row(("✓", "Ecole\u0301 E\u0301te\u0301", "ecole", "9 MB", "")),
]
WIDTHS = [40, 60, 80, 100, 160, 250]


def words(lines: list[str]) -> str:
    """Return the lines' words without the blanks between them."""
    return re.sub(r"\s+", "", "".join(lines))


@pytest.mark.parametrize("width", WIDTHS)
def test_a_table_fits_and_cuts_no_note(width: int) -> None:
    lines, _ = terminal_table.render(COLUMNS, ROWS, width)
    assert max(map(cell_len, lines)) <= width
    for text in ("MapleValleyUnified", "東京International", "Ecole\u0301E\u0301te\u0301"):
        assert text in words(lines)
    if width <= 80:  # below the row, in all of the width
        assert words(NOTES) in words(lines)
    assert all(words([note[-12:]]) in words(lines) for note in NOTES)


def test_columns_give_way_by_importance() -> None:
    assert terminal_table.render(COLUMNS, ROWS, 39)[1] == []
    assert terminal_table.render(COLUMNS, ROWS, 38)[1] == ["size"]
    assert terminal_table.render(COLUMNS, ROWS, 30)[1] == ["size"]
    assert terminal_table.render(COLUMNS, ROWS, 29)[1] == ["feed", "size"]
    lines, left_out = terminal_table.render(COLUMNS, ROWS, 15)
    assert left_out == ["feed", "size"]
    assert [line for line in lines if "Maple" in line] == ["✗  Maple Valley"]
    assert "   Unified" in lines
    assert "empty" not in " ".join(lines)


def test_a_note_has_room_beside_its_row_or_all_of_the_next_lines() -> None:
    beside, _ = terminal_table.render(COLUMNS, ROWS, 39 + 2 + terminal_table.LEAST_NOTE)
    assert beside[1].endswith("13.9 MB  the guard holds the export:")
    below, _ = terminal_table.render(COLUMNS, ROWS, 38 + 2 + terminal_table.LEAST_NOTE)
    assert below[2:4] == ["  " + NOTES[0], "  " + NOTES[1]]
    assert "note" in beside[0]
    assert "note" not in below[0]


def test_without_a_terminal_a_row_is_a_line() -> None:
    rows = [*ROWS, Row(("!", "Elm", "elm", "", ""), ["x" * 2000])]
    lines, left_out = terminal_table.render(COLUMNS, rows, None)
    assert (len(lines), left_out) == (1 + len(rows), [])
    assert lines[1].endswith(" ".join(["", "; ".join(NOTES)]))
    assert lines[-1].endswith("x" * 2000)


def test_wide_and_combining_characters_are_aligned() -> None:
    lines, _ = terminal_table.render(COLUMNS, ROWS, 200)
    found = [(line, feed) for line in lines for feed in ("maple", "tokyo", "ecole") if feed in line]
    assert len(found) == 3
    ends = {cell_len(line[: line.index(feed)]) for line, feed in found}
    assert len(ends) == 1


def test_only_what_has_a_style_has_colours() -> None:
    lines, _ = terminal_table.render(COLUMNS, ROWS, 200, colours=True)
    assert lines[0].startswith("\x1b[1m")
    assert lines[1].startswith("\x1b[31m✗\x1b[0m  Maple")
    assert "\x1b" not in lines[2]
    assert "\x1b" not in "".join(terminal_table.render(COLUMNS, ROWS, 200)[0])
    assert terminal_table.render(COLUMNS, [], 80) == ([], [])


def test_a_command_is_not_broken_if_it_fits() -> None:
    text = "sudo is missing. Run `apt install sudo && adduser maria sudo`, then (`id -u`) again"
    assert terminal_table.wrapped(text, 45) == [
        "sudo is missing. Run",
        "`apt install sudo && adduser maria sudo`,",
        "then (`id -u`) again",
    ]
    assert max(map(len, terminal_table.wrapped(text, 24))) <= 24
    assert " ".join(terminal_table.wrapped(text, 24)) == text
