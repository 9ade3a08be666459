"""The commands and links in the documents exist."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
import yaml
from roster_upload.exits import Exit
from support.sftp_clients import ADMINISTRATOR, CLIENTS, SIS

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
LINK = re.compile(r"\]\(([^)\s]*)\)")
HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)
COMMAND = re.compile(r"\s+(?:ANSIBLE_\S+ )*ansible-playbook ")
PLAYBOOKS = sorted(path.name for path in (ROOT / "playbooks").glob("*.yml"))


@pytest.mark.parametrize("playbook", PLAYBOOKS)
def test_every_playbook_is_in_the_readme(playbook: str) -> None:
    assert f"`{playbook}`" in (ROOT / "README.md").read_text()


def linked() -> list[tuple[Path, str]]:
    """Return document and target of each link that leads to this tree."""
    documents = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("roles/*/README.md")]
    documents += [*ROOT.glob("scripts/**/README.md"), *ROOT.glob("tests/*/README.md")]
    return [
        (document, target)
        for document in documents
        for target in LINK.findall(document.read_text())
        if "://" not in target
    ]


def anchors(document: Path) -> set[str]:
    """Return the anchors of a document's headings, as GitHub and Gitea make them."""
    headings = HEADING.findall(document.read_text())
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_links_lead_to_files_and_headings_that_exist() -> None:
    assert len(linked()) > 100
    for document, target in linked():
        path, _, anchor = target.partition("#")
        found = (document.parent / path).resolve() if path else document
        assert found.exists(), (document, target)
        assert not anchor or anchor in anchors(found), (document, target)


def test_every_room_of_the_program_is_in_the_architecture() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text().split("### Inside the program")[1]
    named = set(re.findall(r"^\| `(\w+)/` \|", page, re.MULTILINE))
    program = ROOT / "scripts" / "roster_upload"
    assert named == {path.parent.name for path in program.glob("*/__init__.py")}


def commands() -> list[tuple[str, str]]:
    """Return document and command line, of all that run a playbook."""
    found = []
    for path in DOCUMENTS:
        lines = path.read_text().splitlines()
        found += [(path.name, line.strip()) for line in lines if COMMAND.match(line)]
    return found


def test_every_command_names_a_playbook_and_variables_that_exist() -> None:
    assert len(commands()) > 25
    sources = "".join(
        path.read_text()
        for folder in ("playbooks", "roles")
        for path in (ROOT / folder).rglob("*")
        if path.suffix in {".yml", ".py"}
    )
    for document, line in commands():
        (playbook,) = re.findall(r"(?:playbooks|molecule/default)/\w+\.yml", line)
        assert (ROOT / playbook).exists(), (document, line)
        for name in re.findall(r"-e '?\"?(\w+)=", line):
            assert re.search(rf"\b{name}\b", sources) or name.startswith("onboard_"), line


def test_every_exit_code_is_in_the_runbook() -> None:
    """The codes that an operator can meet. `explain` has the others."""
    runbook = (ROOT / "docs" / "operations.md").read_text()
    table = {
        int(n) for row in re.findall(r"^\| ([\d, ]+) \|", runbook, re.M) for n in row.split(",")
    }
    text = {int(n) for n in re.findall(r"\((\d+)\)", runbook)}
    codes = {
        int(n)
        for words in re.findall(r"exit codes? ([\d or]+)", runbook)
        for n in re.findall(r"\d+", words)
    }
    known = {int(code) for code in Exit}
    by_plan = {Exit.OK, Exit.PAUSED}
    assert known - (table | text | codes) == {int(code) for code in by_plan}


def test_the_readme_has_a_small_picture_of_the_status_page() -> None:
    """`PICTURES=1 pytest tests/integration/test_status_page.py -k picture` makes it."""
    path = ROOT / "docs" / "status-page.png"
    assert "(docs/status-page.png)" in (ROOT / "README.md").read_text()
    assert path.read_bytes().startswith(b"\x89PNG")
    assert path.stat().st_size < 80_000


def linter_exclusions() -> list[tuple[str, str]]:
    """Return linter and path pattern of everything that a linter skips."""
    names = {".ansible-lint": "exclude_paths", ".yamllint": "ignore"}
    return [
        (name, path)
        for name, key in names.items()
        for path in yaml.safe_load((ROOT / name).read_text())[key]
    ]


@pytest.mark.parametrize(("linter", "pattern"), linter_exclusions())
def test_linters_skip_only_what_exists(linter: str, pattern: str) -> None:
    """The project's commands make some of the folders. Git ignores those."""
    ignored = (ROOT / ".gitignore").read_text().splitlines()
    is_made = pattern.rstrip("/") in {line.rstrip("/") for line in ignored}
    assert is_made or any(ROOT.glob(pattern.rstrip("/"))), linter


def test_ansible_lint_reads_each_yaml_file() -> None:
    line = re.search(r"^ANSIBLE_FILES = (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert line
    read = [*map(Path, line[1].split())]
    skipped = [Path(path) for linter, path in linter_exclusions() if linter == ".ansible-lint"]
    listed = subprocess.run(
        ["git", "ls-files", "*.yml", "*.yaml"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    for path in map(Path, listed):
        is_read = bool({path, *path.parents} & {*read, *skipped})
        assert is_read or path.name == ".pre-commit-config.yaml", path


def test_the_page_of_clients_lists_those_that_the_tests_log_in_with() -> None:
    text = (ROOT / "docs/clients.md").read_text()
    rows = re.findall(r"^\| (.+?) \| (\d\S*) \| .+? \| (\w+) \| (\w+) \|$", text, re.MULTILINE)
    listed = {f"{name} {version}": answers for name, version, *answers in rows}
    assert listed == {
        client.title: ["no" if role in client.refused else "yes" for role in (ADMINISTRATOR, SIS)]
        for client in CLIENTS
    }
