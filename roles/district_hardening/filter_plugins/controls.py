"""Jinja2 filters that turn the controls of the hardening into what its tasks need.

A control is a mapping, as `vars/main/controls.yml` describes it. The values of a control that is
switched off are not read, and thus not rendered, unless its files need them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

ROLE = "district_hardening"
EVERY_CONTROL = {"all", "tagged", ROLE}
# Keys of a file that are for this role, not for file_set.
OWN_KEYS = {"source", "source_path", "when_disabled"}


def selected_controls(
    order: Sequence[str], run_tags: Iterable[str], skip_tags: Iterable[str]
) -> list[str]:
    """Return the names of the controls that `--tags` and `--skip-tags` select, in their order.

    A run whose tags name no control selects all of them.
    """
    run, skip = set(run_tags), set(skip_tags)
    if run & EVERY_CONTROL or not run & set(order):
        run = set(order)
    return [name for name in order if name in run - skip]


def control_values(
    controls: Mapping[str, Mapping[str, Any]], switches: Mapping[str, bool], key: str
) -> list[Any]:
    """Return the items of a list, such as `packages`, of all controls that are switched on."""
    return [item for name in controls if switches[name] for item in controls[name].get(key, [])]


def control_files(
    controls: Mapping[str, Mapping[str, Any]],
    switches: Mapping[str, bool],
    base: Sequence[Mapping[str, Any]],
    commands: Mapping[str, str],
) -> list[dict[str, Any]]:
    """Return the entries for file_set: those of `base`, then those of each control.

    An entry may still name a `source`; the lookup `with_contents` reads it. `on_change` holds
    commands instead of their names, which come from the control or from the shared `commands`.
    Raise ValueError for a name that neither knows.
    """
    found = [_entry(file, commands) for file in base]
    for name, control in controls.items():
        known = {**commands, **control.get("commands", {})}
        for file in control.get("files", []):
            entry = _entry(file, known) if switches[name] else _entry_when_disabled(file, known)
            if entry:
                found.append(entry)
    return found


def _entry(file: Mapping[str, Any], commands: Mapping[str, str]) -> dict[str, Any]:
    entry = {key: file[key] for key in file if key != "when_disabled"}
    if "on_change" in entry:
        entry["on_change"] = _commands(file, commands)
    return entry


def _entry_when_disabled(
    file: Mapping[str, Any], commands: Mapping[str, str]
) -> dict[str, Any] | None:
    """Return what becomes of a path when its control is off. None: it stays as it is."""
    if "when_disabled" in file:
        entry = {key: file[key] for key in file if key not in OWN_KEYS}
        entry |= dict(file["when_disabled"])
    elif file.get("state") == "directory":
        return None
    else:
        entry = {"path": file["path"], "state": "absent"}
    if "on_change" in file:
        entry["on_change"] = _commands(file, commands)
    return entry


def _commands(file: Mapping[str, Any], commands: Mapping[str, str]) -> list[str]:
    unknown = [name for name in file["on_change"] if name not in commands]
    if unknown:
        raise ValueError(f"{file['path']}: on_change names unknown commands: {', '.join(unknown)}")
    return [commands[name] for name in file["on_change"]]


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Any]:
        return {
            "selected_controls": selected_controls,
            "control_values": control_values,
            "control_files": control_files,
        }
