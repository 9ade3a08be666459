"""Properties of judged, sent and held packages, over invented rosters."""

from __future__ import annotations

import csv
import datetime as dt
import io
import random
import zipfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from roster_upload import config
from roster_upload.guard import guard
from roster_upload.package.build import build
from roster_upload.package.outgoing import build_package
from roster_upload.spec import spec
from roster_upload.validation import text
from roster_upload.validation.check import check
from roster_upload.validation.findings import Report
from roster_upload.validation.options import ValidationOptions
from support import rosters, share
from unit.test_config import GOOD

NIGHT = dt.date(2026, 11, 1)
KEY = b"k" * 32
FILES: dict[str, Any] = spec("oneroster-1.1")["files"]
ROSTER = rosters.invent(students=6, schools=2)
IDS = {file: {row[0] for row in rows[1:]} for file, rows in ROSTER.tables.items()}
REFERENCES = [
    (file, column)
    for file in rosters.ROSTERING
    for column in FILES[file]["columns"]
    if column.get("ref")
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the path for a temporary package."""
    return tmp_path_factory.mktemp("packages")


def look(path: Path, package: rosters.Package, **options: Any) -> Report:
    """Write a package and return its report."""
    path.write_bytes(rosters.to_zip(package.members()))
    return check(path, ValidationOptions(**options), key=KEY, night=NIGHT)


def copied(package: rosters.Package) -> rosters.Package:
    """Return a package that can be changed."""
    tables = {file: [list(row) for row in rows] for file, rows in package.tables.items()}
    return rosters.Package(tables, package.manifest)


def ids_in(path: Path, file: str) -> set[str]:
    """Return the sourcedIds of a file, by Python's own reader."""
    with zipfile.ZipFile(path) as archive:
        rows = csv.reader(io.StringIO(archive.read(f"{file}.csv").decode(), newline=""))
        return {row[0] for row in list(rows)[1:]}


# ---- what is judged is what is sent -------------------------------------------------------------

PARTS = [" ", "\u00a0", "\u3000", "\t", "\n", "\u200b", "\ufeff", "\u202e", ",", ", ", "x"]
# Rules for values that do not lead where they seem to.
LEADS_NOWHERE = {
    "reference.missing",
    "value.edge-blank",
    "value.list-blank",
    "value.required",
    "value.blank",
    "text.invisible",
    "text.control",
}


@settings(max_examples=share.of(100))
@given(
    reference=st.sampled_from(REFERENCES),
    parts=st.lists(st.sampled_from([*PARTS, "ID", "ID", "ID", "OTHER"]), max_size=5),
    data=st.data(),
)
def test_a_reference_is_accepted_only_where_its_very_bytes_are_an_id(
    folder: Path, reference: tuple[str, dict[str, Any]], parts: list[str], data: st.DataObject
) -> None:
    file, column = reference
    ids = sorted(IDS[column["ref"]])
    known = {"ID": data.draw(st.sampled_from(ids)), "OTHER": data.draw(st.sampled_from(ids))}
    value = "".join(known.get(part, part) for part in parts)
    package = copied(ROSTER)
    row = data.draw(st.integers(2, len(package.tables[file])))
    package.set(file, row, column["name"], value)
    found = {
        finding.rule
        for finding in look(folder / "a.zip", package).findings
        if (finding.file, finding.column) == (f"{file}.csv", column["name"]) and row in finding.rows
    }
    items = [one for one in value.split(",") if one] if "list" in column["type"] else [value]
    if not value:
        assert found == ({"value.required"} if column["required"] == "yes" else set())
        return
    leads = all(item in IDS[column["ref"]] for item in items)
    if not items:  # commas alone
        leads = column["required"] == "no"
    assert bool(found & LEADS_NOWHERE) is not leads
    if file != column["ref"]:
        assert len(found & LEADS_NOWHERE) <= 1, "the cause alone is told"
    if text.is_blank(value):
        expected = "value.required" if column["required"] == "yes" else "value.blank"
        assert expected in found


# ---- steps --------------------------------------------------------------------------------------

EXPORT = rosters.invent(students=60, schools=3, full=True)
some = st.lists


@settings(max_examples=share.of(25))
@given(
    schools=some(st.sampled_from(["school-0", "school-1", "0000002", "district"]), max_size=2),
    grades=some(st.sampled_from(["01", "02", "03", "KG"]), max_size=2),
    roles=some(st.sampled_from(["student", "teacher", "guardian"]), max_size=2),
    courses=some(st.sampled_from(["course-0", "R1", "R2"]), max_size=2),
    is_enrolled=st.booleans(),
    blank=some(st.sampled_from(["users.email", "users.phone", "demographics.sex"]), max_size=2),
)  # fmt: skip
def test_any_scope_leaves_a_package_that_validates(
    folder: Path, schools: list[str], grades: list[str], roles: list[str], courses: list[str],
    is_enrolled: bool, blank: list[str],
) -> None:  # fmt: skip
    lists = {"schools": schools, "grades": grades, "roles": roles, "courses": courses,
             "blank": blank}  # fmt: skip
    scope = {name: sorted(set(values)) for name, values in lists.items() if values}
    feed = config.parse({**GOOD, "scope": {**scope, "enrolled_only": is_enrolled}})
    export, out = folder / "export.zip", folder / "out.zip"
    export.write_bytes(rosters.to_zip(EXPORT.members()))
    out.unlink(missing_ok=True)
    built = build_package(feed, export, out, NIGHT)
    report = check(built.path if built else export, key=KEY, night=NIGHT)
    wrong = [f.text() for f in report.findings
             if f.severity != "warning" or f.rule.startswith("reference.")]  # fmt: skip
    assert not wrong
    assert report.accepted


@settings(max_examples=share.of(25))
@given(chance=st.randoms(use_true_random=False), gone=st.floats(0, 1), is_scoped=st.booleans())
def test_removals_that_wait_remove_nobody(
    folder: Path, chance: random.Random, gone: float, is_scoped: bool
) -> None:
    before, after = rosters.invent(students=30, schools=2), rosters.invent(students=30, schools=2)
    for file in ("users", "enrollments", "classes", "demographics"):
        header, *rows = after.tables[file]
        kept = [row for row in rows if chance.random() >= gone]
        after.tables[file] = [header, *(kept or rows[:1])]
    new = list(after.tables["users"][-1])
    new[0], new[6] = "new", "u.new"
    after.tables["users"].append(new)
    scope = {"blank": ["users.phone"]} if is_scoped else {}
    feed = config.parse({**GOOD, "removals": "wait", "scope": scope})
    previous, export, out = folder / "before.zip", folder / "after.zip", folder / "waits.zip"
    previous.write_bytes(rosters.to_zip(before.members()))
    export.write_bytes(rosters.to_zip(after.members()))
    out.unlink(missing_ok=True)
    built = build(feed, export, out, previous, check=check, night=NIGHT)
    assert built
    for file in ("users", "enrollments", "classes"):
        assert ids_in(built.path, file) >= ids_in(previous, file) | ids_in(export, file)
    found = {finding.rule for finding in check(built.path, key=KEY, night=NIGHT).findings}
    assert not {rule for rule in found if rule.startswith("reference.")}


# ---- budgets and limits -------------------------------------------------------------------------

FAULTS = {
    "role": "pupil",
    "enabledUser": "yes",
    "orgSourcedIds": "nowhere",
    "givenName": "",
    "username": "",
}


@settings(max_examples=share.of(25))
@given(
    rows=st.sets(st.integers(2, 63), max_size=40),
    budget=st.integers(0, 40),
    chance=st.randoms(use_true_random=False),
)
def test_rows_with_faults_are_removed_for_the_guard(
    folder: Path, rows: set[int], budget: int, chance: random.Random
) -> None:
    """The guard's limits are those of all removals, however many the budget covers."""
    package = rosters.invent(students=60, schools=2)
    before = look(folder / "good.zip", package).baseline
    for row in rows:
        for column in chance.sample(sorted(FAULTS), chance.randint(1, 2)):
            package.set("users", row, column, FAULTS[column])
    report = look(folder / "bad.zip", package, faulty_rows_count=budget)
    assert report.accepted is (len(rows) <= budget)
    assert report.faulty_rows.get("users", 0) == len(rows)
    feed = config.parse({**GOOD, "guard_floor": 5, "guard_removed_percent": 10})
    verdict = guard.judge(feed, before, report.baseline, NIGHT)
    removed = {k: c.removed for k, c in verdict.changes.items() if k.startswith("users.")}
    assert sum(removed.values()) == len(rows)
    over = {reason.kind for reason in verdict.reasons if reason.rule in ("removed", "emptied")}
    students = removed["users.student"]
    assert ("users.student" in over) is (students > 6)
