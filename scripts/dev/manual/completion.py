"""The completion for bash. It starts no program: names of commands and options are in the file."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator

from roster_upload.exits import Exit

from manual.commands import FEEDS, FILES, Command, Value, commands, values

HEAD = """\
_roster_upload() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}
    local folder=/etc/roster-upload command='' options='' words='' kind='' word i feed
    COMPREPLY=()
    for ((i = 1; i < COMP_CWORD; i++)); do
        word=${COMP_WORDS[i]}
        case $word in
"""
FOLDER = """\
            --config-dir)
                [[ ${COMP_WORDS[i+1]} == '=' ]] && ((i++))
                folder=${COMP_WORDS[i+1]}
                ((i++)) ;;
"""
TAIL = """\
    case $kind in
        feeds)
            for feed in "$folder"/*.toml; do
                feed=${feed##*/} feed=${feed%.toml}
                [[ $feed =~ ^[a-z0-9-]+$ ]] && words+=" $feed"
            done ;;
        files)
            compopt -o filenames 2>/dev/null
            mapfile -t COMPREPLY < <(compgen -f -- "$cur")
            return ;;
        text)
            return ;;
    esac
    [[ $cur == -* ]] && words=$options
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
}
complete -F _roster_upload roster-upload
"""


def completion(parser: argparse.ArgumentParser) -> str:
    """Return the completion of the program for bash."""
    found = list(commands(parser))
    own = tuple(values(parser))
    names = [command.name for command in found]
    lines = [HEAD + FOLDER]
    lines.append(_others(own))
    lines.append(f"            {'|'.join(names)})\n")
    lines.append(
        "                command=$word\n                break ;;\n        esac\n    done\n"
    )
    lines.append("    [[ $prev == '=' ]] && prev=${COMP_WORDS[COMP_CWORD-2]}\n")
    lines.append("    [[ $cur == '=' ]] && cur=''\n")
    lines.append("    case $command in\n")
    first = Command("''", "", "", own)
    for command in (first, *found):
        lines += _case(command, names if command is first else [])
    return "".join([*lines, "    esac\n", TAIL])


def _others(own: Iterable[Value]) -> str:
    """Return the case of options whose next word is a value, not a command."""
    names = [one for value in own if value.metavar for one in value.names if one != "--config-dir"]
    return f"            {'|'.join(names)}) ((i++)) ;;\n"


def _case(command: Command, words: list[str]) -> Iterator[str]:
    yield f"        {command.name})\n"
    options = [name for value in command.options for name in value.names if len(name) > 2]
    yield f"            options='{' '.join(options)}'\n"
    values_of = {name: value for value in command.options if value.metavar for name in value.names}
    if words:
        yield f"            words='{' '.join(words)}'\n"
    else:
        kind, known = _positional(command)
        yield from ([f"            kind={kind}\n"] if kind else [])
        yield from ([f"            words='{known}'\n"] if known else [])
    if values_of:
        yield "            case $prev in\n"
        for name, value in values_of.items():
            yield f"                {name}) {_of_option(value)} ;;\n"
        yield "            esac\n"
    yield "            ;;\n"


def _positional(command: Command) -> tuple[str, str]:
    """Return the kind of a command's positional values, and known words."""
    metavars = {value.metavar for value in command.positionals}
    codes = " ".join(str(int(code)) for code in Exit) if "CODE|FEED" in metavars else ""
    if metavars & set(FEEDS):
        return "feeds", codes
    return ("files" if metavars & set(FILES) else "", "")


def _of_option(value: Value) -> str:
    if value.choices:
        return f"kind='' words='{' '.join(value.choices)}' options=''"
    return f"kind={'files' if value.metavar in FILES else 'text'}"
