"""The command line of `roster-upload`."""

from __future__ import annotations

import argparse
import json
import logging
import os
import re
import signal
import sys
import traceback
import warnings
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Any

from roster_upload import __version__, config, oneroster
from roster_upload.delivery import Run
from roster_upload.exits import MEANINGS, Exit, Failure
from roster_upload.ledger import Ledger

CONFIG_DIR = Path("/etc/roster-upload")
STATE_DIR = Path("/var/lib/roster-upload")


def exit_codes() -> str:
    """The table of exit codes for the help text."""
    lines = [f"  {code.value:>3}  {MEANINGS[code]}" for code in Exit]
    return "exit codes:\n" + "\n".join(lines)


def parser() -> argparse.ArgumentParser:
    """The command line as a parser."""
    formatter = argparse.RawDescriptionHelpFormatter
    main = argparse.ArgumentParser(
        prog="roster-upload",
        description="Validates a district's roster export and delivers it by SFTP, with proof.\n"
        "A feed is one file that one district delivers; /etc/roster-upload/FEED.toml says which.",
        epilog=exit_codes(),
        formatter_class=formatter,
    )
    main.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    main.add_argument("--config-dir", type=Path, default=CONFIG_DIR, help="default: %(default)s")
    main.add_argument("--state-dir", type=Path, default=STATE_DIR, help="default: %(default)s")
    commands = main.add_subparsers(dest="command", metavar="COMMAND", required=True)

    def command(name: str, summary: str) -> argparse.ArgumentParser:
        return commands.add_parser(name, help=summary, description=summary + ".")

    one = command("check-config", "check configuration files, all of them by default")
    one.add_argument("paths", metavar="FILE", type=Path, nargs="*")
    one = command("check", "check a feed's export, or any package, without sending it")
    what = one.add_mutually_exclusive_group(required=True)
    what.add_argument("feed", metavar="FEED", nargs="?")
    what.add_argument("--file", metavar="ZIP", type=Path, help="a package instead of a feed's")
    one.add_argument("--format", choices=config.FORMATS, default=config.FORMATS[0])
    one.add_argument("--json", action="store_true", help="for machines")
    one = command("send", "deliver a feed's export now; its unit does this every night")
    one.add_argument("feed", metavar="FEED")
    one = command("status", "what became of the deliveries, of all feeds by default")
    one.add_argument("feed", metavar="FEED", nargs="?")
    one.add_argument("--json", action="store_true", help="for machines")
    return main


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
            told.append(error.message)
    where = ", ".join(map(str, paths))
    told += [f"{where}: {p.key}: {p.message}" for p in config.cross_problems(values)]
    if told:
        raise Failure(Exit.CONFIG, "\n".join(told))
    print(f"{len(paths)} configuration file{'s are' if len(paths) > 1 else ' is'} good")
    return Exit.OK


def config_file(given: argparse.Namespace) -> Path:
    """The configuration file of the feed that was named."""
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]*", given.feed):
        raise Failure(Exit.USAGE, f"{given.feed!r} is not the name of a feed")
    path: Path = given.config_dir / f"{given.feed}.toml"
    return path


def check(given: argparse.Namespace) -> int:
    """Checks a package and prints what was found."""
    path = given.file or config.load(config_file(given)).source
    try:
        report = oneroster.check(path)
    except OSError as error:
        raise Failure(Exit.SOURCE, f"{path} cannot be read: {error.strerror}") from None
    if given.json:
        print(json.dumps(report.record(), indent=2))
    else:
        for finding in report.findings:
            print(finding.text())
        rows = ", ".join(f"{count:,} {name}" for name, count in report.rows.items())
        print(f"{path}: {'good' if report.accepted else 'REFUSED'}; rows: {rows or 'none read'}")
    return Exit.OK if report.accepted else Exit.REFUSED


def send(given: argparse.Namespace) -> int:
    """Delivers a feed."""
    # Under systemd the feed's own folder is given, and it alone can be written.
    state = Path(os.environ.get("STATE_DIRECTORY") or given.state_dir / given.feed)
    run = Run(given.feed, config_file(given), state)

    def stop(number: int, _frame: FrameType | None) -> None:
        """Ends the delivery by way of its clean-up; one that is over is recorded first."""
        signal.signal(number, signal.SIG_IGN)
        if not run.is_over:
            name = signal.Signals(number).name
            raise Failure(
                Exit.STOPPED, f"stopped by {name}; the vendor has no part of a file in its place"
            )

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, stop)
    code, message = run.execute()
    print(message, file=sys.stdout if code is Exit.OK else sys.stderr)
    return code


def summary(name: str, state: Path) -> dict[str, Any]:
    """What `status` tells of a feed."""
    ledger = Ledger(state / name)
    receipts = ledger.receipts()
    sent = [receipt for receipt in receipts if receipt.get("outcome") == "sent"]
    return {
        "feed": name,
        "deliveries": len(receipts),
        "last": receipts[-1] if receipts else None,
        "last_sent": sent[-1] if sent else None,
        "ledger_broken_at_line": ledger.first_break(),
    }


def status(given: argparse.Namespace) -> int:
    """Prints the last delivery of each feed."""
    names = sorted(path.stem for path in given.config_dir.glob("*.toml"))
    if given.feed:
        config_file(given)
        names = [given.feed]
    try:
        told = [summary(name, given.state_dir) for name in names]
        if given.feed and not told[0]["deliveries"] and not config_file(given).exists():
            raise Failure(
                Exit.CONFIG,
                f"{given.feed} is no feed of this host: neither {config_file(given)} nor a receipt "
                "of it is there",
            )
    except PermissionError as error:
        raise Failure(Exit.LOCAL, f"{error.filename} is not open to you; use sudo") from None
    if given.json:
        print(json.dumps(told, indent=2, ensure_ascii=False))
        return Exit.OK
    if not told:
        print(f"no feed is configured in {given.config_dir}")
    for entry in told:
        last, sent = entry["last"], entry["last_sent"]
        print(f"{entry['feed']}")
        if not last:
            print("  no delivery yet")
            continue
        print(f"  last       {last['outcome']} {last['finished']}: {last['message']}")
        if sent:
            print(f"  last sent  {sent['finished']}, {sent['source']['bytes']:,} bytes")
            print(f"  sha256     {sent['source']['sha256']}")
            print(f"  remote     {sent['remote']['host']}: "
                  f"{sent['remote']['dir']}/{sent['remote']['name']}")  # fmt: skip
        if entry["ledger_broken_at_line"]:
            print(f"  LEDGER     was changed by hand at line {entry['ledger_broken_at_line']}")
    return Exit.OK


COMMANDS = {"check-config": check_config, "check": check, "send": send, "status": status}


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command line; returns the exit code."""
    # What paramiko would log are tracebacks; what happened is in our own sentence.
    logging.getLogger("paramiko").addHandler(logging.NullHandler())
    logging.getLogger("paramiko").propagate = False
    warnings.filterwarnings("ignore", module="paramiko")  # of old ciphers that it loads
    given = parser().parse_args(arguments)
    try:
        return int(COMMANDS[given.command](given))
    except Failure as failure:
        print(failure.message, file=sys.stderr)
        return int(failure.code)
    except KeyboardInterrupt:
        return int(Exit.STOPPED)
    except BrokenPipeError:  # of `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return int(Exit.OK)
    except Exception as error:  # noqa: BLE001 - the last resort, so that no traceback is shown
        if os.environ.get("ROSTER_UPLOAD_DEBUG") == "1":
            traceback.print_tb(error.__traceback__)
        print(
            f"an error of the program itself ({type(error).__name__}); please report it with the "
            "output of ROSTER_UPLOAD_DEBUG=1",
            file=sys.stderr,
        )
        return int(Exit.INTERNAL)
