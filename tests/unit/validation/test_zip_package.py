"""A member of a package is read once, whole and unchanged. Nothing hides behind it."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
from roster_upload.package.source import Source, Unusable
from roster_upload.validation import archive
from roster_upload.validation.check import check
from roster_upload.validation.zip_package import ZipPackage
from support import rosters
from unit.validation.test_zip_layout import END, EVIL, LISTED, moved, packed, within

HIDDEN: dict[str, Callable[[bytes], bytes]] = {
    "two one after the other": lambda good: packed(EVIL) + good,
    "a file behind a foreign one": lambda good: _with_foreign(good, within(piped=False)),
    "bytes behind the end": lambda good: good + b"x",
}


def _with_foreign(good: bytes, other: bytes) -> bytes:
    """Return a package and the one file of another zip."""
    listed, listed_too = good.find(LISTED), other.find(LISTED)
    end, end_too = good.rfind(END), other.rfind(END)
    entry = moved(other, listed)[listed_too:end_too].replace(b"orgs.csv", b"note.csv")
    out = good[:listed] + other[:listed_too].replace(b"orgs.csv", b"note.csv")
    out += good[listed:end] + entry
    count = good[listed:end].count(LISTED) + 1
    size = end - listed + len(entry)
    numbers = struct.pack("<4s4H2IH", END, 0, 0, count, count, size, listed + listed_too, 0)
    return out + numbers


@pytest.mark.parametrize("name", HIDDEN)
def test_a_package_that_hides_another_is_refused(tmp_path: Path, name: str) -> None:
    """This includes files without rules."""
    path = tmp_path / "a.zip"
    path.write_bytes(rosters.build(students=30))
    assert check(path).accepted
    path.write_bytes(HIDDEN[name](path.read_bytes()))
    errors = check(path).findings.errors
    assert [finding.rule for finding in errors] == ["package.ambiguous"]
    assert "at byte" in errors[0].detail


def test_a_damaged_foreign_file_is_found(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    other = packed({"orgs.csv": random.Random(1).randbytes(99)})  # noqa: S311 - no secret
    at = other.find(b"orgs.csv") + 50
    path.write_bytes(_with_foreign(rosters.build(students=30), other[:at] + b"!" + other[at + 1 :]))
    errors = [(finding.rule, finding.file) for finding in check(path).findings.errors]
    assert errors == [("package.damaged", "another file")]


def test_steps_read_no_package_that_hides_another(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    path.write_bytes(packed(EVIL) + rosters.build(students=30))
    with pytest.raises(Unusable):
        Source(path)
    assert archive.content_digest(path) == ""


def test_a_member_is_read_only(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    path.write_bytes(packed())
    with ZipPackage(path) as package, pytest.raises(ValueError, match="only be read"):
        package.open("users.csv", "w")
