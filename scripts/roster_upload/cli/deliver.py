"""`send`, `rehearse` and `resend`: deliver a feed, in its unit."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from roster_upload.cli.host_feeds import config_file, state_as_owner
from roster_upload.cli.progress import Progress, ProgressFile
from roster_upload.cli.through_unit import wish
from roster_upload.delivery.pipeline import Delivery
from roster_upload.exits import Exit
from roster_upload.host import stop
from roster_upload.terminal.output import quiet_paramiko, say


def deliver(given: argparse.Namespace) -> int:
    """Send, rehearse or resend a feed's package. Return the exit code."""
    quiet_paramiko()
    state = state_as_owner(given)
    digest = getattr(given, "digest", None) or ""
    if given.command == "resend" and not digest:
        digest = wish(given.feed)
    run = Delivery(given.feed, config_file(given), state, given.command, digest)
    if sys.stderr.isatty():
        run.progress = Progress(given.feed)
    elif folder := os.environ.get("RUNTIME_DIRECTORY"):
        run.progress = ProgressFile(Path(folder) / "progress")

    with stop.listening(is_last=True):
        code, message = run.execute()
    # If nobody reads the message, the exit code and the receipt still have it.
    say(message, sys.stdout if code in (Exit.OK, Exit.PAUSED) else sys.stderr)
    return code
