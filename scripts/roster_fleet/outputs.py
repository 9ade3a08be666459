"""The place of a run's outputs on the control node: one folder for each inventory.

Only the standard library is imported, so that a command that needs no Ansible starts fast.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

INVENTORIES = "inventories"
# Files that are named so are a part of the inventory in their folder. Others are one themselves.
HOSTS_FILES = ("hosts", "inventory")
LIST = "hosts"  # the name of `-i host1,host2`
LONGEST_NAME = 100  # characters


@dataclass(frozen=True)
class Outputs:
    """The folders of one inventory's outputs."""

    root: Path  # the operator's folder
    name: str  # of the inventory

    @property
    def folder(self) -> Path:
        """Return the folder of the page, the lists for `--limit` and the last reports."""
        return self.root / "build" / self.name

    @property
    def page(self) -> Path:
        """Return the path of the status page."""
        return self.folder / "status.html"

    @property
    def reports(self) -> Path:
        """Return the folder with each host's last report."""
        return self.folder / "status"

    @property
    def receipts(self) -> Path:
        """Return the folder of receipts from decommissioned districts."""
        return self.root / "receipts" / self.name

    def limit(self, playbook: str) -> Path:
        """Return the file with the hosts that a playbook has left."""
        return self.folder / f"{playbook}.limit"


def of(sources: Sequence[str], settings_file: str | Path | None = None) -> Outputs:
    """Return the outputs of a run, given its inventories and the ansible.cfg that it uses.

    An inventory in `ROOT/inventories` has its outputs in ROOT, wherever the run was started. Those
    of any other inventory are beside the ansible.cfg, or in the current folder without one.
    """
    named = [_inventory_of(source) for source in sources] or [(None, LIST)]
    root = next((home.parents[1] for home, _ in named if home and _is_inside(home)), None)
    if root is None:
        root = _folder_of_settings(settings_file)
    found = Outputs(root, _joined([name for _, name in named]))
    if any(home in (found.folder, *found.folder.parents) for home, _ in named):
        # Ansible would read the outputs as a part of the inventory.
        return Outputs(root, f"outputs/{found.name}")
    return found


def as_typed(path: Path) -> str:
    """Return a path as an operator types it in the current folder."""
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)


def _inventory_of(source: str) -> tuple[Path | None, str]:
    """Return the folder of a source and the inventory's name. A list of hosts has no folder."""
    if "," in source:
        return None, LIST
    path = Path(source).absolute()
    if path.is_dir():
        return path, path.name
    if path.stem in HOSTS_FILES or _is_inside(path.parent):
        return path.parent, path.parent.name
    return None, path.stem


def _is_inside(folder: Path) -> bool:
    return folder.parent.name == INVENTORIES


def _folder_of_settings(settings_file: str | Path | None) -> Path:
    """Return the folder of a project's ansible.cfg, but not that of the user or the machine."""
    here = Path.cwd()
    folder = Path(settings_file).absolute().parent if settings_file else here
    outside = (Path.home(), Path("/etc/ansible"))
    return here if folder in outside and folder != here else folder


def _joined(names: Sequence[str]) -> str:
    """Return the name of several inventories together."""
    name = "+".join(dict.fromkeys(filter(None, names))) or LIST
    if len(name) > LONGEST_NAME:
        digest = hashlib.sha256(name.encode()).hexdigest()[:8]
        return f"{name[:LONGEST_NAME]}-{digest}"
    return name
