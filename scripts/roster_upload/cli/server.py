"""`probe` and `login`: test the vendor's server with the feed's credential, in the feed's unit."""

from __future__ import annotations

import argparse
import dataclasses
import datetime as dt

from roster_upload import config
from roster_upload.cli.host_feeds import config_file, state_as_owner
from roster_upload.delivery import readiness
from roster_upload.exits import Exit, Failure
from roster_upload.host import stop
from roster_upload.host.credentials import credential
from roster_upload.records.chain import LedgerKey
from roster_upload.records.night import stamp
from roster_upload.records.receipt import Outcome, Receipt
from roster_upload.records.state import State
from roster_upload.terminal.output import quiet_paramiko, show, show_json
from roster_upload.transfer import probe as prober
from roster_upload.transfer import profile
from roster_upload.transfer.info import ConnectionInfo


def probe(given: argparse.Namespace) -> int:
    """Test a server's capabilities and save them."""
    quiet_paramiko()
    feed = config.load(config_file(given))
    state = State(state_as_owner(given), LedgerKey.of_unit(feed.feed))
    with stop.listening(), stop.heard():  # a stopped probe removes its test files
        secret = credential(feed.feed, "current")
        new = prober.probe(feed, secret, ConnectionInfo())
    old = profile.read_profile(state.profile)
    differences = profile.changes(old, new) if old else []
    state.keep_profile(new)
    finished = stamp(dt.datetime.now(dt.UTC))
    # The profile shows that there was a run. The ledger must have a line for each run.
    state.ledger.append(
        Receipt(feed=feed.feed, outcome=Outcome.ENDED, command="probe", finished=finished)
    )
    if given.json:
        show_json({"feed": feed.feed, "profile": dataclasses.asdict(new), "changed": differences})
    else:
        for key, words in profile.LABELS.items():
            show(f"{words}: {getattr(new, key)}")
        for difference in differences:
            show(f"changed since the last probe: {difference}")
    return Exit.OK


def login(given: argparse.Namespace) -> int:
    """Log in with one of the feed's credentials and show the server's answer."""
    if getattr(given, "source", False):
        # Only a source needs it.
        from roster_upload.cli import source  # noqa: PLC0415

        return source.login(given)
    if given.command == "login" and given.json:
        raise Failure(Exit.USAGE, "login: --json needs --source")
    quiet_paramiko()
    feed = config.load(config_file(given))
    secret = credential(feed.feed, given.slot)
    state = State(state_as_owner(given))
    with stop.listening(), stop.heard():
        text = readiness.login(feed, secret, state.profile)
    show(f"{feed.district}: {text}")
    return Exit.OK
