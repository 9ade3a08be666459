"""What the scenarios' tests share: playbooks as an operator types them."""

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


def environment() -> dict[str, str]:
    """An operator's environment, without Molecule's."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("MOLECULE_", "ANSIBLE_"))}
    return {**kept, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")}


def ansible(program: str, *arguments: str | Path, **more: str) -> Played:
    """Runs one of Ansible's programs in the project; nobody is at the terminal."""
    return forks.of_ansible(program, *arguments, env={**environment(), **more})


def plain(told: str) -> str:
    """What a terminal shows, without its colours."""
    return re.sub(r"\x1b\[[0-9;]*m", "", told).replace("\r", "")


def row(told: str, *words: str) -> str:
    """The line of a closing table that holds all the words; fails the test without one."""
    table = re.split(r" done *\n", plain(told))[-1]
    lines = [line for line in table.splitlines() if all(word in line for word in words)]
    assert len(lines) == 1, f"{len(lines)} lines with {words}:\n{told}"
    return lines[0]


@pytest.fixture(scope="module")
def play() -> Play:
    """Runs a playbook of the project on an inventory."""

    def run(playbook: str, inventory: Path, *arguments: str, **more: str) -> Played:
        path = f"playbooks/{playbook}.yml"
        return ansible("ansible-playbook", path, "-i", inventory, *arguments, **more)

    return run
