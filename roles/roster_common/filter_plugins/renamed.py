"""Jinja2 filter that finds variables under their old names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any


def renamed_variables(renamed: Mapping[str, str], names: Iterable[str]) -> list[str]:
    """Return one message for each old variable that is set, in the order of `renamed`.

    `renamed` maps the old name to the new name. For a variable without a successor it maps to a
    sentence that says what to do. `names` are the names of all variables of the host, as
    `query('ansible.builtin.varnames', '.')` returns them.
    """
    known = set(names)
    return [_message(old, new) for old, new in renamed.items() if old in known]


def _message(old: str, new: str) -> str:
    if new.isidentifier():
        return f"{old}: this variable is now called {new}. Rename it where you set it."
    return f"{old}: this variable no longer exists. {new}"


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Any]:
        """Return the filter by name."""
        return {"renamed_variables": renamed_variables}
