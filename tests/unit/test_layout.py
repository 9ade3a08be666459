"""The rules of the tree: documented variables, sealed secrets, nothing of one machine."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
ROLES = sorted(path.name for path in (ROOT / "roles").iterdir() if path.is_dir())


def tracked() -> list[Path]:
    """Return the files that git tracks, or would track."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return [ROOT / name for name in listed.stdout.splitlines() if (ROOT / name).is_file()]


def faults_of_role(role: Path) -> list[str]:
    """Return the reasons why a role is not documented by its argument specification."""
    found = [
        f"{name} is missing"
        for name in ("README.md", "meta/main.yml", "meta/argument_specs.yml")
        if not (role / name).is_file()
    ]
    if found:
        return found
    specs = yaml.safe_load((role / "meta/argument_specs.yml").read_text())["argument_specs"]
    # A role without tasks has no entry point main.
    options: dict[str, dict[str, Any]] = next(iter(specs.values()))["options"]
    path = role / "defaults/main.yml"
    defaults = yaml.safe_load(path.read_text()) if path.is_file() else {}
    for name, option in options.items():
        if not name.startswith(role.name + "_"):
            found.append(f"{name} does not carry the role's name")
        if not option.get("type") or not option.get("description"):
            found.append(f"{name} has no type or no description")
        if option.get("default") != defaults.get(name) and not option.get("required"):
            found.append(f"{name} has another default in defaults/main.yml")
    found += [f"{name} is not in the specification" for name in defaults if name not in options]
    return found


@pytest.mark.parametrize("role", ROLES)
def test_every_variable_is_declared_once_and_documented(role: str) -> None:
    assert faults_of_role(ROOT / "roles" / role) == []


def test_a_role_that_breaks_the_rules_is_found(tmp_path: Path) -> None:
    role = tmp_path / "some_role"
    assert len(faults_of_role(role)) == 3
    for folder in ("meta", "defaults"):
        (role / folder).mkdir(parents=True)
    (role / "README.md").touch()
    (role / "meta/main.yml").touch()
    options = {
        "some_role_a": {"type": "str", "description": "A.", "default": "x"},
        "other": {"type": "str", "description": "B."},
        "some_role_c": {"type": "str"},
    }
    spec = {"argument_specs": {"main": {"options": options}}}
    (role / "meta/argument_specs.yml").write_text(yaml.safe_dump(spec))
    (role / "defaults/main.yml").write_text("some_role_a: y\nsome_role_d: 1\n")
    assert len(faults_of_role(role)) == 4


def test_every_vault_file_is_encrypted() -> None:
    vaults = [path for path in tracked() if re.fullmatch(r".*\.vault|vault.*\.ya?ml", path.name)]
    assert len(vaults) >= 6
    for path in vaults:
        assert path.read_bytes().startswith(b"$ANSIBLE_VAULT;1.2;AES256;"), path


def test_locks_are_hashed_and_name_no_index() -> None:
    for name in ("control", "dev"):
        text = (ROOT / "requirements" / f"{name}.txt").read_text()
        requirements = re.findall(r"^[A-Za-z0-9]\S*==", text, re.MULTILINE)
        assert len(requirements) > 10
        assert text.count("--hash=sha256:") >= len(requirements)
        assert "://" not in text
        for line in (ROOT / "requirements" / f"{name}.in").read_text().splitlines():
            if re.match(r"[A-Za-z]", line):
                wanted = line if "==" in line else f"{line}=="
                assert f"\n{wanted.lower()}" in "\n" + text.lower()


def test_every_row_of_the_fault_table_is_a_test() -> None:
    readme = (ROOT / "scripts/roster_upload/README.md").read_text()
    table = readme.partition("## Faults")[2].partition("## Exit codes")[0]
    rows = [line.split(" | ") for line in table.splitlines() if line.startswith("| ")][2:]
    assert len(rows) > 30
    sources = "".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    for row in rows:
        name = row[-1].strip("`| ")
        assert re.fullmatch(r"test_\w+", name), row
        assert f"def {name}(" in sources, row


def test_the_execution_environment_installs_locked_packages_alone(tmp_path: Path) -> None:
    context = tmp_path / "context"
    lock = ROOT / "requirements" / "execution-environment.txt"
    program = str(Path(sys.executable).with_name("ansible-builder"))
    definition = lock.with_suffix(".yml")
    subprocess.run(
        [program, "create", "--context", str(context), "--file", str(definition)],
        check=True,
        capture_output=True,
    )
    assert (context / "_build" / "requirements" / lock.name).read_bytes() == lock.read_bytes()
    steps = (context / "Containerfile").read_text()
    steps = steps.replace("$ANSIBLE_INSTALL_REFS", re.findall(r'INSTALL_REFS="(.*)"', steps)[0])
    locked = steps.index("pip install --no-cache-dir --require-hashes --requirement ")
    cut_off = steps.index("ENV PIP_NO_INDEX=1")
    known = {line.split("==")[0] for line in lock.read_text().splitlines() if "==" in line}
    installs = list(re.finditer(r"-m pip install --no-cache-dir (.*)", steps))
    assert len(installs) == 4
    assert installs[0].start() < locked < cut_off < installs[1].start()
    for install in installs[1:]:
        assert set(install[1].replace("'", "").split()) <= known, install[0]


def test_the_execution_environment_is_the_control_node_and_no_more() -> None:
    """Both locks name the same versions."""
    control, image = (
        set(re.findall(r"^\S+==\S+", (ROOT / "requirements" / name).read_text(), re.MULTILINE))
        for name in ("control.txt", "execution-environment.txt")
    )
    assert control < image


def test_every_locked_package_has_its_hashes() -> None:
    for lock in sorted((ROOT / "requirements").glob("*.txt")):
        for package in re.split(r"\n(?=\S)", lock.read_text().strip()):
            assert re.match(r"\S+==\S+.*\\\n +--hash=sha256:[0-9a-f]{64}", package), package


def test_a_clone_fits_a_file_system_that_is_case_insensitive() -> None:
    """macOS and Windows have such ones. A second name would replace the first one's file."""
    paths = [path.relative_to(ROOT) for path in tracked()]
    names = {part for path in paths for part in (path, *path.parents)}
    assert len({str(name).casefold() for name in names}) == len(names)
    refused = re.compile(r'[:*?"<>|\\]|[. ]$|^(con|prn|aux|nul|com\d|lpt\d)(\.|$)', re.IGNORECASE)
    assert not [path for path in paths if any(map(refused.search, path.parts))]


def test_git_on_windows_changes_no_line_ends(tmp_path: Path) -> None:
    """Its default is core.autocrlf. A script with such line ends does not start."""
    git = ["git", "-c", "core.autocrlf=true", "-c", "user.name=a", "-c", "user.email=a@b"]
    (tmp_path / "script").write_bytes(b"#!/bin/sh\nexit 0\n")
    (tmp_path / ".gitattributes").write_bytes((ROOT / ".gitattributes").read_bytes())
    for words in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "A"], ["rm", "-q", "script"]):
        subprocess.run([*git, *words], cwd=tmp_path, check=True)
    subprocess.run([*git, "checkout", "-q", "HEAD", "script"], cwd=tmp_path, check=True)
    assert (tmp_path / "script").read_bytes() == b"#!/bin/sh\nexit 0\n"


def passed_by_site() -> list[tuple[str, str]]:
    """Return the variables that site.yml passes, by the roles' own words, with their roles."""
    found = []
    for role in ROLES:
        specs = yaml.safe_load((ROOT / "roles" / role / "meta/argument_specs.yml").read_text())
        for name, option in specs["argument_specs"].get("main", {}).get("options", {}).items():
            if re.search(r"C\(site\.yml\) passes", str(option["description"])):
                found.append((role, name))
    return found


@pytest.mark.parametrize(("role", "name"), passed_by_site())
def test_site_passes_what_the_role_says(role: str, name: str) -> None:
    """Its plays pass it to all their roles, or its check of the variables to only one."""
    plays = yaml.safe_load((ROOT / "playbooks/site.yml").read_text())
    checks = yaml.safe_load((ROOT / "playbooks/shared/check_hosts.yml").read_text())
    tasks = [
        task for task in checks if task.get("ansible.builtin.import_role", {}).get("name") == role
    ]
    texts = [str(part.get("vars", {}).get(name, "")) for part in [*plays, *tasks]]
    assert any(re.search(r"\{\{.*[a-z]", text) for text in texts), texts
