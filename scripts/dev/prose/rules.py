"""Compare the prose of files with the rules of rules.toml."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from .blocks import Block, words

ROOT = Path(__file__).resolve().parents[3]
RULES = Path(__file__).with_name("rules.toml")


@dataclass(frozen=True)
class Phrase:
    """A phrase that the project does not use, and the words to use instead."""

    pattern: re.Pattern[str]
    say: str
    docstring: bool


@dataclass(frozen=True)
class Rules:
    """The limits, the phrases, and the paths that are held to them."""

    longest: int
    semicolons: float
    kept: list[str]
    skipped: set[str]
    phrases: list[Phrase]


@dataclass(frozen=True)
class Finding:
    """A place where a text breaks a rule."""

    path: Path
    line: int
    rule: str
    text: str
    advice: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.rule}: {self.text} -> {self.advice}"


@dataclass
class Figures:
    """The counts of one file, or of all of them."""

    words: int = 0
    longest: int = 0
    semicolons: list[tuple[int, str]] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """Return the semicolons per 1,000 words."""
        return 1000 * len(self.semicolons) / max(self.words, 1)

    def add(self, other: Figures) -> None:
        """Count another file, too."""
        self.words += other.words
        self.longest = max(self.longest, other.longest)
        self.semicolons += other.semicolons

    def too_many(self, rules: Rules) -> bool:
        """Return whether there are too many semicolons. One is never too many."""
        return len(self.semicolons) > 1 and self.rate > rules.semicolons


def load(path: Path = RULES) -> Rules:
    """Return the rules of a file."""
    data = tomllib.loads(path.read_text())
    phrases = [
        Phrase(
            re.compile(one["find"], re.IGNORECASE),
            one["say"],
            one.get("docstring", False),
        )
        for one in data["phrase"]
    ]
    return Rules(
        data["sentence_words"],
        data["semicolons_per_1000_words"],
        data["kept"],
        set(data["skipped"]),
        phrases,
    )


def kept(rules: Rules) -> list[Path]:
    """Return the paths that are held to the rules."""
    return [path for pattern in rules.kept for path in sorted(ROOT.glob(pattern))]


def files(paths: Iterable[Path], rules: Rules) -> Iterator[Path]:
    """Return all files below these paths, except the skipped ones."""
    for path in paths:
        if path.name in rules.skipped or str(shown(path)) in rules.skipped or path.is_symlink():
            continue
        if path.is_dir():
            yield from files(sorted(path.iterdir()), rules)
        elif path.is_file():
            yield path


def shown(path: Path) -> Path:
    """Return a path as seen from the project's folder."""
    path = path.resolve()
    return path.relative_to(ROOT) if path.is_relative_to(ROOT) else path


def findings(path: Path, blocks: list[Block], rules: Rules) -> tuple[list[Finding], Figures]:
    """Return what breaks the rules in a file, and the file's figures."""
    found, figures = [], Figures()
    for block in blocks:
        found += list(_phrases(path, block, rules))
        for line, sentence in block.sentences():
            count = words(sentence)
            figures.words += count
            figures.longest = max(figures.longest, count)
            figures.semicolons += [(line, sentence)] * sentence.count(";")
            if count > rules.longest:
                advice = f"{count} words. Make two sentences of it."
                found.append(Finding(path, line, "sentence", shortened(sentence), advice))
    if figures.too_many(rules):
        advice = f"{figures.rate:.1f} per 1,000 words in this file. Make two sentences of it."
        found += [
            Finding(path, line, "semicolon", around(sentence), advice)
            for line, sentence in dict.fromkeys(figures.semicolons)
        ]
    return sorted(found, key=lambda one: one.line), figures


def _phrases(path: Path, block: Block, rules: Rules) -> Iterator[Finding]:
    text = block.text.replace("\n", " ")
    for phrase in rules.phrases:
        if phrase.docstring and not block.docstring:
            continue
        search = phrase.pattern.match if phrase.docstring else phrase.pattern.search
        if match := search(text):
            yield Finding(path, block.line_at(match.start()), "phrase", match[0], phrase.say)


def shortened(text: str) -> str:
    """Return the beginning of a sentence."""
    return text if len(text) <= 60 else text[:59] + "…"


def around(text: str) -> str:
    """Return the words around a sentence's first semicolon."""
    at = text.index(";")
    return text[max(at - 30, 0) : at + 30].strip()
