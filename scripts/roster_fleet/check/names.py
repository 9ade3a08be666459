"""Misspelt and old names of variables, with the name that was meant."""

from __future__ import annotations

import difflib
import functools
from collections.abc import Iterable, Iterator

import yaml

from roster_fleet.check import nodes
from roster_fleet.check.files import Owner, Problem, Variable
from roster_fleet.check.known import FEED_PREFIX, FEEDS, Known, Spec

# How similar a name must be to a known one: with the prefix of its role, without it, and given by
# -e. Variables of other people's roles and an inventory's own facts (`district_contact`) are less
# similar.
OWN, FOREIGN, EXTRA = 0.65, 0.9, 0.85


class Names:
    """Compare names with the known ones."""

    def __init__(self, known: Known) -> None:
        self.known = known
        self.message = functools.cache(self._message)  # the same names are on every host
        self.extra_message = functools.cache(self._extra_message)

    def _message(self, name: str) -> str:
        """Return what is wrong with the name of a variable of the inventory, or ""."""
        known = self.known
        if name in known.renamed:
            return _renamed(name, known.renamed[name])
        if known.spec(name):
            return ""
        if name.startswith(known.prefixes):
            return _unknown(name, self._of_prefix(name))
        near = _nearest(name, [*known.variables, *known.facts], FOREIGN)
        return _unknown(name, near) if near else ""

    def _of_prefix(self, name: str) -> str:
        """Return the variable that a name with a role's prefix means, or "".

        It has the same name in another role, or is the nearest one of the role.
        """
        known = self.known
        prefix = next(prefix for prefix in known.prefixes if name.startswith(prefix))
        rest = name.removeprefix(prefix)
        if same := next((p + rest for p in known.prefixes if p + rest in known.variables), ""):
            return same
        own = [one.removeprefix(prefix) for one in known.variables if one.startswith(prefix)]
        near = _nearest(rest, own, OWN)
        return prefix + near if near else ""

    def _extra_message(self, name: str) -> str:
        """Return what is wrong with a name given by -e, or ""."""
        if name in self.known.options:
            return ""
        if message := self._message(name):
            return message
        if self.known.spec(name):
            return ""
        near = _nearest(name, self.known.options, EXTRA)
        return _unknown(name, near) if near else ""

    def problems(self, variables: Iterable[Variable]) -> Iterator[Problem]:
        """Yield the problems of variables, and of the keys within their values."""
        for variable in variables:
            owner = variable.owner
            if message := self.message(variable.name):
                yield Problem(f"{variable.where()}: {owner}: {message}", owner.hosts)
            if spec := self.known.spec(variable.name):
                yield from self._keys(variable, variable.node, spec)

    def unwritten(
        self, inline: Iterable[tuple[Owner, Iterable[str]]], written: Iterable[Variable]
    ) -> Iterator[Problem]:
        """Yield the problems of names that are in no YAML file, as those of an INI or a script.

        `inline` are the names that Ansible has read for hosts and groups.
        """
        seen = {variable.name for variable in written}
        for owner, given in inline:
            for name in given:
                if name not in seen and (message := self.message(name)):
                    yield Problem(f"{owner}: {message}", owner.hosts)

    def _keys(self, variable: Variable, node: yaml.Node, spec: Spec) -> Iterator[Problem]:
        """Yield the misspelt keys of a mapping, or of the mappings in a list."""
        if isinstance(node, yaml.SequenceNode):
            for item in node.value:
                yield from self._keys(variable, item, spec.item)
        for key, value in nodes.pairs(node) if spec.parts else ():
            if key.value in spec.parts:
                yield from self._keys(variable, value, spec.parts[key.value])
                continue
            near = _nearest(str(key.value).removeprefix(FEED_PREFIX), spec.parts, OWN)
            what = "a feed" if spec.parts == self.known.variables[FEEDS].parts else variable.name
            former = FEED_PREFIX + str(key.value).removeprefix(FEED_PREFIX)
            text = f"{key.value} is not a key of {what}. {_meant(near)}"
            if what == "a feed" and former in self.known.renamed:
                text = _renamed(str(key.value), self.known.renamed[former])
            yield Problem(
                f"{variable.where(key)}: {variable.owner}: {variable.name}: {text}",
                variable.owner.hosts,
            )

    def given(self, names: Iterable[str]) -> list[str]:
        """Return the problems of variables given by -e."""
        return [f"-e: {message}" for name in names if (message := self.extra_message(name))]


def _nearest(name: str, names: Iterable[str], cutoff: float) -> str:
    return next(iter(difflib.get_close_matches(name, names, 1, cutoff)), "")


def _unknown(name: str, near: str) -> str:
    return f"{name}: there is no such variable. {_meant(near)}"


def _meant(near: str) -> str:
    return f"Did you mean {near}?" if near else "Remove it, or see the README of the role"


def _renamed(old: str, new: str) -> str:
    """Return the same text as the roles do when they run alone."""
    if new.isidentifier():
        return f"{old}: this variable is now called {new}. Rename it where you set it."
    return f"{old}: this variable no longer exists. {new}"
