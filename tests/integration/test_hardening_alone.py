"""The hardening runs alone: with its dependency, and with no other role, inventory or script."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from support import forks

ROLES = Path(__file__).resolve().parents[2] / "roles"
pytestmark = pytest.mark.heavy
PLAY = """
- hosts: localhost
  connection: local
  gather_facts: false
  vars:
    district_hardening_session: {release: "13"}
  roles:
    - role: district_hardening
"""
# In place of the tasks that change a host, since this one is the developer's.
SHOW = """
- name: Show the files
  ansible.builtin.copy:
    content: >-
      {{
        {'files': __district_hardening_files, 'packages': __district_hardening_packages}
        | to_json
      }}
    dest: "{{ shown }}"
    mode: "0600"
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with the roles as ansible-galaxy installs them, and a play."""
    for name in ("district_hardening", "roster_common"):
        shutil.copytree(ROLES / name, tmp_path / "roles" / name)
    (tmp_path / "play.yml").write_text(PLAY)
    return tmp_path


def play(folder: Path, *arguments: str) -> str:
    done = forks.of_ansible(
        "ansible-playbook",
        *("play.yml", "-i", "localhost,", "-e", f"ansible_python_interpreter={sys.executable}"),
        *arguments,
        env={**os.environ, "PYTHONPATH": ""},
        cwd=folder,
        is_alone=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_each_control_is_a_tag(folder: Path) -> None:
    values = yaml.safe_load((ROLES / "district_hardening/vars/main/controls.yml").read_text())
    tags = play(folder, "--list-tags").rsplit("TASK TAGS: [", 1)[1].split("]")[0].split(", ")
    assert set(tags) == {
        "always",
        "validate",
        "district_hardening",
        *values["__district_hardening_order"],
    }


def shown(folder: Path, *arguments: str, **values: object) -> tuple[set[str], list[str]]:
    """Return the paths and the packages of a run."""
    role = folder / "roles/district_hardening"
    tasks = yaml.safe_load((role / "tasks/main.yml").read_text())
    tasks[0]["block"] = yaml.safe_load(SHOW)
    (role / "tasks/main.yml").write_text(yaml.safe_dump(tasks, sort_keys=False))
    out = folder / "shown.json"
    out.unlink(missing_ok=True)
    play(folder, "-e", json.dumps({"shown": str(out), **values}), *arguments)
    if not out.exists():
        return set(), []
    found: dict[str, Any] = json.loads(out.read_text())
    assert all("source" not in entry for entry in found["files"])
    return {entry["path"] for entry in found["files"]}, found["packages"]


SSH = "/etc/ssh/sshd_config.d/00-district-hardening.conf"
FIREWALL = "/etc/nftables.conf"
ROLL_BACK = "/usr/local/sbin/district-rollback"


def test_tags_select_files_and_packages(folder: Path) -> None:
    paths, packages = shown(folder)
    assert {SSH, FIREWALL, ROLL_BACK, "/etc/sudoers.d/district-hardening"} <= paths
    assert {"nftables", "sudo"} <= set(packages)

    paths, packages = shown(folder, "--tags", "firewall")
    assert {FIREWALL, ROLL_BACK} <= paths
    assert SSH not in paths
    assert packages == ["nftables"]

    paths, packages = shown(folder, "--skip-tags", "firewall")
    assert {SSH, ROLL_BACK} <= paths
    assert FIREWALL not in paths
    assert "nftables" not in packages
    assert "sudo" in packages

    assert shown(folder, "--tags", "firewall", "--skip-tags", "firewall") == (set(), [])


def test_the_content_of_a_control_that_is_off_is_not_rendered(folder: Path) -> None:
    broken = {"district_hardening_outbound": "{{ nothing_of_this_name }}"}
    off = {"district_hardening_firewall_enabled": False}
    paths, packages = shown(folder, "--skip-tags=always", **broken, **off)
    assert FIREWALL in paths  # to be the distribution's own again
    assert "nftables" not in packages
