"""The command line of `roster-upload`."""

from __future__ import annotations

import argparse
import datetime as dt
import io
import logging
import os
import re
import sys
import traceback
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

from roster_upload import __version__
from roster_upload.cli import commands
from roster_upload.exits import Exit, Failure
from roster_upload.host.memory import exhausted
from roster_upload.host.stop import Stopped
from roster_upload.spec import schema
from roster_upload.terminal.output import discard, say

CONFIG_DIR = Path("/etc/roster-upload")
STATE_DIR = Path("/var/lib/roster-upload")
EXAMPLES = """\
examples:
  roster-upload check maple-grove              is tonight's export good? touches no network
  roster-upload rehearse maple-grove           all but the sending, while people are at work
  roster-upload send maple-grove               deliver now
  roster-upload status                         what became of it
  roster-upload explain maple-grove            why it failed, who must act, what to write to them
  roster-upload diff maple-grove               who would be removed, added, changed
  roster-upload compare before.zip after.zip   what the guard would say, without a feed
  roster-upload approve maple-grove --digest 3f1c... --why "three schools closed"
"""


def exit_codes() -> str:
    """The table of exit codes for the help text."""
    lines = [f"  {code.value:>3}  {code.meaning}" for code in Exit]
    return "exit codes:\n" + "\n".join(lines)


def parser() -> argparse.ArgumentParser:
    """The command line as a parser."""
    formatter = argparse.RawDescriptionHelpFormatter
    main = argparse.ArgumentParser(
        prog="roster-upload",
        description="Validates a district's roster export, guards it against mistakes, and "
        "delivers it by SFTP, with proof.\n"
        "A feed is one file that one district delivers; /etc/roster-upload/FEED.toml says which.",
        epilog=f"{EXAMPLES}\n{exit_codes()}",
        formatter_class=formatter,
    )
    main.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    main.add_argument("--config-dir", type=Path, default=CONFIG_DIR, help="default: %(default)s")
    main.add_argument("--state-dir", type=Path, default=STATE_DIR, help="default: %(default)s")
    subparsers = main.add_subparsers(dest="command", metavar="COMMAND", required=True)

    def command(name: str, summary: str, more: str = "") -> argparse.ArgumentParser:
        return subparsers.add_parser(
            name, help=summary, description=f"{summary}. {more}".strip(), formatter_class=formatter
        )

    def as_json(one: argparse.ArgumentParser) -> None:
        one.add_argument("--json", action="store_true", help="for machines")

    one = command("check-config", "check configuration files, all of them by default")
    one.add_argument("paths", metavar="FILE", type=Path, nargs="*")

    one = command("check", "check a feed's export, or any package, without sending it")
    what = one.add_mutually_exclusive_group(required=True)
    what.add_argument("feed", metavar="FEED", nargs="?")
    what.add_argument("--file", metavar="PATH", type=Path, help="a zip or a folder of CSV files")
    formats = schema.keys()["format"].choices
    one.add_argument("--format", choices=formats, default=formats[0], help="of --file")
    as_json(one)

    _comparisons(command, as_json)

    one = command("send", "deliver a feed's export now; its unit does this every night")
    one.add_argument("feed", metavar="FEED")

    one = command(
        "rehearse",
        "all but the sending: export, rules, guard, log-in, upload path",
        "What the guard would hold tonight can be approved this afternoon.",
    )
    one.add_argument("feed", metavar="FEED")

    one = command(
        "resend",
        "send a package again that the vendor has accepted before",
        "Neither freshness nor guard is asked: it is the way back after a bad roster.",
    )
    one.add_argument("feed", metavar="FEED")
    which = one.add_mutually_exclusive_group()
    which.add_argument(
        "--last-good",
        action="store_true",
        help="the last one before what the vendor has now (the default)",
    )
    which.add_argument(
        "--digest", metavar="SHA256", type=_digest, help="this one, by the start of its digest"
    )

    one = command("approve", "let one export that the guard holds through, once")
    one.add_argument("feed", metavar="FEED")
    one.add_argument(
        "--digest", metavar="SHA256", type=_digest, required=True, help="of the held export"
    )
    one.add_argument("--why", required=True, help="kept in the ledger, with who you are")
    one.add_argument("--check", action="store_true", help="only say whether it could be")

    one = command("probe", "test how the vendor's server takes files, and save it")
    one.add_argument("feed", metavar="FEED")
    as_json(one)

    one = command(
        "login",
        "log in once and look at the upload path; sends nothing",
        "A rotation tries a new credential by it before anything is switched.",
    )
    one.add_argument("feed", metavar="FEED")
    one.add_argument(
        "--slot", choices=("current", "pending"), default="current", help="default: %(default)s"
    )

    one = command(
        "verify",
        "is all ready for tonight? changes nothing: configuration, clock, next start, free space, "
        "export, credential, host key, login, upload path",
    )
    one.add_argument("feed", metavar="FEED", nargs="?")
    one.add_argument("--without-login", action="store_true", help="ask nothing of the server")
    as_json(one)

    one = command("forget", "remove the credential before the current one, once it has served")
    one.add_argument("feed", metavar="FEED")

    one = command("watch", "alert where tonight's delivery is not in; runs before the deadline")
    one.add_argument("feed", metavar="FEED")

    _views(command, as_json)
    return main


def _comparisons(
    command: Callable[..., argparse.ArgumentParser],
    as_json: Callable[[argparse.ArgumentParser], None],
) -> None:
    """The commands that compare one package with another."""
    one = command(
        "compare",
        "what the guard would say if one package followed another",
        "It needs no feed, no host and no root. It exits with 17 if AFTER would be held, and with "
        "4 if it would be refused.",
    )
    one.add_argument("before", metavar="BEFORE", type=Path, help="a zip or a folder of CSV files")
    one.add_argument("after", metavar="AFTER", type=Path, help="the same")
    one.add_argument(
        "--night",
        metavar="YYYY-MM-DD",
        type=_day,
        help="the day on which AFTER would be sent; default: today (UTC)",
    )
    one.add_argument(
        "--config",
        metavar="FILE.toml",
        type=Path,
        help="limits, or a feed's whole configuration; default: the default limits",
    )
    as_json(one)

    one = command(
        "diff",
        "who would be removed, added and changed by a feed's export",
        "It compares the export with the last accepted package. It names people, so it writes to "
        "root's terminal and nowhere else.",
    )
    one.add_argument("feed", metavar="FEED")
    one.add_argument(
        "--school", metavar="ID", default="", help="only of this school: sourcedId or identifier"
    )
    one.add_argument(
        "--kind",
        default="",
        help="only this kind of record, such as users.student, classes or enrollments; "
        "default: all people",
    )


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
    """The commands that show what is in the ledger."""
    one = command("status", "what became of the last delivery, of all feeds by default")
    one.add_argument("feed", metavar="FEED", nargs="?")
    as_json(one)

    one = command("history", "a feed's nights: outcome, counts, changes")
    one.add_argument("feed", metavar="FEED")
    one.add_argument("--nights", type=int, default=14, help="how many; default: %(default)s")
    as_json(one)

    one = command("explain", "cause, evidence, who must act, and a text to send to them")
    one.add_argument(
        "what", metavar="CODE|FEED", help="an exit code, or a feed, whose last receipt counts"
    )
    as_json(one)


COMMANDS = {
    "check-config": commands.check_config,
    "check": commands.check,
    "compare": commands.compare,
    "diff": commands.diff,
    "send": commands.deliver,
    "rehearse": commands.deliver,
    "resend": commands.deliver,
    "approve": commands.approve,
    "probe": commands.probe,
    "login": commands.login,
    "verify": commands.verify,
    "forget": commands.forget,
    "watch": commands.watch,
    "status": commands.status,
    "history": commands.history,
    "explain": commands.explain,
}


def _fail(failure: Failure) -> int:
    say(failure.message)
    return int(failure.code)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command line; returns the exit code."""
    # What paramiko would log are tracebacks; what happened is in our own sentence.
    logging.getLogger("paramiko").addHandler(logging.NullHandler())
    logging.getLogger("paramiko").propagate = False
    warnings.filterwarnings("ignore", module="paramiko")  # of old ciphers that it loads
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # names of files can be any bytes
            stream.reconfigure(errors="backslashreplace")
    given = parser().parse_args(arguments)
    try:
        return int(COMMANDS[given.command](given))
    except Failure as failure:
        return _fail(failure)
    except (KeyboardInterrupt, Stopped):
        return int(Exit.STOPPED)
    except BrokenPipeError:  # of `| head`
        discard(sys.stdout)
        return int(Exit.OK)
    except Exception as error:  # noqa: BLE001 - the last resort, so that no traceback is shown
        if lack := exhausted(error):
            return _fail(lack)
        if os.environ.get("ROSTER_UPLOAD_DEBUG") == "1":
            say("".join(traceback.format_tb(error.__traceback__)))
        say(
            f"an error of the program itself ({type(error).__name__}); please report it with the "
            "output of ROSTER_UPLOAD_DEBUG=1"
        )
        return int(Exit.INTERNAL)
