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
from ansible.inventory.manager import InventoryManager
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.loader import filter_loader, lookup_loader
from ansible.template import Templar, trust_as_template
from ansible.vars.manager import VariableManager

ROLES = Path(__file__).resolve().parents[2] / "roles"
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
    filter_loader.add_directory(str(ROLES / "roster_common" / "filter_plugins"))
    lookup_loader.add_directory(str(ROLES / "roster_credentials" / "lookup_plugins"))
    loader = _loader(secrets)
    manager = InventoryManager(loader=loader, sources=[str(folder)], cache=False)
    variables = VariableManager(loader=loader, inventory=manager)
    roles = ("roster_upload", "roster_credentials", "sis_inbox")
    defaults = _role_files(loader, [ROLES / role / "defaults" / "main.yml" for role in roles])
    fixed = _role_files(loader, [ROLES / "roster_upload" / "vars" / "main.yml"])
    fixed["inventory_dir"] = str(home or folder)
    group = manager.groups.get(DISTRICT_HOSTS)
    found = {}
    for host in group.get_hosts() if group else []:
        if only is not None and host.name not in only:
            continue
        groups = frozenset(group.name for group in host.get_groups())
        try:
            own = variables.get_vars(host=host, include_hostvars=False)
            templar = Templar(loader=loader, variables={**defaults, **own, **fixed})
            feeds = templar.template(trust_as_template("{{ roster_upload_resolved_feeds }}"))
            vault_id = templar.template(trust_as_template("{{ roster_credentials_vault_id }}"))
            product = templar.template(trust_as_template("{{ district_product | default('') }}"))
            address = str(own.get("ansible_host", ""))
            inboxes = templar.template(trust_as_template(INBOXES))
            found[host.name] = Host(
                groups,
                address,
                tuple(feeds),
                str(vault_id),
                str(product),
                ssh_port=int(inboxes["port"]),
                inboxes=tuple(inboxes["accounts"]),
                inbox_folder=str(inboxes["folder"]),
                inbox_problems=tuple(inboxes["problems"]),
                inbox_port=int(inboxes["inbox_port"]),
            )
        except AnsibleError as error:
            found[host.name] = Host(groups, problem=str(error))
    return found


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


def _role_files(loader: DataLoader, paths: list[Path]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for path in paths:
        found |= loader.load_from_file(str(path), trusted_as_template=True) or {}
    return found
