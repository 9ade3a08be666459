"""Answer a mistyped command, option or value with the nearest one that there is."""

from __future__ import annotations

import argparse
import difflib
import sys
from collections.abc import Iterable, Sequence
from typing import Any, NoReturn

from roster_upload.exits import Exit
from roster_upload.terminal.output import say
from roster_upload.terminal.width import fitted

LIKENESS = 0.6  # from 0 to 1, of names that are taken for one another


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return `Did you mean NAME?` with the nearest name, or an empty text without one."""
    by_case = {one.casefold(): one for one in known}
    near = difflib.get_close_matches(name.strip().casefold(), by_case, 1, LIKENESS)
    return f"Did you mean {by_case[near[0]]}?" if near else ""


class Help(argparse.RawDescriptionHelpFormatter):
    """Help with the line breaks of its texts, and more of them where a line is too long."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return fitted("\n".join(indent + line for line in text.splitlines()), width)


class Parser(argparse.ArgumentParser):
    """A parser that names the nearest command, option or value. Python does so from 3.14 on."""

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse as argparse does, but end at an option that the command does not have."""
        given = list(sys.argv[1:] if args is None else args)
        for word in self._options_of(given):
            name = word.partition("=")[0]
            known = self._option_string_actions
            if not any(option.startswith(name) for option in known):
                shown = [one for one in known if one.startswith("--")]
                near = did_you_mean(name, shown)
                self.error(f"unknown option {name}. {near or f'See {self.prog} --help'}")
        return super().parse_known_args(given, namespace)

    def _options_of(self, given: Sequence[str]) -> Iterable[str]:
        """Yield the long options of this parser. A command has options of its own."""
        commands = [name for action in self._actions for name in _commands(action)]
        for word in given:
            if word == "--" or word in commands:
                return
            if word.startswith("--") and " " not in word:  # as argparse tells options from values
                yield word

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is None or value in action.choices:
            return
        known = list(map(str, action.choices))
        near = did_you_mean(str(value), known) or f"Known are: {', '.join(known)}"
        noun = "command" if _commands(action) else "value"
        raise argparse.ArgumentError(action, f"unknown {noun} {value!r}. {near}")

    def error(self, message: str) -> NoReturn:
        """Show the usage and an error, and end the program."""
        self.print_usage(sys.stderr)
        say(f"{self.prog}: {message}")
        self.exit(int(Exit.USAGE))


def _commands(action: argparse.Action) -> list[str]:
    return list(action.choices) if isinstance(action.choices, dict) else []
