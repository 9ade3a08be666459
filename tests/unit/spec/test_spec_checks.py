"""The checks of single values. test_config has one wrong value for each check."""

from __future__ import annotations

from pathlib import Path

import pytest
from roster_upload.spec.checks import CHECKS, require_column, require_known, source


def test_a_check_returns_the_value_as_the_program_uses_it() -> None:
    assert source("/srv/export-*.zip") == Path("/srv/export-*.zip")
    assert CHECKS["time"]("07:10") == 430
    assert CHECKS["words"]("Alder Unified") == "Alder Unified"


def test_an_unknown_name_has_the_nearest_one_in_its_message() -> None:
    with pytest.raises(ValueError, match=r"unknown role 'techer'\. Did you mean teacher"):
        require_known("techer", ("student", "teacher"), "role")
    with pytest.raises(ValueError, match="Known are: student, teacher"):
        require_known("x", ("student", "teacher"), "role")


def test_a_column_is_one_of_its_format() -> None:
    require_column("users.email", "oneroster-1.1")
    require_column("students.Student ID", "traditional-math")
    for value in ("users", "users.mail", "people.email"):
        with pytest.raises(ValueError, match=r"file\.column|unknown"):
            require_column(value, "oneroster-1.1")
