"""Files as nodes of YAML, which keep the line and the text of each value.

Ansible's values do not show what somebody wrote: `16:00` is a number to it.
"""

from __future__ import annotations

import copy
import functools
import json
import re
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

SEALED = "$ANSIBLE_VAULT"
MERGE = "tag:yaml.org,2002:merge"
NULL = "tag:yaml.org,2002:null"
# What YAML may fail to read, such as 2026-11-31.
CALCULATED = tuple(f"tag:yaml.org,2002:{kind}" for kind in ("int", "float", "timestamp"))
HINT = "Look for a wrong indentation, a missing quote or a missing bracket here and above"
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


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


def slip_at(node: yaml.Node, message: str) -> Slip:
    """Return a slip at the place of a node."""
    return Slip(node.start_mark.line + 1, node.start_mark.column + 1, message)


def _node_slip(node: yaml.Node, seen: set[int], above: frozenset[int]) -> Slip | None:
    """Return the first slip in a node that YAML itself accepts, or None.

    An alias is looked at once. `above` are the nodes that the node is in.
    """
    if id(node) in above:
        return slip_at(node, "this value contains itself (an alias within its own anchor)")
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
            return slip_at(node, "this date does not exist. Correct it, and put it in quotes")
        return slip_at(node, "this looks like a number, but is not a valid one. Put it in quotes")
    return None


def _key_slip(node: yaml.MappingNode) -> Slip | None:
    """Return the slip of a template without quotes, or of a key that appears twice."""
    lines: dict[tuple[str, str], int] = {}
    for key, _ in node.value:
        if not isinstance(key, yaml.ScalarNode):
            return slip_at(key, f"this is not YAML: a template must stand in quotes. {HINT}")
        if key.tag == MERGE:
            continue
        if first := lines.get((key.tag, key.value)):
            message = f"{key.value} is also in line {first}. Only the last one would count. "
            return slip_at(key, f"{message}Put both together, or remove one")
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


def is_empty(node: yaml.Node | None) -> bool:
    """Return whether a node has no value."""
    return node is None or node.tag == NULL
