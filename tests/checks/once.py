"""Run a command, unless it has passed before with the same files.

    python -m checks.once ansible-lint PATH ...

The paths are arguments of the command, and the files that it reads. `--reads` names further ones.
"""

from __future__ import annotations

import argparse
import functools
import subprocess
import sys
from pathlib import Path

from support import kept

FOLDER = kept.CACHE / "roster-delivery-checks"


def run(command: list[str], reads: list[str], folder: Path = FOLDER) -> int:
    """Run a command in this folder, or report that it has passed. Return its exit code."""
    content = kept.digest(Path.cwd(), [*reads, *command[1:]])
    work = functools.partial(subprocess.run, command, check=True)
    try:
        is_new = kept.Kept(folder, content).once(" ".join(command), work)
    except subprocess.CalledProcessError as error:
        return error.returncode
    if not is_new:
        print(f"{command[0]} has passed before with the same files")
    return 0


def main() -> int:
    """Read the command line, and run the command."""
    parser = argparse.ArgumentParser(prog="checks.once", description=__doc__)
    parser.add_argument("--reads", nargs="+", default=[], metavar="PATH")
    parser.add_argument("command", nargs="+")
    given = parser.parse_args()
    return run(given.command, given.reads)


if __name__ == "__main__":
    sys.exit(main())
