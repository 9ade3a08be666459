"""`diff`: show people to be removed, added and changed, only on root's terminal."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from pathlib import Path

from roster_upload import config
from roster_upload.cli import through_unit
from roster_upload.cli.host_feeds import config_file, state_of
from roster_upload.cli.render_diff import text
from roster_upload.diff import channel, kept
from roster_upload.diff.people import Wish
from roster_upload.exits import Exit, Failure


def diff(given: argparse.Namespace) -> int:
    """Show the differences between a feed's export and the last accepted package."""
    if runtime := os.environ.get("RUNTIME_DIRECTORY"):  # this process is the unit
        path = channel.socket_path(Path(runtime).parent, given.feed)
        with channel.connected(path) as (wish, root):
            feed = config.load(config_file(given))
            channel.send(root, *kept.differences(feed, state_of(given), wish))
        return Exit.OK
    _require_private_terminal(given)
    feed, wish = config.load(config_file(given)), Wish(given.school, given.kind)
    kept.check(feed, wish)
    if through_unit.needs_unit(given):
        run_dir = through_unit.RUN_DIR
        path = channel.socket_path(run_dir, given.feed)
        run_dir.mkdir(exist_ok=True)
        with channel.Listener(path, kept.owner(feed, state_of(given)), wish) as listener:
            if code := through_unit.run(given, "diff"):
                return code
        if listener.answer is None:
            raise Failure(Exit.LOCAL, f"roster-diff@{given.feed}.service sent no answer. Try again")
        found, schools = channel.received(listener.answer)
    else:
        found, schools = kept.differences(feed, state_of(given), wish)
    shown = text(found, schools, shutil.get_terminal_size().columns) + "\n"
    sys.stdout.buffer.write(shown.encode(sys.stdout.encoding, "backslashreplace"))
    sys.stdout.flush()
    return Exit.OK


def _require_private_terminal(given: argparse.Namespace) -> None:
    """Raise Failure if names of people would go anywhere except to root's terminal."""
    if through_unit.is_installed(given) and os.geteuid() != 0:
        raise Failure(Exit.LOCAL, "diff shows names of people, so only root may run it. Use sudo")
    if not sys.stdout.isatty():
        raise Failure(
            Exit.USAGE,
            "diff shows names of people, so it writes only to a terminal. "
            "Run it without a pipe or a redirection",
        )
