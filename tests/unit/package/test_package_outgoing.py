"""The package of a feed, with the program's own validation."""

from __future__ import annotations

from pathlib import Path

import pytest
from roster_upload import config
from roster_upload.package.outgoing import build_package
from support import packages, rosters
from support.packages import NIGHT, ids, write
from unit.test_config import GOOD


def export(folder: Path, enabled: str) -> Path:
    """Write an invented package in which a student is enabled by a value."""
    package = rosters.invent(students=60)
    package.set("users", 20, "enabledUser", enabled)
    return write(folder / "export.zip", packages.members(package))


def test_without_a_step_there_is_no_package(tmp_path: Path) -> None:
    assert (
        build_package(config.parse(GOOD), export(tmp_path, "true"), tmp_path / "o", NIGHT) is None
    )


@pytest.mark.parametrize("budget", [0, 1])
def test_rows_that_validation_finds_faulty_are_excluded_within_the_budget(
    tmp_path: Path, budget: int
) -> None:
    given = export(tmp_path, "maybe")
    feed = config.parse(
        {
            **GOOD,
            "faulty_rows": "leave-out",
            "faulty_rows_count": budget,
            "faulty_rows_percent": 0,
        }
    )
    built = build_package(feed, given, tmp_path / "out.zip", NIGHT)
    assert built is not None
    gone = set(ids(given, "users")) - set(ids(built.path, "users"))
    assert len(gone) == budget
    assert (built.path == given) is (not budget)
