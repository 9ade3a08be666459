"""`hosts.yml`: hosts are added, and everything else in it stays as it is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml
from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.error import YAMLError

from roster_fleet import inventory, yamlfile
from roster_fleet.onboard.districts import District, OnboardError

HOSTS_FILE = "hosts.yml"
NEW_HOSTS_FILE = """\
---
# Your machines. A host delivers for one district or for several.
all:
  children:
    district_hosts:
"""


def add_hosts(
    text: str,
    hosts: Sequence[Sequence[District]],
    path: Path,
    known: Sequence[Sequence[District]] = (),
) -> str:
    """Return the text of hosts.yml with more hosts. Raise OnboardError.

    Hosts in `known` are only added to the groups of their districts. Everything else in it stays
    the same.
    """
    try:
        tree, expected = yamlfile.load(text), yamlfile.plain(text)
    except (YAMLError, yaml.YAMLError) as error:
        raise OnboardError([f"{path} is not valid YAML: {error}"]) from None
    if not isinstance(tree, dict):
        raise OnboardError([f"{path} has no groups. Begin it as in inventories/example"])
    for target in (tree, expected):
        for districts in hosts:
            _add_host(target, districts)
        for districts in known:
            _add_to_groups(target, districts)
    out = yamlfile.dump(tree, text)
    if not yamlfile.says(out, expected):
        raise OnboardError(
            f"{path} has a form that cannot be kept. Add {districts[0].host} by hand"
            for districts in (*hosts, *known)
        )
    return out


def _add_host(tree: Any, districts: Sequence[District]) -> None:
    """Add a host to district_hosts and to the groups of its districts."""
    host, address = yamlfile.text(districts[0].host), districts[0].address
    entry = _empty(tree)
    if address:
        entry["ansible_host"] = yamlfile.text(address)
    _child(_home(tree), "hosts")[host] = entry if address else None
    _add_to_groups(tree, districts)


def _home(tree: Any) -> Any:
    """Return the content of district_hosts, which is made if it is missing."""
    parent = _parent_of(tree, inventory.DISTRICT_HOSTS)
    if parent is None:
        parent = _child(_child(tree, "all"), "children")
    return _child(parent, inventory.DISTRICT_HOSTS)


def _add_to_groups(tree: Any, districts: Sequence[District]) -> None:
    """Add a host to the groups of its districts."""
    host, home = yamlfile.text(districts[0].host), _home(tree)
    for name in sorted({name for district in districts for name in district.groups}):
        parent = _parent_of(tree, name)
        if parent is None:
            parent = _child(home, "children")
        _child(_child(parent, name), "hosts").setdefault(host, None)


def _parent_of(tree: Any, group: str) -> Any:
    """Return the mapping that contains a group, preferably with the group's content."""
    found = [parent for name, parent in groups_in(tree) if name == group]
    return next((parent for parent in found if parent[group]), found[0] if found else None)


def groups_in(tree: Any) -> Iterator[tuple[str, Any]]:
    """Yield each group of a tree with the mapping that contains it, the outer ones first."""
    for name, content in tree.items():
        yield str(name), tree
        if isinstance(content, dict) and isinstance(content.get("children"), dict):
            yield from groups_in(content["children"])


def _child(mapping: Any, key: str) -> Any:
    if mapping.get(key) is None:
        mapping[key] = _empty(mapping)
    return mapping[key]


def _empty(like: Any) -> Any:
    return CommentedMap() if isinstance(like, CommentedMap) else {}
