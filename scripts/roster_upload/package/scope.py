"""Which rows a feed asks for, and with them all that they refer to.

schools         the orgs that are named, what lies below them, and the orgs above them. Classes,
                enrollments and users of other orgs go. A user who belongs only to an org above
                stays, unless the user is a student: a district's staff see all of its schools.
courses         the courses that are named, by courseCode or sourcedId, and their classes.
roles           users of other roles go.
grades          students of other grades, or of none, go. All other users stay.
enrolled_only   users of any role without an enrollment that stays go.

A row that refers to what never was in the export stays, so that validation finds it, unless what
else it refers to is out of scope.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from roster_upload.package.graph import NOTHING, Graph, Selection, reached
from roster_upload.package.rows import Part
from roster_upload.package.values import Flags, Hashes, fields_of
from roster_upload.spec import spec

ENROLLED = "enrollments.userSourcedId"


class Scope(Protocol):
    """What a feed asks for; nothing named is no limit."""

    @property
    def schools(self) -> tuple[str, ...]:
        """The orgs, by sourcedId or identifier."""

    @property
    def grades(self) -> tuple[str, ...]:
        """The grades of students."""

    @property
    def roles(self) -> tuple[str, ...]:
        """The roles of users."""

    @property
    def courses(self) -> tuple[str, ...]:
        """The courses, by courseCode or sourcedId."""

    @property
    def enrolled_only(self) -> bool:
        """Whether users need an enrollment."""

    @property
    def blank(self) -> tuple[str, ...]:
        """Columns that are emptied, as `file.column`."""

    @property
    def is_everything(self) -> bool:
        """Whether nothing is left out."""


def chooses_rows(scope: Scope) -> bool:
    """Return whether a scope leaves rows out, and not only values."""
    return bool(
        scope.schools or scope.grades or scope.roles or scope.courses or scope.enrolled_only
    )


class ScopeFacts:
    """Which rows a scope names. `unmatched` has the names that no row has."""

    def __init__(self, scope: Scope) -> None:
        self._wanted = {
            "schools": fields_of(*scope.schools).hashes(),
            "courses": fields_of(*scope.courses).hashes(),
            "roles": fields_of(*scope.roles).hashes(),
            "grades": fields_of(*scope.grades).hashes(),
        }
        self._student = fields_of("student").hashes()
        self._names = {"schools": scope.schools, "courses": scope.courses}
        self._found: dict[str, Flags] = {
            name: np.zeros(len(values), np.bool_) for name, values in self._wanted.items()
        }

    def __call__(self, file: str, part: Part) -> Mapping[str, npt.NDArray[Any]]:
        """Return the facts of the rows of a part."""
        if file == "orgs":
            return {"named": self._named("schools", file, part, "sourcedId", "identifier")}
        if file == "courses":
            return {"named": self._named("courses", file, part, "sourcedId", "courseCode")}
        if file != "users":
            return {}
        role = part.column(_place(file, "role")).hashes()
        owners, grades = part.column(_place(file, "grades")).items()
        is_grade = np.isin(grades.trimmed().hashes(), self._wanted["grades"])
        return {
            "role": np.isin(role, self._wanted["roles"]),
            "student": role == self._student[0],
            "grade": np.bincount(owners[is_grade], minlength=part.count) > 0,
        }

    def _named(self, what: str, file: str, part: Part, *columns: str) -> Flags:
        named = np.zeros(part.count, np.bool_)
        wanted = self._wanted[what]
        for column in columns:
            values: Hashes = part.column(_place(file, column)).hashes()
            named |= np.isin(values, wanted)
            self._found[what] |= np.isin(wanted, values)
        return named

    @property
    def unmatched(self) -> dict[str, list[str]]:
        """The schools and courses of the configuration that the export does not hold."""
        missing = {
            what: [name for name, found in zip(names, self._found[what], strict=True) if not found]
            for what, names in self._names.items()
        }
        return {what: names for what, names in missing.items() if names}


class InScope(Selection):
    """The rows in scope."""

    def __init__(self, scope: Scope, graph: Graph) -> None:
        super().__init__(graph, _asked_for(scope, graph))
        if scope.enrolled_only and {"users", "enrollments"} <= graph.source.files.keys():
            self.reached[ENROLLED] = np.zeros(graph.records["users"].count, np.bool_)

    def finish(self, name: str) -> None:
        """Take away who is not enrolled, once all enrollments have passed."""
        if name == "enrollments" and ENROLLED in self.reached:
            users, enrolled = self.graph.records["users"], self.reached[ENROLLED]
            rows, firsts = users.index.twins
            enrolled[rows] = enrolled[firsts]
            self.keep["users"] &= enrolled


def _asked_for(scope: Scope, graph: Graph) -> dict[str, Flags]:
    """Return the rows that a scope names, of the files that others refer to."""
    keep = graph.all_rows()
    if scope.schools and "orgs" in keep:
        below = _below(graph)
        keep["orgs"] = below | _above(graph, below)
        if "users" in keep:
            keep["users"] &= _users_of(graph, below, keep["orgs"])
    if scope.courses and "courses" in keep:
        keep["courses"] &= graph.records["courses"].facts.get("named", keep["courses"])
    if "users" in keep and graph.records["users"].facts:
        facts = graph.records["users"].facts
        if scope.roles:
            keep["users"] &= facts["role"]
        if scope.grades:
            keep["users"] &= ~facts["student"] | facts["grade"]
    return keep


def _parents(graph: Graph) -> npt.NDArray[np.int32]:
    orgs = graph.records["orgs"]
    nobody = np.full(orgs.count, NOTHING, np.int32)
    return orgs.single.get("parentSourcedId", nobody)


def _below(graph: Graph) -> Flags:
    """Return the orgs that are named, and all below them."""
    orgs, parents = graph.records["orgs"], _parents(graph)
    keep: Flags = orgs.facts.get("named", np.zeros(orgs.count, np.bool_)).copy()
    while True:
        more = keep | ((parents >= 0) & orgs.present(keep)[np.maximum(parents, 0)])
        if (more == keep).all():
            return keep
        keep = more


def _above(graph: Graph, below: Flags) -> Flags:
    """Return all orgs above some."""
    parents = _parents(graph)
    above = np.zeros(len(below), np.bool_)
    while True:
        children = below | above
        more = above.copy()
        more[parents[children & (parents >= 0)]] = True
        if (more == above).all():
            return above
        above = more


def _users_of(graph: Graph, below: Flags, orgs: Flags) -> Flags:
    """Return the users who belong to a chosen org, or, unless students, to one above."""
    users, records = graph.records["users"], graph.records["orgs"]
    lists = users.lists.get("orgSourcedIds")
    if lists is None:
        return np.ones(users.count, np.bool_)
    here, elsewhere = reached(lists, records.present(below), users.count)
    above, _ = reached(lists, records.present(orgs), users.count)
    stays: Flags = here | ~elsewhere | (above & ~users.facts["student"])
    return stays


def _place(file: str, column: str) -> int:
    names = [one["name"] for one in spec("oneroster-1.1")["files"][file]["columns"]]
    return names.index(column)
