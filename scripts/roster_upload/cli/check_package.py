"""`check` and `compare`: run validation and the guard on packages, without a delivery."""

from __future__ import annotations

import argparse
import datetime as dt
import sys

from roster_upload import config
from roster_upload.cli.host_feeds import config_file, state_as_owner
from roster_upload.cli.progress import shown
from roster_upload.cli.render_compare import text
from roster_upload.diff import compare as comparing
from roster_upload.exits import Exit
from roster_upload.records.night import Night
from roster_upload.records.summary import several
from roster_upload.terminal.output import show, show_json
from roster_upload.terminal.printable import printable
from roster_upload.terminal.width import DEFAULT, columns
from roster_upload.validation.options import ValidationOptions


def check(given: argparse.Namespace) -> int:
    """Check a package and print the findings."""
    now = dt.datetime.now(dt.UTC)
    if given.file:
        path, options = given.file, ValidationOptions(format=given.format)
        with shown(printable(path.name), name="validate"):
            report = comparing.check_path(path, options, now.date())
    else:
        feed = config.load(config_file(given))
        path = feed.source
        state_as_owner(given)  # so that the check fails if the delivery's account would
        with shown(feed.feed, feed.time_zone, "validate"):
            report = comparing.check_export(feed, Night.containing(feed, now).deadline.date())
    if given.json:
        show_json(report.record())
    else:
        for finding in report.findings.reported:
            show(finding.text())
        rows = ", ".join(f"{count:,} {name}" for name, count in report.rows.items())
        verdict = "good" if report.accepted else "REFUSED"
        if report.accepted and report.faulty_rows:
            verdict += f", with {several(sum(report.faulty_rows.values()), 'faulty row')}"
        show(f"{printable(str(path))}: {verdict}. Rows: {rows or 'none read'}")
    return Exit.OK if report.accepted else Exit.REFUSED


def compare(given: argparse.Namespace) -> int:
    """Print the guard's verdict on one package after another."""
    feed = config.for_comparison()
    if given.config:
        feed = config.for_comparison(config.read(given.config), str(given.config))
    night = given.night or dt.datetime.now(dt.UTC).date()
    with shown(printable(given.after.name), name="compare"):
        answer = comparing.compare(given.before, given.after, feed, night)
    if given.json:
        show_json(answer.record())
    else:
        show(text(answer, columns(sys.stdout) or DEFAULT))
    return answer.code
