"""Run commands in their feed's unit. Only the unit gets the feed's credentials.

Half of the program's starts only relay. This module therefore imports nothing that sends or reads
rosters.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime as dt
import fcntl
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from roster_upload import config
from roster_upload.cli.host_feeds import config_file, read_ledger
from roster_upload.exits import Exit, Failure
from roster_upload.host import unit
from roster_upload.terminal.output import say, show

CONFIG_DIR = Path("/etc/roster-upload")  # of the host's own feeds
# Root's folder. Each feed's units have a folder of their own in it.
RUN_DIR = Path("/run/roster-upload")
RELAYED = ("send", "rehearse", "resend", "probe", "login", "watch", "alarm", "notify")
# Prefixes of units that are not `roster-COMMAND`.
UNITS = {"send": "roster-upload"}
# The unit that logs in with the credential of a slot.
LOGINS = {"current": "login", "pending": "pending"}
# The same for the source of a feed.
SOURCE_LOGINS = {"current": "source", "pending": "source-pending"}
# The commands that send a package.
TRANSFERS = ("send", "resend")
FOLLOWED = (*TRANSFERS, "rehearse", "diff")  # their steps are shown without a terminal, too


def is_installed(given: argparse.Namespace) -> bool:
    """Return whether a command is about the host's own feeds."""
    return bool(given.config_dir == CONFIG_DIR)


def needs_unit(given: argparse.Namespace) -> bool:
    """Return whether a command has to run in its unit."""
    return (
        os.geteuid() == 0
        and "CREDENTIALS_DIRECTORY" not in os.environ
        and is_installed(given)
        and shutil.which("systemctl") is not None
    )


def is_relayed(given: argparse.Namespace) -> bool:
    """Return whether a command does all of its work in its unit."""
    is_source = getattr(given, "source", False)  # cli.source reads the unit's answer
    return given.command in RELAYED and not is_source and needs_unit(given)


def relay(given: argparse.Namespace) -> int:
    """Run a command in its unit. Return its exit code. Raise Failure."""
    command = LOGINS[given.slot] if given.command == "login" else given.command
    if command == "rehearse":
        code = run(given, command)
        return _of_host(given) if code == Exit.OK else code
    if command not in TRANSFERS:
        return run(given, command)
    with wished(given.feed, getattr(given, "digest", None) or ""):
        return run(given, command)


def _of_host(given: argparse.Namespace) -> int:
    """Show what may stop a rehearsed delivery on this host, and warnings.

    Return the exit code of the first that stops it.

    The unit's sandbox hides clock and schedule.
    """
    # Only a rehearsal needs it.
    from roster_upload.delivery import readiness  # noqa: PLC0415

    checks = list(readiness.of_host(config.load(config_file(given)), dt.datetime.now(dt.UTC)))
    wrong = [check for check in checks if not check.is_ok]
    for check in wrong or [check for check in checks if check.is_open]:
        say(f"{check.name}: {check.text}")
    return wrong[0].code if wrong else Exit.OK


def run(given: argparse.Namespace, command: str) -> int:
    """Start a command's unit, show its output, and return its exit code. Raise Failure."""
    feed = config.load(config_file(given))
    name = f"{UNITS.get(command, f'roster-{command}')}@{given.feed}.service"
    began = dt.datetime.now(dt.UTC)
    since = f"@{began.timestamp():.3f}"
    before = _properties(name)
    former, is_ours = unit.run_of(before), not unit.is_busy(before)
    with interrupts_kept() as hear, subprocess.Popen(
        # In a session of its own: only this program gets an interrupt, and stops the unit.
        ["systemctl", "start", name], stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as starting:  # fmt: skip
        try:
            hear()
            if command in FOLLOWED or (sys.stderr.isatty() and not getattr(given, "json", False)):
                # Programs that wait for an answer need no progress.
                from roster_upload.cli.progress import follow  # noqa: PLC0415

                path, first = RUN_DIR / given.feed / "progress", None if is_ours else 0
                follow(given.feed, path, starting.poll, feed.time_zone, first)
            _, errors = starting.communicate()
        except KeyboardInterrupt:
            errors = _interrupt(name, starting, is_ours=is_ours)
    journal = ["journalctl", "--no-pager", "--quiet", "-o", "cat", "--since", since, "-u", name]
    subprocess.run(["journalctl", "--sync"], check=False, capture_output=True)
    output = subprocess.run([*journal, "-t", "roster-upload"], check=False, capture_output=True)
    if output.stdout:
        show(output.stdout.decode("utf-8", "backslashreplace").removesuffix("\n"))
        sys.stdout.flush()
    is_started = starting.returncode == 0
    code = unit.ended(name, _properties(name), former, started=is_started, errors=errors)
    return _receipt_code(given, command, began) if code == Exit.OK else code


@contextlib.contextmanager
def interrupts_kept() -> Iterator[Callable[[], None]]:
    """Hold interrupts back until the yielded function is called, since nothing runs before it.

    The function raises KeyboardInterrupt if one has come before. Blocking the signal is not
    enough, since a library's threads do not block it.
    """
    kept: list[int] = []
    former = signal.signal(signal.SIGINT, lambda number, _frame: kept.append(number))

    def hear() -> None:
        signal.signal(signal.SIGINT, former)
        if kept:
            raise KeyboardInterrupt

    try:
        yield hear
    finally:
        signal.signal(signal.SIGINT, former)


def _interrupt(name: str, starting: subprocess.Popen[str], *, is_ours: bool) -> str:
    """Stop a unit that this program has started. Return the errors of its start.

    Raise Failure for a unit that ran before: it is the night's delivery, and continues.
    """
    if not is_ours:
        starting.terminate()
        raise Failure(
            Exit.STOPPED,
            f"{name} was running before, and continues. To stop it: systemctl stop {name}",
        )
    say(f"stopping {name}")
    subprocess.run(["systemctl", "stop", name], check=False, capture_output=True)
    return starting.communicate()[1]


def _receipt_code(given: argparse.Namespace, command: str, began: dt.datetime) -> int:
    """Return the exit code in the receipt of a run of a command, or OK without one.

    systemd calls a blackout date a success, and may have forgotten everything else.
    """
    # Failures, and starts that are refused, do without.
    from roster_upload.records.night import stamp  # noqa: PLC0415

    last = read_ledger(given, given.feed).history().last
    if not last:
        return Exit.OK
    # Exclude the receipt of a delivery that cron has started beside a login.
    # Exclude one from a clock that was ahead.
    times = stamp(began), stamp(dt.datetime.now(dt.UTC))
    is_it = last.command == command and times[0] <= last.started <= times[1]
    return int(last.exit_code or 0) if is_it else Exit.OK


def _properties(name: str) -> dict[str, str]:
    """Return the properties of a unit that systemd knows."""
    done = subprocess.run([*unit.SHOW, name], check=False, capture_output=True, text=True)
    return unit.properties(done.stdout)


# ---- the digest of a resend ----------------------------------------------------------------------


def _wish_file(feed: str) -> Path:
    """Return the file in which root leaves the digest of the package to resend."""
    return RUN_DIR / f"{feed}.resend"


def wish(feed: str) -> str:
    """Return the digest that a running command has left, or ""."""
    with contextlib.suppress(FileNotFoundError), _wish_file(feed).open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return file.read()
    return ""


@contextlib.contextmanager
def wished(feed: str, digest: str) -> Iterator[None]:
    """Leave a digest for the unit, locked during the block. An older one has no lock."""
    path = _wish_file(feed)
    path.unlink(missing_ok=True)
    if not digest:
        yield
        return
    RUN_DIR.mkdir(exist_ok=True)
    with path.open("x") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
            os.fchmod(file.fileno(), 0o644)
            file.write(digest)
            file.flush()
            yield
        finally:
            path.unlink()
