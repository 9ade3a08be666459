"""Helpers of the scenarios' tests: playbooks as an operator runs them."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from support import forks
from support.lab_hosts import ROOT

Played = subprocess.CompletedProcess[str]
Play = Callable[..., Played]
# All that differs on a hardened host that gets another name, district, feed or hours.
DISTRICT_ONLY = (
    "--tags", "roster_upload,roster_credentials,roster_schedule,sis_inbox,apparmor,updates"
)  # fmt: skip


def environment() -> dict[str, str]:
    """Return an operator's environment, without Molecule's."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("MOLECULE_", "ANSIBLE_"))}
    return {**kept, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")}


def ansible(program: str, *arguments: str | Path, **more: str) -> Played:
    """Run one of Ansible's programs in the project, without a terminal."""
    return forks.of_ansible(program, *arguments, env={**environment(), **more})


def plain(told: str) -> str:
    """Return a terminal's text, without its colours."""
    return re.sub(r"\x1b\[[0-9;]*m", "", told).replace("\r", "")


def row(told: str, *words: str) -> str:
    """Return the line of a closing table with all the words. Fail the test without one."""
    table = re.split(r": (?:results|planned changes \(check mode\)) *\n", plain(told))[-1]
    lines = [line for line in table.splitlines() if all(word in line for word in words)]
    assert len(lines) == 1, f"{len(lines)} lines with {words}:\n{told}"
    return lines[0]


@pytest.fixture(scope="module")
def play() -> Play:
    """Run a playbook of the project on an inventory."""

    def run(playbook: str, inventory: Path, *arguments: str, **more: str) -> Played:
        path = f"playbooks/{playbook}.yml"
        return ansible("ansible-playbook", path, "-i", inventory, *arguments, **more)

    return run
