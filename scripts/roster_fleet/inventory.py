"""An inventory as the roles see it: its hosts, their groups, and their feeds in full."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Container, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleError
from ansible.inventory import host as inventory_host
from ansible.inventory.manager import InventoryManager
from ansible.parsing.dataloader import DataLoader
from ansible.vars.manager import VariableManager

from roster_fleet import resolving, roles

RESOLVED = ("roster_upload", "roster_credentials", "sis_inbox")  # roles
DISTRICT_HOSTS = "district_hosts"


@dataclass(frozen=True)
class Host:
    """A district host. `problem` says why its variables cannot be resolved, if so."""

    groups: frozenset[str]
    address: str = ""
    feeds: tuple[Mapping[str, Any], ...] = ()
    vault_id: str = ""
    product: str = ""  # as the groups say
    problem: str = ""
    ssh_port: int = 22
    inboxes: tuple[Mapping[str, Any], ...] = ()  # accounts of `sis_inbox`
    inbox_folder: str = ""
    inbox_problems: tuple[str, ...] = ()
    inbox_port: int = 2222  # by which an SIS reaches it


# What the role `sis_inbox` has on a host, its port, and the administrators' SSH port.
INBOXES = """\
{{ {'accounts': sis_inbox_accounts, 'folder': sis_inbox_folder, 'inbox_port': sis_inbox_port,
    'port': (district_hardening_ssh_ports | default([ansible_port | default(22)], true)) | first,
    'problems': sis_inbox_accounts | inbox_problems(
      sis_inbox_folder, roster_upload_resolved_feeds | map(attribute='source'))} }}"""


def folder_of(sources: list[str]) -> Path | None:
    """Return the inventory folder of a run, given its `-i`, or None for several sources."""
    if len(sources) != 1 or "," in sources[0]:
        return None
    path = Path(sources[0]).absolute()
    return path if path.is_dir() else path.parent if path.name == "hosts.yml" else None


def names(folder: Path, secrets: list[Any]) -> dict[str, frozenset[str]]:
    """Return the groups of every host of an inventory."""
    manager = InventoryManager(loader=_loader(secrets), sources=[str(folder)], cache=False)
    return {
        name: frozenset(group.name for group in host.get_groups())
        for name, host in manager.hosts.items()
    }


def read(
    folder: Path,
    secrets: list[Any],
    home: Path | None = None,
    only: Container[str] | None = None,
) -> dict[str, Host]:
    """Return the district hosts, resolved with the roles' own defaults and expressions.

    If the folder is a copy, `home` is the value of `inventory_dir`. `only` names the hosts to
    resolve, if not all.
    """
    loader = _loader(secrets)
    manager = InventoryManager(loader=loader, sources=[str(folder)], cache=False)
    variables = VariableManager(loader=loader, inventory=manager)
    used = roles.with_dependencies(RESOLVED, loader)
    fleet = resolving.Fleet(loader, variables, used, {"inventory_dir": str(home or folder)})
    group = manager.groups.get(DISTRICT_HOSTS)
    return {
        host.name: _resolved(host, fleet)
        for host in (group.get_hosts() if group else ())
        if only is None or host.name in only
    }


def _resolved(host: inventory_host.Host, fleet: resolving.Fleet) -> Host:
    """Return a host with its variables resolved."""
    groups = frozenset(group.name for group in host.get_groups())
    values = fleet.values(host)
    try:
        inboxes = values.resolve(INBOXES)
        return Host(
            groups,
            str(values.raw.get("ansible_host", "")),
            tuple(values["roster_upload_resolved_feeds"]),
            str(values["roster_credentials_vault_id"]),
            str(values.get("district_product", "")),
            ssh_port=int(inboxes["port"]),
            inboxes=tuple(inboxes["accounts"]),
            inbox_folder=str(inboxes["folder"]),
            inbox_problems=tuple(inboxes["problems"]),
            inbox_port=int(inboxes["inbox_port"]),
        )
    except AnsibleError as error:
        return Host(groups, problem=str(error))


@contextmanager
def with_files(folder: Path, files: Mapping[Path, str]) -> Iterator[Path]:
    """Make a temporary copy of an inventory from links, with these files instead of its own."""
    above = {parent for path in files for parent in path.parents}

    def mirror(source: Path, target: Path) -> None:
        target.mkdir()
        for entry in source.iterdir() if source.is_dir() else ():
            if entry in above:
                mirror(entry, target / entry.name)
            elif entry not in files:
                (target / entry.name).symlink_to(entry)

    root = Path(tempfile.mkdtemp(prefix="onboard."))
    try:
        copy = root / folder.name
        mirror(folder, copy)
        for path, text in files.items():
            there = copy / path.relative_to(folder)
            there.parent.mkdir(parents=True, exist_ok=True)
            there.write_text(text, encoding="utf-8")
        yield copy
    finally:
        shutil.rmtree(root)


def _loader(secrets: list[Any]) -> DataLoader:
    loader = DataLoader()
    loader.set_vault_secrets(secrets)
    return loader
