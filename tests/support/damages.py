"""List realistic damages of SIS, databases and spreadsheets, with the right answers.

Each damage is a sample of a kind. The table in the program's README is made from this list.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from support import rosters

Members = list[tuple[str, bytes]]
STUDENTS = 60
ROW = 20  # the damaged row, if there is one, as a spreadsheet counts
SENT, REFUSED = 0, 4


@dataclass(frozen=True)
class Damage:
    """A damage, the answer of `check`, and the finding.

    `says` is in the finding's text. `alone` means that no other rule may be reported.
    """

    kind: str
    exit: int
    severity: str
    rule: str
    where: str  # file, or file.column
    make: Callable[[], bytes]
    says: str = ""
    alone: bool = True


def _package(change: Callable[[rosters.Package], Any]) -> Callable[[], bytes]:
    def make() -> bytes:
        package = rosters.invent(students=STUDENTS, schools=2)
        change(package)
        return rosters.to_zip(package.members())

    return make


def _members(change: Callable[[Members], Members]) -> Callable[[], bytes]:
    return lambda: rosters.to_zip(change(rosters.invent(students=STUDENTS, schools=2).members()))


def one(file: str, column: str, value: str, row: int = ROW) -> Callable[[], bytes]:
    """Give one row another value."""
    return _package(lambda package: package.set(file, row, column, value))


def all_rows(file: str, column: str, value: Callable[[str], str]) -> Callable[[], bytes]:
    """Give every row another value."""

    def change(package: rosters.Package) -> None:
        for row in range(2, len(package.tables[file]) + 1):
            place = package.column(file, column)
            package.set(file, row, column, value(package.tables[file][row - 1][place]))

    return _package(change)


def bytes_of(change: Callable[[bytes], bytes], *files: str) -> Callable[[], bytes]:
    """Change the bytes of some files, or of all."""
    return _members(
        lambda members: [
            (name, change(content) if not files or name in files else content)
            for name, content in members
        ]
    )


def renamed(change: Callable[[str], str]) -> Callable[[], bytes]:
    """Rename the members."""
    return _members(lambda members: [(change(name), content) for name, content in members])


def manifest(change: Callable[[list[str]], list[str]]) -> Callable[[], bytes]:
    """Replace the rows of the manifest. Its header stays."""

    def make(package: rosters.Package) -> None:
        package.manifest = [package.manifest[0], *map(change, package.manifest[1:])]

    return _package(make)


def added(file: str, *values: str) -> Callable[[], bytes]:
    """Add a row."""
    return _package(lambda package: package.tables[file].append(list(values)))


def _streamed() -> bytes:
    """Store the members, with their sizes after them."""

    class Unseekable(io.RawIOBase):
        def __init__(self) -> None:
            self.data = bytearray()

        def writable(self) -> bool:
            return True

        def write(self, data: Any) -> int:
            self.data += data
            return len(data)

    out = Unseekable()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for name, content in rosters.invent(students=STUDENTS, schools=2).members():
            with archive.open(name, "w") as member:
                member.write(content)
    return bytes(out.data)


def _sessions_of(year: int) -> Callable[[], bytes]:
    def change(package: rosters.Package) -> None:
        for file in ("academicSessions", "enrollments"):
            for row in package.tables[file][1:]:
                row[:] = [v.replace("2027", f"{year + 1}").replace("2026", f"{year}") for v in row]

    return _package(change)


def _no_teacher(package: rosters.Package) -> None:
    package.tables["enrollments"].pop(1)


def _no_students(package: rosters.Package) -> None:
    package.tables["enrollments"] = [r for r in package.tables["enrollments"] if r[6] != "student"]


def _by_case(package: rosters.Package) -> None:
    row = list(package.tables["users"][ROW])
    row[0], row[6], row[11], row[12] = row[0].upper(), "u.other", "other", "other@x.example"
    package.tables["users"].append(row)


def _metadata(package: rosters.Package) -> None:
    for number, row in enumerate(package.tables["users"]):
        row.append("metadata.home room" if number == 0 else "t1")


def _sheet(package: rosters.Package) -> None:
    rows = package.tables["enrollments"]
    while len(rows) < 65_536:
        rows.append([f"e-x{len(rows)}", *rows[ROW][1:]])


def _usernames(package: rosters.Package) -> None:
    package.set("users", ROW, "username", "U.1-S0")
    package.set("users", ROW + 1, "username", "u.1-s0")


def _manifest_alone(package: rosters.Package) -> None:
    package.tables = {}
    package.manifest = [[n, v if n.startswith(("m", "o", "s", "p")) else "absent"]
                        for n, v in package.manifest]  # fmt: skip


def _semicolons(content: bytes) -> bytes:
    return content.replace(b",", b";")


def D(*values: Any, **named: Any) -> Damage:
    return Damage(*values, **named)


NAMES = ("users.csv",)
DAMAGES: list[Damage] = [
    # ---- one faulty row does not stop a district
    D("a person of one name", SENT, "fault", "value.required", "users.csv.familyName", one("users", "familyName", "")),
    D("a role that enrollments do not have", SENT, "fault", "value.enum", "enrollments.csv.role", added("enrollments", "e-aide", "", "", "class-0", "school-0", "1-t0", "aide", "false", *rosters.YEAR)),
    D("an enrollment of a student who is gone", SENT, "fault", "reference.missing", "enrollments.csv.userSourcedId", one("enrollments", "userSourcedId", "withdrawn")),
    D("a user at an org that was not exported", SENT, "fault", "reference.missing", "users.csv.orgSourcedIds", one("users", "orgSourcedIds", "school-0,alt-program")),
    D("a sourcedId that appears twice", SENT, "fault", "value.unique", "users.csv.sourcedId", _package(lambda p: p.tables["users"].append([*p.tables["users"][5][:6], "u.new", *[""], *p.tables["users"][5][8:11], "n", "n@x", *p.tables["users"][5][13:]]))),
    D("parents that were not exported", SENT, "warning", "reference.missing", "users.csv.agentSourcedIds", one("users", "agentSourcedIds", "G100,G101")),
    D("another sex than the standard's", SENT, "warning", "value.enum", "demographics.csv.sex", one("demographics", "sex", "other")),
    D("every role misspelt", REFUSED, "error", "value.enum", "users.csv.role", all_rows("users", "role", str.title)),
    D("every enrollment leads nowhere", REFUSED, "error", "reference.missing", "enrollments.csv.userSourcedId", all_rows("enrollments", "userSourcedId", lambda v: f"x{v}")),
    # ---- blanks
    D("blanks in every required name", REFUSED, "error", "value.required", "users.csv.givenName", all_rows("users", "givenName", lambda _: " "), "only white space"),
    D("a blank as a required name", REFUSED, "error", "value.required", "users.csv.givenName", one("users", "givenName", " "), "only white space"),
    D("a no-break space as a username", REFUSED, "error", "value.required", "users.csv.username", one("users", "username", "\u00a0"), "only white space"),
    D("a zero-width space as a username", REFUSED, "error", "value.required", "users.csv.username", one("users", "username", "\u200b"), "only white space"),
    D("blanks in a column that may be empty", SENT, "warning", "value.blank", "users.csv.email", all_rows("users", "email", lambda _: " ")),
    D("a blank behind every school of users", REFUSED, "error", "value.edge-blank", "users.csv.orgSourcedIds", all_rows("users", "orgSourcedIds", "{} ".format), "a space"),
    D("a no-break space behind every school of users", REFUSED, "error", "value.edge-blank", "users.csv.orgSourcedIds", all_rows("users", "orgSourcedIds", "{}\u00a0".format), "NO-BREAK SPACE"),
    D("a line break behind every school of users", REFUSED, "error", "value.edge-blank", "users.csv.orgSourcedIds", all_rows("users", "orgSourcedIds", "{}\n".format), "a line break", alone=False),
    D("a blank behind one school of users", SENT, "fault", "value.edge-blank", "users.csv.orgSourcedIds", one("users", "orgSourcedIds", "school-0 "), "a space"),
    D("a blank before one class of enrollments", SENT, "fault", "value.edge-blank", "enrollments.csv.classSourcedId", one("enrollments", "classSourcedId", " class-0"), "a space"),
    D("columns of fixed width", REFUSED, "error", "value.edge-blank", "users.csv.role", all_rows("users", "role", "{:12}".format), "a space"),
    D("a blank behind every grade", SENT, "warning", "value.edge-blank", "users.csv.grades", all_rows("users", "grades", lambda v: v and f"{v} ")),
    D("a blank behind a username", SENT, "warning", "value.edge-blank", "users.csv.username", one("users", "username", "u x ")),
    D("a blank behind a parent", SENT, "warning", "value.edge-blank", "users.csv.agentSourcedIds", one("users", "agentSourcedIds", "1-s27 ")),
    D("a no-break space at the comma of a list of terms", SENT, "fault", "value.list-blank", "classes.csv.termSourcedIds", all_rows("classes", "termSourcedIds", lambda _: "fall,\u00a0spring"), "NO-BREAK SPACE"),
    D("a blank at the comma of userIds", SENT, "warning", "value.list-blank", "users.csv.userIds", one("users", "userIds", "{LDAP:x}, {FED:y}")),
    D("a comma behind the schools of every user", SENT, "warning", "value.list-empty", "users.csv.orgSourcedIds", all_rows("users", "orgSourcedIds", "{},".format)),
    # ---- characters
    D("a zero-width space in a username", SENT, "warning", "text.invisible", "users.csv.username", one("users", "username", "u.\u200bx"), "ZERO WIDTH SPACE"),
    D("a byte order mark in a name", SENT, "warning", "text.invisible", "users.csv.givenName", one("users", "givenName", "Que\ufeffrra"), "ZERO WIDTH NO-BREAK SPACE"),
    D("a mark of direction in a name", SENT, "warning", "text.invisible", "users.csv.givenName", one("users", "givenName", "Que\u202erra"), "RIGHT-TO-LEFT OVERRIDE"),
    D("a control character in a name", SENT, "warning", "text.control", "users.csv.givenName", one("users", "givenName", "Zub\x0benel"), "U+000B"),
    D("names that were damaged before", SENT, "warning", "text.replaced", "users.csv.familyName", one("users", "familyName", "Gr\ufffd\ufffdinger")),
    D("UTF-8 that was read as Windows-1252", SENT, "warning", "text.decoded-wrongly", "users.csv.familyName", one("users", "familyName", "Größinger".encode().decode("cp1252"))),
    D("question marks of an export to ASCII", SENT, "warning", "text.question-marks", "users.csv.familyName", one("users", "familyName", "Gr??inger")),
    D("entities of HTML", SENT, "warning", "text.entity", "users.csv.familyName", one("users", "familyName", "O&#39;Thistle")),
    D("NULL where there is no value", SENT, "warning", "value.leftover", "users.csv.middleName", all_rows("users", "middleName", lambda _: "NULL")),
    D("nan where there is no value", SENT, "warning", "value.leftover", "users.csv.sms", all_rows("users", "sms", lambda _: "nan")),
    D("a formula's error of a spreadsheet", SENT, "warning", "value.leftover", "classes.csv.title", one("classes", "title", "#N/A", 2)),
    D("a number that a spreadsheet has shortened", SENT, "warning", "value.scientific", "users.csv.identifier", one("users", "identifier", "1.23457E+11")),
    D("CESU-8, as Oracle writes it", REFUSED, "error", "csv.encoding", "users.csv", bytes_of(lambda c: c.replace(b"Zubenel", b"Zub\xed\xa0\xbd\xed\xb8\x80"), "users.csv"), "CESU-8", alone=False),
    # ---- days
    D("a birth date in the future", SENT, "warning", "value.day", "demographics.csv.birthDate", one("demographics", "birthDate", "2108-03-04")),
    D("a birth date of the year 15", SENT, "warning", "value.day", "demographics.csv.birthDate", one("demographics", "birthDate", "0015-03-04")),
    D("a day of zeros", SENT, "fault", "value.leftover", "enrollments.csv.beginDate", one("enrollments", "beginDate", "0000-00-00"), alone=False),
    D("an enrollment without end", SENT, "warning", "enrollment.term", "enrollments.csv.endDate", one("enrollments", "endDate", "9999-12-31")),
    D("an enrollment of the year before", SENT, "warning", "enrollment.term", "enrollments.csv.beginDate", one("enrollments", "beginDate", "2025-08-10")),
    D("birth dates as Excel writes them", REFUSED, "error", "value.format", "demographics.csv.birthDate", all_rows("demographics", "birthDate", lambda _: "8/10/2015"), "expected: YYYY-MM-DD"),
    D("sessions of ten years ago", SENT, "warning", "session.today", "academicSessions.csv", _sessions_of(2016)),
    D("schoolYear is the year of the start", SENT, "warning", "session.school-year", "academicSessions.csv.schoolYear", all_rows("academicSessions", "schoolYear", lambda _: "2026")),
    # ---- the roster as a whole
    D("every user is disabled", SENT, "warning", "users.disabled", "users.csv.enabledUser", all_rows("users", "enabledUser", lambda _: "false")),
    D("a class without a teacher", SENT, "warning", "class.no-teacher", "classes.csv", _package(_no_teacher)),
    D("no enrollment of a student", SENT, "warning", "enrollment.no-students", "enrollments.csv", _package(_no_students)),
    D("one e-mail address for all", SENT, "warning", "value.usually-unique", "users.csv.email", all_rows("users", "email", lambda _: "noreply@x.example")),
    D("one student number for all", SENT, "warning", "value.usually-unique", "users.csv.identifier", all_rows("users", "identifier", lambda _: "0")),
    D("a username twice, with capitals", SENT, "warning", "value.usually-unique", "users.csv.username", _package(_usernames)),
    D("sourcedIds that differ by capitals", SENT, "warning", "value.case", "users.csv.sourcedId", _package(_by_case)),
    D("numbers of schools without their zeros", SENT, "warning", "value.leading-zeros", "orgs.csv.identifier", all_rows("orgs", "identifier", lambda v: v.lstrip("0") or "0")),
    D("as many rows as a spreadsheet holds", SENT, "warning", "csv.spreadsheet-rows", "enrollments.csv", _package(_sheet), "65,536"),
    # ---- files
    D("a blank line at the end", SENT, "warning", "csv.blank-end", "users.csv", bytes_of(lambda c: c + b"\r\n", "users.csv")),
    D("a blank line at the end of the manifest", SENT, "warning", "csv.blank-end", "manifest.csv", bytes_of(lambda c: c + b"\r\n", "manifest.csv")),
    D("a line of blanks at the end", SENT, "warning", "csv.blank-end", "users.csv", bytes_of(lambda c: c + b"   \r\n", "users.csv")),
    D("a blank line in the middle", REFUSED, "error", "csv.blank-line", "users.csv", bytes_of(lambda c: c.replace(b"\r\n", b"\r\n\r\n", 2).replace(b"\r\n\r\n", b"\r\n", 1), "users.csv")),
    D("a blank line before the header", REFUSED, "error", "csv.blank-line", "users.csv", bytes_of(lambda c: b"\r\n" + c, "users.csv"), "row 1"),
    D("a footer of a database", REFUSED, "error", "csv.row-width", "users.csv", bytes_of(lambda c: c + b"\r\n(62 rows affected)\r\n", "users.csv"), alone=False),
    D("Ctrl-Z at the end", REFUSED, "error", "csv.end-mark", "enrollments.csv", bytes_of(lambda c: c + b"\x1a", "enrollments.csv"), "Ctrl-Z"),
    D("lines that end with CR alone", REFUSED, "error", "csv.line-ends", "users.csv", bytes_of(lambda c: c.replace(b"\r\n", b"\r")), "with CR instead"),
    D("lines that end with CR CR LF", REFUSED, "error", "csv.line-ends", "users.csv", bytes_of(lambda c: c.replace(b"\r\n", b"\r\r\n")), "CR CR LF"),
    D("lines that end with LF", SENT, "warning", "csv.line-ends", "users.csv", bytes_of(lambda c: c.replace(b"\r\n", b"\n"))),
    D("a quote inside a field", SENT, "warning", "csv.quotes-inside", "courses.csv", bytes_of(lambda c: c.replace(b"Invented Reading", b'Invented 5" Reading'), "courses.csv")),
    D("semicolons between the fields", REFUSED, "error", "csv.separator", "users.csv", bytes_of(_semicolons), "semicolon"),
    D("tabs between the fields", REFUSED, "error", "csv.separator", "users.csv", bytes_of(lambda c: c.replace(b",", b"\t")), "tab"),
    D("Excel's line sep=,", REFUSED, "error", "csv.no-header", "users.csv", bytes_of(lambda c: b"sep=,\r\n" + c, "users.csv"), "sep="),
    D("PowerShell's line #TYPE", REFUSED, "error", "csv.no-header", "users.csv", bytes_of(lambda c: b"#TYPE System.Data.DataRow\r\n" + c, "users.csv"), "#TYPE"),
    D("files that are joined, each with its header", REFUSED, "error", "csv.header-again", "users.csv", bytes_of(lambda c: c + c.partition(b"\r\n")[0] + b"\r\n", "users.csv"), "Remove it"),
    D("a metadata column with a blank in its name", SENT, "", "", "", _package(_metadata)),
    # ---- package and manifest
    D("a file with another spelling", REFUSED, "error", "package.misnamed", "academicSessions.csv", renamed(lambda n: n.replace("academicSessions", "academic_sessions")), "academic_sessions.csv"),
    D("names that begin with ./", REFUSED, "error", "package.dot-slash", "users.csv", renamed("./{}".format)),
    D("members stored with their size behind", SENT, "warning", "package.streaming", "users.csv", _streamed),
    D("a blank before values of the manifest", REFUSED, "error", "manifest.value", "manifest.csv.oneroster.version", manifest(lambda r: [r[0], f" {r[1]}" if "version" in r[0] else r[1]]), "a space"),
    D("a blank behind a mode", REFUSED, "error", "manifest.value", "manifest.csv.file.users", manifest(lambda r: [r[0], "bulk " if r[0] == "file.users" else r[1]]), "a space"),
    D("a mode with a capital", REFUSED, "error", "manifest.value", "manifest.csv.file.users", manifest(lambda r: [r[0], "Bulk" if r[0] == "file.users" else r[1]]), "Upper and lower case"),
    D("properties with .csv", REFUSED, "error", "manifest.name", "manifest.csv", manifest(lambda r: [f"{r[0]}.csv" if r[0].startswith("file.") else r[0], r[1]]), "file.academicSessions"),
    D("the manifest alone", SENT, "warning", "manifest.only", "manifest.csv", _package(_manifest_alone)),
    D("no demographics", REFUSED, "error", "imagine.required-file", "demographics.csv", lambda: rosters.build(defect="no-demographics")),
]  # fmt: skip


# ---- wipes that are written into rows, for the guard --------------------------------------------

Change = Callable[[rosters.Package], Any]
NIGHT = "2026-11-01"
LET_THROUGH, HELD = 0, 17


@dataclass(frozen=True)
class GuardDamage:
    """A package's damage by the next night, and the guard's answer.

    `rule` is one of the reasons and `of` its kind. `first` is applied to both packages. `limits`
    are the feed's, if they differ from the defaults.
    """

    kind: str
    exit: int
    rule: str
    of: str
    change: Change
    night: str = NIGHT
    first: Change = lambda _package: None
    limits: Mapping[str, Any] = field(default_factory=dict)

    def packages(self) -> tuple[bytes, bytes]:
        """Return the last accepted package and tonight's."""
        made = []
        for changes in ([self.first], [self.first, self.change]):
            package = rosters.invent(students=400)
            for change in changes:
                change(package)
            made.append(rosters.to_zip(package.members()))
        return made[0], made[1]


def every(file: str, column: str, value: Callable[[str], str], share: float = 1) -> Change:
    """Return a change of a column in all rows, or in the first of them."""

    def change(package: rosters.Package) -> None:
        place, rows = package.column(file, column), package.tables[file][1:]
        for row in rows[: round(share * len(rows))]:
            row[place] = value(row[place])

    return change


def students(column: str, value: Callable[[str], str]) -> Change:
    """Return a change of a column of all students."""

    def change(package: rosters.Package) -> None:
        place = package.column("users", column)
        for row in package.tables["users"][1:]:
            if row[5] == "student":
                row[place] = value(row[place])

    return change


def all_of(*changes: Change) -> Change:
    """Return several changes as one."""

    def change(package: rosters.Package) -> None:
        for one_change in changes:
            one_change(package)

    return change


def _renumber(package: rosters.Package) -> None:
    for number, row in enumerate(package.tables["enrollments"][1:]):
        row[0] = f"new-{number}"


def _into_one_class(package: rosters.Package) -> None:
    for row in package.tables["enrollments"][1:391]:
        row[3:5] = ["class-0", "school-0"]


def _other_people(package: rosters.Package) -> None:
    """Give each sourcedId to the next user, with name, birth date and everything else."""
    for file, first in (("users", 6), ("demographics", 3)):
        rows = [row for row in package.tables[file][1:] if file != "users" or row[5] == "student"]
        values = [row[first:] for row in rows]
        for row, others in zip(rows, values[1:] + values[:1], strict=True):
            row[first:] = others


def _partly_delta(package: rosters.Package) -> None:
    """Make a delta of demographics with one or two changed rows."""
    for row in package.manifest:
        if row[0] == "file.demographics":
            row[1] = "delta"
    package.tables["demographics"] = package.tables["demographics"][:3]
    for row in package.tables["demographics"][1:]:
        row[1:3] = ["active", rosters.MODIFIED]


def _by_semester(package: rosters.Package) -> None:
    """Let every other class end with the first semester."""
    for number, row in enumerate(package.tables["classes"][1:]):
        row[package.column("classes", "termSourcedIds")] = "fall" if number % 2 else "fall,spring"
    every("enrollments", "endDate", lambda _: "")(package)
    every("enrollments", "beginDate", lambda _: "")(package)


def _faulty(package: rosters.Package) -> None:
    """Damage the role of more users than the floor allows."""
    every("users", "role", lambda _: "pupil", 0.2)(package)


def _disable(count: int) -> Change:
    def change(package: rosters.Package) -> None:
        for row in package.tables["users"][-count:]:
            row[3] = "false"

    return change


def _gone(count: int) -> Change:
    def change(package: rosters.Package) -> None:
        for file, place in (("users", 0), ("demographics", 0), ("enrollments", 5)):
            gone = {f"1-s{number}" for number in range(count)}
            rows = package.tables[file]
            rows[1:] = [row for row in rows[1:] if row[place] not in gone]

    return change


def _nothing(_package: rosters.Package) -> None:
    """Change nothing."""


def G(*values: Any, **named: Any) -> GuardDamage:
    return GuardDamage(*values, **named)


ANEW: dict[str, Any] = {"limits": {"guard_limits": {"enrollments": {"removed": 100}}}}
GUARD_DAMAGES: list[GuardDamage] = [
    G("nothing changes", LET_THROUGH, "", "", _nothing),
    G("every user is disabled", HELD, "emptied", "users.student", every("users", "enabledUser", lambda _: "false")),
    G("some users are disabled", HELD, "removed", "users.student", _disable(80)),
    G("a few users are disabled", LET_THROUGH, "", "", _disable(20)),
    G("every enrollment ended yesterday", HELD, "emptied", "enrollments", every("enrollments", "endDate", lambda _: "2026-10-31")),
    G("every enrollment ends tonight", HELD, "emptied", "enrollments", every("enrollments", "endDate", lambda _: NIGHT)),
    G("every enrollment ends after tonight", LET_THROUGH, "", "", every("enrollments", "endDate", lambda _: "2026-11-02", 0.7)),
    G("every enrollment begins tomorrow", HELD, "emptied", "enrollments", every("enrollments", "beginDate", lambda _: "2026-11-02")),
    G("every session is of another year", HELD, "session", "academicSessions", all_of(*(every("academicSessions", c, lambda d: f"{int(d[:4]) - 1}{d[4:]}") for c in ("startDate", "endDate")))),
    G("every username is another", HELD, "identity", "users", every("users", "username", "x{}".format)),
    G("every student number is another", HELD, "identity", "users", every("users", "identifier", "x{}".format)),
    G("every e-mail address is another", HELD, "identity", "users", every("users", "email", "x{}".format)),
    G("every student is at another school", HELD, "identity", "users", students("orgSourcedIds", lambda v: f"school-{(int(v[-1]) + 1) % 3}")),
    G("every e-mail address is a blank", HELD, "column_emptied", "users", every("users", "email", lambda _: " ")),
    G("every e-mail address is a no-break space", HELD, "column_emptied", "users", every("users", "email", lambda _: "\u00a0")),
    G("nearly all enrollments are of one class", HELD, "concentration", "enrollments", _into_one_class),
    G("a blank stands behind every school of students", HELD, "emptied", "users.student", students("orgSourcedIds", "{} ".format)),
    G("roles of a fifth of users are misspelt", HELD, "removed", "users.student", _faulty),
    G("a fifth of roles is misspelt and the rule is turned off", HELD, "removed", "users.student", _faulty, limits={"rules": {"value.enum": "ignore"}}),
    G("every enrollment leads nowhere and the rule only warns", HELD, "emptied", "enrollments", every("enrollments", "userSourcedId", "x{}".format), limits={"rules": {"reference.missing": "warning"}}),
    G("enrollments have new sourcedIds", HELD, "renumbered", "enrollments", _renumber),
    G("enrollments have new sourcedIds each night", LET_THROUGH, "", "", _renumber, **ANEW),
    G("a wipe stands beneath new sourcedIds", HELD, "emptied", "enrollments", all_of(_renumber, every("enrollments", "endDate", lambda _: "2026-10-31")), **ANEW),
    G("one class holds nearly all beneath new sourcedIds", HELD, "concentration", "enrollments", all_of(_renumber, _into_one_class), **ANEW),
    G("a bulk file beside a delta has lost a column", HELD, "column_emptied", "users", all_of(_partly_delta, every("users", "email", lambda _: ""))),
    G("a bulk file beside a delta is as it was", LET_THROUGH, "", "", _partly_delta),
    G("all users share a username", HELD, "duplicates", "users", every("users", "username", lambda _: "u")),
    G("all users share an e-mail address, as before", LET_THROUGH, "", "", _nothing, first=every("users", "email", lambda _: "a@x.example")),
    G("sourcedIds belong to somebody else", HELD, "somebody_else", "users", _other_people),
    G("students are gone", HELD, "removed", "users.student", _gone(80)),
    G("a few students are gone", LET_THROUGH, "", "", _gone(20)),
    G("classes of the first semester are over", LET_THROUGH, "", "", _nothing, night="2026-12-21", first=_by_semester),
    G("a night of the winter break", LET_THROUGH, "", "", _nothing, night="2026-12-28"),
    G("a night after all sessions", HELD, "session", "academicSessions", _nothing, night="2027-07-01"),
]  # fmt: skip
