"""The command line of `roster-upload`."""

from __future__ import annotations

import argparse
import datetime as dt
import functools
import io
import os
import re
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import NoReturn

from roster_upload import version
from roster_upload.cli import through_unit
from roster_upload.cli.suggest import Help, Parser
from roster_upload.exits import Exit, Failure
from roster_upload.host.stop import Stopped
from roster_upload.spec import schema
from roster_upload.terminal.output import discard, say

# The function of each command. Its module is imported only when the command runs: half of the
# program's starts only relay to a unit, and need neither numpy nor paramiko.
COMMANDS = {
    "check-config": "check_config:check_config",
    "check": "check_package:check",
    "compare": "check_package:compare",
    "diff": "show_diff:diff",
    "send": "deliver:deliver",
    "rehearse": "deliver:deliver",
    "resend": "deliver:deliver",
    "approve": "approve:approve",
    "probe": "server:probe",
    "login": "server:login",
    "verify": "verify:verify",
    "forget": "forget:forget",
    "watch": "watch:watch",
    "notify-test": "notify_test:notify_test",
    "alarm": "alarm:alarm",
    "notify": "notify:notify",
    "status": "show:status",
    "history": "show:history",
    "explain": "show:explain",
    "report": "report:report",
}
STATE_DIR = Path("/var/lib/roster-upload")
EXAMPLES = """\
examples:
  roster-upload check maple-grove              is the export good? uses no network
  roster-upload rehearse maple-grove           everything but the transfer, at a quiet hour
  roster-upload send maple-grove               deliver now
  roster-upload status                         the last delivery of each feed
  roster-upload explain maple-grove            why it failed, who must act, a letter to them
  roster-upload diff maple-grove               who would be removed, added, changed
  roster-upload compare before.zip after.zip   the guard's verdict, without a feed
  roster-upload approve maple-grove --digest 3f1c... --reason "snow days"
"""


def exit_codes() -> str:
    """Return the table of exit codes for the help text."""
    lines = [f"  {code.value:>3}  {code.meaning}" for code in Exit]
    return "exit codes:\n" + "\n".join(lines)


class ShowVersion(argparse.Action):
    """Read the version only if it is asked for."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        """Print the version and exit."""
        print(f"roster-upload {version()}")
        parser.exit()


@functools.cache
def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line. It is built once, also for many command lines."""
    formatter = Help
    main = Parser(
        prog="roster-upload",
        description="Validates a district's roster export, guards it against mistakes, and "
        "delivers it by SFTP, with proof.\n"
        "A feed is one file that one district delivers. Its settings are in "
        "/etc/roster-upload/FEED.toml.",
        epilog=f"{EXAMPLES}\n{exit_codes()}",
        formatter_class=formatter,
    )
    main.add_argument("--version", action=ShowVersion, nargs=0, help="show the release and build")
    for name, default, holds in (
        ("--config-dir", through_unit.CONFIG_DIR, "settings"),
        ("--state-dir", STATE_DIR, "receipts and packages"),
    ):
        text = f"folder of the feeds' {holds} (default: %(default)s)"
        main.add_argument(name, metavar="FOLDER", type=Path, default=default, help=text)
    subparsers = main.add_subparsers(dest="command", metavar="COMMAND", required=True)

    def command(name: str, summary: str, more: str = "") -> argparse.ArgumentParser:
        return subparsers.add_parser(
            name, help=summary, description=f"{summary}. {more}".strip(), formatter_class=formatter
        )

    def as_json(one: argparse.ArgumentParser) -> None:
        one.add_argument("--json", action="store_true", help="as JSON, for programs")

    one = command("check-config", "check configuration files, all of them by default")
    one.add_argument("paths", metavar="FILE", type=Path, nargs="*")

    one = command("check", "check a feed's export, or any package, without sending it")
    what = one.add_mutually_exclusive_group(required=True)
    what.add_argument("feed", metavar="FEED", nargs="?")
    what.add_argument("--file", metavar="PATH", type=Path, help="a zip or a folder of CSV files")
    formats = schema.keys()["format"].choices
    text = f"format of --file: {', '.join(formats)} (default: %(default)s)"
    one.add_argument("--format", metavar="FORMAT", choices=formats, default=formats[0], help=text)
    as_json(one)

    _comparisons(command, as_json)

    one = command("send", "deliver a feed's export now, as its unit does every night")
    one.add_argument("feed", metavar="FEED")

    one = command(
        "rehearse",
        "everything but the transfer: export, rules, guard, login, upload path",
        "If the guard would hold tonight's export, you can approve it this afternoon.",
    )
    one.add_argument("feed", metavar="FEED")

    one = command(
        "resend",
        "send a package again that the vendor accepted before",
        "Use it to go back after a bad roster. It skips the freshness check and the guard.",
    )
    one.add_argument("feed", metavar="FEED")
    which = one.add_mutually_exclusive_group()
    which.add_argument(
        "--last-good",
        action="store_true",
        help="the last one before what the vendor has now (the default)",
    )
    which.add_argument(
        "--digest", metavar="SHA256", type=_digest, help="the package whose digest starts with this"
    )

    one = command("approve", "let one held export through, once")
    one.add_argument("feed", metavar="FEED")
    one.add_argument(
        "--digest",
        metavar="SHA256",
        type=_digest,
        required=True,
        help="digest of the held export, or its start",
    )
    one.add_argument("--reason", required=True, help="kept in the ledger, with your name")
    one.add_argument("--why", action=_Renamed, new="--reason", help=argparse.SUPPRESS)
    one.add_argument("--check", action="store_true", help="approve nothing, only check")
    as_json(one)

    _server_and_night(command, as_json)
    _views(command, as_json)
    return main


def _server_and_night(
    command: Callable[..., argparse.ArgumentParser],
    as_json: Callable[[argparse.ArgumentParser], None],
) -> None:
    """Add the commands that test the server, or tonight's delivery."""
    one = command(
        "probe", "test the vendor's server (rename, size, checksum) and save its capabilities"
    )
    one.add_argument("feed", metavar="FEED")
    as_json(one)

    one = command(
        "login",
        "log in once and look at the upload path, without sending anything",
        "A rotation tests a new credential with it before it switches.",
    )
    one.add_argument("feed", metavar="FEED")
    one.add_argument(
        "--slot", choices=("current", "pending"), default="current", help="default: %(default)s"
    )
    one.add_argument(
        "--source", action="store_true", help="to the SIS's server that the export is fetched from"
    )
    one.add_argument("--json", action="store_true", help="with --source: as JSON, for programs")

    one = command(
        "verify",
        "is everything ready for tonight? checks configuration, clock, next start, free space, "
        "export, content, credential, host key, login and upload path, and changes nothing",
        "The content is ready if this very export was rehearsed or delivered. Otherwise it is "
        "validated.",
    )
    one.add_argument("feed", metavar="FEED", nargs="?")
    one.add_argument("--without-login", action="store_true", help="do not connect to the server")
    as_json(one)

    one = command("forget", "remove the former credential once the new one has delivered")
    one.add_argument("feed", metavar="FEED")

    one = command(
        "watch", "alert if tonight's delivery has not arrived, shortly before the deadline"
    )
    one.add_argument("feed", metavar="FEED")

    one = command(
        "notify-test",
        "send a test through every alert channel of a feed",
        "It shows for each channel whether it accepted the test, and how long that took.",
    )
    one.add_argument("feed", metavar="FEED")

    one = command(
        "alarm",
        "record and report runs that ended before they could do so themselves",
        "systemd starts it after a failure of the feed's units. It needs none of its secrets.",
    )
    one.add_argument("feed", metavar="FEED")

    one = command(
        "notify",
        "send the notices that the watcher and the alarm have left",
        "systemd starts it after them, with the feed's secrets.",
    )
    one.add_argument("feed", metavar="FEED")


def _comparisons(
    command: Callable[..., argparse.ArgumentParser],
    as_json: Callable[[argparse.ArgumentParser], None],
) -> None:
    """Add the commands that compare one package with another."""
    one = command(
        "compare",
        "the guard's verdict on one package after another",
        "It needs no feed, no host and no root. It exits with 17 if AFTER would be held, and with "
        "4 if it would be refused.",
    )
    one.add_argument("before", metavar="BEFORE", type=Path, help="a zip or a folder of CSV files")
    one.add_argument("after", metavar="AFTER", type=Path, help="a zip or a folder of CSV files")
    one.add_argument(
        "--night",
        metavar="YYYY-MM-DD",
        type=_day,
        help="the day on which AFTER would be sent (default: today, UTC)",
    )
    one.add_argument(
        "--config",
        metavar="FILE.toml",
        type=Path,
        help="limits, or a feed's whole configuration (default: the default limits)",
    )
    as_json(one)

    one = command(
        "diff",
        "whom a feed's export would remove, add and change",
        "It compares the export with the last accepted package. It names people, so it writes to "
        "root's terminal and nowhere else.",
    )
    one.add_argument("feed", metavar="FEED")
    one.add_argument(
        "--school", metavar="ID", default="", help="only this school: its sourcedId or identifier"
    )
    one.add_argument(
        "--kind",
        default="",
        help="only this kind of record, such as users.student, classes or enrollments "
        "(default: all people)",
    )


class _Renamed(argparse.Action):
    """An option of an older release. The error names the new option."""

    def __init__(self, *, new: str, **options: object) -> None:
        self.new = new
        super().__init__(**options)  # type: ignore[arg-type]  # argparse's own options

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        parser.error(f"{self.option_strings[0]} is now {self.new}")


def _day(text: str) -> dt.date:
    try:
        return dt.date.fromisoformat(text)
    except ValueError:
        message = f"{text!r} is not a day such as 2026-11-01"
        raise argparse.ArgumentTypeError(message) from None


def _digest(text: str) -> str:
    if not re.fullmatch(r"[0-9a-f]{1,64}", text.lower()):
        message = f"{text!r} is not the start of a digest: 0 to 9 and a to f"
        raise argparse.ArgumentTypeError(message)
    return text.lower()


def _views(
    command: Callable[..., argparse.ArgumentParser],
    as_json: Callable[[argparse.ArgumentParser], None],
) -> None:
    """Add the commands that show the ledger."""
    one = command("status", "the last delivery of each feed, or of one")
    one.add_argument("feed", metavar="FEED", nargs="?")
    as_json(one)

    one = command("history", "a feed's nights: outcome, counts, changes")
    one.add_argument("feed", metavar="FEED")
    one.add_argument(
        "--nights", type=int, default=14, help="number of nights (default: %(default)s)"
    )
    as_json(one)

    one = command(
        "report",
        "everything that the control node collects from this host, as JSON",
        "It needs root. An unreadable feed does not hide the others.",
    )
    one.add_argument(
        "--nights", type=int, default=14, help="nights of each feed (default: %(default)s)"
    )
    one.add_argument("--json", action="store_true", required=True, help="the only format")

    one = command("explain", "cause, evidence, who must act, and a letter to them")
    one.add_argument(
        "what", metavar="CODE|FEED", help="an exit code, or a feed (for its last receipt)"
    )
    as_json(one)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line. Return the exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # file names can be any bytes
            stream.reconfigure(errors="backslashreplace")
    given = parser().parse_args(arguments)
    try:
        if through_unit.is_relayed(given):
            return through_unit.relay(given)
        module, _, function = COMMANDS[given.command].partition(":")
        command = getattr(import_module(f"roster_upload.cli.{module}"), function)
        return int(command(given))
    except Failure as failure:
        return _fail(failure)
    except (KeyboardInterrupt, Stopped):
        return int(Exit.STOPPED)
    except BrokenPipeError:  # of `| head`
        discard(sys.stdout)
        return int(Exit.OK)
    except Exception as error:  # noqa: BLE001 - the last resort, so that no traceback is shown
        return _unexpected(error)


def _fail(failure: Failure) -> int:
    say(failure.message)
    return int(failure.code)


def _unexpected(error: Exception) -> int:
    """Report an error of the program, or a lack of memory or disk. Return the exit code."""
    # Only errors need them.
    import traceback  # noqa: PLC0415

    from roster_upload.host.memory import exhausted  # noqa: PLC0415

    if lack := exhausted(error):
        return _fail(lack)
    if os.environ.get("ROSTER_UPLOAD_DEBUG") == "1":
        say("".join(traceback.format_tb(error.__traceback__)))
    say(
        f"an error of the program itself ({type(error).__name__}). Please report it with the "
        "output of ROSTER_UPLOAD_DEBUG=1"
    )
    return int(Exit.INTERNAL)
