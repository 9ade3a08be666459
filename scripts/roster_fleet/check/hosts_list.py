"""Check the shape of a list of hosts. Ansible only warns of a wrong one, and then knows no host."""

from __future__ import annotations

import difflib
from collections.abc import Iterator

import yaml

from roster_fleet.check.nodes import Slip, entries, is_empty, pairs, slip_at

PARTS = ("hosts", "children", "vars")  # of a group


def slips(tree: yaml.Node | None, *, is_below: bool = False) -> Iterator[Slip]:
    """Yield what Ansible would skip in groups, such as `host:` instead of `hosts:`."""
    for name, content in pairs(tree):
        if is_below and not is_empty(content) and not isinstance(content, yaml.MappingNode):
            yield slip_at(
                name, f"{name.value} is no group. Write {name.value}: and its hosts: below"
            )
        parts = entries(content)
        # A mapping at the top may be there for its anchors only.
        is_group = is_below or any(part in parts for part in PARTS)
        for key, value in pairs(content):
            part = str(key.value)
            near = difflib.get_close_matches(part, PARTS, 1)
            if part in PARTS:
                if not is_empty(value) and not isinstance(value, yaml.MappingNode):
                    text = f"{part} of {name.value} must be names with a colon, one on a line"
                    yield slip_at(key, text)
            elif is_group or near:
                hint = f"Did you mean {near[0]}?" if near else "Indent it below one of these"
                text = f"{part} cannot be in {name.value}, only {', '.join(PARTS)}. {hint}"
                yield slip_at(key, text)
        for host, lines in pairs(parts.get("hosts")):
            if not is_empty(lines) and not isinstance(lines, yaml.MappingNode):
                text = (
                    f"the host {host.value} must hold lines such as 'ansible_host: 192.0.2.1'. "
                    "Look for a missing colon, or a blank after it"
                )
                yield slip_at(lines, text)
        yield from slips(parts.get("children"), is_below=True)
