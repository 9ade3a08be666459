"""`send`, `rehearse` and `resend`: deliver a feed, in its unit."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from roster_upload.cli.host_feeds import config_file, state_as_owner, time_zone
from roster_upload.cli.progress import shown
from roster_upload.cli.through_unit import wish
from roster_upload.delivery.pipeline import Delivery
from roster_upload.delivery.steps import StepFile, Steps
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
    with stop.listening(is_last=True), _steps(given) as run.draft.steps:
        code, message = run.execute()
    # If nobody reads the message, the exit code and the receipt still have it.
    say(message, sys.stdout if code in (Exit.OK, Exit.PAUSED) else sys.stderr)
    return code


@contextlib.contextmanager
def _steps(given: argparse.Namespace) -> Iterator[Steps]:
    """Show the steps of a delivery. Its unit writes them to a file for its caller."""
    folder = os.environ.get("RUNTIME_DIRECTORY")
    if folder and not sys.stderr.isatty():
        yield StepFile(Path(folder) / "progress")
        return
    with shown(given.feed, time_zone(given, given.feed)) as steps:
        yield steps
