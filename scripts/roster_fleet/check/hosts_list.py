"""Check the shape of a list of hosts. Ansible only warns of a wrong one, and then knows no host."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import yaml

from roster_fleet.check.files import entries, hosts_files, pairs, read

PARTS = ("hosts", "children", "vars")  # of a group
MERGE = "<<"
NULL = "tag:yaml.org,2002:null"


def problems(sources: Sequence[str]) -> Iterator[str]:
    """Yield what is wrong in the YAML files that list the hosts."""
    for path in hosts_files(sources):
        tree = read(path).node
        if _lists_hosts(tree):
            yield from _groups(path, tree)


def _lists_hosts(tree: yaml.Node | None) -> bool:
    """Return whether a file has groups. Plugins have files of another form."""
    groups = entries(tree)
    return "plugin" not in groups and any(
        set(entries(node)) & set(PARTS) for node in groups.values()
    )


def _groups(path: Path, tree: yaml.Node | None) -> Iterator[str]:
    for key, group in pairs(tree):
        if key.value == MERGE:
            continue
        if not _is_mapping(group):
            yield f"{_at(path, group)}: the group {key.value} must hold {', '.join(PARTS)}"
        for name, part in pairs(group):
            if name.value not in (*PARTS, MERGE):
                yield (
                    f"{_at(path, name)}: the group {key.value} holds {name.value!r}, which is not "
                    f"one of {', '.join(PARTS)}. Correct the word or the indentation"
                )
            elif isinstance(part, yaml.SequenceNode):
                yield (
                    f"{_at(path, part)}: the {name.value} of the group {key.value} are a list. "
                    "Write each name with a colon, without a '-' or a bracket"
                )
        parts = entries(group)
        for name, host in pairs(parts.get("hosts")):
            if name.value != MERGE and not _is_mapping(host):
                yield (
                    f"{_at(path, host)}: the host {name.value} must hold lines such as "
                    "'ansible_host: 192.0.2.1'. Look for a missing colon, or a blank after it"
                )
        yield from _groups(path, parts.get("children"))


def _is_mapping(node: yaml.Node) -> bool:
    return isinstance(node, yaml.MappingNode) or node.tag == NULL


def _at(path: Path, node: yaml.Node) -> str:
    return f"{path}:{node.start_mark.line + 1}:{node.start_mark.column + 1}"
