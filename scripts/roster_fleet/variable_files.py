"""The files that Ansible reads as variables of a host or a group."""

from __future__ import annotations

from pathlib import Path

from ansible.parsing.dataloader import DataLoader

# Ansible reads `host_vars/NAME.yml`, also a folder of that name, as variables of NAME.
ENDINGS = (".yml", ".yaml", ".json")


def of(home: Path) -> list[Path]:
    """Return the files that Ansible reads for a host or a group, given its folder.

    Later ones override earlier ones.
    """
    return [Path(name) for name in DataLoader().find_vars_files(str(home.parent), home.name)]


def ignored(home: Path) -> list[Path]:
    """Return the files of a host or a group that Ansible ignores, since the folder is there."""
    if not home.exists():
        return []
    beside = (home.with_name(home.name + ending) for ending in ENDINGS)
    return [path for path in beside if path.is_file()]
