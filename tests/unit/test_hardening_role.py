"""The hardening's data fits together: sources, order, tags."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

ROLE = Path(__file__).resolve().parents[2] / "roles" / "district_hardening"


def variables() -> dict[str, Any]:
    found: dict[str, Any] = {}
    for path in sorted((ROLE / "vars/main").glob("*.yml")):
        found |= yaml.safe_load(path.read_text())
    return found


def order() -> list[str]:
    names: list[str] = variables()["__district_hardening_order"]
    return names


def test_each_control_has_a_file_of_its_name_and_a_place_in_the_order() -> None:
    for name in order():
        values = yaml.safe_load((ROLE / f"vars/main/{name}.yml").read_text())
        assert f"__district_hardening_control_{name}" in values
    named = {name for name in variables() if name.startswith("__district_hardening_control_")}
    assert named == {f"__district_hardening_control_{name}" for name in order()}


def test_each_source_lies_in_the_role_as_on_the_host_and_none_is_unused() -> None:
    values = variables()
    entries = list(values["__district_hardening_base"])
    for name in order():
        files = values[f"__district_hardening_control_{name}"].get("files", [])
        entries += files if isinstance(files, list) else []
    used = set()
    for entry in entries:
        if "source" in entry:
            folder = "templates" if entry["source"] == "template" else "files"
            suffix = ".j2" if entry["source"] == "template" else ""
            used.add(f"{folder}{entry.get('source_path', entry['path'])}{suffix}")
    there = {
        str(path.relative_to(ROLE))
        for folder in ("files", "templates")
        for top in ("etc", "usr", "var")
        for path in (ROLE / folder / top).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert used == there
