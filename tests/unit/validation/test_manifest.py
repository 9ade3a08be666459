"""The manifest: its announcements, and the reading of misspelt ones."""

from __future__ import annotations

import io
import zipfile

import pytest
from roster_upload.validation.findings import Findings
from roster_upload.validation.manifest import Manifest
from support import rosters

Told = dict[str, tuple[list[int], str]]
GOOD = rosters.invent(students=3, schools=1).manifest


def read(rows: list[list[str]], *absent: str) -> tuple[Told, Manifest]:
    """Return the rows and the detail of each rule, and the manifest of a package without files."""
    members = [("manifest.csv", rosters.to_csv(rows))]
    members += [(f"{name}.csv", b"") for name in rosters.ROSTERING if name not in absent]
    package = zipfile.ZipFile(io.BytesIO(rosters.to_zip(members)))
    findings = Findings()
    manifest = Manifest(findings)
    manifest.read(package, {info.filename: info for info in package.infolist()})
    return {f.rule: (f.rows, f.detail) for f in findings}, manifest


def having(**values: str) -> list[list[str]]:
    """Return a manifest whose files have other modes."""
    return [
        [name, values.get(name.removeprefix("file."), value)] if name.startswith("file.")
        else [name, value]
        for name, value in GOOD
    ]  # fmt: skip


def test_a_good_manifest_gives_the_modes() -> None:
    told, manifest = read(having(users="delta", results="absent"))
    assert not told
    assert manifest.modes == {
        name: "delta" if name == "users" else "bulk" if name in rosters.ROSTERING else "absent"
        for name in rosters.FILES
    }
    assert not manifest.misread


@pytest.mark.parametrize(
    ("value", "mode", "says"),
    [
        ("Bulk", "bulk", "Upper and lower case"),
        ("bulk ", "bulk", "a space"),
        ("\u00a0bulk", "bulk", "NO-BREAK SPACE"),
        ("bu\u200blk", "bulk", "ZERO WIDTH SPACE"),
        ("Delta", "delta", "Upper and lower case"),
        ("Absent", "bulk", "Upper and lower case"),
        ("full", "bulk", "allowed: absent, bulk, delta"),
        ("Vollständig", "bulk", "allowed: absent, bulk, delta"),
        ("", "bulk", "allowed: absent, bulk, delta"),
    ],
)
def test_a_wrong_mode_is_one_finding_and_read_as_it_is_meant(
    value: str, mode: str, says: str
) -> None:
    told, manifest = read(having(users=value))
    assert told.keys() == {"manifest.value"}
    rows, detail = told["manifest.value"]
    assert says in detail
    assert rows == [16]
    assert manifest.modes["users"] == mode
    assert manifest.misread == {"users"}


def test_a_wrong_mode_of_a_file_that_is_not_there() -> None:
    assert read(having(results="Absent"))[0].keys() == {"manifest.value"}
    told, manifest = read(having(results="complete"))
    assert told.keys() == {"manifest.value"}
    assert manifest.modes["results"] == "absent"
    assert read(having(users="Bulk"), "users")[0].keys() == {
        "manifest.value", "manifest.not-delivered"
    }  # fmt: skip


def test_what_is_announced_and_what_is_there_are_the_same() -> None:
    assert read(GOOD, "users")[0].keys() == {"manifest.not-delivered"}
    assert read(having(users="absent"))[0].keys() == {"manifest.not-announced"}
    missing = [row for row in GOOD if row[0] != "file.users"]
    assert read(missing)[0].keys() == {"manifest.property"}


@pytest.mark.parametrize(
    "name", ["file.academicSessions.csv", "File.AcademicSessions", "file.academic_sessions",
             " file.academicSessions", "file.academic Sessions"],
)  # fmt: skip
def test_a_misspelt_property_is_read_as_it_is_meant(name: str) -> None:
    told, manifest = read([[name if n == "file.academicSessions" else n, v] for n, v in GOOD])
    assert told == {"manifest.name": ([4], "row 4 must be file.academicSessions")}
    assert manifest.modes["academicSessions"] == "bulk"


def test_an_unknown_property_only_warns() -> None:
    assert read([*GOOD, ["file.roles", "bulk"], ["x", ""]])[0] == {
        "manifest.unknown": ([19, 20], "")
    }


def test_of_a_property_that_appears_twice_the_first_counts() -> None:
    told, manifest = read([*GOOD, ["file.users", "delta"]])
    assert told == {"manifest.twice": ([19], "")}
    assert manifest.modes["users"] == "bulk"
    assert manifest.misread == {"users"}


@pytest.mark.parametrize(
    ("header", "says"),
    [
        (["propertyName ", "value"], "a space"),
        (["propertyName", "Value"], "Upper and lower case"),
        (["propertyName"], "expected: propertyName, value"),
        (["propertyName", "value", ""], "expected: propertyName, value"),
        (["value", "propertyName"], "expected: propertyName, value"),
    ],
)
def test_another_header_is_told_alone(header: list[str], says: str) -> None:
    told, manifest = read([header, *(row[: len(header)] for row in GOOD[1:])])
    assert told.keys() == {"csv.header"}
    assert says in told["csv.header"][1]
    assert not manifest.modes


@pytest.mark.parametrize(
    ("name", "value"), [("manifest.version", "1"), ("oneroster.version", "1.2")]
)
def test_a_version_is_the_very_one(name: str, value: str) -> None:
    told, _ = read([[n, value if n == name else v] for n, v in GOOD])
    assert told.keys() == {"manifest.value"}
    assert told["manifest.value"][1] == ("allowed: 1.0" if "m" in name[:1] else "allowed: 1.1")
