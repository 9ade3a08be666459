"""Invents OneRoster 1.1 packages: valid ones of any size, and ones with any single defect.

Every person, school and class in them is made up; the same seed gives the same bytes.

    python tests/rosters.py OUT.zip [--students N] [--seed S] [--revision R] [--defect NAME]
    python tests/rosters.py OUT.zip --district NAME [--revision R] [--defect NAME]
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import io
import random
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

FILES = [
    "academicSessions", "categories", "classes", "classResources", "courses", "courseResources",
    "demographics", "enrollments", "lineItems", "orgs", "resources", "results", "users",
]  # fmt: skip
HEADERS = {
    "academicSessions": "sourcedId,status,dateLastModified,title,type,startDate,endDate,parentSourcedId,schoolYear",
    "classes": "sourcedId,status,dateLastModified,title,grades,courseSourcedId,classCode,classType,location,schoolSourcedId,termSourcedIds,subjects,subjectCodes,periods",
    "courses": "sourcedId,status,dateLastModified,schoolYearSourcedId,title,courseCode,grades,orgSourcedId,subjects,subjectCodes",
    "demographics": "sourcedId,status,dateLastModified,birthDate,sex,americanIndianOrAlaskaNative,asian,blackOrAfricanAmerican,nativeHawaiianOrOtherPacificIslander,white,demographicRaceTwoOrMoreRaces,hispanicOrLatinoEthnicity,countryOfBirthCode,stateOfBirthAbbreviation,cityOfBirth,publicSchoolResidenceStatus",
    "enrollments": "sourcedId,status,dateLastModified,classSourcedId,schoolSourcedId,userSourcedId,role,primary,beginDate,endDate",
    "orgs": "sourcedId,status,dateLastModified,name,type,identifier,parentSourcedId",
    "users": "sourcedId,status,dateLastModified,enabledUser,orgSourcedIds,role,username,userIds,givenName,familyName,middleName,identifier,email,sms,phone,agentSourcedIds,grades,password",
}  # fmt: skip
GIVEN = ["Zubenel", "Quorra", "Vexil", "Thandor", "Ysolde", "Brimble", "Caspio", "Dorvane"]
FAMILY = ["Marzipan", "Quillfeather", "O'Thistle", "Wobbleton", "Größinger", "Nettle-Ash", "Umbra"]
CLASS_SIZE = 25

Table = list[list[str]]


@dataclass
class Package:
    """A package in the making: rows (header first) by file, and the manifest's rows."""

    tables: dict[str, Table]
    manifest: Table

    def column(self, file: str, name: str) -> int:
        """Index of a column."""
        return self.tables[file][0].index(name)

    def set(self, file: str, row: int, name: str, value: str) -> None:
        """Sets a value; `row` counts as a spreadsheet does, the header being row 1."""
        self.tables[file][row - 1][self.column(file, name)] = value

    def members(self) -> list[tuple[str, bytes]]:
        """The archive's members: name and content, in a fixed order."""
        tables = {"manifest": self.manifest, **self.tables}
        return [(f"{name}.csv", to_csv(rows)) for name, rows in tables.items()]


def to_csv(rows: Table) -> bytes:
    """Rows as RFC 4180 asks, UTF-8."""
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\r\n").writerows(rows)
    return text.getvalue().encode()


def to_zip(members: list[tuple[str, bytes]]) -> bytes:
    """A zip whose bytes depend on nothing but its members."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as out:
        for name, content in members:
            out.writestr(
                zipfile.ZipInfo(name, (2026, 8, 1, 0, 0, 0)), content, zipfile.ZIP_DEFLATED
            )
    return archive.getvalue()


def invent(
    *, students: int = 300, schools: int = 3, seed: int = 1, revision: int = 0
) -> Package:
    """A valid bulk package with the eight files of a rostering set.

    Another `revision` holds the same people and classes, in other rooms.
    """
    pick = random.Random(seed)
    t: dict[str, Table] = {name: [header.split(",")] for name, header in HEADERS.items()}
    empty = ["", ""]
    t["academicSessions"] += [
        ["year", *empty, "Year 2026-27", "schoolYear", "2026-08-10", "2027-06-11", "", "2027"],
        ["fall", *empty, "Fall", "semester", "2026-08-10", "2026-12-20", "year", "2027"],
        ["spring", *empty, "Spring", "semester", "2027-01-05", "2027-06-11", "year", "2027"],
    ]
    t["orgs"].append(["district", *empty, f"Invented District {seed}", "district", "0600001", ""])
    classes = max(1, students // CLASS_SIZE)
    for s in range(schools):
        t["orgs"].append(
            [f"school-{s}", *empty, f"Invented School {s}", "school", f"{s:07}", "district"]
        )
        t["courses"].append(
            [
                f"course-{s}",
                *empty,
                "year",
                "Invented Reading",
                f"R{s}",
                "03,04",
                f"school-{s}",
                "Reading",
                "01001",
            ]
        )
    for c in range(classes):
        s = c % schools
        t["classes"].append(
            [
                f"class-{c}",
                *empty,
                f"Reading {c}",
                "03",
                f"course-{s}",
                f"R-{c}",
                "scheduled",
                f"Room {c}.{revision}",
                f"school-{s}",
                "fall,spring",
                "Reading",
                "01001",
                "1,2",
            ]
        )
        add_user(t, pick, f"{seed}-t{c}", f"school-{s}", "teacher", "")
        t["enrollments"].append(
            [
                f"e-t{c}",
                *empty,
                f"class-{c}",
                f"school-{s}",
                f"{seed}-t{c}",
                "teacher",
                "true",
                "2026-08-10",
                "2027-06-11",
            ]
        )
    for n in range(students):
        c = n % classes
        school, user = f"school-{c % schools}", f"{seed}-s{n}"
        add_user(t, pick, user, school, "student", f"{pick.randint(1, 12):02}")
        birth = f"{pick.randint(2010, 2020)}-{pick.randint(1, 12):02}-{pick.randint(1, 28):02}"
        flags = [pick.choice(["true", "false"]) for _ in range(7)]
        t["demographics"].append(
            [
                user,
                *empty,
                birth,
                pick.choice(["female", "male"]),
                *flags,
                "US",
                "CA",
                "Nowhere",
                "01652",
            ]
        )
        t["enrollments"].append(
            [
                f"e-s{n}",
                *empty,
                f"class-{c}",
                school,
                user,
                "student",
                "",
                "2026-08-10",
                "2027-06-11",
            ]
        )
    manifest = [
        ["propertyName", "value"],
        ["manifest.version", "1.0"],
        ["oneroster.version", "1.1"],
    ]
    manifest += [[f"file.{name}", "bulk" if name in t else "absent"] for name in FILES]
    manifest += [["source.systemName", "Invented SIS"], ["source.systemCode", "invented"]]
    return Package(t, manifest)


def add_user(
    t: dict[str, Table], pick: random.Random, user: str, school: str, role: str, grade: str
) -> None:
    given, family = pick.choice(GIVEN), pick.choice(FAMILY)
    email = f"{user}@invented.example"
    t["users"].append(
        [
            user,
            "",
            "",
            "true",
            school,
            role,
            f"u.{user}",
            f"{{LDAP:{user}}}",
            given,
            family,
            "",
            user,
            email,
            "",
            "",
            "",
            grade,
            "",
        ]
    )


@dataclass(frozen=True)
class Defect:
    """One thing wrong: how it is made, and what a validator has to say of it."""

    rule: str
    file: str
    column: str = ""
    row: int = 0
    change: Callable[[Package], None] | None = None
    pack: Callable[[list[tuple[str, bytes]]], bytes] | None = None


def _value(rule: str, file: str, column: str, value: str, row: int = 3) -> Defect:
    return Defect(rule, f"{file}.csv", column, row, lambda p: p.set(file, row, column, value))


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


def _flip(content: bytes) -> bytes:
    """Damages the packed bytes of the largest member, so that its checksum fails."""
    middle = len(content) // 2
    return (
        content[:middle]
        + bytes(b ^ 0xFF for b in content[middle : middle + 40])
        + content[middle + 40 :]
    )


def _encrypt(content: bytes) -> bytes:
    """Sets the flag `encrypted` of every member, in the central directory and the headers."""
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
    "damaged": Defect("package.damaged", "", pack=lambda m: _flip(to_zip(m))),
    "encrypted": Defect("package.encrypted", "users.csv", pack=lambda m: _encrypt(to_zip(m))),
    "bomb": _members("package.too-large", "users.csv", lambda m: [(n, b"x" * 30_000_000 if n == "users.csv" else c) for n, c in m]),
    "inner-folder": _members("package.folder", "users.csv", lambda m: [(f"export/{n}", c) for n, c in m]),
    "absolute-path": _members("package.path", "users.csv", _rename("users.csv", "/etc/users.csv")),
    "path-outwards": _members("package.path", "another file", lambda m: [*m, ("../../etc/passwd", b"x")]),
    "path-of-windows": _members("package.path", "another file", lambda m: [*m, ("C:\\export\\x.txt", b"x")]),
    "foreign-bomb": _members("package.too-large", "another file", lambda m: [*m, ("x.bin", b"x" * 30_000_000)]),
    "macos-leftover": _members("package.foreign", "another file", lambda m: [*m, ("__MACOSX/users.csv", b"x")]),
    "wrong-case": _members("package.case", "academicSessions.csv", _rename("academicSessions.csv", "academicsessions.csv")),
    "member-twice": _members("package.duplicate", "users.csv", lambda m: [*m, *[x for x in m if x[0] == "users.csv"]]),
    "foreign-member": _members("package.foreign", "another file", lambda m: [*m, ("Thumbs.db", b"x")]),
    "no-manifest": _members("manifest.missing", "manifest.csv", lambda m: m[1:]),
    "no-demographics": _members("imagine.required-file", "demographics.csv", lambda m: [x for x in m if x[0] != "demographics.csv"]),
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
    "utf-16": _bytes("csv.encoding", "users", lambda c: c.decode().encode("utf-16")),
    "windows-1252": _bytes("csv.encoding", "users", lambda c: c.decode().encode("cp1252")),
    "nul": _bytes("csv.nul", "users", lambda c: c.replace(b"true", b"tr\0e", 1)),
    "quote-open": _bytes("csv.quotes", "orgs", lambda c: c.replace(b"Invented School 1", b'"Invented School 1', 1)),
    "ragged": _bytes("csv.row-width", "orgs", lambda c: c.replace(b"Invented School 0,", b"Invented School 0,extra,", 1), 3),
    "line-break": Defect("csv.line-break", "orgs.csv", "", 3, lambda p: p.set("orgs", 3, "name", "two\nlines")),
    "required-empty": _value("value.required", "users", "username", ""),
    "bulk-with-status": _value("value.bulk-only-empty", "users", "status", "active"),
    "role": _value("value.enum", "users", "role", "Student", 20),
    "boolean": _value("value.enum", "users", "enabledUser", "TRUE"),
    "date": _value("value.format", "academicSessions", "startDate", "08/10/2026"),
    "no-such-day": _value("value.format", "academicSessions", "startDate", "2026-02-30"),
    "user-ids": _value("value.format", "users", "userIds", "plain"),
    "odd-sourcedid": _value("value.unusual", "academicSessions", "sourcedId", "fall term", 3),
    "list-blank": _value("value.list-blank", "classes", "termSourcedIds", "fall, spring"),
    "duplicate-sourcedid": Defect("value.unique", "users.csv", "sourcedId", 5, _duplicate),
    "unknown-class": _value("reference.missing", "enrollments", "classSourcedId", "class-99999"),
    "unknown-parent": _value("reference.missing", "orgs", "parentSourcedId", "nowhere"),
    "unknown-in-list": _value("reference.missing", "classes", "termSourcedIds", "fall,never"),
    "school-is-district": _value("reference.type", "classes", "schoolSourcedId", "district"),
}  # fmt: skip


def build(
    *, students: int = 300, schools: int = 3, seed: int = 1, revision: int = 0, defect: str = ""
) -> bytes:
    """The bytes of a package; raises KeyError for a defect that is not in `DEFECTS`."""
    package = invent(students=students, schools=schools, seed=seed, revision=revision)
    wrong = DEFECTS[defect] if defect else Defect("", "")
    if wrong.change:
        wrong.change(package)
    return (wrong.pack or to_zip)(package.members())


def main() -> None:
    """Writes a package."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path)
    parser.add_argument("--students", type=int, default=300)
    parser.add_argument("--schools", type=int, default=3)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--revision", type=int, default=0)
    parser.add_argument("--defect", choices=sorted(DEFECTS), default="")
    parser.add_argument("--district", help="sets seed and size, the same for the same name")
    given = parser.parse_args()
    if given.district:
        given.seed = int(hashlib.sha256(given.district.encode()).hexdigest()[:6], 16)
        given.students = 200 + given.seed % 300
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_bytes(
        build(
            students=given.students,
            schools=given.schools,
            seed=given.seed,
            revision=given.revision,
            defect=given.defect,
        )
    )


if __name__ == "__main__":
    main()
