"""The files of an inventory as nodes of YAML, with the line of each variable and its own text.

Ansible's values do not show what somebody wrote: `16:00` is a number to it. Nodes keep the text.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from roster_fleet import yamlfile

SEALED = "$ANSIBLE_VAULT"
# Ansible reads no hosts from these entries of an inventory's folder.
NOT_HOSTS = ("host_vars", "group_vars", "vars_plugins")
INVENTORY_ENDINGS = (".yml", ".yaml", ".json")
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


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


@dataclass(frozen=True)
class Slip:
    """Why a file is not YAML."""

    line: int
    column: int
    message: str


@dataclass(frozen=True)
class File:
    """The content of a file: a node, or a slip. An encrypted file has neither."""

    path: Path
    node: yaml.Node | None = None
    slip: Slip | None = None
    text: str = field(default="", repr=False)
    is_sealed: bool = False

    @functools.cached_property
    def lines(self) -> list[str]:
        """Return its lines as YAML counts them."""
        return re.split(r"\r\n|[\n\r\x85\u2028\u2029]", self.text)


@functools.cache  # a check after the first one, in this process or in a fork, reads nothing again
def read(path: Path) -> File:
    """Return the content of a file."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        return File(path, slip=Slip(1, 1, f"the file cannot be read: {error}"))
    if text.startswith(SEALED):
        return File(path, is_sealed=True)
    try:
        node = yaml.compose(text, LOADER)
    except yaml.YAMLError as error:
        with suppress(ValueError):  # JSON may hold tabs
            json.loads(text)
            return File(path)
        return File(path, slip=_slip(error))
    return File(path, node, _template_slip(node) if node else None, text)


def _slip(error: yaml.YAMLError) -> Slip:
    mark = getattr(error, "problem_mark", None)
    parts = (getattr(error, "problem", None), getattr(error, "context", None))
    message = " ".join(part for part in parts if part) or str(error)
    return Slip(mark.line + 1 if mark else 1, mark.column + 1 if mark else 1, message)


def _template_slip(node: yaml.Node) -> Slip | None:
    """Return the slip of a template without quotes, which YAML reads as a mapping's key."""
    for key, value in pairs(node):
        if not isinstance(key, yaml.ScalarNode):
            mark = key.start_mark
            return Slip(mark.line + 1, mark.column + 1, "a template must stand in quotes")
        if found := _template_slip(value):
            return found
    if isinstance(node, yaml.SequenceNode):
        return next(filter(None, map(_template_slip, node.value)), None)
    return None


def pairs(node: yaml.Node | None) -> Iterable[tuple[yaml.Node, yaml.Node]]:
    """Return the keys and values of a mapping. Return none for other nodes."""
    return node.value if isinstance(node, yaml.MappingNode) else ()


def entries(node: yaml.Node | None) -> dict[str, yaml.Node]:
    """Return the values of a mapping by their keys. The last one of a key counts."""
    return {str(key.value): value for key, value in pairs(node)}


def value_of(node: yaml.Node) -> Any:
    """Return what YAML reads from a node. Raise YAMLError for tags of Ansible's own."""
    return yaml.constructor.SafeConstructor().construct_document(node)


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
        return [path for home in self.homes(owner) for path in yamlfile.variable_files(home)]

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
            if slip := read(path).slip:
                yield _problem(path, slip, "list of hosts", self.every)
        for owner, files in self.files.items():
            for file in files:
                if file.slip:
                    yield _problem(file.path, file.slip, str(owner), owner.hosts)
        for owner in self.owners():
            for home in self.homes(owner):
                yield from _ignored(home, owner)

    def variables(self) -> Iterator[Variable]:
        """Yield all variables, first those of the lists of hosts."""
        for path in hosts_files(self.sources):
            for owner, node in self._inline(read(path).node):
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


def _ignored(home: Path, owner: Owner) -> Iterator[Problem]:
    for path in yamlfile.ignored_files(home):
        yield Problem(
            f"{path}: {owner}: Ansible ignores this file, since {home} exists, too. Move its lines "
            f"to {home / 'main.yml'}",
            owner.hosts,
        )


def _problem(path: Path, slip: Slip, what: str, hosts: frozenset[str]) -> Problem:
    return Problem(
        f"{path}:{slip.line}:{slip.column}: {what}: this is not YAML: {slip.message}. "
        "Look for a wrong indentation, a missing quote or a missing bracket here and above",
        hosts,
    )


def _variables(path: Path, node: yaml.Node | None, owner: Owner) -> Iterator[Variable]:
    for key, value in pairs(node):
        yield Variable(str(key.value), key, value, path, owner)
