"""`report`: print everything that the control node collects from a host, in one trip."""

from __future__ import annotations

import argparse
import datetime as dt
import os

from roster_upload.exits import Exit, Failure
from roster_upload.host import schedule
from roster_upload.records.night import stamp
from roster_upload.report.collect import collect
from roster_upload.report.head import VARIABLE, positions
from roster_upload.report.machine import machine
from roster_upload.terminal.output import show_json


def report(given: argparse.Namespace) -> int:
    """Print the report. It names no person. Of a credential it has only the date."""
    if given.nights < 1:
        raise Failure(Exit.USAGE, "--nights must be 1 or more")
    now = dt.datetime.now(dt.UTC)
    seen = positions(os.environ.get(VARIABLE, ""))
    starts = schedule.next_starts(now, schedule.CRON_TABLE)
    show_json(
        {
            "time": stamp(now),
            **machine(given.state_dir),
            "feeds": collect(given.config_dir, given.state_dir, given.nights, starts, seen),
        },
        indent=None,
    )
    return Exit.OK
