"""The commands of a parser: their options, values and texts."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass

FEEDS = ("FEED", "CODE|FEED")
FILES = ("FILE", "FOLDER", "PATH", "BEFORE", "AFTER", "FILE.toml")


@dataclass(frozen=True)
class Value:
    """A positional value or an option of a command, as people type it."""

    names: tuple[str, ...]  # empty for a positional value
    metavar: str  # empty for an option without a value
    choices: tuple[str, ...]
    text: str
    is_needed: bool


@dataclass(frozen=True)
class Command:
    """A command: its name, its line in the list of commands, its description and its values."""

    name: str
    summary: str
    text: str
    values: tuple[Value, ...]

    @property
    def options(self) -> tuple[Value, ...]:
        """Return its options."""
        return tuple(value for value in self.values if value.names)

    @property
    def positionals(self) -> tuple[Value, ...]:
        """Return its positional values."""
        return tuple(value for value in self.values if not value.names)


def commands(parser: argparse.ArgumentParser) -> Iterator[Command]:
    """Yield the commands of a parser in their order."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            summaries = {one.dest: one.help or "" for one in action._choices_actions}
            for name, one in action.choices.items():
                text = one.description or ""
                yield Command(name, summaries[name], text, tuple(values(one)))


def values(parser: argparse.ArgumentParser) -> Iterator[Value]:
    """Yield the values and the options of a parser that its help shows."""
    for action in parser._actions:
        if action.help == argparse.SUPPRESS or isinstance(action, argparse._SubParsersAction):
            continue
        has_value = action.nargs != 0
        metavar = action.metavar if isinstance(action.metavar, str) else action.dest.upper()
        text = (action.help or "") % {"default": action.default, "prog": parser.prog}
        yield Value(
            names=tuple(action.option_strings),
            metavar=metavar if has_value else "",
            choices=tuple(map(str, action.choices or ())),
            text=text,
            is_needed=action.required and action.nargs not in ("?", "*"),
        )
