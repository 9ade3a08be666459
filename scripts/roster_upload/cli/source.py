"""`login --source`: log in to the SIS's server, in the feed's unit, and show what it holds."""

from __future__ import annotations

import argparse
import contextlib
import datetime as dt
import io
import json
from dataclasses import asdict
from typing import Any

from roster_upload import config
from roster_upload.cli import through_unit
from roster_upload.cli.host_feeds import config_file, state_as_owner
from roster_upload.delivery import source_check
from roster_upload.exits import Exit
from roster_upload.host import stop
from roster_upload.host.credentials import credential
from roster_upload.records.history import History
from roster_upload.records.ledger import Ledger
from roster_upload.terminal.output import quiet_paramiko, show, show_json


def login(given: argparse.Namespace) -> int:
    """Log in to a feed's source with one of its credentials. Raise Failure."""
    feed = config.load(config_file(given))
    source_check.require_remote(feed)
    if through_unit.needs_unit(given):
        code, found, text = in_unit(given, given.slot)
        if given.json and found:
            show_json(found)
        elif text:
            show(text)
        return code
    quiet_paramiko()
    secret = credential(feed.feed, f"source_{given.slot}")
    history = _history(Ledger(state_as_owner(given)))
    now = dt.datetime.now(dt.UTC)
    with stop.listening(), stop.heard():
        found = asdict(
            source_check.look(feed, secret, now, history, needs_export=given.slot == "current")
        )
    if given.json:
        show_json(found)
    else:
        show(f"{feed.district}: {found['text']}")
    return Exit.OK


def _history(ledger: Ledger) -> History:
    """Return a feed's receipts, none if they are unreadable, which other checks report."""
    try:
        return ledger.history()
    except OSError:
        return History()


def in_unit(given: argparse.Namespace, slot: str) -> tuple[Exit, dict[str, Any], str]:
    """Log in by the feed's unit. Return the exit code, the JSON of a success, and the text."""
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        code = Exit(through_unit.run(given, through_unit.SOURCE_LOGINS[slot]))
    text = output.getvalue().strip()
    start = text.find("{")
    if code is Exit.OK and start >= 0:
        with contextlib.suppress(ValueError, KeyError, TypeError):
            found = json.loads(text[start:])
            return code, found, str(found["text"])
    return code, {}, text.splitlines()[-1] if text else code.meaning
