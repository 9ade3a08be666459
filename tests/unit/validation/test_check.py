"""The checks for every format, and their options."""

from __future__ import annotations

from pathlib import Path

import pytest
from roster_upload import config
from roster_upload.validation import check as validate
from roster_upload.validation.options import ValidationOptions
from support import rosters
from unit.test_config import GOOD


def rules(path: Path, terms: ValidationOptions, name: str = "") -> list[str]:
    return [finding.rule for finding in validate.check(path, terms, name=name).findings]


@pytest.mark.parametrize(
    ("low", "high", "found"),
    [
        (10, 10, []),
        (11, 99, ["file.too-small"]),
        (1, 9, ["file.too-large"]),
        (11, 9, ["file.too-small", "file.too-large"]),
    ],
)
@pytest.mark.parametrize("is_opaque", [True, False])
def test_an_export_has_its_size(
    tmp_path: Path, low: int, high: int, found: list[str], is_opaque: bool
) -> None:
    path = tmp_path / "a.xml"
    path.write_bytes(bytes(10))
    terms = ValidationOptions(
        "other" if is_opaque else "oneroster-1.1", minimum_bytes=low, maximum_bytes=high
    )
    # Files of another size are not inspected.
    expected = found if is_opaque or found else ["package.not-zip"]
    report = validate.check(path, terms)
    assert [finding.rule for finding in report.findings] == expected
    assert report.baseline.rows == ({"bytes": 10} if is_opaque else {})


@pytest.mark.parametrize(
    ("name", "remote", "is_reported"),
    [
        ("a.xml", "b.XML", False),
        ("a.xml", "b.csv", True),
        ("a", "b.xml", True),
        ("", "b.dat", True),  # the copy's own name
        ("a.xml", "", False),
    ],
)
def test_an_opaque_export_is_of_the_kind_that_is_delivered(
    tmp_path: Path, name: str, remote: str, is_reported: bool
) -> None:
    path = tmp_path / "export"
    path.write_bytes(b"x")
    found = rules(path, ValidationOptions("other", remote_name=remote), name)
    assert found == (["file.name"] if is_reported else [])


def test_the_terms_are_those_of_the_feed(tmp_path: Path) -> None:
    feed = config.parse(
        {**GOOD, "minimum_bytes": 5, "maximum_bytes": 6, "rules": {"value.enum": "ignore"}}
    )
    terms = ValidationOptions.from_feed(feed)
    assert (terms.format, terms.minimum_bytes, terms.maximum_bytes) == ("oneroster-1.1", 5, 6)
    assert (terms.rules, terms.remote_name) == ({"value.enum": "ignore"}, "OneRoster.zip")
    assert not terms.allow_delete_unlisted
    assert (ValidationOptions().minimum_bytes, ValidationOptions().maximum_bytes) == (
        1,
        2_000_000_000,
    )


def test_a_check_uses_the_severities_of_its_feed(tmp_path: Path) -> None:
    path = tmp_path / "a.xml"
    path.write_bytes(b"x")
    for severities, accepted in (({}, False), ({"file.too-small": "warning"}, True)):
        opaque = ValidationOptions("other", rules=severities, minimum_bytes=2)
        assert validate.check(path, opaque).accepted is accepted


def test_only_with_the_same_key_two_exports_can_be_compared(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    path.write_bytes(rosters.build(students=30))

    def ids(key: bytes) -> bytes:
        report = validate.check(path, key=key)
        return bytes(report.baseline.records["users.student"].ids.tobytes())

    assert ids(b"k" * 32) == ids(b"k" * 32) != ids(b"o" * 32)
    assert ids(b"") != ids(b""), "else anybody could compute them"
