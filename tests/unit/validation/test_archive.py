"""A package's zip: its files' names, its directory, and its identity."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pytest
from roster_upload.spec import spec
from roster_upload.validation import archive, zip_layout
from roster_upload.validation.findings import Findings
from support import rosters

KNOWN = ["manifest.csv", "academicSessions.csv", "classes.csv", "classResources.csv", "users.csv"]
NAMES = archive.FileNames(KNOWN)


def found(*members: str) -> tuple[list[str], dict[str, tuple[str, str]]]:
    """Return the known members of an archive, and the file and detail of each finding."""
    findings = Findings()
    package = zipfile.ZipFile(io.BytesIO(rosters.to_zip([(name, b"x") for name in members])))
    known = archive.members(package, findings, NAMES, NAMES.like)
    return list(known), {f.rule: (f.file, f.detail) for f in findings}


@pytest.mark.parametrize(
    ("name", "rule", "file", "says"),
    [
        ("Users.csv", "package.case", "users.csv", ""),
        ("users.CSV", "package.case", "users.csv", ""),
        ("academic_sessions.csv", "package.misnamed", "academicSessions.csv", "academic_"),
        ("Academic Sessions.csv", "package.misnamed", "academicSessions.csv", "Academic "),
        ("users\u00e9.csv", "package.foreign", "another file", "is users.csv meant?"),
        ("users\u00a0.csv", "package.misnamed", "users.csv", "users?.csv"),
        ("./users.csv", "package.dot-slash", "users.csv", ""),
        ("export/users.csv", "package.folder", "users.csv", ""),
        ("export\\users.csv", "package.folder", "users.csv", ""),
        ("./export/users.csv", "package.folder", "users.csv", ""),
        ("/users.csv", "package.path", "users.csv", ""),
        ("../users.csv", "package.path", "users.csv", ""),
        ("C:\\users.csv", "package.path", "users.csv", ""),
        ("__MACOSX/._users.csv", "package.litter", "another file", ""),
        ("__MACOSX/users.csv", "package.litter", "another file", ""),
        ("Thumbs.db", "package.litter", "another file", ""),
        ("OneRoster.ZIP", "package.nested", "another file", ""),
        ("user.csv", "package.foreign", "another file", "is users.csv meant?"),
        ("users (1).csv", "package.foreign", "another file", "is users.csv meant?"),
        ("users.csv.csv", "package.foreign", "another file", "is users.csv meant?"),
        ("users.txt", "package.foreign", "another file", "is users.csv meant?"),
        ("notes.csv", "package.foreign", "another file", ""),
        ("readme", "package.foreign", "another file", ""),
    ],
)  # fmt: skip
def test_a_member_of_another_name(name: str, rule: str, file: str, says: str) -> None:
    members, told = found("manifest.csv", name)
    assert told.keys() == {rule}
    assert told[rule][0] == file
    assert says in told[rule][1]
    assert bool(says) == bool(told[rule][1])
    assert members == ["manifest.csv", *(["users.csv"] if rule == "package.case" else [])]


def test_a_member_twice() -> None:
    members, told = found("users.csv", "users.csv", "classes.csv")
    assert (members, list(told)) == (["users.csv", "classes.csv"], ["package.duplicate"])
    assert found("users.csv", "USERS.csv")[1].keys() == {"package.duplicate"}


def test_folders_are_no_members() -> None:
    assert found("users.csv", "export/") == (["users.csv"], {})


@pytest.mark.parametrize(
    ("method", "is_streamed", "rule"),
    [
        (zipfile.ZIP_STORED, False, ""),
        (zipfile.ZIP_DEFLATED, True, ""),
        (zipfile.ZIP_STORED, True, "package.streaming"),
        (zipfile.ZIP_LZMA, False, "package.compression"),
    ],
)
def test_how_a_member_is_packed(method: int, is_streamed: bool, rule: str) -> None:
    findings = Findings()
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as package:
        package.writestr("users.csv", b"x", method)
    with zipfile.ZipFile(out) as package:
        if is_streamed:
            package.infolist()[0].flag_bits |= zip_layout.SIZE_BEHIND
        archive.members(package, findings, NAMES)
    assert [finding.rule for finding in findings] == [rule] * bool(rule)


@pytest.mark.parametrize(
    ("limit", "value", "is_too_large"),
    [
        ("members", 2, False), ("members", 1, True),
        ("member_bytes", 9000, False), ("member_bytes", 8999, True),
        ("total_bytes", 18_000, False), ("total_bytes", 17_999, True),
        ("ratio", 3, False), ("ratio", 2, True),
    ],
)  # fmt: skip
def test_limits_of_an_archive(
    monkeypatch: pytest.MonkeyPatch, limit: str, value: int, is_too_large: bool
) -> None:
    """Two members of 9,000 bytes, which pack to few; less than 4,096 counts as that."""
    monkeypatch.setitem(spec("limits"), limit, value)
    findings = Findings()
    members = [("users.csv", bytes(9000)), ("classes.csv", bytes(9000))]
    package = zipfile.ZipFile(io.BytesIO(rosters.to_zip(members)))
    archive.members(package, findings, NAMES)
    assert {f.rule for f in findings} == ({"package.too-large"} if is_too_large else set())


# ---- whether the contents are the same ----------------------------------------------------------


def packed(path: Path, members: dict[str, bytes], year: int = 2026, level: int = 6) -> str:
    """Write a zip and return the digest of its contents."""
    with zipfile.ZipFile(path, "w") as out:
        for name, content in members.items():
            info = zipfile.ZipInfo(name, (year, 1, 1, 0, 0, 0))
            info.compress_type = zipfile.ZIP_DEFLATED
            out.writestr(info, content, compresslevel=level)
    return archive.content_digest(path)


def test_the_digest_is_of_the_contents(tmp_path: Path) -> None:
    members = {"users.csv": b"x" * 999, "orgs.csv": b"y"}
    path = tmp_path / "a.zip"
    digest = packed(path, members)
    assert len(digest) == 64
    assert packed(path, members, year=2030, level=1) == digest
    assert packed(path, dict(reversed(members.items()))) == digest
    for other in (
        {**members, "users.csv": b"x" * 998 + b"z"},
        {**members, "more.csv": b""},
        {"user.csv": members["users.csv"], "orgs.csv": b"y"},
        {"users.csv": b"y", "orgs.csv": b"x" * 999},
        {"users.csv": members["users.csv"]},
    ):
        assert packed(path, other) != digest


def test_what_is_no_archive_has_no_digest(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"no zip")
    assert archive.content_digest(tmp_path / "a") == ""
    assert archive.content_digest(tmp_path / "none") == ""
