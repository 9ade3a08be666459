"""Check that an inventory can be read and has hosts, before Ansible loads the variables of one."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

from roster_fleet.check.files import Inventory, Problem
from roster_fleet.folder.settings import PUBLIC_IDS
from roster_fleet.outputs import INVENTORIES

MOST = 100  # messages of one run
MOST_NAMES = 5  # inventories that a message offers
NOT_NAMED = "/etc/ansible/hosts"  # Ansible's own, without -i and without one in ansible.cfg
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
    wrong = [Problem(text, EVERYBODY) for source in sources if (text := _wrong_path(source))]
    found = wrong + list(Inventory(sources, groups).slips())
    if found:
        return found
    members = groups.get(wanted, ())
    if not members:
        return [Problem(_no_hosts(sources, groups, wanted), EVERYBODY)]
    if not set(members) & set(limited):
        message = f"--limit names no host of the group {wanted}. Name one of its hosts"
        return [Problem(message, EVERYBODY)]
    return []


def _wrong_path(source: str) -> str:
    """Return why a source is no inventory, or an empty text."""
    path = Path(source)
    if "," in source:
        return ""
    if not path.exists():
        if source == NOT_NAMED:
            return _not_named()
        below = path.parent / INVENTORIES / path.name
        near = f"Did you mean -i {INVENTORIES}/{path.name}?" if below.is_dir() else ""
        return f"{source}: there is no such inventory. {near or 'Correct the path after -i'}"
    if path.name == INVENTORIES and path.is_dir() and not list(path.glob("hosts*")):
        return f"{source} is the folder of all inventories. {_choice(path)}"
    return ""


def _not_named() -> str:
    """Return what to do if neither the command nor an ansible.cfg names an inventory."""
    if names := _names(Path(INVENTORIES)):
        return f"no inventory is named. {_choice(Path(INVENTORIES), names)}"
    return (
        "no inventory is named. Run the command in your own folder, which scripts/new-inventory "
        "has laid out, or name an inventory with -i"
    )


def _choice(home: Path, names: Sequence[str] = ()) -> str:
    """Return which inventories a folder offers."""
    known = [f"-i {INVENTORIES}/{name}" for name in names or _names(home)]
    return f"Choose one: {', '.join(known[:MOST_NAMES])}" if known else "Name one of them with -i"


def _names(home: Path) -> list[str]:
    """Return the names of the operator's inventories in a folder."""
    found = home.iterdir() if home.is_dir() else ()
    names = (path.name for path in found if path.is_dir() and path.name[0] != ".")
    return sorted(name for name in names if name not in PUBLIC_IDS)


def _no_hosts(sources: Sequence[str], groups: Mapping[str, Sequence[str]], wanted: str) -> str:
    if list(sources) == [NOT_NAMED] and not groups.get("all"):
        return _not_named()
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
