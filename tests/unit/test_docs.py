"""The tables and outputs in the documents are generated, up to date, and name tests that exist."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]
HARDENING = ROOT / "roles" / "district_hardening"


@pytest.fixture(scope="module")
def docs() -> ModuleType:
    """scripts/docs as a module."""
    loader = importlib.machinery.SourceFileLoader("docs", str(ROOT / "scripts" / "docs"))
    spec = importlib.util.spec_from_loader("docs", loader)
    assert spec
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


def check(root: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(root / "scripts" / "docs"), "--check"]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_documents_are_up_to_date() -> None:
    done = check(ROOT)
    assert done.returncode == 0, done.stdout


# Source: what it says, what it says from now on, and the document that tells so.
CHANGES = {
    "roles/district_hardening/meta/argument_specs.yml": (
        "may use su(1).",
        "may use su(8).",
        "roles/district_hardening/README.md",
    ),
    "playbooks/shared/options.yml": (
        "Why the change is right",
        "Why the change is wrong",
        "README.md",
    ),
    "tests/damages.py": (
        "a person of one name",
        "a person of two names",
        "scripts/roster_upload/README.md",
    ),
    "tests/examples.py": ('"drop_students": 200', '"drop_students": 201', "docs/guard.md"),
}


def test_a_document_that_is_not_up_to_date_is_found(tmp_path: Path) -> None:
    shutil.copy(ROOT / "README.md", tmp_path)
    for part in ("docs", "playbooks", "roles", "scripts", "tests"):
        shutil.copytree(ROOT / part, tmp_path / part, ignore=shutil.ignore_patterns("__pycache__"))
    for source, (told, now, _) in CHANGES.items():
        path = tmp_path / source
        text = path.read_text()
        assert told in text
        path.write_text(text.replace(told, now))
    done = check(tmp_path)
    assert done.returncode == 1, done.stderr
    assert done.stdout.splitlines() == [
        f"{document} is not up to date; type: scripts/docs" for _, _, document in CHANGES.values()
    ]


def test_every_control_has_a_switch_and_is_checked_by_tests_that_exist(docs: ModuleType) -> None:
    controls, options, tests = docs.controls(HARDENING), docs.options(HARDENING), docs.places()
    switches = [name for name, option in options.items() if option.get("default") is True]
    named = [switch for switch in switches if switch.endswith("_enabled")]
    assert sorted(f"district_hardening_{name}_enabled" for name in controls) == sorted(named)
    for name, control in controls.items():
        assert control["enabled"].split()[1] in switches, name
        assert control["controls"], name
        assert control["checked"], name
        assert set(control["checked"]) <= set(tests), name


def test_every_role_shows_its_variables(docs: ModuleType) -> None:
    for role in sorted((ROOT / "roles").iterdir()):
        if docs.options(role):
            assert "<!-- table: variables -->" in (role / "README.md").read_text(), role.name
