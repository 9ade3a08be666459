"""The manual page, in the language of man(7)."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from roster_upload import __version__
from roster_upload.cli import parser as cli
from roster_upload.exits import Exit

from manual.commands import Command, Value, commands, values

FILES = {
    "/etc/roster-upload/FEED.toml": "The settings of a feed. The inventory writes them.",
    "/etc/roster-upload/credentials/FEED": "The feed's secrets, encrypted for this host.",
    "/var/lib/roster-upload/FEED": "The receipts, the kept packages and the guard's hashes.",
    "/var/log/journal": "The outputs of the feeds' units. See journalctl -u roster-upload@FEED.",
}
HELP = "--help"  # an option of every command
ENVIRONMENT = {
    "COLUMNS": "The width of the output, instead of that of the terminal.",
    "NO_COLOR": "If it is set, tables have no colours.",
    "ROSTER_UPLOAD_DEBUG": "With 1, an error of the program itself shows where it happened.",
}


def page(parser: argparse.ArgumentParser) -> str:
    """Return the manual page of the program."""
    parts = [
        f'.TH ROSTER\\-UPLOAD 8 "" "roster\\-upload {__version__}" "Roster delivery"',
        ".SH NAME",
        "roster\\-upload \\- check a school roster and deliver it by SFTP, with proof",
        ".SH SYNOPSIS",
        ".B roster\\-upload",
        f"{_synopsis(values(parser))} COMMAND ...",
        ".SH DESCRIPTION",
        *(line for text in (parser.description or "").split("\n") for line in (_text(text), ".PP")),
        "The commands send, rehearse, resend, probe, watch and diff need the feed's secrets.",
        "Typed as root, they start the feed's unit, show its steps and end with its exit code.",
        ".SH OPTIONS",
        *_listed(values(parser)),
        ".SH COMMANDS",
        *(line for one in commands(parser) for line in _command(one)),
        ".SH EXIT STATUS",
        *(line for code in Exit for line in _item(str(code.value), code.meaning + ".")),
        ".SH ENVIRONMENT",
        *(line for name, text in ENVIRONMENT.items() for line in _item(name, text)),
        ".SH FILES",
        *(line for name, text in FILES.items() for line in _item(name, text)),
        ".SH EXAMPLES",
        *(line for example in cli.EXAMPLES.splitlines()[1:] for line in _example(example)),
        ".SH SEE ALSO",
        ".BR systemctl (1),",
        ".BR journalctl (1),",
        ".BR systemd\\-creds (1),",
        ".BR sftp (1)",
    ]
    return "".join(f"{line}\n" for line in parts)


def _command(command: Command) -> Iterator[str]:
    yield f".SS roster\\-upload {_text(command.name)} {_synopsis(command.values)}".rstrip()
    text = command.text
    yield _text(text[:1].upper() + text[1:])
    yield from _listed(one for one in command.values if one.text and HELP not in one.names)


def _synopsis(found: Iterator[Value] | tuple[Value, ...]) -> str:
    """Return options and values in one line, without --help."""
    words = []
    for value in found:
        if HELP in value.names:
            continue
        name = value.names[-1] if value.names else ""
        text = " ".join(filter(None, (name, _metavar(value))))
        words.append(_text(text if value.is_needed else f"[{text}]"))
    return " ".join(words)


def _metavar(value: Value) -> str:
    return "|".join(value.choices) if value.choices and value.names else value.metavar


def _listed(found: Iterator[Value]) -> Iterator[str]:
    for value in found:
        name = " ".join(filter(None, (", ".join(value.names), _metavar(value))))
        yield from _item(name, value.text[:1].upper() + value.text[1:] + ".")


def _item(name: str, text: str) -> Iterator[str]:
    yield ".TP"
    yield f".B {_text(name)}"
    yield _text(text)


def _example(line: str) -> Iterator[str]:
    """Yield a command of the help's examples, and its text."""
    command, _, text = line.strip().partition("  ")
    yield from _item(command, text.strip())


def _text(text: str) -> str:
    """Return a text with the signs escaped that the language knows."""
    text = text.replace("\\", "\\e").replace("-", "\\-").replace('"', "\\(dq")
    return f"\\&{text}" if text.startswith((".", "'")) else text
