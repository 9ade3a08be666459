"""YAML that people wrote and read: changed with its comments, quotes and indentation kept."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.scalarstring import DoubleQuotedScalarString

# Ansible reads `host_vars/NAME.yml`, also a folder of that name, as variables of NAME.
ENDINGS = (".yml", ".yaml", ".json")


def variable_files(home: Path) -> list[Path]:
    """Return the files that Ansible reads for a host or a group, given its folder."""
    endings = ("", *ENDINGS)
    beside = (home.with_name(home.name + ending) for ending in endings)
    below = (path for path in home.rglob("*") if path.suffix in endings)
    return sorted(path for path in (*beside, *below) if path.is_file())


def load(text: str) -> Any:
    """Return the content of a text, with all that `dump` needs to keep its form."""
    return _yaml(text).load(text)


def dump(node: Any, like: str = "") -> str:
    """A text of it, indented as `like` is, from which it may come."""
    out = io.StringIO()
    _yaml(like).dump(node, out)
    return out.getvalue()


class _Plain(yaml.SafeLoader):
    """Reads values as Ansible does, and tags that only it knows as pairs."""


_Plain.add_multi_constructor("!", lambda _, tag, node: (tag, node.value))


def plain(content: str) -> Any:
    """What a text says, without how it is written."""
    return yaml.load(content, _Plain)  # noqa: S506 - it makes nothing but plain values


def says(content: str, meant: object) -> bool:
    """Return whether Ansible's reader takes from a text what was meant, and nothing else."""
    try:
        return bool(plain(content) == meant)
    except yaml.YAMLError:
        return False


def tree(values: Mapping[str, Any]) -> CommentedMap:
    """Return values as they are to be dumped, each text quoted where it has to be."""
    return CommentedMap({text(key): _node(value) for key, value in values.items()})


def _node(value: Any) -> Any:
    if isinstance(value, Mapping):
        return tree(value)
    if isinstance(value, list):
        return [_node(item) for item in value]
    return text(value) if isinstance(value, str) else value


def text(value: str) -> str:
    """A value that every YAML reader takes for this text, quoted where it has to be."""
    with suppress(yaml.YAMLError):
        if yaml.safe_load(value) == value:
            return value
    return quoted(value)


def quoted(value: str) -> str:
    """A value in double quotes."""
    it: str = DoubleQuotedScalarString(value)
    return it


def _yaml(like: str) -> YAML:
    indents = re.findall(r"^( +)\S", like, re.MULTILINE)
    step = min((len(indent) for indent in indents), default=2)
    kept = YAML()
    kept.preserve_quotes = True
    kept.width = 2**31
    kept.indent(mapping=step, sequence=4, offset=2)
    kept.explicit_start = like.startswith("---") or "\n---" in like
    return kept
