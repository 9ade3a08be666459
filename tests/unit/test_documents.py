"""What the documents tell to type is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from roster_upload.exits import Exit

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
COMMAND = re.compile(r"\s+(?:ANSIBLE_\S+ )*ansible-playbook ")
PLAYBOOKS = sorted(path.name for path in (ROOT / "playbooks").glob("*.yml"))


@pytest.mark.parametrize("playbook", PLAYBOOKS)
def test_every_playbook_is_in_the_readme(playbook: str) -> None:
    assert f"`{playbook}`" in (ROOT / "README.md").read_text()


def commands() -> list[tuple[str, str]]:
    """Document and command line, of all that run a playbook."""
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
    """What an operator can meet; `explain` has the rest of it."""
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
