"""An old name of a variable is refused, and the new one is named."""

from __future__ import annotations

from renamed import renamed_variables

RENAMED = {
    "role_ssh": "role_ssh_enabled",
    "role_user": "role_group",
    "role_cache": "Remove it. The role needs no cache.",
}


def test_names_of_this_release_are_accepted() -> None:
    assert renamed_variables(RENAMED, ["role_ssh_enabled", "role_group", "other_role_ssh"]) == []


def test_an_old_name_is_reported_with_the_new_one() -> None:
    first, second = renamed_variables(RENAMED, ["role_user", "role_ssh", "role_group"])
    assert first.startswith("role_ssh: ")
    assert "role_ssh_enabled" in first
    assert second.startswith("role_user: ")
    assert "role_group" in second


def test_a_removed_variable_is_reported_with_what_to_do() -> None:
    (message,) = renamed_variables(RENAMED, ["role_cache"])
    assert message.startswith("role_cache: ")
    assert message.endswith("Remove it. The role needs no cache.")
