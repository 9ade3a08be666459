"""YAML files of people: changes keep comments, quotes and indentation."""

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


def read(path: Path) -> str:
    """Return the text of a file, with LF at the ends of lines. Raise OSError."""
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise OSError(f"{path} is not UTF-8. Save it as UTF-8") from None


def load(text: str) -> Any:
    """Return the content of a text, with all that `dump` needs to keep its form."""
    return _yaml(text).load(text)


def dump(node: Any, like: str = "") -> str:
    """Return the text of a node, indented like another text."""
    out = io.StringIO()
    _yaml(like).dump(node, out)
    return out.getvalue()


class _Plain(yaml.SafeLoader):
    """Read values as Ansible does. A tag of Ansible's becomes a pair."""


_Plain.add_multi_constructor("!", lambda _, tag, node: (tag, node.value))


def plain(content: str) -> Any:
    """Return the values of a text without its form."""
    return yaml.load(content, _Plain)  # noqa: S506 - it creates plain values only


def says(content: str, meant: object) -> bool:
    """Return whether Ansible reads exactly these values from a text."""
    try:
        return bool(plain(content) == meant)
    except yaml.YAMLError:
        return False


def tree(values: Mapping[str, Any]) -> CommentedMap:
    """Return values ready for `dump`, with quotes where YAML needs them."""
    return CommentedMap({text(key): _node(value) for key, value in values.items()})


def _node(value: Any) -> Any:
    if isinstance(value, Mapping):
        return tree(value)
    if isinstance(value, list):
        return [_node(item) for item in value]
    return text(value) if isinstance(value, str) else value


def text(value: str) -> str:
    """Return a value that every YAML reader reads as this text."""
    with suppress(yaml.YAMLError):
        if yaml.safe_load(value) == value:
            return value
    return quoted(value)


def quoted(value: str) -> str:
    """Return a value in double quotes."""
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
