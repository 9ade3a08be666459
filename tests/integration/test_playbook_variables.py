"""The variables of playbooks: old names and bad values are refused before a host is reached."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from support import forks

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.heavy
OPTIONS = yaml.safe_load((ROOT / "playbooks/shared/options.yml").read_text())
CHOOSING = ("verify", "send", "rotate_credentials", "approve", "decommission")


@pytest.fixture
def inventory(tmp_path: Path) -> Path:
    """One host with a feed, which nobody can reach."""
    key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHPnYyg29wp+52NcQKVv+8V0+4pa5RjDmFa8hpvjb9rX"
    host = {
        "ansible_host": "127.0.0.1",
        "ansible_port": 1,
        "district_name": "Elm",
        "district_site_code": "1",
        "roster_upload_feed": "elm",
        "roster_upload_username": "r@example.org",
        "roster_upload_host_keys": [key],
    }
    path = tmp_path / "hosts.yml"
    path.write_text(json.dumps({"district_hosts": {"hosts": {"host": host}}}))
    return path


def play(playbook: str, inventory: Path, *more: str, **given: Any) -> str:
    """Play it, which fails. Return its output in one line."""
    words = ["-i", inventory, "-e", json.dumps(given), *more]
    code, told = forks.ansible("ansible-playbook", f"playbooks/{playbook}.yml", *words)
    assert code != 0, told
    return " ".join(told.split())


@pytest.mark.parametrize("playbook", sorted(OPTIONS["playbook_options"]))
def test_a_playbook_refuses_old_names(playbook: str, inventory: Path) -> None:
    asked = {"rotate_new_password": "", "decommission_confirm": ""}
    told = play(playbook, inventory, feed="elm", new_keys="make", **asked)
    assert "feed: this variable is now called roster_feed" in told
    assert "rotate_key_action" in told
    assert "UNREACHABLE" not in told


@pytest.mark.parametrize("playbook", sorted(set(OPTIONS["playbook_options"])))
def test_the_inventory_is_checked_first(playbook: str) -> None:
    """The two others bring hosts into the inventory, or read none."""
    first, *_ = yaml.safe_load((ROOT / f"playbooks/{playbook}.yml").read_text())
    imported = first.get("ansible.builtin.import_playbook") == "shared/check_inventory.yml"
    assert imported == (playbook not in ("onboard", "rekey_vault"))


@pytest.mark.parametrize("playbook", ["onboard", "rekey_vault"])
def test_a_playbook_refuses_misspelt_names(playbook: str, inventory: Path) -> None:
    told = play(playbook, inventory, onboard_cvs="x", rekey_vaultid="x")
    assert "onboard_cvs: there is no such variable. Did you mean onboard_csv?" in told
    assert "Did you mean rekey_vault_id?" in told


def renamed_of(role: str) -> dict[str, str]:
    """Return the old and new names of a role's variables, or {} if it has renamed none."""
    for path in sorted((ROOT / "roles" / role / "vars").rglob("*.yml")):
        values = yaml.safe_load(path.read_text())
        if found := values.get(f"__{role}_renamed"):
            return dict(found)
    return {}


RENAMED = {path.name: renamed_of(path.name) for path in (ROOT / "roles").iterdir()}
RENAMED = {role: names for role, names in sorted(RENAMED.items()) if names}


def test_site_refuses_every_old_name_of_all_roles(inventory: Path) -> None:
    names = {old: new for renamed in RENAMED.values() for old, new in renamed.items()}
    told = play("site", inventory, "--tags", "validate", **dict.fromkeys(names, "x"))
    for old, new in names.items():
        is_name = new.isidentifier()
        message = f"is now called {new}." if is_name else f"no longer exists. {new}"
        assert f"{old}: this variable {message}" in told, old
    assert "UNREACHABLE" not in told


@pytest.mark.parametrize("role", RENAMED)
def test_every_old_name_of_a_role_is_in_the_guide(role: str) -> None:
    guide = (ROOT / "docs/upgrading.md").read_text()
    for old, new in RENAMED[role].items():
        is_switch = new == f"{old}_enabled"
        known = "district_hardening_CONTROL: true" if is_switch else old
        assert re.search(rf"`{re.escape(known)}\b", guide), old
        if new.isidentifier():
            assert f"`{'district_hardening_CONTROL_enabled' if is_switch else new}`" in guide, new


def test_a_list_of_names_is_no_list_of_feeds(inventory: Path) -> None:
    told = play("site", inventory, "--tags", "validate", roster_credentials_feeds=["elm"])
    assert "roster_credentials_feeds: it must be a list of feeds" in told


def test_every_old_name_has_a_new_one_that_is_declared() -> None:
    declared = {name for options in OPTIONS["playbook_options"].values() for name in options}
    assert not declared & OPTIONS["playbook_renamed"].keys()
    for text in OPTIONS["playbook_renamed"].values():
        assert declared & set(text.replace(",", " ").split()), text


@pytest.mark.parametrize(
    ("playbook", "given", "words"),
    [
        ("approve", {"roster_feed": "elm", "approve_digest": "a"}, ["missing", "approve_reason"]),
        ("rotate_credentials", {"rotate_key_action": "make"}, ["generate, activate, discard"]),
        ("site", {"site_max_fail_percentage": "few"}, ["site_max_fail_percentage"]),
    ],
)
def test_a_bad_value_is_refused(
    playbook: str, given: dict[str, Any], words: list[str], inventory: Path
) -> None:
    told = play(playbook, inventory, **({"rotate_new_password": ""} | given))
    assert [word for word in words if word not in told] == []
    assert "UNREACHABLE" not in told


APPROVE = {"approve_digest": "a", "approve_reason": "so"}


@pytest.mark.parametrize("playbook", CHOOSING)
def test_a_feed_that_nobody_has_is_refused(playbook: str, inventory: Path) -> None:
    asked = {"rotate_new_password": "", "decommission_confirm": "typo"}
    told = play(playbook, inventory, roster_feed="typo", **asked, **APPROVE)
    assert "has a feed typo" in told
    assert "host has elm" in told
    assert "Did you mean" not in told


def test_the_nearest_feed_is_named(inventory: Path) -> None:
    assert "has elm. Did you mean elm?" in play("verify", inventory, roster_feed="elmm")


@pytest.mark.parametrize("given", [{}, {"roster_feed": ""}, {"roster_feed": "elm"}])
def test_all_feeds_or_one_are_chosen(given: dict[str, str], inventory: Path) -> None:
    assert "UNREACHABLE" in play("verify", inventory, **given)


# ---- sources ------------------------------------------------------------------------------------

FETCHED = "sftp://maple@sis.example/out/*.zip"
# Values of a host, and words of the message that refuses them.
WRONG_SOURCES: dict[str, tuple[dict[str, Any], list[str]]] = {
    "scheme": ({"source": "ftp://maple@sis.example/x.zip"}, ["source:", "smb://SERVER/SHARE"]),
    "unpinned": (
        {"source": "sftp://elm@sis.example/x.zip", "source_host_keys": []},
        ["source_host_keys:", "is pinned"],
    ),
    "nobody": ({"source": "sftp://sis.example/x.zip"}, ["source:", "user"]),
    "secret": ({"source": "sftp://maple:hunter2@sis.example/x.zip"}, ["source:", "vault file"]),
    "folders": ({"source": "sftp://maple@sis.example/*/x.zip"}, ["source:", "last part only"]),
    "share": ({"source": "smb://files/x.zip"}, ["source:", "smb://[DOMAIN;][USER@]SERVER"]),
    "after": ({"source": "/srv/x.zip", "source_after": "remove"}, ["source_after:", "sftp://"]),
    "twice": (
        {"feeds": [
            {"feed": name, "remote_name": f"{name}.zip", "source": FETCHED} for name in ("a", "b")
        ], "source_after": "remove"},
        ["source_after:", "a removes", "b fetches"],
    ),
}  # fmt: skip


def test_a_wrong_source_is_refused(inventory: Path) -> None:
    hosts = json.loads(inventory.read_text())
    first = hosts["district_hosts"]["hosts"].pop("host")
    for number, (name, (values, _)) in enumerate(WRONG_SOURCES.items()):
        keys = (
            {"source_host_keys": first["roster_upload_host_keys"]} if "sftp" in str(values) else {}
        )
        own: dict[str, Any] = {
            f"roster_upload_{key}": value for key, value in {**keys, **values}.items()
        }
        code = {"district_site_code": str(number)}
        if "feeds" in values:
            own["roster_upload_feed"] = ""
        hosts["district_hosts"]["hosts"][f"host-{name}"] = {**first, **code, **own}
    inventory.write_text(json.dumps(hosts))
    told = play("site", inventory, "--tags", "validate")
    assert "hunter2" not in told
    for name, (_, words) in WRONG_SOURCES.items():
        [message] = re.findall(rf"fatal: \[host-{name}\].*?(?=\[ERROR\]|PLAY RECAP)", told)
        assert [word for word in words if word not in message] == [], message


def test_a_source_without_its_password_is_refused(inventory: Path) -> None:
    hosts = json.loads(inventory.read_text())
    host = hosts["district_hosts"]["hosts"]["host"]
    host |= {"roster_upload_source": "smb://maple@files.example/SIS/x.zip"}
    host |= {"roster_credentials_secrets": {"elm": {"secret": "invented"}}}
    inventory.write_text(json.dumps(hosts))
    told = play("site", inventory, "--tags", "validate")
    assert "host: no secret for the roster_upload_source of elm" in told
    assert "Add the line source:" in told


def test_a_host_without_inboxes_may_use_their_port_for_ssh(inventory: Path) -> None:
    told = play("site", inventory, "--tags", "validate", district_hardening_ssh_ports=[2222])
    assert "sis_inbox_port" not in told
