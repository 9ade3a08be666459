"""The files of an inventory, and the variables in them."""

from __future__ import annotations

import difflib
import functools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from roster_fleet import variable_files
from roster_fleet.check import hosts_list
from roster_fleet.check.nodes import File, Slip, entries, is_empty, pairs, read, slip_at

# Ansible reads no hosts from these entries of an inventory's folder.
NOT_HOSTS = ("host_vars", "group_vars", "vars_plugins")
NEAR = 0.8  # how similar the name of a host or a group must be to another one
INVENTORY_ENDINGS = (".yml", ".yaml", ".json")


@dataclass(frozen=True)
class Problem:
    """A sentence on a mistake. `hosts` are those that it concerns."""

    text: str
    hosts: frozenset[str]


@dataclass(frozen=True)
class Owner:
    """A host or a group that a variable is written for, with the hosts that read it."""

    kind: str
    name: str
    hosts: frozenset[str] = field(default=frozenset(), repr=False)

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


@dataclass(frozen=True)
class Variable:
    """A variable of the inventory as it is written."""

    name: str
    key: yaml.Node = field(repr=False)
    node: yaml.Node = field(repr=False)
    path: Path
    owner: Owner

    def where(self, node: yaml.Node | None = None) -> str:
        """Return the file, line and column of the variable, or of a node in its value."""
        mark = (node or self.key).start_mark
        return f"{self.path}:{mark.line + 1}:{mark.column + 1}"

    def after(self, node: yaml.Node) -> str:
        """Return the rest of the line after a node in its value."""
        line = read(self.path).lines[node.end_mark.line]
        return line[node.end_mark.column :]


def hosts_files(sources: Sequence[str]) -> Iterator[Path]:
    """Yield the YAML files that list the hosts of an inventory."""
    for source in map(Path, sources):
        if source.is_dir():
            below = (
                entry
                for entry in sorted(source.iterdir())
                if not entry.name.startswith(".") and entry.name not in NOT_HOSTS
            )
            yield from hosts_files([str(entry) for entry in below])
        elif source.suffix in INVENTORY_ENDINGS and source.is_file():
            yield source


def folders(sources: Sequence[str]) -> list[Path]:
    """Return the folders that hold host_vars and group_vars, each once."""
    existing = [Path(source).absolute() for source in sources if Path(source).exists()]
    return list(dict.fromkeys(path if path.is_dir() else path.parent for path in existing))


class Inventory:
    """The files of an inventory, by host and by group.

    `groups` are the hosts of each group, as Ansible knows them.
    """

    def __init__(self, sources: Sequence[str], groups: Mapping[str, Sequence[str]]) -> None:
        self.sources = sources
        self.every = frozenset(groups.get("all", ()))
        hosts = {host: Owner("host", host, frozenset([host])) for host in self.every}
        self.hosts = hosts
        self.groups = {
            name: Owner("group", name, frozenset(members)) for name, members in groups.items()
        }
        self.folders = folders(sources)

    def owners(self) -> list[Owner]:
        """Return the groups and the hosts."""
        return [*self.groups.values(), *self.hosts.values()]

    def files_of(self, owner: Owner) -> list[Path]:
        """Return the files of a host's or a group's variables."""
        return [path for home in self.homes(owner) for path in variable_files.of(home)]

    def homes(self, owner: Owner) -> list[Path]:
        """Return the folders for a host's or a group's variables."""
        return [folder / f"{owner.kind}_vars" / owner.name for folder in self.folders]

    @functools.cached_property
    def files(self) -> dict[Owner, list[File]]:
        """Return the files of variables that exist, by their owner."""
        found = {owner: [read(path) for path in self.files_of(owner)] for owner in self.owners()}
        return {owner: files for owner, files in found.items() if files}

    def slips(self) -> Iterator[Problem]:
        """Yield the problems of files that are not YAML."""
        for path in hosts_files(self.sources):
            file = read(path)
            for slip in [file.slip] if file.slip else hosts_list.slips(_groups_of(file.node)):
                yield _problem(path, slip, "list of hosts", self.every)
        for owner, files in self.files.items():
            for file in files:
                if found := file.slip or _root_slip(file.node):
                    yield _problem(file.path, found, str(owner), owner.hosts)
        for owner in self.owners():
            for home in self.homes(owner):
                yield from _ignored(home, owner)

    def unused(self) -> Iterator[str]:
        """Yield files of variables whose name is nearly that of a host or group, but not one."""
        for kind, owners in (("host", self.hosts), ("group", self.groups)):
            for home in sorted(path for it in self.folders for path in it.glob(f"{kind}_vars/*")):
                name = home.stem if home.suffix in variable_files.ENDINGS else home.name
                if name in owners or not variable_files.of(home.with_name(name)):
                    continue
                if near := difflib.get_close_matches(name, owners, 1, NEAR):
                    yield (
                        f"{home}: no host reads this, since the inventory has no {kind} {name}. "
                        f"Did you mean {near[0]}?"
                    )

    def variables(self) -> Iterator[Variable]:
        """Yield all variables, first those of the lists of hosts."""
        for path in hosts_files(self.sources):
            for owner, node in self._inline(_groups_of(read(path).node)):
                yield from _variables(path, node, owner)
        for owner, files in self.files.items():
            for file in files:
                yield from _variables(file.path, file.node, owner)

    def _inline(self, tree: yaml.Node | None) -> Iterator[tuple[Owner, yaml.Node]]:
        for name, node in entries(tree).items():
            parts = entries(node)
            if "vars" in parts:
                yield self.groups.get(name) or Owner("group", name, self.every), parts["vars"]
            for host, values in entries(parts.get("hosts")).items():
                # A range such as `roster-[01:20]` stands for many.
                yield self.hosts.get(host) or Owner("host", host, self.every), values
            yield from self._inline(parts.get("children"))


def _groups_of(tree: yaml.Node | None) -> yaml.Node | None:
    """Return the groups of a list of hosts. The settings of an inventory plugin have none."""
    return None if "plugin" in entries(tree) else tree


def _root_slip(node: yaml.Node | None) -> Slip | None:
    """Return the slip of a file of variables that holds something else."""
    if node is None or is_empty(node) or isinstance(node, yaml.MappingNode):
        return None
    return slip_at(node, "this file holds no variables. Write them as NAME: VALUE, one on a line")


def _ignored(home: Path, owner: Owner) -> Iterator[Problem]:
    for path in variable_files.ignored(home):
        yield Problem(
            f"{path}: {owner}: Ansible ignores this file, since {home} exists, too. Move its lines "
            f"to {home / 'main.yml'}",
            owner.hosts,
        )


def _problem(path: Path, slip: Slip, what: str, hosts: frozenset[str]) -> Problem:
    return Problem(
        f"{path}:{slip.line}:{slip.column}: {what}: {slip.message}",
        hosts,
    )


def _variables(path: Path, node: yaml.Node | None, owner: Owner) -> Iterator[Variable]:
    for key, value in pairs(node):
        yield Variable(str(key.value), key, value, path, owner)
