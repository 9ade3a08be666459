"""Edit the lines of a person's YAML file. All other lines stay as they are, byte by byte.

Each function returns the new text. It raises EditError if the file's form allows no such edit.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import yaml

from roster_fleet import yamlfile

Pair = tuple[yaml.Node, yaml.Node]
# The first keys of an item, in this order.
FIRST = ("feed", "district", "username", "remote_dir", "source")


class EditError(Exception):
    """A file has a form that cannot be edited. The text says why."""


def append_item(text: str, key: str, item: Mapping[str, Any]) -> str:
    """Add an item to the list of a top-level key, which is made if it is missing."""
    before = _values(text)
    meant = before | {key: [*(before.get(key) or []), dict(item)]}
    lines = _lines(text)
    pair = _pair(_root(text), key)
    if pair is None:
        block = [f"{key}:\n", *_item_lines(item, 2)]
        gap = [] if not lines or lines == ["---\n"] else ["\n"]
        lines += [*gap, *block]
    elif not before[key]:
        start, end = pair[0].start_mark.line, pair[1].end_mark
        comment = lines[end.line][end.column :].lstrip(":")
        lines[start : end.line + 1] = [f"{key}:{comment.rstrip()}\n", *_item_lines(item, 2)]
    else:
        items = _block(pair[1], yaml.SequenceNode, key)
        at = _last_line(items, lines) + 1
        lines[at:at] = _item_lines(item, items.start_mark.column)
    return _checked(lines, meant)


def remove_item(text: str, key: str, name: str, value: str) -> str:
    """Remove the items with this value from the list of a top-level key.

    An empty list is removed with its key.
    """
    before = _values(text)
    pair = _pair(_root(text), key)
    if pair is None:
        return text
    kept = [item for item in before[key] if not _has(item, name, value)]
    lines = _lines(text)
    items = _block(pair[1], yaml.SequenceNode, key)
    if not kept:
        meant = {other: its for other, its in before.items() if other != key}
        return _checked(_without(lines, pair[0].start_mark.line, _last_line(items, lines)), meant)
    numbers = [i for i, item in enumerate(before[key]) if _has(item, name, value)]
    for number in reversed(numbers):
        start = _dash_line(items.value[number], items.start_mark.column, lines)
        if number:
            start = _with_comments(start, lines)
        lines = _without(lines, start, _last_line(items.value[number], lines))
    return _checked(lines, before | {key: kept})


def _has(item: object, name: str, value: str) -> bool:
    return isinstance(item, dict) and item.get(name) == value


def into_item(
    text: str,
    key: str,
    moved: Mapping[str, str],
    computed: Mapping[str, str],
    gone: Mapping[str, str],
) -> str:
    """Move top-level values into the only item of a new list, each with its comments.

    `moved` maps the names to the item's keys, in the item's order. `computed` are values that the
    file does not have. They replace the names in `gone`, whose comments they get.
    """
    before, root, lines = _values(text), _root(text), _lines(text)
    found: dict[str, list[str]] = {}
    spans: list[tuple[int, int]] = []
    comments: dict[str, list[str]] = {}
    for node, value in root.value:
        name = node.value
        if name not in moved and name not in gone:
            continue
        start, end = node.start_mark.line, _last_of((node, value), lines)
        if name in moved:
            top = _with_comments(start, lines)
            head = lines[start].replace(name, moved[name], 1)
            found[moved[name]] = [*lines[top:start], head, *lines[start + 1 : end + 1]]
            start = top
        elif comment := lines[end][value.end_mark.column :].strip():
            comments.setdefault(gone[name], []).append(comment)
        spans.append((start, end))
    for name, content in computed.items():
        [line] = yamlfile.dump(yamlfile.tree({name: content})).splitlines()
        found[name] = [f"{'  '.join([line, *comments.get(name, [])])}\n"]
    order = [name for name in (*FIRST, *moved.values(), *computed) if name in found]
    body = [line for name in dict.fromkeys(order) for line in found[name]]
    # A comment above the first key would hide the dash.
    first = next(i for i, line in enumerate(body) if not line.startswith("#"))
    item = [f"    {line}" if line.strip() else line for line in body]
    item[first] = f"  - {body[first]}"
    at = min(start for start, _ in spans)
    for start, end in sorted(spans, reverse=True):
        lines = _without(lines, start, end, keep_gap=start == at)
    lines[at:at] = [f"{key}:\n", *item]
    meant = {name: its for name, its in before.items() if name not in {*moved, *gone}}
    values = {moved[name]: before[name] for name in moved if name in before} | dict(computed)
    return _checked(lines, meant | {key: [values]})


def remove_hosts(text: str, hosts: Sequence[str]) -> str:
    """Remove hosts from all groups of a hosts.yml."""
    meant = _values(text)
    for content in _groups(meant):
        listed = content.get("hosts")
        if isinstance(listed, dict) and set(hosts) & set(listed):
            content["hosts"] = {k: v for k, v in listed.items() if k not in hosts} or None
    for host in hosts:
        while spans := list(_host_spans(text, host)):
            text = "".join(_without(_lines(text), *spans[0]))
    return _checked(_lines(text), meant)


def _host_spans(text: str, host: str) -> Iterator[tuple[int, int]]:
    """Yield the first and the last line of a host in each group."""
    lines = _lines(text)
    for content in _group_nodes(_root(text)):
        pair = _pair(content, "hosts")
        if pair is None or not isinstance(pair[1], yaml.MappingNode):
            continue
        for number, (node, value) in enumerate(pair[1].value):
            if node.value == host:
                _block(pair[1], yaml.MappingNode, "hosts")
                start = node.start_mark.line
                top = _with_comments(start, lines) if number else start
                yield top, _last_of((node, value), lines)


def _groups(tree: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for content in tree.values():
        if isinstance(content, dict):
            yield content
            yield from _groups(content.get("children") or {})


def _group_nodes(tree: yaml.MappingNode) -> Iterator[yaml.MappingNode]:
    for _, content in tree.value:
        if isinstance(content, yaml.MappingNode):
            yield content
            children = _pair(content, "children")
            if children and isinstance(children[1], yaml.MappingNode):
                yield from _group_nodes(children[1])


def _values(text: str) -> dict[str, Any]:
    try:
        values = yamlfile.plain(text)
    except yaml.YAMLError as error:
        raise EditError(f"it is not valid YAML: {error}") from None
    if values is not None and not isinstance(values, dict):
        raise EditError("it holds no variables")
    return values or {}


def _root(text: str) -> yaml.MappingNode:
    try:
        root = yaml.compose(text, yaml.SafeLoader)
    except yaml.YAMLError:  # an alias whose anchor is removed
        raise EditError("its form cannot be kept") from None
    if root is None or root.start_mark == root.end_mark:
        return yaml.MappingNode("tag:yaml.org,2002:map", [])
    if not isinstance(root, yaml.MappingNode) or root.flow_style:
        raise EditError("its values are not one on a line")
    return root


def _lines(text: str) -> list[str]:
    return (text if text.endswith("\n") or not text else f"{text}\n").splitlines(keepends=True)


def _pair(node: yaml.MappingNode, key: str) -> Pair | None:
    return next((pair for pair in node.value if pair[0].value == key), None)


def _block(node: yaml.Node, kind: type[yaml.CollectionNode], key: str) -> yaml.CollectionNode:
    if not isinstance(node, kind) or node.flow_style:
        raise EditError(f"{key} is not written one on a line")
    if any(
        isinstance(it, yaml.Node) and it.start_mark.index < node.start_mark.index
        for it in node.value
    ):
        raise EditError(f"{key} has an alias as an item")
    return node


def _last_line(node: yaml.Node, lines: Sequence[str]) -> int:
    """Return the last line of a node, without the comments and empty lines after it."""
    if isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
        last = node.value[-1]
        return _last_of(last, lines) if isinstance(last, tuple) else _last_line(last, lines)
    line: int = node.end_mark.line
    if isinstance(node, yaml.ScalarNode) and node.style in ("|", ">"):
        line = min(line, len(lines)) - 1
        while line > node.start_mark.line and not lines[line].strip():
            line -= 1
    return line


def _last_of(pair: Pair, lines: Sequence[str]) -> int:
    """Return the last line of a key and its value. An alias is on the line of its key."""
    line: int = pair[0].start_mark.line
    return max(line, _last_line(pair[1], lines))


def _dash_line(node: yaml.Node, column: int, lines: Sequence[str]) -> int:
    """Return the line with the dash of an item."""
    line: int = node.start_mark.line
    while lines[line][:column].strip() or lines[line][column : column + 1] != "-":
        line -= 1
    return line


def _with_comments(start: int, lines: Sequence[str]) -> int:
    """Return the first line of the comments directly above a line, or the line itself.

    Comments at the beginning of a file are about the file.
    """
    indent = len(lines[start]) - len(lines[start].lstrip())
    top = start
    while top and lines[top - 1].startswith(" " * indent + "#"):
        top -= 1
    return start if top == 0 or lines[top - 1].startswith("---") else top


def _without(lines: Sequence[str], start: int, end: int, *, keep_gap: bool = False) -> list[str]:
    """Return the lines without some of them, and without an empty line that they leave."""
    above, below = list(lines[:start]), list(lines[end + 1 :])
    if not keep_gap and above and not above[-1].strip() and (not below or not below[0].strip()):
        above.pop()
    return above + below


def _item_lines(item: Mapping[str, Any], column: int) -> list[str]:
    """Return an item of a list whose dash is in this column."""
    first, *others = yamlfile.dump(yamlfile.tree(item)).splitlines()
    pad = " " * column
    return [f"{pad}- {first}\n", *(f"{pad}  {line}\n" for line in others)]


def _checked(lines: Sequence[str], meant: object) -> str:
    """Return the text. Raise EditError if it reads back as other values."""
    text = "".join(lines)
    if yamlfile.says(text, meant or None) or yamlfile.says(text, meant):
        return text
    raise EditError("its form cannot be kept")
