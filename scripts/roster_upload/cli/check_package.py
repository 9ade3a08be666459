"""`check` and `compare`: run validation and the guard on packages, without a delivery."""

from __future__ import annotations

import argparse
import datetime as dt
import sys
from collections.abc import Iterator
from pathlib import Path

from roster_upload import config
from roster_upload import export as exports
from roster_upload.cli.host_feeds import config_file, state_as_owner
from roster_upload.cli.progress import shown
from roster_upload.cli.render_compare import text
from roster_upload.delivery import content, readiness
from roster_upload.delivery.readiness import Check
from roster_upload.diff import compare as comparing
from roster_upload.exits import Exit
from roster_upload.fetch import kept
from roster_upload.records.ledger import Ledger
from roster_upload.records.night import Night
from roster_upload.records.summary import several
from roster_upload.terminal.output import show, show_json
from roster_upload.terminal.printable import printable
from roster_upload.terminal.width import DEFAULT, columns
from roster_upload.validation.options import ValidationOptions

# The order in which a delivery looks at an export.
ORDER = (Exit.SOURCE, Exit.GROWING, Exit.STALE, Exit.REFUSED, Exit.HELD)


def check(given: argparse.Namespace) -> int:
    """Check a package and print the findings. Return the exit code that a delivery would have."""
    now = dt.datetime.now(dt.UTC)
    tonight: list[Check] = []
    if given.file:
        path, options = given.file, ValidationOptions(format=given.format)
        with shown(printable(path.name), name="validate"):
            report = comparing.check_path(path, options, now.date())
    else:
        feed = config.load(config_file(given))
        state = state_as_owner(given)  # so that it fails if the delivery's account would
        ledger, here = Ledger(state), kept.on_host(feed, state)
        name = kept.name_of(feed, state)
        path = exports.path_of(here)
        with shown(feed.feed, feed.time_zone, "validate"):
            report = comparing.check_export(here, Night.containing(feed, now).day, name)
            tonight = list(_tonight(feed, here, config_file(given), ledger, now))
    if given.json:
        more = {} if given.file else {"tonight": [one.record() for one in tonight]}
        show_json({**report.record(), **more})
    else:
        for finding in report.findings.reported:
            show(finding.text())
        rows = ", ".join(f"{count:,} {name}" for name, count in report.rows.items())
        verdict = "good" if report.accepted else "REFUSED"
        if report.accepted and report.faulty_rows:
            verdict += f", with {several(sum(report.faulty_rows.values()), 'faulty row')}"
        show(f"{printable(str(path))}: {verdict}. Rows: {rows or 'none read'}")
        for one in tonight:
            show(f"{'tonight' if one.is_ok else 'NOT SENT TONIGHT'}: {one.text}")
    wrong = [one.code for one in tonight if not one.is_ok]
    if not report.accepted:
        wrong.append(Exit.REFUSED)
    return min(wrong, key=ORDER.index, default=Exit.OK)


def _tonight(
    feed: config.Feed, here: config.Feed, file: Path, ledger: Ledger, now: dt.datetime
) -> Iterator[Check]:
    """Yield what else stops the export tonight, or may: the calendar, its age, the guard.

    `here` is the feed with the export's path on this host.
    """
    if text := readiness.pause(feed, now):
        yield Check("calendar", Exit.PAUSED, text)
        return
    if not (export := readiness.export(here, now)).is_ready:
        yield export
    last = content.judged(feed, file, ledger, now)
    if last and not (guarded := content.from_receipt(last, ledger)).is_ready:
        yield guarded


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
