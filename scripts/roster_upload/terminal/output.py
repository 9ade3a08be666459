"""Output to a terminal, a journal or a pipe: lines of printable characters, or JSON.

Receipts, profiles and a unit's journal can be written by the program's user, and root reads them.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Mapping
from typing import IO

from roster_upload import version
from roster_upload.terminal.printable import printable_lines
from roster_upload.terminal.width import columns, fitted

SCHEMA = 1  # version of the answers in JSON


def show(text: str) -> None:
    """Write lines of text to the output, as wide as its terminal at most."""
    print(fitted(printable_lines(text), columns(sys.stdout)))


def show_json(answer: Mapping[str, object], indent: int | None = 2) -> None:
    """Write a command's answer as JSON. Characters other than ASCII are escaped.

    `spec/answers.schema.json` describes the answers. A change that breaks readers raises SCHEMA.
    """
    known = {"schema": SCHEMA, "program": version(), **answer}
    print(json.dumps(known, indent=indent).replace("\x7f", r"\u007f"))


def say(text: str, out: IO[str] | None = None) -> None:
    """Write lines of text as `show` does, by default to the error output.

    A missing reader is ignored.
    """
    out = out or sys.stderr
    if out is None:  # it was closed before the program began
        return
    try:
        print(fitted(printable_lines(text), columns(out)), file=out, flush=True)
    except (OSError, ValueError):
        discard(out)


def warn(text: str) -> None:
    """Write lines of text as `say` does. A journal records them as critical (sd-daemon(3))."""
    prefix = "<2>" if "JOURNAL_STREAM" in os.environ else ""
    for line in text.splitlines():
        say(prefix + line)


def discard(out: IO[str]) -> None:
    """Drop the rest of a stream's buffer, so that the program ends without a message."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), out.fileno())


def quiet_paramiko() -> None:
    """Hide paramiko's own log and warnings: its tracebacks repeat our message."""
    # Only commands that connect need them.
    import logging  # noqa: PLC0415
    import warnings  # noqa: PLC0415

    logging.getLogger("paramiko").addHandler(logging.NullHandler())
    logging.getLogger("paramiko").propagate = False
    warnings.filterwarnings("ignore", module="paramiko")  # about old ciphers that it loads
