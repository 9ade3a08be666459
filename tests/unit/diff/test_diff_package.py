"""Unreadable packages."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest
from roster_upload.diff.package import Package
from roster_upload.diff.people import Wish, between
from roster_upload.exits import Exit, Failure
from support import rosters
from unit.diff.test_diff import package

NIGHT = dt.date(2026, 11, 1)


@pytest.mark.parametrize(
    "content", [b"no zip", rosters.build(defect="damaged"), rosters.build(defect="cut-off")]
)
def test_a_package_that_cannot_be_read_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "new"
    path.write_bytes(content)
    with pytest.raises(Failure) as failed:
        between(
            Package(package(tmp_path / "old"), "old", NIGHT),
            Package(path, "tonight's export", NIGHT),
            Wish(),
        )
    assert failed.value.code is Exit.REFUSED
    assert "tonight's export" in failed.value.message


def test_an_endless_line_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "new"
    path.write_bytes(rosters.build(defect="endless-line"))
    with pytest.raises(Failure) as failed:
        Package(path, "tonight's export", NIGHT)
    assert failed.value.code is Exit.REFUSED
