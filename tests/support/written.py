"""Inventories as an operator writes them, for the checks of the files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import yaml
from ansible.parsing.dataloader import DataLoader
from roster_fleet.check import files, nodes
from roster_fleet.check.known import Known, known

ROOT = Path(__file__).resolve().parents[2]
LOADER = DataLoader()  # one for all, since it keeps what it has read
HOSTS = ("maple", "oak")
GROUPS = {"all": HOSTS, "ungrouped": (), "district_hosts": HOSTS, "sis_elm": ("oak",)}
HOSTS_FILE = """\
all:
  children:
    district_hosts:
      hosts:
        maple:
        oak:
      children:
        sis_elm:
          hosts:
            oak:
"""


def write(folder: Path, texts: Mapping[str, str]) -> Path:
    """Write an inventory with two hosts, and more files by their paths."""
    for name, text in {"hosts.yml": HOSTS_FILE, **texts}.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    nodes.read.cache_clear()  # a test may write a path again
    return folder


def inventory(folder: Path, texts: Mapping[str, str]) -> files.Inventory:
    """Write an inventory and return its files."""
    return files.Inventory([str(write(folder, texts))], GROUPS)


def names() -> Known:
    """Return what the roles and playbooks know."""
    declared = yaml.safe_load((ROOT / "playbooks/shared/options.yml").read_text())
    return known(declared["inventory_facts"], declared["playbook_options"], LOADER)
