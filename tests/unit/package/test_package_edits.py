"""Edits of bytes: removed rows, items of lists, lowered letters."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from roster_upload.package.edits import Edits
from roster_upload.package.rows import Part, Table
from support import rosters
from support.packages import tables
from unit.package.test_package_scope import changed, scoped


def test_agents_out_of_scope_are_cut_from_a_list(tmp_path: Path) -> None:
    def change(package: rosters.Package) -> None:
        people = [row[0] for row in package.tables["users"]]
        students = [i for i, row in enumerate(package.tables["users"]) if "student" in row]
        teachers = [i for i, row in enumerate(package.tables["users"]) if "teacher" in row]
        first, second, third = (people[i] for i in students[1:4])
        outside = people[teachers[0]]
        for row, agents in enumerate([
            f"{first},{outside}", f"{outside},{first}", f"{first},{outside},{second}",
            f"{outside},{outside}", f"{first},{outside},{outside}", f"{outside}",
            f"{outside},nobody,{outside}", f"{first},{third}",
        ]):  # fmt: skip
            package.set("users", students[10 + row] + 1, "agentSourcedIds", agents)
        package.set("users", teachers[0] + 1, "agentSourcedIds", outside)
        self_names.extend([first, second, third])

    self_names: list[str] = []
    built = scoped(tmp_path, changed(change), roles=("student",))
    first, second, third = self_names
    lists = [row["agentSourcedIds"] for row in tables(built.path)["users"][10:18]]
    assert lists == [
        first, first, f"{first},{second}", "", first, "", "nobody", f"{first},{third}",
    ]  # fmt: skip
    assert built.steps["references"] == {"users.agentSourcedIds": 10}


def part() -> Part:
    """Return three rows of two columns."""
    table = Table([b"a,b\r\n1,x\r\n2,yy\r\n3,\r\n"], ("a", "b"))
    return next(iter(table))


def test_without_edits_the_bytes_are_the_parts_own() -> None:
    before = part()
    assert Edits(before).result() is before.data


def test_rows_are_removed_whole() -> None:
    edits = Edits(part())
    edits.gone[1] = True
    assert edits.result() == b"1,x\r\n3,\r\n"
    edits.gone[:] = True
    assert edits.result() == b""


def test_edits_may_overlap() -> None:
    before = part()
    edits = Edits(before)
    edits.blank(before.column(1))
    edits.cut(before.bounds[:1], before.bounds[1:2])
    edits.lower(before.column(1).at(np.array([1])), 2)
    edits.gone[0] = True
    assert edits.result() == b"2,\r\n3,\r\n"


def test_letters_are_lowered() -> None:
    before = next(iter(Table([b"a,b\r\n1,TRUE\r\n"], ("a", "b"))))
    edits = Edits(before)
    edits.lower(before.column(1), 4)
    assert edits.result() == b"1,true\r\n"
