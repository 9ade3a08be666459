"""Feeds of different hosts that share a file: at the vendor, or at the SIS's server.

Only the few values that decide are resolved. Those of a whole fleet would take minutes.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from ansible.inventory.helpers import sort_groups
from roster_upload.spec import schema

from roster_fleet import destinations, sources
from roster_fleet.check import nodes
from roster_fleet.check.files import Inventory, Owner, Problem
from roster_fleet.check.known import FEED_PREFIX, FEEDS, ROLES

KEYS = ("feed", *destinations.KEYS)
SOURCE_KEYS = ("source", "source_after")
# The only templates that are common: the role's default of the upload path, and similar ones.
SIMPLE = re.compile(r"\{\{ *(\w+) *(?:\| *default\((['\"])([^'\"{}]*)\2\) *)?\}\}")
Template = Callable[[str, Mapping[str, Any]], Any]
Decrypt = Callable[[Path], Mapping[str, Any]]


class Unresolved(Exception):
    """A value cannot be resolved here. The checks of its host report the reason."""


@functools.cache
def defaults() -> Mapping[str, Any]:
    """Return the role's defaults of the values that decide."""
    text = (ROLES / "roster_upload" / "defaults" / "main.yml").read_text(encoding="utf-8")
    written = nodes.entries(yaml.compose(text, nodes.LOADER))
    return {name: nodes.value_of(written[f"{FEED_PREFIX}{name}"]) for name in (*KEYS, *SOURCE_KEYS)}


class Targets:
    """Resolve the feeds of hosts, as far as their destinations need it."""

    def __init__(
        self,
        inventory: Inventory,
        template: Template | None = None,
        decrypt: Decrypt | None = None,
    ) -> None:
        """Take a function that resolves a template, and one that reads an encrypted file."""
        self.inventory = inventory
        self.template = template
        self.decrypt = decrypt
        self._written = functools.cache(self._values)

    def _values(self, owner: Owner) -> Mapping[str, Any]:
        """Return the values of an owner's files."""
        found: dict[str, Any] = {}
        for file in self.inventory.files.get(owner, ()):
            if file.is_sealed:
                found |= self._decrypted(file.path)
            for name, node in nodes.entries(file.node).items():
                try:
                    found[name] = nodes.value_of(node)
                except yaml.YAMLError:
                    found[name] = Unresolved
        return found

    def _decrypted(self, path: Path) -> Mapping[str, Any]:
        if self.decrypt is None:
            raise Unresolved
        return self.decrypt(path)

    def variables(self, host: Any) -> dict[str, Any]:
        """Return the variables of one of Ansible's hosts, in Ansible's order of precedence."""
        inventory = self.inventory
        groups = sort_groups(host.get_groups())
        owners = [
            inventory.groups[group.name] for group in groups if group.name in inventory.groups
        ]
        found: dict[str, Any] = {}
        for group in groups:
            found |= group.vars
        for owner in owners:
            found |= self._written(owner)
        found |= host.vars
        found |= self._written(inventory.hosts[host.name])
        return found

    def feeds(self, host: Any) -> list[dict[str, Any]]:
        """Return a host's feeds with the values that decide. Raise Unresolved."""
        own = self.variables(host)
        values = {**own, "inventory_hostname": host.name}
        flat = {name: own.get(f"{FEED_PREFIX}{name}", value) for name, value in defaults().items()}
        listed = own.get(FEEDS, [{}])
        if not isinstance(listed, Sequence) or isinstance(listed, str):
            raise Unresolved
        return [self._feed({**flat, **item}, values) for item in listed if isinstance(item, dict)]

    def _feed(self, feed: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
        keys = schema.keys()
        found = {
            name: keys[name].default if feed[name] is None else self._resolve(feed[name], values)
            for name in KEYS
        }
        return {**found, **self._source(feed, values, str(found["feed"]))}

    def _source(
        self, feed: Mapping[str, Any], values: Mapping[str, Any], name: str
    ) -> dict[str, Any]:
        """Return where a feed's export comes from. An unresolved source hides no target."""
        try:
            found = {key: self._resolve(feed[key], values) for key in SOURCE_KEYS}
        except Unresolved:
            return {}
        return {**found, "source": str(found["source"]).replace("{feed}", name)}

    def _resolve(self, value: Any, values: Mapping[str, Any]) -> Any:
        if value is Unresolved:
            raise Unresolved
        if not isinstance(value, str) or "{" not in value:
            return value
        simple = SIMPLE.sub(lambda found: _simple(found, values), value)
        if "{{" not in simple and "{%" not in simple:
            return simple
        if self.template is None:
            raise Unresolved
        needed = {name: item for name, item in values.items() if item is not Unresolved}
        return self.template(value, needed)


def _simple(found: re.Match[str], values: Mapping[str, Any]) -> str:
    """Return the value of a simple template, or the template if its value is not a plain one."""
    name, _, fallback = found.groups()
    value = values.get(name, fallback)
    is_plain = isinstance(value, str | int) and not isinstance(value, bool)
    return str(value) if is_plain and "{" not in str(value) else found[0]


def problems(targets: Targets, hosts: Iterable[Any]) -> Iterator[Problem]:
    """Yield the feeds of different hosts that deliver to, or remove, the same file."""
    feeds: list[tuple[str, Mapping[str, Any]]] = []
    for host in hosts:
        try:
            feeds += [(host.name, feed) for feed in targets.feeds(host) if feed["feed"]]
        except Unresolved:
            continue
    for file, users in destinations.shared(feeds).items():
        names = frozenset(host for host, _ in users)
        if len(names) > 1:  # the program's rules compare the feeds of one host
            yield Problem(_message(file, users), names)
    for (host, feed), (other_host, other), url in sources.removed_twice(feeds):
        if host != other_host:
            text = (
                f"{feed} of {host} removes {url} after its delivery, but {other} of {other_host} "
                f"fetches the same file. Set {FEED_PREFIX}source_after: keep for both"
            )
            yield Problem(text, frozenset((host, other_host)))


def _message(file: tuple[str, ...], users: Sequence[tuple[str, str]]) -> str:
    server, _, folder, name = file
    who = " and ".join(f"{feed} of {host}" for host, feed in users)
    return (
        f"{who} deliver to the same file, {folder}/{name} on {server}. The later one would "
        f"overwrite the roster of the other. Correct {FEED_PREFIX}remote_dir, or the "
        "district_name and district_site_code that it is made of, or remove one of the hosts"
    )
