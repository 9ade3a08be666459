"""Check that an inventory can be read and has hosts, before Ansible loads the variables of one."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

from roster_fleet.check.files import Inventory, Problem

MOST = 100  # messages of one run
EVERYBODY: frozenset[str] = frozenset()  # a problem of no known host stops every run


def problems(
    sources: Sequence[str],
    groups: Mapping[str, Sequence[str]],
    wanted: str,
    limited: Collection[str],
) -> list[Problem]:
    """Return why an inventory cannot be used. `limited` are the hosts within `--limit`.

    `wanted` is the group that must have hosts.
    """
    missing = [
        Problem(f"{source}: there is no such inventory. Correct the path after -i", EVERYBODY)
        for source in sources
        if "," not in source and not Path(source).exists()
    ]
    found = missing + list(Inventory(sources, groups).slips())
    if found:
        return found
    members = groups.get(wanted, ())
    if not members:
        return [Problem(_no_hosts(sources, groups, wanted), EVERYBODY)]
    if not set(members) & set(limited):
        message = f"--limit names no host of the group {wanted}. Name one of its hosts"
        return [Problem(message, EVERYBODY)]
    return []


def _no_hosts(sources: Sequence[str], groups: Mapping[str, Sequence[str]], wanted: str) -> str:
    where = ", ".join(sources) or "the inventory"
    message = f"{where}: no host is in the group {wanted}, so there is nothing to do"
    own = [name for name in groups if name not in ("all", "ungrouped", wanted)]
    if near := difflib.get_close_matches(wanted, own, 1):
        return f"{message}. Did you mean it where you wrote {near[0]}?"
    if groups.get("all"):
        return f"{message}. Move your hosts into this group"
    return f"{message}. Add a host (onboard.yml), or name another inventory with -i"


def blocking(found: Sequence[Problem], limited: Collection[str]) -> list[str]:
    """Return the texts of the problems that concern hosts of a run, each once.

    A problem that concerns no known host counts, since nobody knows better.
    """
    return _texts(problem for problem in found if _concerns(problem, limited))


def others(found: Sequence[Problem], limited: Collection[str]) -> list[str]:
    """Return the texts of the problems of other hosts, which do not stop a run."""
    return _texts(problem for problem in found if not _concerns(problem, limited))


def _concerns(problem: Problem, limited: Collection[str]) -> bool:
    return not problem.hosts or not limited or not problem.hosts.isdisjoint(limited)


def _texts(found: Iterable[Problem]) -> list[str]:
    texts = list(dict.fromkeys(problem.text for problem in found))
    more = len(texts) - MOST
    return texts if more <= 0 else [*texts[:MOST], f"... and {more:,} more"]
