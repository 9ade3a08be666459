"""The variables that the roles and playbooks know, from their own specifications."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml
from ansible.parsing.dataloader import DataLoader
from roster_upload.spec import schema

from roster_fleet import roles
from roster_fleet.check.nodes import LOADER

ROLES = Path(__file__).resolve().parents[3] / "roles"
FEEDS = "roster_upload_feeds"
FEED_PREFIX = "roster_upload_"
# A line that brings a public variable, or old names. Most files of a role's vars have neither.
TOLD = re.compile(r"^[^\W_]|^__\w+_renamed:", re.MULTILINE)


@dataclass(frozen=True)
class Spec:
    """Describe what a variable may hold. `parts` describe a mapping, or each item of a list."""

    type: str = ""
    elements: str = ""
    no_log: bool = False
    parts: Mapping[str, Spec] = field(default_factory=dict)

    @property
    def item(self) -> Spec:
        """Return what an item of a list may hold."""
        return Spec(self.elements, no_log=self.no_log, parts=self.parts)


@dataclass(frozen=True)
class Known:
    """Names and their specifications.

    `facts` are the fleet's own (`district_name`). `options` are for `-e` only. `renamed` maps an
    old name to the new one, or to a sentence.
    """

    variables: Mapping[str, Spec]
    facts: Mapping[str, Spec]
    options: frozenset[str]
    renamed: Mapping[str, str]
    prefixes: tuple[str, ...]

    def spec(self, name: str) -> Spec | None:
        """Return the specification of a variable or fact."""
        return self.variables.get(name) or self.facts.get(name)


def known(
    facts: Mapping[str, Any], options: Mapping[str, Mapping[str, Any]], loader: DataLoader
) -> Known:
    """Return all names, given the facts and the options of the playbooks (options.yml).

    A loader of a run has read most of the specifications already.
    """
    variables, renamed = _of_roles(loader)
    return Known(
        variables=variables,
        facts={name: _spec(entry) for name, entry in facts.items()},
        options=frozenset(name for names in options.values() for name in names),
        renamed=renamed,
        prefixes=tuple(f"{role.name}_" for role in sorted(ROLES.iterdir()) if role.is_dir()),
    )


@functools.cache
def _of_roles(loader: DataLoader) -> tuple[Mapping[str, Spec], Mapping[str, str]]:
    """Return the roles' variables, and their old names."""
    variables: dict[str, Spec] = {}
    renamed: dict[str, str] = {}
    for folder in ("defaults", "vars"):
        for path in sorted(ROLES.glob(f"*/{folder}/**/*.yml")):
            text = path.read_text(encoding="utf-8")
            for name, value in (_parse(text) or {}).items() if TOLD.search(text) else ():
                if name.startswith("__") and name.endswith("_renamed"):
                    renamed |= value
                elif not name.startswith("_"):
                    variables.setdefault(name, Spec())
    for path in sorted(ROLES.glob("*/meta/argument_specs.yml")):
        for options in _options(path, loader):
            variables |= {name: _spec(entry) for name, entry in options.items()}
    keys = {f"{FEED_PREFIX}{name}": key for name, key in schema.keys().items()}
    for name, key in keys.items():
        variables[name] = _of_key(key)
    feed = {name.removeprefix(FEED_PREFIX): variables[name] for name in keys}
    variables[FEEDS] = replace(variables[FEEDS], parts=feed)
    return variables, renamed


def _parse(text: str) -> Any:
    return yaml.load(text, LOADER)  # noqa: S506 - a safe loader


def _options(path: Path, loader: DataLoader) -> Iterator[Mapping[str, Any]]:
    for entry in roles.content(path, loader)["argument_specs"].values():
        yield entry.get("options") or {}


def _spec(entry: Mapping[str, Any]) -> Spec:
    parts = {name: _spec(part) for name, part in (entry.get("options") or {}).items()}
    is_secret = bool(entry.get("no_log"))
    return Spec(entry.get("type", "str"), entry.get("elements", ""), is_secret, parts)


def _of_key(key: schema.Key) -> Spec:
    parts = {name: _of_key(part) for name, part in key.parts.items()}
    return Spec(key.type, "str" if key.type == "list" else "", parts=parts)
