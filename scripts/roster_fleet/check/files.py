"""The files of an inventory as nodes of YAML, with the line of each variable and its own text.

Ansible's values do not show what somebody wrote: `16:00` is a number to it. Nodes keep the text.
"""

from __future__ import annotations

import copy
import difflib
import functools
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from roster_fleet import yamlfile

SEALED = "$ANSIBLE_VAULT"
# Ansible reads no hosts from these entries of an inventory's folder.
NOT_HOSTS = ("host_vars", "group_vars", "vars_plugins")
GROUP_PARTS = ("hosts", "children", "vars")
NEAR = 0.8  # how similar the name of a host or a group must be to another one
INVENTORY_ENDINGS = (".yml", ".yaml", ".json")
MERGE = "tag:yaml.org,2002:merge"
# What YAML may fail to read, such as 2026-11-31.
CALCULATED = tuple(f"tag:yaml.org,2002:{kind}" for kind in ("int", "float", "timestamp"))
HINT = "Look for a wrong indentation, a missing quote or a missing bracket here and above"
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
    """Why a file cannot be used."""

    line: int
    column: int
    message: str


@dataclass(frozen=True)
class File:
    """The content of a file, and its slip if there is one. An encrypted file has neither."""

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
        data = path.read_bytes()
        text = data.decode()
    except OSError as error:
        return File(path, slip=Slip(1, 1, f"the file cannot be read: {error}"))
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        return File(path, slip=Slip(line, 1, "the file is not UTF-8. Save it as UTF-8"))
    if text.startswith(SEALED):
        return File(path, is_sealed=True)
    try:
        node = yaml.compose(text, LOADER)
    except yaml.YAMLError as error:
        with suppress(ValueError):  # JSON may hold tabs
            json.loads(text)
            return File(path)
        return File(path, slip=_slip(error))
    return File(path, node, _node_slip(node, set(), frozenset()) if node else None, text)


def _slip(error: yaml.YAMLError) -> Slip:
    mark = getattr(error, "problem_mark", None)
    parts = (getattr(error, "problem", None), getattr(error, "context", None))
    message = " ".join(part for part in parts if part) or str(error)
    line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
    return Slip(line, column, f"this is not YAML: {message}. {HINT}")


def _at(node: yaml.Node, message: str) -> Slip:
    return Slip(node.start_mark.line + 1, node.start_mark.column + 1, message)


def _node_slip(node: yaml.Node, seen: set[int], above: frozenset[int]) -> Slip | None:
    """Return the first slip in a node that YAML itself accepts, or None.

    An alias is looked at once. `above` are the nodes that the node is in.
    """
    if id(node) in above:
        return _at(node, "this value contains itself (an alias within its own anchor)")
    if id(node) in seen:
        return None
    seen.add(id(node))
    if isinstance(node, yaml.ScalarNode):
        return _value_slip(node)
    if isinstance(node, yaml.MappingNode) and (found := _key_slip(node)):
        return found
    is_mapping = isinstance(node, yaml.MappingNode)
    parts = [value for _, value in node.value] if is_mapping else node.value
    inside = above | {id(node)}
    return next(filter(None, (_node_slip(part, seen, inside) for part in parts)), None)


def _value_slip(node: yaml.ScalarNode) -> Slip | None:
    """Return the slip of a value that looks like a date or a number, but cannot be read as one."""
    if node.tag not in CALCULATED:
        return None
    try:
        value_of(node)
    except ValueError:  # the value may be a secret
        if node.tag.endswith("timestamp"):
            return _at(node, "this date does not exist. Correct it, and put it in quotes")
        return _at(node, "this looks like a number, but is not a valid one. Put it in quotes")
    return None


def _key_slip(node: yaml.MappingNode) -> Slip | None:
    """Return the slip of a template without quotes, or of a key that appears twice."""
    lines: dict[tuple[str, str], int] = {}
    for key, _ in node.value:
        if not isinstance(key, yaml.ScalarNode):
            return _at(key, f"this is not YAML: a template must stand in quotes. {HINT}")
        if key.tag == MERGE:
            continue
        if first := lines.get((key.tag, key.value)):
            message = f"{key.value} is also in line {first}. Only the last one would count. "
            return _at(key, f"{message}Put both together, or remove one")
        lines[key.tag, key.value] = key.start_mark.line + 1
    return None


def pairs(node: yaml.Node | None) -> list[tuple[yaml.Node, yaml.Node]]:
    """Return the keys and values of a mapping, also those that it merges (`<<`)."""
    if not isinstance(node, yaml.MappingNode):
        return []
    own = [pair for pair in node.value if pair[0].tag != MERGE]
    known = {str(key.value) for key, _ in own}
    merged: list[tuple[yaml.Node, yaml.Node]] = []
    for source in (value for key, value in node.value if key.tag == MERGE):
        for part in source.value if isinstance(source, yaml.SequenceNode) else [source]:
            more = [pair for pair in pairs(part) if str(pair[0].value) not in known]
            known |= {str(key.value) for key, _ in more}
            merged += more
    return [*merged, *own]


def entries(node: yaml.Node | None) -> dict[str, yaml.Node]:
    """Return the values of a mapping by their keys. The last one of a key counts."""
    return {str(key.value): value for key, value in pairs(node)}


def value_of(node: yaml.Node) -> Any:
    """Return what YAML reads from a node. Raise YAMLError for tags of Ansible's own."""
    # It writes merged keys into the node.
    own = node if isinstance(node, yaml.ScalarNode) else copy.deepcopy(node)
    return yaml.constructor.SafeConstructor().construct_document(own)


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
            file = read(path)
            for slip in [file.slip] if file.slip else _group_slips(_groups_of(file.node)):
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
                name = home.stem if home.suffix in yamlfile.ENDINGS else home.name
                if name in owners or not yamlfile.variable_files(home.with_name(name)):
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


def _is_empty(node: yaml.Node | None) -> bool:
    return node is None or node.tag == "tag:yaml.org,2002:null"


def _root_slip(node: yaml.Node | None) -> Slip | None:
    """Return the slip of a file of variables that holds something else."""
    if node is None or _is_empty(node) or isinstance(node, yaml.MappingNode):
        return None
    return _at(node, "this file holds no variables. Write them as NAME: VALUE, one on a line")


def _group_slips(tree: yaml.Node | None, *, is_below: bool = False) -> Iterator[Slip]:
    """Yield what Ansible would skip in groups, such as `host:` instead of `hosts:`."""
    for name, content in pairs(tree):
        if is_below and not _is_empty(content) and not isinstance(content, yaml.MappingNode):
            yield _at(name, f"{name.value} is no group. Write {name.value}: and its hosts: below")
        parts = entries(content)
        # A mapping at the top may be there for its anchors only.
        is_group = is_below or any(part in parts for part in GROUP_PARTS)
        for key, value in pairs(content):
            part = str(key.value)
            near = difflib.get_close_matches(part, GROUP_PARTS, 1)
            if part in GROUP_PARTS:
                if not _is_empty(value) and not isinstance(value, yaml.MappingNode):
                    text = f"{part} of {name.value} must be names with a colon, one on a line"
                    yield _at(key, text)
            elif is_group or near:
                hint = f"Did you mean {near[0]}?" if near else "Indent it below one of these"
                text = f"{part} cannot be in {name.value}, only {', '.join(GROUP_PARTS)}. {hint}"
                yield _at(key, text)
        yield from _group_slips(parts.get("children"), is_below=True)


def _ignored(home: Path, owner: Owner) -> Iterator[Problem]:
    for path in yamlfile.ignored_files(home):
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
