"""What the program's commands do, but for the delivery itself."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import datetime as dt
import fcntl
import getpass
import io
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from roster_upload import config
from roster_upload.cli import compare as comparing
from roster_upload.cli import explain as explaining
from roster_upload.cli import render as views
from roster_upload.cli.progress import Progress, ProgressFile, follow
from roster_upload.delivery import readiness as checks
from roster_upload.delivery.pipeline import Delivery
from roster_upload.exits import Exit, Failure
from roster_upload.host import stop, unit
from roster_upload.host.account import become_owner, user_name
from roster_upload.host.credentials import credential, secrets_folder
from roster_upload.host.locks import feed_lock
from roster_upload.notify import events, notifier
from roster_upload.records import evidence
from roster_upload.records.ledger import Ledger
from roster_upload.records.night import Night, stamp
from roster_upload.records.night_result import NightResult
from roster_upload.records.receipt import Outcome, Receipt
from roster_upload.records.state import State
from roster_upload.records.summary import several
from roster_upload.terminal.output import say, show, show_json
from roster_upload.terminal.printable import printable
from roster_upload.validation.options import ValidationOptions

SHORTEST_DIGEST = 12
# The unit that logs in with the credential of a slot, as `roster-...@FEED`.
LOGINS = {"current": "login", "pending": "pending"}
# Root's folder, in which each feed's units have one of their own.
RUN_DIR = Path("/run/roster-upload")
# The commands whose unit leaves how far its transfer is, for who has started it from a terminal.
TRANSFERS = ("send", "resend")


def check_config(given: argparse.Namespace) -> int:
    """Checks configuration files alone and against one another."""
    paths = given.paths or sorted(given.config_dir.glob("*.toml"))
    if not paths:
        raise Failure(Exit.CONFIG, f"no feed is configured in {given.config_dir}")
    told, values = [], []
    for path in paths:
        try:
            values.append(config.read(path))
            # Ansible checks a file under a temporary name, before it goes to its place.
            in_place = path.resolve().parent == given.config_dir.resolve()
            config.parse(values[-1], str(path), name=path.stem if in_place else None)
        except config.ConfigError as error:
            told += error.message.split("\n")
    where = ", ".join(map(str, paths))
    told += [f"{where}: {p.key}: {p.message}" for p in config.cross_problems(values)]
    if told:
        raise Failure(Exit.CONFIG, *told)
    show(f"{len(paths)} configuration file{'s are' if len(paths) > 1 else ' is'} good")
    return Exit.OK


def config_file(given: argparse.Namespace) -> Path:
    """The configuration file of the feed that was named."""
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]*", given.feed):
        raise Failure(Exit.USAGE, f"{given.feed!r} is not the name of a feed")
    path: Path = given.config_dir / f"{given.feed}.toml"
    return path


def state_of(given: argparse.Namespace) -> Path:
    """Where a feed's state lies; under systemd the feed's own folder, which alone it can write."""
    return Path(os.environ.get("STATE_DIRECTORY") or given.state_dir / given.feed)


def state_as_owner(given: argparse.Namespace) -> Path:
    """Return where a feed's state lies, and go on as the account that it belongs to."""
    state = state_of(given)
    become_owner(state)
    return state


def check(given: argparse.Namespace) -> int:
    """Check a package and print what was found."""
    now = dt.datetime.now(dt.UTC)
    if given.file:
        path, options = given.file, ValidationOptions(format=given.format)
        report = comparing.check_path(path, options, now.date())
    else:
        feed = config.load(config_file(given))
        path = feed.source
        state_as_owner(given)  # what the delivery cannot read is a fault here, too
        report = comparing.check_export(feed, Night.containing(feed, now).deadline.date())
    if given.json:
        show_json(report.record())
    else:
        for finding in report.findings.told:
            show(finding.text())
        rows = ", ".join(f"{count:,} {name}" for name, count in report.rows.items())
        verdict = "good" if report.accepted else "REFUSED"
        if report.accepted and report.faulty_rows:
            verdict += f", with {several(sum(report.faulty_rows.values()), 'faulty row')}"
        show(f"{printable(str(path))}: {verdict}; rows: {rows or 'none read'}")
    return Exit.OK if report.accepted else Exit.REFUSED


def compare(given: argparse.Namespace) -> int:
    """Print what the guard would say if one package followed another."""
    feed = config.for_comparison()
    if given.config:
        feed = config.for_comparison(config.read(given.config), str(given.config))
    night = given.night or dt.datetime.now(dt.UTC).date()
    done = comparing.compare(given.before, given.after, feed, night)
    if given.json:
        show_json(done.record())
    else:
        show(done.text())
    return done.code


def diff(given: argparse.Namespace) -> int:
    """Show who would be removed, added and changed, on root's terminal and nowhere else."""
    # Only this needs them.
    from roster_upload.cli.render_diff import text  # noqa: PLC0415
    from roster_upload.diff import channel, kept  # noqa: PLC0415
    from roster_upload.diff.people import Wish  # noqa: PLC0415

    if runtime := os.environ.get("RUNTIME_DIRECTORY"):  # this is the unit
        path = channel.socket_path(Path(runtime).parent, given.feed)
        with channel.connected(path) as (wish, root):
            feed = config.load(config_file(given))
            channel.send(root, *kept.differences(feed, state_of(given), wish))
        return Exit.OK
    _needs_private_terminal(given)
    feed, wish = config.load(config_file(given)), Wish(given.school, given.kind)
    kept.check(feed, wish)
    if needs_unit(given):
        path = channel.socket_path(RUN_DIR, given.feed)
        RUN_DIR.mkdir(exist_ok=True)
        with channel.Listener(path, kept.owner(feed, state_of(given)), wish) as listener:
            if code := through_unit(given, "diff"):
                return code
        if listener.answer is None:
            raise Failure(Exit.LOCAL, f"roster-diff@{given.feed}.service sent no answer; try again")
        found, schools = channel.received(listener.answer)
    else:
        found, schools = kept.differences(feed, state_of(given), wish)
    shown = text(found, schools, shutil.get_terminal_size().columns) + "\n"
    sys.stdout.buffer.write(shown.encode(sys.stdout.encoding, "backslashreplace"))
    sys.stdout.flush()
    return Exit.OK


def _needs_private_terminal(given: argparse.Namespace) -> None:
    """Raise Failure where people's names would not go to root's terminal."""
    if is_installed(given) and os.geteuid() != 0:
        raise Failure(Exit.LOCAL, "diff names people, so it is for root; use sudo")
    if not sys.stdout.isatty():
        raise Failure(
            Exit.USAGE,
            "diff names people, so it writes to a terminal only; run it without a pipe or a file",
        )


def is_installed(given: argparse.Namespace) -> bool:
    """Whether a command is about the host's own feeds."""
    return bool(given.config_dir == Path("/etc/roster-upload"))


def needs_unit(given: argparse.Namespace) -> bool:
    """Whether a command has to go through its unit, which alone gets the credentials."""
    return (
        os.geteuid() == 0
        and "CREDENTIALS_DIRECTORY" not in os.environ
        and is_installed(given)
        and shutil.which("systemctl") is not None
    )


def through_unit(given: argparse.Namespace, command: str) -> int:
    """Starts the command's unit, shows what it says, and returns its exit code; raises Failure."""
    config.load(config_file(given))
    prefix = "roster-upload" if command == "send" else f"roster-{command}"
    name = f"{prefix}@{given.feed}.service"
    began = dt.datetime.now(dt.UTC)
    since = f"@{began.timestamp():.3f}"
    before = _shown(name)
    former, is_ours = unit.run_of(before), not unit.is_busy(before)
    with interrupts_kept() as hear, subprocess.Popen(
        # In a session of its own: an interrupt is for this program, which stops the unit.
        ["systemctl", "start", name], stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as starting:  # fmt: skip
        try:
            hear()
            if sys.stderr.isatty() and command in TRANSFERS:
                follow(given.feed, RUN_DIR / given.feed / "progress", starting.poll)
            _, told = starting.communicate()
        except KeyboardInterrupt:
            told = _interrupt(name, starting, is_ours=is_ours)
    journal = ["journalctl", "--no-pager", "--quiet", "-o", "cat", "--since", since, "-u", name]
    subprocess.run(["journalctl", "--sync"], check=False, capture_output=True)
    said = subprocess.run([*journal, "-t", "roster-upload"], check=False, capture_output=True)
    if said.stdout:
        show(said.stdout.decode("utf-8", "backslashreplace").removesuffix("\n"))
        sys.stdout.flush()
    code = unit.ended(name, _shown(name), former, started=starting.returncode == 0, told=told)
    return _left(given, command, began) if code == Exit.OK else code


@contextlib.contextmanager
def interrupts_kept() -> Iterator[Callable[[], None]]:
    """Keep interrupts until there is something that they can stop: until the function is called.

    It raises KeyboardInterrupt where one has come before. A blocked signal would still be heard,
    since a library's threads do not block it.
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
    """Stop a unit that this program has started; return what its start said.

    Raise Failure for one that ran before: it is the night's, and goes on.
    """
    if not is_ours:
        starting.terminate()
        raise Failure(
            Exit.STOPPED, f"{name} ran before and goes on; to stop it, type: systemctl stop {name}"
        )
    say(f"stopping {name}")
    subprocess.run(["systemctl", "stop", name], check=False, capture_output=True)
    return starting.communicate()[1]


def _left(given: argparse.Namespace, command: str, began: dt.datetime) -> int:
    """The exit code in the receipt that a run of a command has left, where it has.

    systemd takes a blackout date for a success, and may have forgotten all but that.
    """
    last = Ledger(given.state_dir / given.feed).history().last or Receipt()
    # Not that of a delivery which cron has started beside a login.
    # Nor one that a clock ahead has left.
    times = stamp(began), stamp(dt.datetime.now(dt.UTC))
    is_it = last.command == command and times[0] <= last.started <= times[1]
    return int(last.exit_code or 0) if is_it else Exit.OK


def _shown(name: str) -> dict[str, str]:
    """What systemd knows of a unit."""
    done = subprocess.run([*unit.SHOW, name], check=False, capture_output=True, text=True)
    return unit.shown(done.stdout)


def deliver(given: argparse.Namespace) -> int:
    """Sends, sends again or rehearses a feed."""
    digest = getattr(given, "digest", None) or ""
    if needs_unit(given):
        with wished(given.feed, digest):
            return through_unit(given, given.command)
    state = state_as_owner(given)
    if given.command == "resend" and not digest:
        digest = wish(given.feed)
    run = Delivery(given.feed, config_file(given), state, given.command, digest)
    if sys.stderr.isatty():
        run.progress = Progress(given.feed)
    elif folder := os.environ.get("RUNTIME_DIRECTORY"):
        run.progress = ProgressFile(Path(folder) / "progress")

    with stop.listening(is_last=True):
        code, message = run.execute()
    # Where nobody reads it, the exit code and the receipt stay.
    say(message, sys.stdout if code in (Exit.OK, Exit.PAUSED) else sys.stderr)
    return code


def _wish_file(feed: str) -> Path:
    """Return where root leaves the digest of the package that the unit is to send again."""
    return RUN_DIR / f"{feed}.resend"


def wish(feed: str) -> str:
    """Return the digest that a command has left; "" where none runs any more."""
    with contextlib.suppress(FileNotFoundError), _wish_file(feed).open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return file.read()
    return ""


@contextlib.contextmanager
def wished(feed: str, digest: str) -> Iterator[None]:
    """Leave a digest for the time of the block, locked; an older one is never taken for it."""
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


def probe(given: argparse.Namespace) -> int:
    """Learns a server's ways and writes them down."""
    if needs_unit(given):
        return through_unit(given, "probe")
    # Only this needs paramiko.
    from roster_upload.transfer import probe as prober  # noqa: PLC0415
    from roster_upload.transfer import profile  # noqa: PLC0415
    from roster_upload.transfer.info import ConnectionInfo  # noqa: PLC0415

    feed, state = config.load(config_file(given)), State(state_as_owner(given))
    with stop.listening(), stop.heard():  # what it has written is removed then, too
        secret = credential(feed.feed, "current")
        new = prober.probe(feed, secret, ConnectionInfo())
    old = profile.read_profile(state.profile)
    differences = profile.changes(old, new) if old else []
    state.keep_profile(new)
    finished = stamp(dt.datetime.now(dt.UTC))
    # What was learned is a trace, which has to have its line.
    state.ledger.append(
        Receipt(feed=feed.feed, outcome=Outcome.ENDED, command="probe", finished=finished)
    )
    if given.json:
        show_json(dataclasses.asdict(new))
    else:
        for key, words in profile.LABELS.items():
            show(f"{words}: {getattr(new, key)}")
        for difference in differences:
            show(f"changed since the last probe: {difference}")
    return Exit.OK


def login(given: argparse.Namespace) -> int:
    """Logs in with one of the feed's credentials, and says what was seen."""
    if needs_unit(given):
        return through_unit(given, LOGINS[given.slot])
    feed = config.load(config_file(given))
    secret = credential(feed.feed, given.slot)
    state = State(state_as_owner(given))
    with stop.listening(), stop.heard():
        told = checks.login(feed, secret, state.profile)
    show(f"{feed.district}: {told}")
    return Exit.OK


def verify(given: argparse.Namespace) -> int:
    """Looks at all that a delivery needs; the first thing that is wrong is the exit code."""
    found: dict[str, list[checks.Check]] = {}
    for name in feed_names(given):
        given.feed = name
        feed, first = checks.load(config_file(given))
        found[name] = [first]
        if feed:
            found[name] += checks.of_host(feed, dt.datetime.now(dt.UTC))
            if not given.without_login:
                found[name].append(_login_check(given))
    if given.json:
        told = {name: [check.record() for check in looked] for name, looked in found.items()}
        show_json(told)
    else:
        for name, looked in found.items():
            for check in looked:
                word = "ok " if check.code == Exit.OK else "BAD"
                show(f"{name}  {word}  {check.name:13}  {check.told}")
    wrong = [check.code for looked in found.values() for check in looked if check.code]
    return wrong[0] if wrong else Exit.OK


def _login_check(given: argparse.Namespace) -> checks.Check:
    """The login as the feed's unit does it, which alone gets the credential."""
    told = io.StringIO()
    try:
        with contextlib.redirect_stdout(told):
            code = Exit(through_unit(given, LOGINS["current"]))
    except Failure as failure:
        return checks.Check("login", failure.code, failure.message)
    lines = told.getvalue().strip().splitlines()
    return checks.Check("login", code, lines[-1] if lines else code.meaning)


def forget(given: argparse.Namespace) -> int:
    """Removes the credential before the current one once a delivery was accepted since."""
    feed = config.load(config_file(given))
    path, now = checks.previous(given.config_dir, feed.feed), dt.datetime.now(dt.UTC)
    if path.exists() and path.stat().st_mtime > now.timestamp():
        os.utime(path)  # else the clock would have to come to a day that was never right
    if not path.exists():
        show(f"{feed.district}: no former credential is kept")
    elif checks.is_outlived(path, Ledger(given.state_dir / feed.feed).accepted(), now):
        path.unlink()
        show(f"{feed.district}: a delivery was accepted since; the former credential is removed")
    else:
        show(f"{feed.district}: the former credential stays until the next accepted delivery")
    return Exit.OK


def watch(given: argparse.Namespace) -> int:
    """Says, and tells who wants to know, where tonight's delivery is not in."""
    if needs_unit(given):
        return through_unit(given, "watch")
    feed, ledger = config.load(config_file(given)), Ledger(state_as_owner(given))
    now = dt.datetime.now(dt.UTC)
    night = Night.containing(feed, now)
    _tell_killed(feed, ledger)
    tonight = NightResult(night.date)
    try:
        tonight = ledger.history().night(night.date)
    except OSError as error:
        say(f"{ledger.path} cannot be read ({error.strerror})")
    if tonight.is_in_order:
        show(f"{feed.district}: tonight's delivery is in order")
        return Exit.OK
    if any(night.deadline.date() in span for span in feed.blackouts):
        show(f"{feed.district}: nothing is sent tonight, by plan")
        return Exit.OK
    why = f"the last try: {tonight.last.message}" if tonight.last else "no try was made tonight"
    if begun := _under_way(ledger):
        why = f"the run of {begun.started} is under way; {why}"
    message = (
        f"{feed.district}: tonight's roster is not delivered, {night.minutes_to_deadline} min "
        f"before the deadline; {why}"
    )
    receipt = Receipt(
        feed=feed.feed,
        district=feed.district,
        command="watch",
        outcome=Outcome.FAILED,
        exit_code=int(Exit.MISSED),
        message=message,
        started=stamp(now),
        finished=stamp(dt.datetime.now(dt.UTC)),
        night=night.date,
        deadline=stamp(night.deadline),
        minutes_to_deadline=night.minutes_to_deadline,
    )
    try:
        ledger.path.parent.mkdir(parents=True, exist_ok=True, mode=0o750)
        ledger.append(receipt)
    except OSError as error:  # a full disk is no reason to be silent
        say(f"the receipt cannot be written to {ledger.path} ({error.strerror})")
    for trouble in notifier.notify(feed, "deadline", receipt, secrets_folder()):
        say(trouble)
    raise Failure(Exit.MISSED, message)


def _tell_killed(feed: config.Feed, ledger: Ledger) -> None:
    """Record, and notify who wants to know of, runs that were killed."""
    try:
        with feed_lock(ledger.path.parent):  # so none of them is under way
            before, found = ledger.history(), ledger.close_killed()
    except (OSError, Failure):  # a run is under way, or the watcher tells what is wrong
        return
    for receipt in found:
        say(receipt.message)
        if kind := events.event(before.without(receipt.run), receipt):
            for trouble in notifier.notify(feed, kind, receipt, secrets_folder()):
                say(trouble)


def _under_way(ledger: Ledger) -> Receipt | None:
    try:
        return ledger.under_way()
    except OSError:
        return None


def approve(given: argparse.Namespace) -> int:
    """Let one export that the guard holds through, once."""
    config_file(given)
    who = os.environ.get("SUDO_USER") or getpass.getuser()  # before this is the feed's account
    ledger = Ledger(state_as_owner(given))
    try:
        held = ledger.history().held()
    except OSError as error:
        raise _closed(error) from None
    digests = [receipt.export_sha256 for receipt in held if receipt.export_sha256]
    matching = {digest for digest in digests if digest.startswith(given.digest)}
    if len(given.digest) < SHORTEST_DIGEST or len(matching) != 1:
        told = f"the last one held has {digests[-1]}" if digests else "none is held"
        raise Failure(
            Exit.USAGE,
            f"{given.feed}: no held export has the digest {given.digest} ({SHORTEST_DIGEST} "
            f"characters at least); {told}",
        )
    digest = matching.pop()
    if given.check:
        show(
            f"{given.feed}: would let the held export {digest[:16]} through once. See who is "
            f"affected: roster-upload diff {given.feed}"
        )
        return Exit.OK
    now = stamp(dt.datetime.now(dt.UTC))
    entry = Receipt(
        feed=given.feed,
        outcome=Outcome.APPROVED,
        command="approve",
        digest=digest,
        who=who,
        why=given.why,
        finished=now,
        message=f"{who} lets the held export {digest[:16]} through once: {given.why}",
    )
    try:
        ledger.append(entry)
    except OSError as error:
        raise _closed(error) from None
    show(f"{entry.message}. Send it: systemctl start roster-upload@{given.feed}.service")
    return Exit.OK


def _closed(error: OSError) -> Failure:
    if isinstance(error, PermissionError) and os.geteuid() != 0:
        return Failure(Exit.LOCAL, f"{error.filename} is not open to {user_name()}; use sudo")
    return Failure(Exit.LOCAL, f"{error.filename} cannot be used ({error.strerror}); look at it")


def feed_names(given: argparse.Namespace) -> list[str]:
    """The feed that was named, or all of the host; raises Failure where it is none."""
    if not given.feed:
        return sorted(path.stem for path in given.config_dir.glob("*.toml"))
    path = config_file(given)
    if not path.exists() and not read_ledger(given, given.feed).receipts():
        raise Failure(
            Exit.CONFIG,
            f"{given.feed} is no feed of this host: neither {path} nor a receipt of it is there",
        )
    return [given.feed]


def read_ledger(given: argparse.Namespace, name: str) -> Ledger:
    """A feed's ledger, open to who asks; raises Failure."""
    ledger = Ledger(given.state_dir / name)
    try:
        ledger.receipts()
    except OSError as error:
        raise _closed(error) from None
    return ledger


def status(given: argparse.Namespace) -> int:
    """Print what became of the last delivery of each feed; one without receipts hides no other."""
    told, failures = [], []
    for name in feed_names(given):
        try:
            ledger = read_ledger(given, name)
            told.append(_status(name, ledger))
        except Failure as failure:
            failures.append(failure)
    if given.json:
        show_json(told)
    elif told:
        show(views.status_text(told))
    elif not failures:
        show(f"no feed is configured in {given.config_dir}")
    if failures:
        raise failures[0]
    return Exit.OK


def _status(name: str, ledger: Ledger) -> dict[str, Any]:
    """Return what became of a feed's last delivery, and what its receipts lack."""
    try:
        lost = evidence.gaps(ledger.path.parent)
    except OSError as error:
        raise _closed(error) from None
    return {
        **views.status(name, ledger.history(), ledger.first_break()),
        "under_way": under_way.to_json() if (under_way := ledger.under_way()) else None,
        "lost": lost,
        "ledger_damaged_lines": ledger.damaged(),
    }


def history(given: argparse.Namespace) -> int:
    """Prints a feed's nights."""
    [name] = feed_names(given)
    receipts = read_ledger(given, name).history()
    if given.json:
        show_json(views.history(receipts, given.nights))
    else:
        print(views.history_text(receipts, given.nights))
    return Exit.OK


def explain(given: argparse.Namespace) -> int:
    """Prints what an exit code, or a feed's last receipt, means and asks for."""
    receipt, feed = None, None
    if given.what.isdigit():
        codes = [code for code in Exit if code == int(given.what)]
        if not codes:
            raise Failure(Exit.USAGE, f"{given.what} is no exit code of this program")
        code = codes[0]
    else:
        given.feed = given.what
        [name] = feed_names(given)
        receipts = [r for r in read_ledger(given, name).receipts() if r.exit_code is not None]
        if not receipts:
            raise Failure(Exit.USAGE, f"{name} has no receipt yet")
        receipt = receipts[-1]
        if receipt.exit_code not in set(Exit):
            raise Failure(
                Exit.USAGE,
                f"the last receipt of {name} has exit code {receipt.exit_code}, which this "
                f"program does not know: {receipt.message}",
            )
        code = Exit(receipt.exit_code)
        try:
            feed = config.load(config_file(given))
        except config.ConfigError:
            feed = None  # it can be what has to be explained
    told = explaining.explain(code, receipt, feed)
    if given.json:
        show_json(told)
    else:
        show(explaining.explain_text(told))
    return Exit.OK
