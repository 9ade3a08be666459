"""The tables in the roles' READMEs are generated, up to date, and name tests that exist."""

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


def test_the_tables_are_up_to_date() -> None:
    done = check(ROOT)
    assert done.returncode == 0, done.stdout


def test_a_table_that_is_not_up_to_date_is_found(tmp_path: Path) -> None:
    for part in ("roles", "scripts", "tests/infra"):
        shutil.copytree(ROOT / part, tmp_path / part)
    specification = tmp_path / "roles/district_hardening/meta/argument_specs.yml"
    told = specification.read_text()
    specification.write_text(told.replace("su(1) for members", "su(1) for some"))
    done = check(tmp_path)
    assert done.returncode == 1
    assert "roles/district_hardening/README.md is not up to date" in done.stdout


def test_every_control_has_a_switch_and_is_checked_by_tests_that_exist(docs: ModuleType) -> None:
    controls, options, tests = docs.controls(HARDENING), docs.options(HARDENING), docs.places()
    switches = [name for name, option in options.items() if option.get("default") is True]
    assert sorted(f"district_hardening_{name}" for name in controls) == sorted(switches)
    for name, control in controls.items():
        assert control["answers"], name
        assert control["checked"], name
        assert set(control["checked"]) <= set(tests), name


def test_every_role_shows_its_variables(docs: ModuleType) -> None:
    for role in sorted((ROOT / "roles").iterdir()):
        if docs.options(role):
            assert "<!-- table: variables -->" in (role / "README.md").read_text(), role.name
