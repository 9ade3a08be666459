"""The page about the guard shows the program's output, and explains it."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from roster_upload.exits import Exit
from roster_upload.spec import schema
from support.examples import EXAMPLES, WIDTH

PAGE = Path(__file__).resolve().parents[3] / "docs" / "guard.md"
# Example: whether its kind of answer is this one. All others are let through.
HELD_FOR = {
    "rollover": "grades would change for",
    "closed-school": "the school school-7 would lose 100 of 100",
    "renumbered-users": "lose the history",
    "renumbered-enrollments": "guard_limits: {enrollments: {removed: 100}}",
    "moved-end": "all 624 would be removed",
    "disabled": "all 1,200 would be removed",
    "wait": "200 of 1,200 would be removed",
}


def test_every_example_is_on_the_page_once() -> None:
    """scripts/dev/docs writes their outputs, and test_docs compares them."""
    assert re.findall(r"<!-- example: ([\w-]+) -->", PAGE.read_text()) == list(EXAMPLES)


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_is_answered_as_the_page_explains(name: str) -> None:
    example = EXAMPLES[name]
    assert (example.code == Exit.HELD) == (name in HELD_FOR)
    output = example.output()  # which has asserted the exit code
    assert HELD_FOR.get(name, "") in output.replace("\n    ", " ")
    assert max(map(len, output.splitlines())) <= WIDTH


@pytest.mark.parametrize("name", [name for name, one in EXAMPLES.items() if one.config])
def test_the_settings_of_an_example_are_on_the_page(name: str) -> None:
    key, _, value = EXAMPLES[name].config.strip().partition(" = ")
    shown = value.replace(" = ", ": ")
    assert f"    roster_upload_{key}: {shown}\n" in PAGE.read_text()


@pytest.mark.parametrize(("name", "code"), [("rollover", Exit.OK), ("renumbered-users", Exit.HELD)])
def test_a_lower_limit_in_august_still_holds_new_numbers(name: str, code: Exit) -> None:
    example = EXAMPLES[name]
    days = f'expected_changes = ["{example.night}"]\nexpected_percent = 95\n'
    assert replace(example, config=days).run()[0] == code
    assert "`roster_upload_expected_percent: 95`" in PAGE.read_text()


def test_the_page_has_the_default_limits() -> None:
    rows = re.findall(r"^\| `roster_upload_(guard_\w+)` \| (\d+)", PAGE.read_text(), re.M)
    assert len(rows) == 7
    assert {key: int(value) for key, value in rows} == {key: schema.default(key) for key, _ in rows}
