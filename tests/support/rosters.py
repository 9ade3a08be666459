"""Invent OneRoster 1.1 packages: valid ones of any size, and ones with any single defect.

Every person, school and class is invented. The same options give the same bytes. Packages without a
defect are written row by row, so size costs time, but no memory.

    python tests/support/rosters.py OUT.zip [--students N] [--seed S] [--revision R] [--defect NAME]...
    python tests/support/rosters.py OUT.zip --district NAME [--revision R] [--defect NAME]...
"""

from __future__ import annotations

import argparse
import csv
import functools
import hashlib
import io
import random
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HEADERS = {
    "academicSessions": "sourcedId,status,dateLastModified,title,type,startDate,endDate,parentSourcedId,schoolYear",
    "categories": "sourcedId,status,dateLastModified,title",
    "classes": "sourcedId,status,dateLastModified,title,grades,courseSourcedId,classCode,classType,location,schoolSourcedId,termSourcedIds,subjects,subjectCodes,periods",
    "classResources": "sourcedId,status,dateLastModified,title,classSourcedId,resourceSourcedId",
    "courses": "sourcedId,status,dateLastModified,schoolYearSourcedId,title,courseCode,grades,orgSourcedId,subjects,subjectCodes",
    "courseResources": "sourcedId,status,dateLastModified,title,courseSourcedId,resourceSourcedId",
    "demographics": "sourcedId,status,dateLastModified,birthDate,sex,americanIndianOrAlaskaNative,asian,blackOrAfricanAmerican,nativeHawaiianOrOtherPacificIslander,white,demographicRaceTwoOrMoreRaces,hispanicOrLatinoEthnicity,countryOfBirthCode,stateOfBirthAbbreviation,cityOfBirth,publicSchoolResidenceStatus",
    "enrollments": "sourcedId,status,dateLastModified,classSourcedId,schoolSourcedId,userSourcedId,role,primary,beginDate,endDate",
    "lineItems": "sourcedId,status,dateLastModified,title,description,assignDate,dueDate,classSourcedId,categorySourcedId,gradingPeriodSourcedId,resultValueMin,resultValueMax",
    "orgs": "sourcedId,status,dateLastModified,name,type,identifier,parentSourcedId",
    "resources": "sourcedId,status,dateLastModified,vendorResourceId,title,roles,importance,vendorId,applicationId",
    "results": "sourcedId,status,dateLastModified,lineItemSourcedId,studentSourcedId,scoreStatus,score,scoreDate,comment",
    "users": "sourcedId,status,dateLastModified,enabledUser,orgSourcedIds,role,username,userIds,givenName,familyName,middleName,identifier,email,sms,phone,agentSourcedIds,grades,password",
}  # fmt: skip
FILES = list(HEADERS)
ROSTERING = [
    "academicSessions",
    "classes",
    "courses",
    "demographics",
    "enrollments",
    "orgs",
    "users",
]
GIVEN = ["Zubenel", "Quorra", "Vexil", "Thandor", "Ysolde", "Brimble", "Caspio", "Dorvane"]
FAMILY = ["Marzipan", "Quillfeather", "O'Thistle", "Wobbleton", "Größinger", "Nettle-Ash", "Umbra"]
CATEGORIES = ["Homework", "Quiz"]
CLASS_SIZE = 25
YEAR = ("2026-08-10", "2027-06-11")
MODIFIED = "2026-09-01T00:00:00Z"

Row = list[str]
Table = list[Row]
Record = tuple[bool, Row]  # whether it is gone, and its values without status and dateLastModified


@dataclass(frozen=True)
class District:
    """The options of an invented district.

    Each teacher and each student has `enrollments_each` classes. `id_length` is the length of
    sourcedIds, which are then hexadecimal. With 0 they are words (`class-0`). A `revision` moves
    the classes to other rooms and changes nothing else.

    One school (by its number) and the first few students can be gone. In a bulk package they are
    absent. With `mode` "delta" they are `tobedeleted`, and the package still holds all other
    records. `rekey` gives every user another sourcedId. With `disabled` no user is enabled. `full`
    adds the files for grades and resources.
    """

    students: int = 300
    schools: int = 3
    seed: int = 1
    enrollments_each: int = 1
    id_length: int = 0
    revision: int = 0
    without_school: int | None = None
    drop_students: int = 0
    rekey: bool = False
    disabled: bool = False
    full: bool = False
    mode: str = "bulk"

    @property
    def files(self) -> list[str]:
        """Return the files of the package, without the manifest."""
        return FILES if self.full else ROSTERING

    @property
    def teachers(self) -> int:
        """Return the number of teachers. Teacher `t` is at school `t % schools`."""
        return max(1, self.students // CLASS_SIZE)

    def classes_of(self, teacher: int) -> range:
        """Return the numbers of a teacher's classes."""
        return range(teacher * self.enrollments_each, (teacher + 1) * self.enrollments_each)

    def classes(self) -> Iterator[tuple[int, int]]:
        """Yield the numbers of all classes, each with its school's."""
        for teacher in range(self.teachers):
            for number in self.classes_of(teacher):
                yield number, teacher % self.schools

    def pupils(self) -> Iterator[tuple[str, int, bool]]:
        """Yield each student's name, the number of the teacher, and whether the student is gone."""
        for number in range(self.students):
            teacher = number % self.teachers
            is_gone = number < self.drop_students or self.is_closed(teacher % self.schools)
            yield f"{self.seed}-s{number}", teacher, is_gone

    def is_closed(self, school: int) -> bool:
        """Return whether a school is gone."""
        return school == self.without_school

    def id(self, name: str) -> str:
        """Return the sourcedId of any record except a user."""
        if not self.id_length:
            return name
        size = (self.id_length + 1) // 2
        return hashlib.blake2b(name.encode(), digest_size=size).hexdigest()[: self.id_length]

    def user_id(self, name: str) -> str:
        """Return the sourcedId of a user."""
        return self.id(f"new-{name}" if self.rekey else name)

    def chance(self, file: str) -> random.Random:
        """Return the random generator of a file. It does not depend on the other files."""
        return random.Random(f"{self.seed} {file}")

    def manifest(self) -> Iterator[Row]:
        """Return the manifest's rows, its header first."""
        yield ["propertyName", "value"]
        yield ["manifest.version", "1.0"]
        yield ["oneroster.version", "1.1"]
        for file in FILES:
            yield [f"file.{file}", self.mode if file in self.files else "absent"]
        yield ["source.systemName", "Invented SIS"]
        yield ["source.systemCode", "invented"]

    def rows(self, file: str) -> Iterator[Row]:
        """Yield a file's rows, its header first."""
        yield HEADERS[file].split(",")
        is_delta = self.mode == "delta"
        for is_gone, (sourced_id, *values) in RECORDS[file](self):
            if is_delta:
                yield [sourced_id, "tobedeleted" if is_gone else "active", MODIFIED, *values]
            elif not is_gone:
                yield [sourced_id, "", "", *values]

    def tables(self) -> Iterator[tuple[str, Iterator[Row]]]:
        """Yield all files in the order of the archive, by name, each with its rows."""
        yield "manifest", self.manifest()
        for file in self.files:
            yield file, self.rows(file)


# ---- what a row of each file looks like ---------------------------------------------------------


def _sessions(d: District) -> Iterator[Record]:
    yield False, [d.id("year"), "Year 2026-27", "schoolYear", *YEAR, "", "2027"]
    for name, kind, *days, parent in (
        ("fall", "semester", "2026-08-10", "2026-12-20", "year"),
        ("spring", "semester", "2027-01-05", "2027-06-11", "year"),
        ("quarter", "gradingPeriod", "2026-08-10", "2026-10-09", "fall"),
    ):
        if d.full or kind == "semester":
            yield False, [d.id(name), name.title(), kind, *days, d.id(parent), "2027"]


def _categories(d: District) -> Iterator[Record]:
    for title in CATEGORIES:
        yield False, [d.id(f"category-{title}"), title]


def _classes(d: District) -> Iterator[Record]:
    for c, s in d.classes():
        yield d.is_closed(s), [
            d.id(f"class-{c}"), f"Reading {c}", "03", d.id(f"course-{s}"), f"R-{c}", "scheduled",
            f"Room {c}.{d.revision}", d.id(f"school-{s}"),
            f"{d.id('fall')},{d.id('spring')}", "Reading", "01001", "1,2",
        ]  # fmt: skip


def _class_resources(d: District) -> Iterator[Record]:
    for c, s in d.classes():
        about = [d.id(f"class-{c}"), d.id(f"resource-{s}")]
        yield d.is_closed(s), [d.id(f"class-{c}-resource"), f"Reader of class {c}", *about]


def _courses(d: District) -> Iterator[Record]:
    for s in range(d.schools):
        yield d.is_closed(s), [
            d.id(f"course-{s}"), d.id("year"), "Invented Reading", f"R{s}", "03,04",
            d.id(f"school-{s}"), "Reading", "01001",
        ]  # fmt: skip


def _course_resources(d: District) -> Iterator[Record]:
    for s in range(d.schools):
        about = [d.id(f"course-{s}"), d.id(f"resource-{s}")]
        yield d.is_closed(s), [d.id(f"course-{s}-resource"), f"Reader of course {s}", *about]


def _demographics(d: District) -> Iterator[Record]:
    chance = d.chance("demographics")
    for name, _, is_gone in d.pupils():
        born = f"{chance.randint(2010, 2020)}-{chance.randint(1, 12):02}-{chance.randint(1, 28):02}"
        sex, flags = chance.choice(["female", "male"]), chance.choices(["true", "false"], k=7)
        yield is_gone, [d.user_id(name), born, sex, *flags, "US", "CA", "Nowhere", "01652"]


def _enrollments(d: District) -> Iterator[Record]:
    classes = [d.id(f"class-{c}") for c, _ in d.classes()]
    schools = [d.id(f"school-{s}") for s in range(d.schools)]

    def row(name: str, c: int, teacher: int, user: str, *role: str) -> Row:
        return [d.id(name), classes[c], schools[teacher % d.schools], user, *role, *YEAR]

    for t in range(d.teachers):
        user, is_gone = d.user_id(f"{d.seed}-t{t}"), d.is_closed(t % d.schools)
        for c in d.classes_of(t):
            yield is_gone, row(f"e-t{c}", c, t, user, "teacher", "true")
    for number, (name, t, is_gone) in enumerate(d.pupils()):
        user = d.user_id(name)
        for place, c in enumerate(d.classes_of(t)):
            which = f"{number}-{place}" if place else number
            yield is_gone, row(f"e-s{which}", c, t, user, "student", "")


def _line_items(d: District) -> Iterator[Record]:
    days = ["2026-09-01", "2026-09-15"]
    for c, s in d.classes():
        for title in CATEGORIES:
            yield d.is_closed(s), [
                d.id(f"item-{c}-{title}"), f"{title} 1", f"First {title.lower()}", *days,
                d.id(f"class-{c}"), d.id(f"category-{title}"), d.id("quarter"), "0", "100.0",
            ]  # fmt: skip


def _orgs(d: District) -> Iterator[Record]:
    yield False, [d.id("district"), f"Invented District {d.seed}", "district", "0600001", ""]
    for s in range(d.schools):
        about = [f"Invented School {s}", "school", f"{s:07}", d.id("district")]
        yield d.is_closed(s), [d.id(f"school-{s}"), *about]


def _resources(d: District) -> Iterator[Record]:
    for s in range(d.schools):
        about = [f"v-{s}", f"Reader {s}", "teacher,student", "primary", "invented", "reader"]
        yield d.is_closed(s), [d.id(f"resource-{s}"), *about]


def _results(d: District) -> Iterator[Record]:
    chance = d.chance("results")
    for name, t, is_gone in d.pupils():
        for c in d.classes_of(t):
            for title in CATEGORIES:
                score = str(chance.randint(50, 100))
                yield is_gone, [
                    d.id(f"result-{name}-{c}-{title}"), d.id(f"item-{c}-{title}"),
                    d.user_id(name), "fully graded", score, "2026-09-16", "",
                ]  # fmt: skip


def _users(d: District) -> Iterator[Record]:
    chance = d.chance("users")
    enabled = "false" if d.disabled else "true"
    schools = [d.id(f"school-{s}") for s in range(d.schools)]

    def row(name: str, teacher: int, role: str, grade: str) -> Row:
        return [
            d.user_id(name), enabled, schools[teacher % d.schools], role, f"u.{name}",
            f"{{LDAP:{name}}}", chance.choice(GIVEN), chance.choice(FAMILY), "", name,
            f"{name}@invented.example", "", "", "", grade, "",
        ]  # fmt: skip

    for t in range(d.teachers):
        yield d.is_closed(t % d.schools), row(f"{d.seed}-t{t}", t, "teacher", "")
    for name, t, is_gone in d.pupils():
        yield is_gone, row(name, t, "student", f"{chance.randint(1, 12):02}")


RECORDS: dict[str, Callable[[District], Iterator[Record]]] = {
    "academicSessions": _sessions,
    "categories": _categories,
    "classes": _classes,
    "classResources": _class_resources,
    "courses": _courses,
    "courseResources": _course_resources,
    "demographics": _demographics,
    "enrollments": _enrollments,
    "lineItems": _line_items,
    "orgs": _orgs,
    "resources": _resources,
    "results": _results,
    "users": _users,
}


# ---- packages -----------------------------------------------------------------------------------


@dataclass
class Package:
    """A package under construction: rows (header first) by file, and the manifest's rows."""

    tables: dict[str, Table]
    manifest: Table

    def column(self, file: str, name: str) -> int:
        """Return the index of a column."""
        return self.tables[file][0].index(name)

    def set(self, file: str, row: int, name: str, value: str) -> None:
        """Set a value. `row` counts as a spreadsheet does, so the header is row 1."""
        self.tables[file][row - 1][self.column(file, name)] = value

    def members(self) -> list[tuple[str, bytes]]:
        """Return the archive's members, name and content, in a fixed order."""
        tables = {"manifest": self.manifest, **self.tables}
        return [(f"{name}.csv", to_csv(rows)) for name, rows in tables.items()]


def write_csv(text: io.TextIOBase, rows: Iterable[Row]) -> None:
    """Format rows as in RFC 4180."""
    csv.writer(text, lineterminator="\r\n").writerows(rows)


def to_csv(rows: Table) -> bytes:
    """Return rows as a file's content in UTF-8."""
    text = io.StringIO(newline="")
    write_csv(text, rows)
    return text.getvalue().encode()


def member(name: str) -> zipfile.ZipInfo:
    """Return a member of an archive whose bytes depend only on its name and content."""
    info = zipfile.ZipInfo(name, (2026, 8, 1, 0, 0, 0))
    info.compress_type = zipfile.ZIP_DEFLATED
    return info


def to_zip(members: list[tuple[str, bytes]]) -> bytes:
    """Return the bytes of an archive."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as out:
        for name, content in members:
            out.writestr(member(name), content)
    return archive.getvalue()


def invent(**values: Any) -> Package:
    """Return a valid package that can be changed. The values are those of `District`."""
    district = District(**values)
    tables = {file: list(rows) for file, rows in district.tables()}
    return Package(tables, tables.pop("manifest"))


def write(path: Path, **values: Any) -> None:
    """Write a valid package row by row. The values are those of `District`."""
    with zipfile.ZipFile(path, "w") as out:
        for file, rows in District(**values).tables():
            with (
                out.open(member(f"{file}.csv"), "w") as content,
                io.TextIOWrapper(content, "utf-8", newline="") as text,
            ):
                write_csv(text, rows)


@dataclass(frozen=True)
class Defect:
    """One defect: how to make it, and the expected finding."""

    rule: str
    file: str
    column: str = ""
    row: int = 0
    change: Callable[[Package], None] | None = None
    pack: Callable[[list[tuple[str, bytes]]], bytes] | None = None
    full: bool = False  # whether it is in the files for grades and resources
    severity: str = ""  # where it is another one than the rule's own


def _value(
    rule: str, file: str, column: str, value: str, row: int = 3, severity: str = ""
) -> Defect:
    def change(package: Package) -> None:
        package.set(file, row, column, value)

    return Defect(rule, f"{file}.csv", column, row, change, severity=severity)


def _bytes(rule: str, file: str, change: Callable[[bytes], bytes], row: int = 0) -> Defect:
    def pack(members: list[tuple[str, bytes]]) -> bytes:
        return to_zip([(n, change(c) if n == f"{file}.csv" else c) for n, c in members])

    return Defect(rule, f"{file}.csv", "", row, pack=pack)


def _members(
    rule: str, file: str, change: Callable[[list[tuple[str, bytes]]], list[tuple[str, bytes]]]
) -> Defect:
    return Defect(rule, file, pack=lambda members: to_zip(change(members)))


def _rename(old: str, new: str) -> Callable[[list[tuple[str, bytes]]], list[tuple[str, bytes]]]:
    return lambda members: [(new if n == old else n, c) for n, c in members]


def _duplicate(p: Package) -> None:
    p.set("users", 5, "sourcedId", p.tables["users"][3][0])


def _absent(p: Package, file: str) -> None:
    del p.tables[file]
    p.manifest[p.manifest.index([f"file.{file}", "bulk"])][1] = "absent"


def _manifest_alone(p: Package) -> None:
    p.tables = {}
    p.manifest = [[name, "absent" if value == "bulk" else value] for name, value in p.manifest]


def _circle(p: Package) -> None:
    p.set("orgs", 3, "parentSourcedId", "school-1")
    p.set("orgs", 4, "parentSourcedId", "school-0")


def _flip(content: bytes) -> bytes:
    """Damage the packed bytes of the largest member, so that its checksum fails."""
    middle = len(content) // 2
    return (
        content[:middle]
        + bytes(b ^ 0xFF for b in content[middle : middle + 40])
        + content[middle + 40 :]
    )


def _encrypt(content: bytes) -> bytes:
    """Set the flag `encrypted` of every member, in the central directory and the headers."""
    data = bytearray(content)
    for mark, offset in ((b"PK\x01\x02", 8), (b"PK\x03\x04", 6)):
        at = data.find(mark)
        while at >= 0:
            data[at + offset] |= 1
            at = data.find(mark, at + 4)
    return bytes(data)


DEFECTS: dict[str, Defect] = {
    "not-a-zip": Defect("package.not-zip", "", pack=lambda m: b"this is no archive"),
    "cut-off": Defect("package.not-zip", "", pack=lambda m: to_zip(m)[:-200]),
    "two-archives": Defect("package.ambiguous", "the package", pack=lambda m: to_zip(m[:2]) + to_zip(m)),
    "damaged": Defect("package.damaged", "", pack=lambda m: _flip(to_zip(m))),
    "encrypted": Defect("package.encrypted", "users.csv", pack=lambda m: _encrypt(to_zip(m))),
    "bomb": _members("package.too-large", "users.csv", lambda m: [(n, b"x" * 30_000_000 if n == "users.csv" else c) for n, c in m]),
    "inner-folder": _members("package.folder", "users.csv", lambda m: [(f"export/{n}", c) for n, c in m]),
    "absolute-path": _members("package.path", "users.csv", _rename("users.csv", "/etc/users.csv")),
    "path-outwards": _members("package.path", "another file", lambda m: [*m, ("../../etc/passwd", b"x")]),
    "path-of-windows": _members("package.path", "another file", lambda m: [*m, ("C:\\export\\x.txt", b"x")]),
    "foreign-bomb": _members("package.too-large", "another file", lambda m: [*m, ("x.bin", b"x" * 30_000_000)]),
    "macos-leftover": _members("package.litter", "another file", lambda m: [*m, ("__MACOSX/users.csv", b"x")]),
    "wrong-case": _members("package.case", "academicSessions.csv", _rename("academicSessions.csv", "academicsessions.csv")),
    "member-twice": _members("package.duplicate", "users.csv", lambda m: [*m, *[x for x in m if x[0] == "users.csv"]]),
    "foreign-member": _members("package.foreign", "another file", lambda m: [*m, ("notes.txt", b"x")]),
    "archive-within": _members("package.nested", "another file", lambda m: [*m, ("inner.zip", b"x")]),
    "without-needed": Defect("package.needs", "classes.csv", change=lambda p: _absent(p, "courses")),
    "manifest-alone": Defect("manifest.only", "manifest.csv", change=_manifest_alone),
    "no-manifest": _members("manifest.missing", "manifest.csv", lambda m: m[1:]),
    "no-demographics": Defect("imagine.required-file", "demographics.csv", change=lambda p: _absent(p, "demographics")),
    "announced-not-there": _members("manifest.not-delivered", "courses.csv", lambda m: [x for x in m if x[0] != "courses.csv"]),
    "there-not-announced": Defect("manifest.not-announced", "courses.csv", change=lambda p: p.manifest.__setitem__(7, ["file.courses", "absent"])),
    "manifest-property-missing": Defect("manifest.property", "manifest.csv", "file.results", change=lambda p: p.manifest.remove(["file.results", "absent"])),
    "manifest-twice": Defect("manifest.twice", "manifest.csv", "", 19, change=lambda p: p.manifest.append(["file.users", "bulk"])),
    "manifest-version": Defect("manifest.value", "manifest.csv", "oneroster.version", 3, change=lambda p: p.manifest.__setitem__(2, ["oneroster.version", "1.2"])),
    "manifest-unknown": Defect("manifest.unknown", "manifest.csv", "", 19, change=lambda p: p.manifest.append(["file.roles", "absent"])),
    "empty-file": _bytes("csv.empty", "users", lambda c: b""),
    "header-only": _bytes("csv.no-rows", "demographics", lambda c: c.split(b"\r\n")[0] + b"\r\n"),
    "header-misspelt": _bytes("csv.header", "users", lambda c: c.replace(b"familyName", b"lastName", 1), 1),
    "header-order": _bytes("csv.header", "orgs", lambda c: c.replace(b"name,type", b"type,name", 1), 1),
    "byte-order-mark": _bytes("csv.bom", "users", lambda c: b"\xef\xbb\xbf" + c),
    "line-feeds": _bytes("csv.line-ends", "users", lambda c: c.replace(b"\r\n", b"\n")),
    "endless-line": _bytes("csv.line-length", "orgs", lambda c: c + random.Random(1).randbytes(600_000).hex().encode(), 6),
    "utf-16": _bytes("csv.encoding", "users", lambda c: c.decode().encode("utf-16")),
    "windows-1252": _bytes("csv.encoding", "users", lambda c: c.decode().encode("cp1252")),
    "nul": _bytes("csv.nul", "users", lambda c: c.replace(b"true", b"tr\0e", 1)),
    "quote-open": _bytes("csv.quotes", "orgs", lambda c: c.replace(b"Invented School 1", b'"Invented School 1', 1)),
    "ragged": _bytes("csv.row-width", "orgs", lambda c: c.replace(b"Invented School 0,", b"Invented School 0,extra,", 1), 3),
    "line-break": Defect("csv.line-break", "orgs.csv", "", 3, lambda p: p.set("orgs", 3, "name", "two\nlines")),
    "required-empty": _value("value.required", "users", "familyName", "", 30),
    "bulk-with-status": _value("value.bulk-only-empty", "users", "status", "active"),
    "role": _value("value.enum", "users", "role", "Student", 20),
    "boolean": _value("value.enum", "users", "enabledUser", "TRUE"),
    "date": _value("value.format", "academicSessions", "startDate", "08/10/2026"),
    "no-such-day": _value("value.format", "academicSessions", "startDate", "2026-02-30"),
    "user-ids": _value("value.format", "users", "userIds", "plain", severity="warning"),
    "odd-sourcedid": _value("value.unusual", "academicSessions", "sourcedId", "fall term", 3),
    "list-blank": _value("value.list-blank", "classes", "termSourcedIds", "fall, spring", severity="fault"),
    "duplicate-sourcedid": Defect("value.unique", "users.csv", "sourcedId", 5, _duplicate),
    "unknown-class": _value("reference.missing", "enrollments", "classSourcedId", "class-99999", 30),
    "unknown-parent": _value("reference.missing", "orgs", "parentSourcedId", "nowhere"),
    "unknown-in-list": _value("reference.missing", "classes", "termSourcedIds", "fall,never"),
    "school-is-district": _value("reference.type", "classes", "schoolSourcedId", "district"),
    "grade-without-zero": _value("value.vocabulary", "users", "grades", "3", 20),
    "session-backwards": _value("value.order", "academicSessions", "endDate", "2026-01-01"),
    "subjects-unequal": _value("value.parallel", "classes", "subjectCodes", "01001,01002"),
    "username-twice": Defect("value.usually-unique", "users.csv", "username", 5, lambda p: p.set("users", 5, "username", p.tables["users"][3][6])),
    "two-schools": _value("imagine.one-school", "users", "orgSourcedIds", "school-0,school-1", 30),
    "parents-in-a-circle": Defect("reference.circle", "orgs.csv", "parentSourcedId", 3, _circle),
    "enrolled-elsewhere": _value("enrollment.school", "enrollments", "schoolSourcedId", "school-1", 2),
    "enrolled-before-term": _value("enrollment.term", "enrollments", "beginDate", "2025-01-01"),
    "primary-student": _value("enrollment.primary", "enrollments", "primary", "true", 20),
    "two-primary-teachers": Defect("enrollment.two-primary", "enrollments.csv", "primary", 3, lambda p: p.set("enrollments", 3, "classSourcedId", "class-0")),
    "no-grading-period": Defect("reference.unusual-type", "lineItems.csv", "gradingPeriodSourcedId", 3, lambda p: p.set("lineItems", 3, "gradingPeriodSourcedId", "fall"), full=True),
    "score-too-high": Defect("result.score", "results.csv", "score", 3, lambda p: p.set("results", 3, "score", "101"), full=True),
}  # fmt: skip


def build(*, defect: str = "", **values: Any) -> bytes:
    """Return the bytes of a package. Raise KeyError for a defect that is not in `DEFECTS`."""
    return _built(defect, **values)


@functools.cache
def _built(defect: str, **values: Any) -> bytes:
    return build_with([defect] if defect else [], **values)


def build_with(defects: Sequence[str], **values: Any) -> bytes:
    """Return the bytes of a package with several defects. At most one may concern the packing."""
    wrong = [DEFECTS[name] for name in defects]
    package = invent(**{"full": any(each.full for each in wrong), **values})
    for each in wrong:
        if each.change:
            each.change(package)
    pack = next((each.pack for each in wrong if each.pack), to_zip)
    return pack(package.members())


# Options that are values of a District, with their help texts.
NUMBERS = {
    "students": "how many students",
    "schools": "how many schools",
    "seed": "another one is another district",
    "enrollments_each": "how many classes each teacher and student has",
    "id_length": "the length of a sourcedId; 0 makes them words",
    "revision": "another one is the same district with its classes in other rooms",
    "without_school": "the number of a school that is gone, with all that belongs to it",
    "drop_students": "how many students are gone, the first ones",
}
SWITCHES = {
    "rekey": "every user has another sourcedId",
    "disabled": "no user is enabled",
    "full": "all files, those for grades and resources, too",
}


def main(words: Sequence[str] | None = None) -> None:
    """Write a package as a command line asks, by default this program's own."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path)
    for name, told in NUMBERS.items():
        option = f"--{name.replace('_', '-')}"
        parser.add_argument(option, type=int, default=getattr(District, name), help=told)
    for name, told in SWITCHES.items():
        parser.add_argument(f"--{name}", action="store_true", help=told)
    parser.add_argument("--mode", choices=["bulk", "delta"], default=District.mode)
    parser.add_argument("--defect", choices=sorted(DEFECTS), action="append", default=[])
    parser.add_argument("--district", help="sets seed and size, the same for the same name")
    values = vars(parser.parse_args(words))
    out, defects, name = (values.pop(key) for key in ("out", "defect", "district"))
    if name:
        values["seed"] = int(hashlib.sha256(name.encode()).hexdigest()[:6], 16)
        values["students"] = 200 + values["seed"] % 300
    out.parent.mkdir(parents=True, exist_ok=True)
    if defects:
        out.write_bytes(build_with(defects, **values))
    else:
        write(out, **values)


if __name__ == "__main__":
    main()
