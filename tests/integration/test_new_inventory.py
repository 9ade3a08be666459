"""An operator's own folder, from its first command on: nothing is written into the checkout."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from roster_fleet.folder import command
from support import forks

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.heavy
PARTS = ("playbooks", "roles", "scripts/roster_fleet", "scripts/roster_upload")
FILES = (".gitignore", "ansible.cfg", "scripts/new-inventory", "scripts/vault-client")
VALUES = {
    "roster_upload_remote_host": "127.0.0.1",
    "roster_upload_remote_port": 1,
    "roster_upload_host_keys": [
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHPnYyg29wp+52NcQKVv+8V0+4pa5RjDmFa8hpvjb9rX"
    ],
}
DISTRICT = """\
host,address,district,site_code,product,username,password
oak,127.0.0.1,Oak County,0012345,literacy,rosters@oak.example,a password
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Make a clone of the project, with a blank in its path."""
    checkout = tmp_path / "the checkout"
    ignored = shutil.ignore_patterns("__pycache__")
    for part in PARTS:
        shutil.copytree(ROOT / part, checkout / part, ignore=ignored)
    for file in FILES:
        shutil.copy(ROOT / file, checkout / file)
    (checkout / "inventories").mkdir()
    git = ["git", "-C", str(checkout), "-c", "user.name=a", "-c", "user.email=a@example.org"]
    for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "all"]):
        subprocess.run([*git, *words], check=True)
    return checkout


def changes(checkout: Path) -> str:
    words = ["git", "-C", str(checkout), "status", "--porcelain"]
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout


def run(folder: Path, program: str, *words: str) -> tuple[int, str]:
    """Run one of Ansible's programs in a folder, with its own ansible.cfg."""
    environment = {**os.environ, "ANSIBLE_CONFIG": str(folder / "ansible.cfg")}
    done = forks.of_ansible(program, *words, env=environment, cwd=folder)
    return done.returncode, done.stdout + done.stderr


def test_a_folder_of_the_operators_own(tmp_path: Path, checkout: Path) -> None:
    folder = tmp_path / "my rosters"
    assert command.main([str(folder), "east"], checkout) == 0

    # onboard.yml writes into the folder, with the key that was made.
    shared = folder / "inventories/east/group_vars/district_hosts/main.yml"
    shared.write_text(shared.read_text() + yaml.safe_dump(VALUES))
    csv = folder / "new.csv"
    csv.write_text(DISTRICT)
    client = "east@scripts/vault-client"
    vault = ["encrypt", "--encrypt-vault-id", "east", "--vault-id", client, "new.csv"]
    code, said = run(folder, "ansible-vault", *vault)
    assert code == 0, said
    code, said = run(
        folder, "ansible-playbook", "playbooks/onboard.yml", "-e", "onboard_csv=new.csv"
    )
    assert "oak-county" in said, said
    assert (folder / "inventories/east/host_vars/oak/oak-county.vault").is_file(), said

    # The inventory is found without `-i`, the roles through the link, the password by the key.
    code, said = run(folder, "ansible-playbook", "playbooks/site.yml", "--tags", "validate")
    assert code == 0, said
    assert "its variables are right" in said
    code, said = run(folder, "ansible-playbook", "playbooks/status.yml")
    assert "The page: build/east/status.html" in said, said
    assert (folder / "build/east/status.html").stat().st_size > 0

    # A second inventory has its own outputs, and is checked as strictly.
    assert command.main([str(folder), "west"], checkout) == 0
    hosts = {"all": {"children": {"district_hosts": {"hosts": {"elm": None}}}}}
    (folder / "inventories/west/hosts.yml").write_text(yaml.safe_dump(hosts))
    words = ["playbooks/site.yml", "-i", "inventories/west", "--tags", "validate"]
    code, said = run(folder, "ansible-playbook", *words)
    assert code != 0
    for name in ("roster_upload_feed", "roster_upload_username", "roster_upload_host_keys"):
        assert name in said
    assert "--limit @build/west/site.limit" in said
    assert (folder / "build/west/site.limit").read_text() == "elm\n"
    assert not (folder / "build/east/site.limit").exists()

    assert changes(checkout) == ""
    assert not (checkout / "build").exists()


def test_settings_of_another_release_are_named(tmp_path: Path, checkout: Path) -> None:
    folder = tmp_path / "rosters"
    assert command.main([str(folder), "east"], checkout) == 0
    path = checkout / "ansible.cfg"
    path.write_text(path.read_text().replace("forks = 20", "forks = 21"))
    words = ("playbooks/site.yml", "--tags", "validate")
    assert "settings of another release" in run(folder, "ansible-playbook", *words)[1]
    assert command.main([str(folder)], checkout) == 0
    assert "another release" not in run(folder, "ansible-playbook", *words)[1]
