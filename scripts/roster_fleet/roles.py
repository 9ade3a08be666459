"""The roles' files: defaults, variables, argument specifications and checks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible.parsing.dataloader import DataLoader
from ansible.plugins.loader import filter_loader, lookup_loader

ROLES = Path(__file__).resolve().parents[2] / "roles"
Variables = Mapping[str, Any]


@dataclass(frozen=True)
class Role:
    """A role as Ansible reads it. Its texts are trusted as templates."""

    name: str
    defaults: Variables
    fixed: Variables  # its vars, which precede those of an inventory
    specs: Mapping[str, Any]  # argument specifications by entry point
    validate: Sequence[Mapping[str, Any]]  # the tasks of tasks/validate.yml
    needs: Sequence[str]  # names of the roles that it depends on


def load(name: str, loader: DataLoader) -> Role:
    """Return a role of this checkout. Its filters and lookups become known to Ansible."""
    home = ROLES / name
    filter_loader.add_directory(str(home / "filter_plugins"))
    lookup_loader.add_directory(str(home / "lookup_plugins"))

    def read(*paths: Path) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for path in paths:
            found |= content(path, loader) or {}
        return found

    tasks = home / "tasks" / "validate.yml"
    return Role(
        name,
        read(home / "defaults" / "main.yml"),
        read(*_vars_files(home / "vars")),
        read(home / "meta" / "argument_specs.yml")["argument_specs"],
        content(tasks, loader) if tasks.exists() else (),
        [entry["role"] for entry in read(home / "meta" / "main.yml")["dependencies"]],
    )


def content(path: Path, loader: DataLoader) -> Any:
    """Return what a YAML file of this checkout holds, not to be changed."""
    # `unsafe` is Ansible's word for no copy.
    return loader.load_from_file(str(path), unsafe=True, trusted_as_template=True)


def with_dependencies(names: Sequence[str], loader: DataLoader) -> dict[str, Role]:
    """Return roles by name, with those that they depend on."""
    found: dict[str, Role] = {}
    waiting = list(names)
    while waiting:
        if (name := waiting.pop()) not in found:
            found[name] = load(name, loader)
            waiting += found[name].needs
    return found


def _vars_files(folder: Path) -> Iterator[Path]:
    """Yield the files that hold a role's vars: main.yml, or all files of the folder main."""
    if (folder / "main.yml").exists():
        yield folder / "main.yml"
    yield from sorted((folder / "main").glob("*.yml"))
