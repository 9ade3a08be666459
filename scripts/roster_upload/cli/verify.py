"""`verify`: check whether a feed is ready for tonight."""

from __future__ import annotations

import argparse
import contextlib
import datetime as dt
import io
from collections.abc import Iterator, Sequence

from roster_upload.cli import host_feeds, source, through_unit
from roster_upload.config import Feed
from roster_upload.delivery import content, readiness
from roster_upload.delivery.readiness import Check
from roster_upload.delivery.source_check import Newest
from roster_upload.exits import Exit, Failure
from roster_upload.host import sealing
from roster_upload.spec.sources import SftpSource
from roster_upload.terminal.output import show, show_json


def verify(given: argparse.Namespace) -> int:
    """Check everything that a delivery needs. Return the exit code of the first problem.

    If nothing is wrong, and nothing is planned tonight for any of the feeds, that is its code.
    """
    found: dict[str, list[Check]] = {}
    for name in host_feeds.names(given):
        given.feed = name
        found[name] = list(_checks(given))
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
                show(f"{name}  {_word(check)}  {check.name:13}  {check.text}")
    return _code(list(found.values()))


def _checks(given: argparse.Namespace) -> Iterator[Check]:
    """Yield the checks of a feed. A night without a delivery needs no export."""
    path, now = host_feeds.config_file(given), dt.datetime.now(dt.UTC)
    feed, first = readiness.load(path)
    yield first
    if not feed:
        return
    yield from readiness.of_host(feed, now)
    if check := _sealing(given):
        yield check
    if isinstance(feed.source, SftpSource):
        if not given.without_login:
            yield from _source_checks(given, feed, now)
    elif not readiness.pause(feed, now):
        yield (export := readiness.export(feed, now))
        if export.code is Exit.OK:
            yield content.look(feed, path, host_feeds.state_of(given), now)
    if not given.without_login:
        yield _login_check(given)


def _sealing(given: argparse.Namespace) -> Check | None:
    """Return the check of what seals the feed's secrets, or None if this account may not know."""
    try:
        found = sealing.seals(given.config_dir / "credentials" / given.feed)
    except OSError:
        return None
    text = " and ".join(seal.text for seal in found)
    if any(seal.changing_pcrs for seal in found):
        text += ". An update of Secure Boot would lock the secrets. Run site.yml for this host"
        return Check("sealing", Exit.OK, text, is_open=True)
    return Check("sealing", Exit.OK, text) if found else None


def _word(check: Check) -> str:
    """Return the result of a check as one word."""
    if check.is_ready:
        return "ok  "
    return "open" if check.is_ok else "BAD "


def _code(feeds: Sequence[Sequence[Check]]) -> Exit:
    """Return the exit code for the checks of some feeds."""
    wrong = [check.code for checks in feeds for check in checks if not check.is_ok]
    if wrong:
        return wrong[0]
    paused = [any(check.code is Exit.PAUSED for check in checks) for checks in feeds]
    return Exit.PAUSED if feeds and all(paused) else Exit.OK


def _source_checks(given: argparse.Namespace, feed: Feed, now: dt.datetime) -> Iterator[Check]:
    """Yield the checks of an export that is fetched: its server, and its content if it was."""
    try:
        code, found, text = source.in_unit(given, "current")
    except Failure as failure:
        code, found, text = failure.code, {}, failure.message
    # The server's own codes are about the vendor's elsewhere.
    known = code if code in (Exit.OK, Exit.SOURCE, Exit.STALE, Exit.CREDENTIAL) else Exit.SOURCE
    is_paused = bool(readiness.pause(feed, now)) and code in (Exit.SOURCE, Exit.STALE)
    yield Check("source", known, text, is_open=is_paused or bool(found.get("open")))
    newest = Newest.parse(found.get("newest"))
    if code is Exit.OK and newest and not readiness.pause(feed, now):
        path, state = host_feeds.config_file(given), host_feeds.state_of(given)
        yield content.look(feed, path, state, now, newest)


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
