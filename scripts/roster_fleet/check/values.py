"""Values that YAML reads otherwise than they are written, such as `16:00`, `no` and `0012345`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import yaml

from roster_fleet.check import nodes
from roster_fleet.check.files import Problem, Variable
from roster_fleet.check.known import FEED_PREFIX, FEEDS, Known, Spec

TAG = "tag:yaml.org,2002:"
TEXTS = ("str", "path")
NUMBERS = ("int", "float")
READS = {"int": "the number", "float": "the number", "bool": "", "timestamp": "the date"}
# A number that YAML reads in another base: 010 and 16:00.
UNLIKE = re.compile(r"[-+]?0[0-7_]|.*:")
# A comment directly after a value, without a blank, is usually a part of it.
CUT = re.compile(r"\s+#[^\s#]")
CUT_OFF = "YAML reads {} as a comment. Put the whole value in quotes, or write a blank after the #"


@dataclass(frozen=True)
class Value:
    """A value within a variable, with its name as the operator wrote it."""

    name: str
    node: yaml.Node
    spec: Spec

    @property
    def short(self) -> str:
        """Return the key that stands before the value."""
        return self.name.split(" of ", maxsplit=1)[0]


def problems(known: Known, variables: Iterable[Variable]) -> Iterator[Problem]:
    """Yield the values that do not mean what they seem to."""
    for variable in variables:
        spec = known.spec(variable.name)
        if spec is None:
            continue
        for value in scalars(Value(variable.name, variable.node, spec)):
            message = message_of(value, is_lenient=not variable.name.startswith(FEED_PREFIX))
            message = message or _cut(value, variable)
            if message:
                owner = variable.owner
                text = f"{variable.where(value.node)}: {owner}: {value.name}: {message}"
                yield Problem(text, owner.hosts)


def scalars(value: Value) -> Iterator[Value]:
    """Yield the values within a value that are not lists or mappings."""
    node, spec, name = value.node, value.spec, value.name
    if isinstance(node, yaml.ScalarNode):
        yield value
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            label = _feed(item) if name == FEEDS else name
            yield from scalars(Value(label, item, spec.item))
    elif spec.parts:
        for key, part in nodes.entries(node).items():
            if key in spec.parts:
                yield from scalars(Value(f"{key} of {name}", part, spec.parts[key]))


def _feed(item: yaml.Node) -> str:
    """Return how people call an item of the feeds."""
    name = nodes.entries(item).get("feed")
    return f"the feed {name.value} ({FEEDS})" if name else f"a feed ({FEEDS})"


def message_of(value: Value, *, is_lenient: bool = False) -> str:
    """Return what YAML makes of a value, or "" if it is what is written.

    If `is_lenient`, a number may stand for the text of its digits.
    """
    spec, node = value.spec, value.node
    kind, text = node.tag.removeprefix(TAG), node.value
    if kind == "null":
        has_type = spec.type not in ("", "raw")
        return "has no value. Write one, or remove the line" if has_type else ""
    if kind not in READS:
        return ""
    meant = nodes.value_of(node)
    is_number = kind in NUMBERS
    if spec.type in TEXTS and not (is_number and is_lenient and str(meant) == text):
        return _reads(value, kind, meant)
    if spec.type in NUMBERS and is_number and UNLIKE.match(text):
        return f"YAML reads {text} as the number {meant}. Write the number without 0 or : in it"
    return ""


def _reads(value: Value, kind: str, meant: object) -> str:
    if value.spec.no_log:
        return "YAML does not read this as a text. Put it in quotes"
    text = value.node.value
    shown = str(meant).lower() if kind == "bool" else str(meant)
    what = f"{READS[kind]} {shown}".strip()
    return f"YAML reads {text} as {what}. Put it in quotes: {value.short}: '{text}'"


def _cut(value: Value, variable: Variable) -> str:
    """Return the message for a text without quotes that ends at a comment, or ""."""
    node = value.node
    is_plain = isinstance(node, yaml.ScalarNode) and not node.style
    if value.spec.type not in TEXTS or node.tag != f"{TAG}str" or not is_plain:
        return ""
    if not CUT.match(variable.after(node)):
        return ""
    return CUT_OFF.format("the rest" if value.spec.no_log else variable.after(node).strip())
