"""Selects the rows in a feed's scope, and the rows that they refer to.

schools         keeps the named orgs, all below and all above them. Removes classes, enrollments
                and users of other orgs. A user who belongs only to an org above stays unless the
                user is a student, since a district's staff see all of its schools.
courses         keeps the courses named by courseCode or sourcedId, and their classes.
roles           removes users of other roles.
grades          removes students of other grades or without a grade. All other users stay.
enrolled_only   removes users of any role without an enrollment in scope.

A row with a reference to a row that never was in the export stays, so that validation reports it.
It is removed if another of its references is out of scope.
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
    """A feed's scope. An empty setting sets no limit."""

    @property
    def schools(self) -> tuple[str, ...]:
        """Return the orgs, by sourcedId or identifier."""

    @property
    def grades(self) -> tuple[str, ...]:
        """Return the grades of students."""

    @property
    def roles(self) -> tuple[str, ...]:
        """Return the roles of users."""

    @property
    def courses(self) -> tuple[str, ...]:
        """Return the courses, by courseCode or sourcedId."""

    @property
    def enrolled_only(self) -> bool:
        """Return whether users need an enrollment."""

    @property
    def blank(self) -> tuple[str, ...]:
        """Return the columns that are emptied, as `file.column`."""

    @property
    def is_everything(self) -> bool:
        """Return whether the scope excludes nothing."""


def chooses_rows(scope: Scope) -> bool:
    """Return whether a scope excludes rows, and not only values."""
    return bool(
        scope.schools or scope.grades or scope.roles or scope.courses or scope.enrolled_only
    )


class ScopeFacts:
    """Finds the rows that a scope names. `unmatched` has the names without a row."""

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
        """Return facts about the rows of a part."""
        if file == "orgs":
            return {"named": self._named("schools", file, part, "sourcedId", "identifier")}
        if file == "courses":
            return {"named": self._named("courses", file, part, "sourcedId", "courseCode")}
        if file != "users":
            return {}
        role = part.column(_column_number(file, "role")).hashes()
        owners, grades = part.column(_column_number(file, "grades")).items()
        is_grade = np.isin(grades.trimmed().hashes(), self._wanted["grades"])
        return {
            "role": np.isin(role, self._wanted["roles"]),
            "student": role == self._student[0],
            "grade": np.bincount(owners[is_grade], minlength=part.count) > 0,
        }

    def _named(self, setting: str, file: str, part: Part, *columns: str) -> Flags:
        """Return which rows of a part a setting names."""
        named = np.zeros(part.count, np.bool_)
        wanted = self._wanted[setting]
        for column in columns:
            values: Hashes = part.column(_column_number(file, column)).hashes()
            named |= np.isin(values, wanted)
            self._found[setting] |= np.isin(wanted, values)
        return named

    @property
    def unmatched(self) -> dict[str, list[str]]:
        """Return the schools and courses of the configuration that are not in the export."""
        missing = {
            setting: [
                name for name, found in zip(names, self._found[setting], strict=True) if not found
            ]
            for setting, names in self._names.items()
        }
        return {setting: names for setting, names in missing.items() if names}


class InScope(Selection):
    """The rows in scope."""

    def __init__(self, scope: Scope, graph: Graph) -> None:
        super().__init__(graph, _asked_for(scope, graph))
        if scope.enrolled_only and {"users", "enrollments"} <= graph.source.files.keys():
            self.reached[ENROLLED] = np.zeros(graph.records["users"].count, np.bool_)

    def finish(self, name: str) -> None:
        """Remove users who are not enrolled, after all enrollments have been copied."""
        if name == "enrollments" and ENROLLED in self.reached:
            users, enrolled = self.graph.records["users"], self.reached[ENROLLED]
            rows, firsts = users.index.twins
            enrolled[rows] = enrolled[firsts]
            self.keep["users"] &= enrolled


def _asked_for(scope: Scope, graph: Graph) -> dict[str, Flags]:
    """Return the rows that a scope names, for the files that others refer to."""
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
    """Return the named orgs, and all below them."""
    orgs, parents = graph.records["orgs"], _parents(graph)
    keep: Flags = orgs.facts.get("named", np.zeros(orgs.count, np.bool_)).copy()
    while True:
        more = keep | ((parents >= 0) & orgs.present(keep)[np.maximum(parents, 0)])
        if (more == keep).all():
            return keep
        keep = more


def _above(graph: Graph, below: Flags) -> Flags:
    """Return the orgs above the given ones."""
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
    """Return the users of a chosen org, and the users of orgs above who are not students."""
    users, records = graph.records["users"], graph.records["orgs"]
    lists = users.lists.get("orgSourcedIds")
    if lists is None:
        return np.ones(users.count, np.bool_)
    here, elsewhere = reached(lists, records.present(below), users.count)
    above, _ = reached(lists, records.present(orgs), users.count)
    stays: Flags = here | ~elsewhere | (above & ~users.facts["student"])
    return stays


def _column_number(file: str, column: str) -> int:
    names = [one["name"] for one in spec("oneroster-1.1")["files"][file]["columns"]]
    return names.index(column)
