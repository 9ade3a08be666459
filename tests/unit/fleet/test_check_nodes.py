"""Files as nodes of YAML: what YAML accepts and nobody means, and merged keys."""

from __future__ import annotations

from pathlib import Path

import pytest
from roster_fleet.check import nodes
from support import written

MAIN = "host_vars/maple/main.yml"
TWICE = "is also in line {}. Only the last one would count"


@pytest.mark.parametrize(
    ("text", "place", "reason"),
    [
        ("a: [2026-11-31]\n", ":1:5: ", "this date does not exist"),
        ("a: 0x_\n", ":1:4: ", "this looks like a number"),
        ("a: &a [*a]\n", ":1:4: ", "this value contains itself"),
        ("a: 1\nb: 1\na: 2\n", ":3:1: ", f"a {TWICE.format(1)}"),
        ("a:\n  - b: 1\n    b: 2\n", ":3:5: ", f"b {TWICE.format(2)}"),
    ],
)
def test_what_nobody_means_is_refused(text: str, place: str, reason: str, tmp_path: Path) -> None:
    (found,) = written.inventory(tmp_path, {MAIN: text}).slips()
    assert found.text.startswith(f"{tmp_path / MAIN}{place}")
    assert reason in found.text


def test_a_file_in_another_encoding_is_named_with_its_line(tmp_path: Path) -> None:
    inventory = written.inventory(tmp_path, {MAIN: ""})
    (tmp_path / MAIN).write_bytes("a: 1\nb: Peña\n".encode("latin-1"))
    (found,) = inventory.slips()
    assert found.text.startswith(f"{tmp_path / MAIN}:2:1: host maple: the file is not UTF-8")


def test_merged_keys_count_once_and_the_nearest_wins(tmp_path: Path) -> None:
    text = "x: &x {a: 1, b: 1}\ny: &y {b: 2, c: 2}\n<<: [*y, *x]\nc: 3\n"
    found = [
        (variable.name, nodes.value_of(variable.node))
        for variable in written.inventory(tmp_path, {MAIN: text}).variables()
    ]
    assert found == [
        ("b", 2),
        ("a", 1),
        ("x", {"a": 1, "b": 1}),
        ("y", {"b": 2, "c": 2}),
        ("c", 3),
    ]
