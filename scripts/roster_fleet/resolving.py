"""The variables of thousands of hosts, resolved as the roles see them.

Ansible's own templates take about a millisecond each, which is too long for the expressions of the
roles on every host. So Jinja compiles these once. What an inventory holds, and what Jinja alone
cannot resolve, is resolved by Ansible.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator, KeysView, Mapping, ValuesView
from typing import Any

import jinja2
import jinja2.nodes
import jinja2.runtime
from ansible import constants
from ansible.inventory.host import Host
from ansible.parsing.dataloader import DataLoader
from ansible.parsing.vault import EncryptedString
from ansible.plugins.loader import filter_loader, lookup_loader
from ansible.template import Templar, trust_as_template
from ansible.utils.vars import combine_vars
from ansible.vars.manager import VariableManager
from jinja2.filters import FILTERS

from roster_fleet.roles import Role

MARKS = ("{{", "{%", "{#")
OVERRIDES = "#jinja2:"  # the first line of a template with marks of its own
RESULT = "__result"
PLAIN = ("ansible.builtin.vars", "ansible.builtin.varnames")  # lookups that are done here


class Unsure(Exception):
    """Jinja alone might give another result than Ansible."""


def has_template(value: Any) -> bool:
    """Return whether Ansible would resolve or decrypt a part of a value."""
    if isinstance(value, EncryptedString):
        return True
    if isinstance(value, str):
        is_marked = "{" in value and any(mark in value for mark in MARKS)
        return is_marked or value.startswith(OVERRIDES)
    if isinstance(value, Mapping):
        return any(has_template(part) for pair in value.items() for part in pair)
    return isinstance(value, list | tuple) and any(map(has_template, value))


def connection_variables(
    raw: Mapping[str, Any], settings: Mapping[str, Any]
) -> Iterator[tuple[str, Any]]:
    """Yield what Ansible adds for each task, such as `ansible_user` from `-u` or a synonym."""
    for setting, names in constants.MAGIC_VARIABLE_MAPPING.items():
        given = [raw[name] for name in names if name in raw]
        value = given[0] if given else settings.get(setting)
        if value is not None and "become" not in setting:
            yield from ((name, value) for name in names if name not in raw)


@functools.cache  # all hosts have the roles' names
def _matches(term: str, name: str) -> bool:
    return bool(re.search(term, name))


class Values(Mapping[str, Any]):
    """A host's variables. Each is resolved when it is first read, and may raise AnsibleError."""

    def __init__(self, fleet: Fleet, raw: Mapping[str, Any]) -> None:
        """Take the variables as they are written."""
        self.fleet, self.raw = fleet, raw
        self._known: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._known:
            self._known[name] = self._resolve(name, self.raw[name])
        return self._known[name]

    def __contains__(self, name: object) -> bool:
        return name in self.raw  # a value that cannot be resolved is there, too

    def __iter__(self) -> Iterator[str]:
        return iter(self.raw)

    def __len__(self) -> int:
        return len(self.raw)

    def _resolve(self, name: str, value: Any) -> Any:
        if not self.fleet.is_template(name, value):
            return value
        return self.resolve(value) if self.fleet.is_ours(name, value) else self.by_ansible(value)

    def resolve(self, value: Any) -> Any:
        """Return a role's or a playbook's value without its templates. Raise AnsibleError."""
        try:
            return self.fleet.by_jinja(value, self)
        except Exception:  # noqa: BLE001 - Ansible knows whether it is a mistake
            return self.by_ansible(trust_as_template(value) if isinstance(value, str) else value)

    def by_ansible(self, value: Any) -> Any:
        """Return a value as Ansible resolves it. Raise AnsibleError."""
        return self._templar().template(value)

    def _templar(self) -> Templar:
        return Templar(loader=self.fleet.loader, variables=dict(self.raw))

    def by_jinja(self, value: Any, more: Mapping[str, Any], *, bare: bool = False) -> Any:
        """Return a role's value without its templates. Jinja alone resolves it, or fails.

        `more` are variables of this value alone. If `bare`, it is an expression without braces.
        """
        return self.fleet.by_jinja(value, _Scope(self, more) if more else self, bare=bare)

    def lookup(self, plugin: str, terms: tuple[Any, ...], options: Mapping[str, Any]) -> list[Any]:
        """Return the result of a lookup, as `query` does."""
        if plugin == PLAIN[0]:
            return [self[name] for name in terms]
        if plugin == PLAIN[1]:
            return [name for term in terms for name in self.raw if _matches(term, name)]
        found = self.fleet.lookup(plugin)
        found._templar = self._templar()
        result: list[Any] = found.run(list(terms), variables=self.raw, **options)
        return result


class _Scope(Mapping[str, Any]):
    """The variables of a task on top of those of its host."""

    def __init__(self, values: Values, more: Mapping[str, Any]) -> None:
        self.below, self.more = values, more
        self.lookup = values.lookup

    def __getitem__(self, name: str) -> Any:
        if name in self.more:
            return self.below.fleet.by_jinja(self.more[name], self)
        return self.below[name]

    def __contains__(self, name: object) -> bool:
        return name in self.more or name in self.below

    def __iter__(self) -> Iterator[str]:
        return iter({**self.below.raw, **self.more})

    def __len__(self) -> int:
        return len(list(iter(self)))


class _Context(jinja2.runtime.Context):
    """The names of an expression: a host's variables, then Jinja's own."""

    below: Mapping[str, Any]

    def resolve_or_missing(self, key: str) -> Any:
        """Return a variable's value."""
        if key in self.below:
            return self.below[key]
        return super().resolve_or_missing(key)


def _texts_only(value: Any) -> str:
    """Return a part of a text. Ansible writes None and others in its own way."""
    if isinstance(value, str):
        return value
    raise Unsure


@jinja2.pass_context
def _query(context: _Context, plugin: str, *terms: Any, **options: Any) -> list[Any]:
    found: list[Any] = context.below.lookup(plugin, terms, options)  # type: ignore[attr-defined]
    return found


@jinja2.pass_context
def _lookup(context: _Context, plugin: str, *terms: Any, **options: Any) -> Any:
    found = _query(context, plugin, *terms, **options)
    if len(found) != 1:
        raise Unsure
    return found[0]


class Fleet:
    """Resolve the variables of the hosts of one inventory."""

    def __init__(
        self,
        loader: DataLoader,
        variables: VariableManager,
        roles: Mapping[str, Role],
        given: Mapping[str, Any] | None = None,
        extra: Mapping[str, Any] | None = None,
        connection: Mapping[str, Any] | None = None,
    ) -> None:
        """Take the roles, and the variables that a playbook gives to them.

        `extra` are variables that precede all others. `connection` are the run's own settings of
        connections, by Ansible's name of each. With them the values are those in a task.
        """
        self._connection = connection
        self.loader, self._variables, self._extra = loader, variables, extra or {}
        self.roles = roles
        self._defaults = {name: it for role in roles.values() for name, it in role.defaults.items()}
        fixed = {name: it for role in roles.values() for name, it in role.fixed.items()}
        self._fixed = {**fixed, **(given or {})}
        self._ours = {**self._defaults, **self._fixed}
        self._templates = {name: has_template(value) for name, value in self._ours.items()}
        self._compiled: dict[tuple[str, bool], Callable[[Mapping[str, Any]], Any]] = {}
        self._environment = jinja2.Environment(  # noqa: S701 - no HTML
            undefined=jinja2.StrictUndefined, finalize=_texts_only, trim_blocks=True
        )
        self._environment.context_class = _Context
        self._environment.globals |= {"lookup": _lookup, "query": _query, "q": _query}

    def values(self, host: Host) -> Values:
        """Return a host's variables in Ansible's order of precedence."""
        own = self._variables.get_vars(host=host, include_hostvars=False)
        own.pop("omit", None)  # what it means depends on the place. Without it a host is doubtful
        layers = (self._defaults, own, self._fixed, self._extra)
        raw = functools.reduce(combine_vars, layers)  # by Ansible's setting, they may be merged
        if self._connection is not None:
            settings = {**self._connection, "remote_addr": host.address}
            raw = {**dict(connection_variables(raw, settings)), **raw}
        return Values(self, raw)

    @functools.cache  # noqa: B019 - a run has one fleet
    def lookup(self, plugin: str) -> Any:
        """Return a lookup plugin of Ansible."""
        return lookup_loader.get(plugin, loader=self.loader)

    def is_ours(self, name: str, value: Any) -> bool:
        """Return whether a value is the role's own, or the playbook's."""
        return self._ours.get(name) is value

    def is_template(self, name: str, value: Any) -> bool:
        """Return whether a variable's value must be resolved."""
        return self._templates[name] if self.is_ours(name, value) else has_template(value)

    def by_jinja(self, value: Any, values: Mapping[str, Any], *, bare: bool = False) -> Any:
        """Return a role's own value, resolved by Jinja alone.

        If `bare`, it is an expression without braces.
        """
        if isinstance(value, str):
            key = (value, bare)
            if key not in self._compiled:
                self._compiled[key] = self._compile(f"{{{{ {value} }}}}" if bare else value)
            return self._compiled[key](values)
        if isinstance(value, Mapping):
            return {key: self.by_jinja(part, values) for key, part in value.items()}
        if isinstance(value, list):
            return [self.by_jinja(part, values) for part in value]
        return value

    def _compile(self, text: str) -> Callable[[Mapping[str, Any]], Any]:
        tree = self._environment.parse(text)
        for node in tree.find_all(jinja2.nodes.Filter):
            self._environment.filters[node.name] = _filter(node.name)
        parts = [part for output in tree.body for part in getattr(output, "nodes", [output])]
        if is_value := len(parts) == 1 and isinstance(parts[0], jinja2.nodes.Expr):
            is_value = not isinstance(parts[0], jinja2.nodes.TemplateData)
        if is_value:
            target = jinja2.nodes.Name(RESULT, "store")
            tree.body = [jinja2.nodes.Assign(target, parts[0], lineno=1)]
        template = self._environment.from_string(tree)

        def run(values: Mapping[str, Any]) -> Any:
            context = _Context(self._environment, self._environment.globals, None, {})
            context.below = values
            text = "".join(template.root_render_func(context))
            found = context.vars[RESULT] if is_value else text
            if isinstance(found, jinja2.Undefined):
                raise Unsure
            return found

        return run


def _filter(name: str) -> Callable[..., Any]:
    """Return a filter of Jinja or of Ansible, which returns lists as Ansible's do."""
    function: Callable[..., Any] = FILTERS.get(name) or filter_loader.get(name).j2_function

    @functools.wraps(function)
    def call(*args: Any, **options: Any) -> Any:
        found = function(*args, **options)
        return list(found) if isinstance(found, Iterator | KeysView | ValuesView) else found

    return call
