"""Load the tables of formats, rules and limits."""

from __future__ import annotations

import functools
import tomllib
from collections.abc import Mapping
from importlib import resources
from typing import Any


@functools.cache
def spec(name: str) -> Mapping[str, Any]:
    """Return a parsed table of this folder."""
    text = resources.files(__name__).joinpath(f"{name}.toml").read_text("utf-8")
    return tomllib.loads(text)
