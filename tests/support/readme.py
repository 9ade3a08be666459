"""Read the README's steps for a first district, so that a test types what a reader types."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

README = Path(__file__).resolve().parents[2] / "README.md"
SECTION = "Your first district"
STEP = re.compile(r"(\d+)\. \*\*(.+?)[.:]?\*\*")
TEXT, CODE = " " * 3, " " * 7  # how a step's further lines begin
COMMENT = re.compile(r" {2,}# .*$")
# Documents for readers need no shell's syntax. It would also hide a placeholder or a failure.
REFUSED = re.compile(r"[\\$`<>;|&]|^[#%]")


class ReadmeError(Exception):
    """A line of the README that a reader cannot type as it is."""


class Step(NamedTuple):
    """A numbered step: its headline, its text, and its commands in order."""

    title: str
    text: str
    commands: tuple[str, ...]


def steps(document: str, section: str = SECTION) -> list[Step]:
    """Return the steps of a section. Raise ReadmeError for a line of another form."""
    parts = re.split(r"^## (.+)$\n", document, flags=re.MULTILINE)
    found = [body for title, body in zip(parts[1::2], parts[2::2], strict=True) if title == section]
    if len(found) != 1:
        raise ReadmeError(f"{len(found)} sections are called {section!r}")
    made: list[tuple[str, list[str], list[str]]] = []
    for line in found[0].splitlines():
        if head := STEP.match(line):
            if int(head[1]) != len(made) + 1:
                raise ReadmeError(f"step {head[1]} is out of order")
            made.append((head[2], [line], []))
        elif not line.strip():
            continue
        elif line.startswith(CODE):
            if not made:
                raise ReadmeError(f"a command is in no step: {line.strip()}")
            made[-1][2].append(command(line))
        elif line.startswith("    ") or line.lstrip().startswith("```"):
            raise ReadmeError(f"a command must be indented by {len(CODE)} blanks: {line}")
        elif made and line.startswith(TEXT):
            made[-1][1].append(line.strip())
    if not made:
        raise ReadmeError(f"{section!r} has no steps")
    return [Step(title, " ".join(text), tuple(commands)) for title, text, commands in made]


def command(line: str) -> str:
    """Return the command of a code line, without its comment. Raise ReadmeError."""
    words = COMMENT.sub("", line).strip()
    if REFUSED.search(words):
        raise ReadmeError(f"not a plain command: {words}")
    return words


def placed(words: str, values: dict[str, str]) -> str:
    """Return a command with its placeholders, words in capitals, replaced. Raise ReadmeError."""

    def value(match: re.Match[str]) -> str:
        if match[0] not in values:
            raise ReadmeError(f"the placeholder {match[0]} has no value: {words}")
        return values[match[0]]

    return re.sub(r"(?<![\w\"'-])[A-Z]{3,}(?![\w\"'])", value, words)
