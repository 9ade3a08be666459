"""Check English: `python scripts/dev/prose [PATH...]`. Exit code 1 if a text breaks a rule."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

if not __package__:
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from prose import rules, sources


def main(arguments: list[str] | None = None) -> int:
    """Check files and print what breaks a rule. Return the exit code."""
    options = _parser().parse_args(arguments)
    limits = rules.load()
    paths = [rules.ROOT] if options.all else options.paths or rules.kept(limits)
    total, failed = rules.Figures(), False
    for path in rules.files(paths, limits):
        found, figures = rules.findings(rules.shown(path), sources.read(path), limits)
        total.add(figures)
        failed |= bool(found)
        if not options.figures:
            print(*found, sep="\n", end="\n" if found else "")
        elif figures.words:
            print(_row(figures, str(rules.shown(path))))
    if options.figures:
        print(_row(total, "all"))
    elif total.too_many(limits):
        failed = True
        print(f"all: semicolon: {total.rate:.1f} per 1,000 words -> Make two sentences of it.")
    return int(failed)


def _row(figures: rules.Figures, name: str) -> str:
    return f"{figures.words:7} words {figures.rate:5.1f} ; {figures.longest:4} longest  {name}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="scripts/dev/prose", description=__doc__)
    paths_help = "files and folders. Default: `kept` of rules.toml"
    parser.add_argument("paths", nargs="*", type=Path, help=paths_help)
    parser.add_argument("--all", action="store_true", help="the whole tree")
    parser.add_argument(
        "--figures",
        action="store_true",
        help="show words, semicolons per 1,000 words and the longest sentence of each file",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
