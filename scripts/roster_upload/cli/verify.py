"""`verify`: check whether a feed is ready for tonight."""

from __future__ import annotations

import argparse
import contextlib
import datetime as dt
import io

from roster_upload.cli import host_feeds, through_unit
from roster_upload.delivery import readiness
from roster_upload.delivery.readiness import Check
from roster_upload.exits import Exit, Failure
from roster_upload.terminal.output import show, show_json


def verify(given: argparse.Namespace) -> int:
    """Check everything that a delivery needs. Return the exit code of the first problem."""
    found: dict[str, list[Check]] = {}
    for name in host_feeds.names(given):
        given.feed = name
        feed, first = readiness.load(host_feeds.config_file(given))
        found[name] = [first]
        if feed:
            found[name] += readiness.of_host(feed, dt.datetime.now(dt.UTC))
            if not given.without_login:
                found[name].append(_login_check(given))
    if given.json:
        show_json({
            "feeds": [
                {"feed": name, "checks": [check.record() for check in checks]}
                for name, checks in found.items()
            ]
        })  # fmt: skip
    else:
        for name, checks in found.items():
            for check in checks:
                word = "ok " if check.is_ok else "BAD"
                show(f"{name}  {word}  {check.name:13}  {check.text}")
    wrong = [check.code for checks in found.values() for check in checks if not check.is_ok]
    return wrong[0] if wrong else Exit.OK


def _login_check(given: argparse.Namespace) -> Check:
    """Return the check of a login by the feed's unit. Only the unit gets the credential."""
    output = io.StringIO()
    try:
        with contextlib.redirect_stdout(output):
            code = Exit(through_unit.run(given, through_unit.LOGINS["current"]))
    except Failure as failure:
        return Check("login", failure.code, failure.message)
    lines = output.getvalue().strip().splitlines()
    return Check("login", code, lines[-1] if lines else code.meaning)
