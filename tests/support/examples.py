"""Define the worked examples of docs/guard.md: two packages each, and the output of `compare`.

scripts/dev/docs writes the output into the page, and a test compares it. All packages are invented.
"""

from __future__ import annotations

import contextlib
import io
import re
import tempfile
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from roster_upload.cli import parser as cli
from roster_upload.exits import Exit

from support import rosters

WIDTH = 76  # of the output. The page indents it by four
COMMAND = "$ roster-upload compare before.zip after.zip --night {night}"
LIMITS = "limits.toml"
# A row of the table: a kind, its numbers before and now, and the counts of changes.
ROW = re.compile(r"(?P<kind>[a-z][\w.]+)(?:\s+[\d,]+){2}\s+(?P<changes>[\d,]+\s+[\d,]+\s+[\d,]+)")

Change = Callable[[rosters.Package], None]


def _nothing(_: rosters.Package) -> None:
    """Leave a package as it is."""


@dataclass(frozen=True)
class Example:
    """Two nights of a district, and the guard's answer with the limits of a feed.

    `district` has values of `rosters.District` for both packages, `then` further ones for the
    second. `every_night` is applied to both, `change` to the second. `shows` lists unchanged kinds
    of records to show.
    """

    code: Exit
    night: str = "2026-11-02"
    district: Mapping[str, Any] = field(default_factory=dict)
    then: Mapping[str, Any] = field(default_factory=dict)
    every_night: Change = _nothing
    change: Change = _nothing
    config: str = ""
    shows: tuple[str, ...] = ()

    def output(self) -> str:
        """Return the command and its output, without unchanged kinds of records."""
        code, lines = self.run()
        assert code == self.code, lines
        command = [COMMAND.format(night=self.night)]
        if self.config:
            command = [f"$ cat {LIMITS}", *self.config.splitlines(), f"{command[0]} \\"]
            command.append(f"    --config {LIMITS}")
        shown = [line for line in lines if self._is_shown(line)]
        return "\n".join([*command, *(part for line in shown for part in _folded(line))])

    def run(self) -> tuple[int, list[str]]:
        """Return the exit code of `compare`, and its lines of output."""
        out = io.StringIO()
        with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(out):
            paths = [Path(folder, name) for name in ("before.zip", "after.zip")]
            for path, package in zip(paths, self._packages(), strict=True):
                path.write_bytes(rosters.to_zip(package.members()))
            command = ["compare", *map(str, paths), f"--night={self.night}"]
            if self.config:
                limits = Path(folder, LIMITS)
                limits.write_text(self.config)
                command.append(f"--config={limits}")
            code = cli.main(command)
        return code, out.getvalue().splitlines()

    def _is_shown(self, line: str) -> bool:
        row = ROW.fullmatch(line)
        return not row or row["kind"] in self.shows or bool(row["changes"].replace("0", "").strip())

    def _packages(self) -> tuple[rosters.Package, rosters.Package]:
        values = {"students": 1200, "schools": 12, **self.district}
        before, after = rosters.invent(**values), rosters.invent(**{**values, **self.then})
        self.every_night(before)
        self.every_night(after)
        self.change(after)
        return before, after


def _folded(line: str) -> list[str]:
    """Return a line in pieces that fit the page. A row of the table fits."""
    if len(line) <= WIDTH:
        return [line]
    return textwrap.wrap(
        line, WIDTH, subsequent_indent="    ", break_long_words=False, break_on_hyphens=False
    )


# ---- what happens to a district -----------------------------------------------------------------


def _everywhere(package: rosters.Package, file: str, column: str, value: Any) -> None:
    """Replace every value of a file's column by a function of the old value."""
    at = package.column(file, column)
    for row in package.tables[file][1:]:
        row[at] = value(row[at])


def _semester_of(class_id: str) -> tuple[str, str, str]:
    """Return the session of a class, and its days. Every other class is in the fall."""
    if int(class_id.rpartition("-")[2]) % 2:
        return "spring", "2027-01-05", "2027-06-12"
    return "fall", "2026-08-10", "2026-12-21"


def _by_semester(package: rosters.Package) -> None:
    """Assign every class and its enrollments to one semester."""
    terms = package.column("classes", "termSourcedIds")
    for row in package.tables["classes"][1:]:
        row[terms] = _semester_of(row[0])[0]
    class_id, first, last = (
        package.column("enrollments", name) for name in ("classSourcedId", "beginDate", "endDate")
    )
    for row in package.tables["enrollments"][1:]:
        row[first], row[last] = _semester_of(row[class_id])[1:]


def _end_today(package: rosters.Package) -> None:
    """Move the end of the fall's enrollments to November 1."""
    _everywhere(
        package,
        "enrollments",
        "endDate",
        lambda day: "2026-11-01" if day == "2026-12-21" else day,
    )


def _next_year(package: rosters.Package) -> None:
    """Advance to the next school year: new sessions and classes, and everyone a grade higher.

    New first graders replace one in twelve of those who were in grade 12.
    """

    def later(value: str) -> str:
        return value.replace("2027", "2028").replace("2026", "2027")

    def moved(value: str) -> str:
        return ",".join(f"next-{one}" for one in value.split(","))

    for column in ("startDate", "endDate", "title", "schoolYear"):
        _everywhere(package, "academicSessions", column, later)
    for column in ("beginDate", "endDate"):
        _everywhere(package, "enrollments", column, later)
    for file, column in (
        ("academicSessions", "sourcedId"),
        ("classes", "sourcedId"),
        ("classes", "termSourcedIds"),
        ("courses", "schoolYearSourcedId"),
        ("enrollments", "sourcedId"),
        ("enrollments", "classSourcedId"),
    ):
        _everywhere(package, file, column, moved)
    parent = package.column("academicSessions", "parentSourcedId")
    for row in package.tables["academicSessions"][1:]:
        row[parent] = row[parent] and moved(row[parent])
    _grow_up(package)


def _grow_up(package: rosters.Package) -> None:
    grades, username = (package.column("users", name) for name in ("grades", "username"))
    identifier, email = (package.column("users", name) for name in ("identifier", "email"))
    left = set()
    for row in package.tables["users"][1:]:
        if row[grades] == "12":
            left.add(row[0])
            for at in (0, username, identifier, email):
                row[at] = f"first-{row[at]}"
        row[grades] = row[grades] and f"{int(row[grades]) % 12 + 1:02}"
    for file, column in (("demographics", "sourcedId"), ("enrollments", "userSourcedId")):
        _everywhere(package, file, column, lambda one: f"first-{one}" if one in left else one)


def _numbered_anew(package: rosters.Package) -> None:
    _everywhere(package, "enrollments", "sourcedId", lambda one: f"tonight-{one}")


def _disabled(package: rosters.Package) -> None:
    _everywhere(package, "users", "enabledUser", lambda _: "false")


def _without_names(count: int) -> Change:
    """Return a damage that removes the family name of some students."""

    def change(package: rosters.Package) -> None:
        for number in range(count):
            package.set("users", 100 + number, "familyName", "")

    return change


def _daily(package: rosters.Package) -> None:
    """Remove two students who have left, and change one e-mail address."""
    package.set("users", 200, "email", "married@invented.example")
    gone = {row[0] for row in package.tables["users"][-2:]}
    for file, column in (
        ("users", "sourcedId"),
        ("demographics", "sourcedId"),
        ("enrollments", "userSourcedId"),
    ):
        at = package.column(file, column)
        package.tables[file] = [row for row in package.tables[file] if row[at] not in gone]


BY_TERM = ("classes", "enrollments")
NEW_YEAR = 'expected_changes = ["2027-08-02..2027-09-10 new year"]\n'
CONTENTS = "guard_limits = {enrollments = {removed = 100}}\n"

EXAMPLES: Mapping[str, Example] = {
    "daily": Example(Exit.OK, change=_daily),
    "rollover": Example(Exit.HELD, "2027-08-16", change=_next_year),
    "rollover-expected": Example(Exit.OK, "2027-08-16", change=_next_year, config=NEW_YEAR),
    "closed-school": Example(Exit.HELD, then={"without_school": 7}),
    "renumbered-users": Example(Exit.HELD, then={"rekey": True}),
    "renumbered-enrollments": Example(Exit.HELD, change=_numbered_anew),
    "renumbered-enrollments-declared": Example(
        Exit.OK, change=_numbered_anew, shows=("enrollments",), config=CONTENTS
    ),
    "term": Example(Exit.OK, "2027-01-11", every_night=_by_semester, shows=BY_TERM),
    "break": Example(Exit.OK, "2026-12-28", every_night=_by_semester, shows=BY_TERM),
    "moved-end": Example(Exit.HELD, every_night=_by_semester, change=_end_today),
    "disabled": Example(Exit.HELD, change=_disabled),
    "faulty": Example(Exit.OK, change=_without_names(3)),
    "faulty-many": Example(Exit.REFUSED, change=_without_names(12)),
    "wait": Example(Exit.HELD, then={"drop_students": 200}),
}
