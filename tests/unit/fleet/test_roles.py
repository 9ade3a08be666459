"""A role's files are read as Ansible reads them."""

from __future__ import annotations

import pytest
from ansible.parsing.dataloader import DataLoader
from roster_fleet import roles


def test_a_role_brings_those_that_it_needs() -> None:
    found = roles.with_dependencies(["roster_schedule"], DataLoader())
    assert set(found) == {"roster_schedule", "roster_common"}
    assert found["roster_schedule"].needs == ["roster_common"]


@pytest.mark.parametrize(
    ("name", "variable"),
    [
        ("roster_upload", "__roster_upload_units"),
        ("district_hardening", "__district_hardening_checked"),
    ],
)
def test_vars_are_in_a_file_or_a_folder(name: str, variable: str) -> None:
    role = roles.load(name, DataLoader())
    assert variable in role.fixed
    assert role.defaults
    assert role.specs["validate"]["options"]
    assert role.validate


def test_a_role_without_checks_has_none() -> None:
    assert list(roles.load("roster_common", DataLoader()).validate) == []
