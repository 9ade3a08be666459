"""Every row of SECURITY.md names tests that exist."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "SECURITY.md").read_text("utf-8")
ROWS = re.findall(r"^\| (?!Attack |---)(.+?) \| (.+?) \| (.+?) \|$", TEXT, re.MULTILINE)
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")


def names_of_tests(path: Path) -> set[str]:
    """Return the names of the test functions of a file."""
    return {
        node.name
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    }


def test_each_attack_has_a_row() -> None:
    assert len(ROWS) > 30


@pytest.mark.parametrize(("attack", "result", "tests"), ROWS, ids=[row[0][:60] for row in ROWS])
def test_each_row_names_tests_that_exist(attack: str, result: str, tests: str) -> None:
    named = NAMED.findall(tests)
    assert attack
    assert result
    assert named, tests
    for file, name in named:
        assert name in names_of_tests(ROOT / file), f"{file} has no test {name}"
