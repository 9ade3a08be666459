"""ansible.cfg of an operator's folder: their lines stay, the project's blocks are renewed."""

from __future__ import annotations

from pathlib import Path

import pytest
from roster_fleet.folder import settings
from roster_fleet.folder.settings import SettingsError, parsed, refreshed

ROOT = Path(__file__).resolve().parents[3]
PROJECT = {
    "defaults": {
        "roles_path": "roles",
        "callback_plugins": "roles/a/b:roles/c",
        "forks": "20",
        "inventory": "x",
        "vault_identity_list": "lab@scripts/vault-client",
        "fact_caching_connection": ".ansible/facts",
    },
    "diff": {"context": "2"},
}


def test_the_blocks_have_the_checkouts_settings() -> None:
    text = refreshed(settings.with_inventory("", "east", []), PROJECT)
    assert parsed(text) == {
        "defaults": {
            "inventory": "inventories/east",
            "vault_identity_list": "east@scripts/vault-client",
            "roles_path": "roster-delivery/roles",
            "callback_plugins": "roster-delivery/roles/a/b:roster-delivery/roles/c",
            "forks": "20",
            "fact_caching_connection": ".ansible/facts",
        },
        "diff": {"context": "2"},
    }
    assert refreshed(text, PROJECT) == text, "nothing is left to do"


def test_what_operators_set_counts_and_stays() -> None:
    text = refreshed(settings.with_inventory("", "east", []), PROJECT)
    mine = text.replace("[defaults]\n", "[defaults]\n# slow line\nforks = 5\n")
    mine = mine.replace("forks = 20\n", "") + "\n[ssh_connection]\nretries = 3\n"
    for project in (PROJECT, {**PROJECT, "ssh_connection": {"pipelining": "true", "retries": "0"}}):
        done = refreshed(mine, project)
        found = parsed(done)
        assert (found["defaults"]["forks"], found["ssh_connection"]["retries"]) == ("5", "3")
        assert "# slow line\n" in done
        assert done == refreshed(done, project)
    assert found["ssh_connection"]["pipelining"] == "true"
    gone = refreshed(done, {"defaults": {"roles_path": "roles"}})
    assert "context" not in gone, "a setting that the project has no more"
    assert parsed(gone)["ssh_connection"] == {"retries": "3"}


def test_only_a_single_inventory_is_the_default() -> None:
    one = settings.with_inventory("", "east", [])
    two = settings.with_inventory(one, "west", ["east"])
    assert parsed(two)["defaults"] == {
        "vault_identity_list": "east@scripts/vault-client, west@scripts/vault-client"
    }
    assert settings.with_inventory(two, "west", ["east"]) == two
    chosen = settings.with_value(one, "inventory", "other")
    again = settings.with_inventory(chosen, "west", ["east"])
    assert parsed(again)["defaults"]["inventory"] == "other", "the operator's own choice stays"


def test_a_value_of_several_lines_is_replaced_as_a_whole() -> None:
    text = "[defaults]\nvault_identity_list = a@x,\n  b@y\nforks = 1\n[diff]\ncontext = 1\n"
    done = settings.with_inventory(text, "east", ["west"])
    assert parsed(done) == {
        "defaults": {
            "vault_identity_list": "a@x, b@y, east@scripts/vault-client",
            "forks": "1",
        },
        "diff": {"context": "1"},
    }


def test_own_settings_are_added_unless_they_are_set() -> None:
    text = refreshed(settings.with_inventory("", "east", []), PROJECT)
    done = settings.with_own(text, {"defaults": {"forks": "9"}, "galaxy": {"server": "x"}})
    done = refreshed(settings.with_own(done, {"defaults": {"forks": "7"}}), PROJECT)
    assert parsed(done)["defaults"]["forks"] == "9"
    assert parsed(done)["galaxy"] == {"server": "x"}
    assert settings.with_own(text, {"defaults": {}}) == text


@pytest.mark.parametrize("text", ["forks = 1\n", "[defaults]\nforks = 1\nforks = 2\n"])
def test_a_file_that_ansible_cannot_read_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match=r"ansible\.cfg cannot be read.*Correct the file"):
        refreshed(text, PROJECT)


def test_a_header_that_is_missing_is_named() -> None:
    with pytest.raises(SettingsError, match=r"has no section \[defaults\]"):
        settings.with_value("[diff]\n", "forks", "1")


def test_a_folder_notices_settings_of_another_release(tmp_path: Path) -> None:
    path = tmp_path / "ansible.cfg"
    assert not settings.is_outdated(path, ROOT)
    path.write_text("[defaults]\n")
    assert not settings.is_outdated(path, ROOT), "it is none of ours"
    text = refreshed(settings.NEW, settings.project_settings(ROOT))
    path.write_text(text)
    assert not settings.is_outdated(path, ROOT)
    path.write_text(text.replace("task_timeout = 1800\n", ""))
    assert settings.is_outdated(path, ROOT)


def test_each_path_in_the_projects_settings_is_seen_from_the_folder() -> None:
    project = settings.project_settings(ROOT)
    for values in project.values():
        for key, value in values.items():
            if key not in settings.OWN and (ROOT / value).exists() and value[0] not in "./":
                assert value.split("/")[0] in settings.PATHS, f"{key} needs the link"
