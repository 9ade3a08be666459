"""The generated parts of documents and roles are up to date, and name tests that exist."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
HARDENING = ROOT / "roles" / "district_hardening"


@pytest.fixture(scope="module")
def docs() -> ModuleType:
    """Return scripts/dev/docs as a module."""
    loader = importlib.machinery.SourceFileLoader("docs", str(ROOT / "scripts" / "dev" / "docs"))
    spec = importlib.util.spec_from_loader("docs", loader)
    assert spec
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


def check(root: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(root / "scripts" / "dev" / "docs"), "--check"]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.heavy
def test_the_documents_are_up_to_date(
    docs: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["docs", "--check"])
    assert docs.main() == 0, capsys.readouterr().out


# Source: its text, another text, and the files that are made from it.
CHANGES: dict[str, tuple[str, str, list[str]]] = {
    "roles/district_hardening/meta/argument_specs.yml": (
        "may use su(1).",
        "may use su(8).",
        ["roles/district_hardening/README.md"],
    ),
    "playbooks/shared/options.yml": (
        "Why the change is right",
        "Why the change is wrong",
        ["docs/playbooks.md"],
    ),
    "tests/support/damages.py": (
        "a person of one name",
        "a person of two names",
        ["scripts/roster_upload/README.md"],
    ),
    "scripts/roster_upload/spec/exits.toml": (
        'meaning = "the server refused the login"',
        'meaning = "the server refuses the login"',
        [
            "scripts/roster_upload/README.md",
            "docs/operations.md",
            "roles/roster_upload/files/roster-upload.8",
        ],
    ),
    "scripts/roster_upload/spec/feed.toml": (
        '"The district\'s name as people write it."',
        '"The name of the district."',
        ["roles/roster_upload/meta/argument_specs.yml", "roles/roster_upload/defaults/main.yml"],
    ),
    "tests/support/examples.py": (
        '"drop_students": 200',
        '"drop_students": 201',
        ["docs/guard.md"],
    ),
}


def copy_to(folder: Path) -> None:
    """Copy the documents and all that their parts are made from."""
    shutil.copy(ROOT / "README.md", folder)
    for part in ("docs", "playbooks", "roles", "scripts", "tests"):
        shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))


@pytest.mark.heavy
def test_a_document_that_is_not_up_to_date_is_found(tmp_path: Path) -> None:
    copy_to(tmp_path)
    for source, (before, now, _) in CHANGES.items():
        path = tmp_path / source
        text = path.read_text()
        assert before in text
        path.write_text(text.replace(before, now))
    done = check(tmp_path)
    assert done.returncode == 1, done.stderr
    outdated = {line.split()[0] for line in done.stdout.splitlines() if "outdated" in line}
    made = {document for _, _, documents in CHANGES.values() for document in documents}
    assert outdated == made


@pytest.mark.heavy
def test_a_new_key_reaches_every_file_of_the_role(tmp_path: Path) -> None:
    copy_to(tmp_path)
    program = tmp_path / "scripts/roster_upload"
    code = (program / "config.py").read_text()
    field = "    heartbeat_url: str\n"
    assert code.count(field) == 1
    (program / "config.py").write_text(code.replace(field, f"{field}    pager: str\n"))
    with (program / "spec/feed.toml").open("a", encoding="utf-8") as handle:
        handle.write('[alerts.pager]\ntype = "str"\ndefault = "x"\ntext = "A pager."\n')
    command = [sys.executable, str(tmp_path / "scripts" / "dev" / "docs")]
    subprocess.run(command, capture_output=True, check=True)
    role = tmp_path / "roles/roster_upload"
    specs = yaml.safe_load((role / "meta/argument_specs.yml").read_text())["argument_specs"]
    defaults = (role / "defaults/main.yml").read_text()
    known = yaml.safe_load((role / "vars/main.yml").read_text())["__roster_upload_keys"]
    option = {"description": "A pager.", "type": "str", "default": "x"}
    assert specs["main"]["options"]["roster_upload_pager"] == option
    assert "\n# A pager.\nroster_upload_pager: x\n" in defaults
    assert known[-1] == "pager"
    assert "| `roster_upload_pager` |" in (role / "README.md").read_text()
    assert check(tmp_path).returncode == 0


def test_a_section_of_the_runbook_about_an_exit_code_exists(docs: ModuleType) -> None:
    runbook = (ROOT / "docs/operations.md").read_text()
    titles = {one["section"] for one in docs.exits().values() if "section" in one}
    assert len(titles) > 5
    for title in titles:
        assert f"\n## {title}\n" in runbook, title


def test_every_control_has_a_switch_and_is_checked_by_tests_that_exist(docs: ModuleType) -> None:
    controls, options, tests = docs.controls(HARDENING), docs.options(HARDENING), docs.infra_tests()
    switches = [name for name, option in options.items() if option.get("default") is True]
    named = [switch for switch in switches if switch.endswith("_enabled")]
    assert sorted(f"district_hardening_{name}_enabled" for name in controls) == sorted(named)
    for name, control in controls.items():
        assert docs.switch_of(HARDENING, name) in switches
        assert control["controls"], name
        assert control["checked"], name
        assert set(control["checked"]) <= set(tests), name


def test_every_role_shows_its_variables(docs: ModuleType) -> None:
    for role in sorted((ROOT / "roles").iterdir()):
        if docs.options(role):
            assert "<!-- table: variables -->" in (role / "README.md").read_text(), role.name
