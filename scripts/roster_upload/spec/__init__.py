"""The tables of the formats, the rules and the limits, as data."""

from __future__ import annotations

import functools
import tomllib
from collections.abc import Mapping
from importlib import resources
from typing import Any


@functools.cache
def spec(name: str) -> Mapping[str, Any]:
    """Return a table of this folder, parsed."""
    text = resources.files(__name__).joinpath(f"{name}.toml").read_text("utf-8")
    return tomllib.loads(text)
