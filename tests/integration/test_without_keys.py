"""Playbooks that need no vault key run without one, also in an inventory with alerts."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from ansible.parsing.vault import VaultLib, VaultSecret
from support import forks

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.heavy
BIN = Path(sys.executable).parent
OWN = VaultSecret(b"a key of some length that is not in git")
CLIENT = f"without-key@{ROOT / 'scripts/vault-client'}"
APPROVAL = {
    "roster_feed": "oak-county",
    "approve_digest": "0" * 64,
    "approve_reason": "a school has closed",
}
WITHOUT_KEYS = {
    "status": [],
    "verify": [],
    "send": [],
    "approve": ["--limit", "roster-region7", "-e", json.dumps(APPROVAL)],
}


def seal(path: Path, text: str, vault_id: str = "without-key") -> None:
    path.write_bytes(VaultLib().encrypt(text, OWN, vault_id))


@pytest.fixture
def inventory(tmp_path: Path) -> Path:
    """An operator's inventory with alerts, whose hosts cannot be reached."""
    folder = Path(shutil.copytree(ROOT / "inventories" / "example", tmp_path / "without-key"))
    for path in folder.rglob("*.vault"):
        entry = "secret: 'hush hush', since: '2026-11-01'"
        seal(path, f"{{{entry}, source: {{{entry}}}}}\n")
    for group in ("all", "district_hosts"):
        seal(folder / "group_vars" / group / "alerts.vault", f"heartbeat: 'hush hush {group}'\n")
    (folder / "host_vars/roster-region7/alerts.vault").unlink()
    hosts = folder / "hosts.yml"
    hosts.write_text(hosts.read_text().replace("example.org", "invalid"))
    return folder


def run(program: str, *arguments: object, ids: str) -> subprocess.CompletedProcess[str]:
    """Run a real program of Ansible's with these vault ids, each by a vault client of its own."""
    return subprocess.run(
        [BIN / program, *map(str, arguments)],
        cwd=ROOT,
        env={
            **os.environ,
            "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
            "ANSIBLE_VAULT_IDENTITY_LIST": ids,
        },
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
        timeout=600,
    )


@pytest.mark.parametrize("name", WITHOUT_KEYS)
def test_a_playbook_that_needs_no_key_reaches_the_hosts(name: str, inventory: Path) -> None:
    """The only vault id has no key."""
    playbook = f"playbooks/{name}.yml"
    done = run("ansible-playbook", playbook, "-i", inventory, *WITHOUT_KEYS[name], ids=CLIENT)
    output = done.stdout + done.stderr
    assert "roster-region7.invalid" in output
    for word in ("ecrypt", "vault-client", "undefined"):
        assert word not in output


def test_an_inventory_is_listed_without_a_key(inventory: Path) -> None:
    done = run("ansible-inventory", "-i", inventory, "--list", ids=CLIENT)
    assert (done.returncode, done.stderr) == (0, "")
    assert "hush" not in done.stdout


def test_a_playbook_that_needs_the_key_names_its_id_and_the_ways(inventory: Path) -> None:
    done = run(
        "ansible-playbook", "playbooks/site.yml", "-i", inventory, "--tags", "validate", ids=CLIENT
    )
    output = " ".join((done.stdout + done.stderr).split())
    assert done.returncode != 0
    for word in (
        "maple-grove.vault does not open",
        "no key for the vault id 'without-key'",
        "scripts/vault-client --vault-id without-key",
        "vault_identity_list",
    ):
        assert word in output


def test_nothing_is_encrypted_without_a_key(inventory: Path) -> None:
    """`ansible-vault` gets no answer that it could take for a key."""
    path = inventory / "group_vars" / "all" / "new.vault"
    path.write_text("heartbeat: 'x'\n")
    done = run("ansible-vault", "encrypt", "--encrypt-vault-id", "without-key", path, ids=CLIENT)
    assert done.returncode != 0
    assert path.read_text() == "heartbeat: 'x'\n"
    for way in (
        "no key for the vault id 'without-key'",
        "ROSTER_VAULT_KEY_WITHOUT_KEY",
        "vault-keys",
    ):
        assert way in done.stderr


# ---- with keys -------------------------------------------------------------------------------


def validate(inventory: Path, *arguments: object) -> tuple[int, str]:
    """Validate with the inventory's key. Return the exit code and the output as one line."""
    key = inventory.with_name("key")
    key.write_bytes(OWN.bytes)
    code, output = forks.ansible(
        "ansible-playbook", "playbooks/site.yml", "-i", inventory, "--tags", "validate",
        "--vault-id", f"without-key@{key}", *arguments,
    )  # fmt: skip
    assert "hush" not in output
    return code, " ".join(output.split())


PLAY = """\
- hosts: roster-maple
  gather_facts: false
  tasks:
    - ansible.builtin.debug:
        msg: "{{ lookup('alert_secrets', folder=folder).heartbeat }}, as {{ nearest }}"
      vars:
        folder: "{{ inventory_dir }}/host_vars/roster-maple"
"""


@pytest.mark.parametrize(
    ("groups", "nearest"),
    [
        ({"b": {}, "a": {}}, "b"),
        ({"b": {}, "a": {"ansible_group_priority": 5}}, "a"),
        ({}, "district_hosts"),
    ],
)
def test_the_nearest_file_is_that_of_ansibles_own_order(
    groups: dict[str, dict[str, int]], nearest: str, inventory: Path
) -> None:
    """By depth, then by `ansible_group_priority`, then by name, as for variables."""
    children = {
        name: {"hosts": {"roster-maple": None}, "vars": values} for name, values in groups.items()
    }
    more = {"all": {"children": {"district_hosts": {"children": children}}}}
    (inventory / "more.json").write_text(json.dumps(more))
    for name in (*groups, "district_hosts", "all"):
        home = inventory / "group_vars" / name
        home.mkdir(exist_ok=True)
        (home / "nearest.yml").write_text(f"nearest: {name}\n")
        seal(home / "alerts.vault", f"heartbeat: '{name}'\n")
    play, key = inventory.with_name("play.yml"), inventory.with_name("key")
    play.write_text(PLAY)
    key.write_bytes(OWN.bytes)
    code, output = forks.ansible(
        "ansible-playbook", play, "-i", inventory, "--vault-id", f"without-key@{key}",
        ANSIBLE_LOOKUP_PLUGINS=str(ROOT / "roles/roster_credentials/lookup_plugins"),
    )  # fmt: skip
    assert code == 0, output
    assert f"{nearest}, as {nearest}" in " ".join(output.split())


def test_encrypted_variables_of_alerts_stop_site_with_their_new_home(inventory: Path) -> None:
    assert validate(inventory)[0] == 0
    path = inventory / "group_vars" / "district_hosts" / "vault.yml"
    for name in ("roster_credentials_alerts", "vault_roster_credentials_alerts"):
        seal(path, f"{name}: {{heartbeat: 'hush hush'}}\n")
        code, output = validate(inventory, "--limit", "roster-maple")
        assert code != 0
        assert name in output
        assert "group_vars/GROUP/alerts.vault" in output


def test_a_feed_cannot_be_named_alerts(inventory: Path) -> None:
    main = inventory / "host_vars/roster-maple/main.yml"
    main.write_text(main.read_text().replace("_feed: maple-grove", "_feed: alerts"))
    code, output = validate(inventory, "--limit", "roster-maple")
    assert code != 0
    assert "Give the feed 'alerts' another name" in output
