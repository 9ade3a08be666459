"""Find this host's feeds for commands: configuration, state, receipts."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

from roster_upload import config
from roster_upload.exits import Exit, Failure
from roster_upload.host.account import become_owner, user_name
from roster_upload.spec.checks import is_feed_name

if TYPE_CHECKING:
    from roster_upload.records.ledger import Ledger

FEEDS_NAMED = 5  # of the host's feeds, if none is like the given name


def config_file(given: argparse.Namespace) -> Path:
    """Return the path of the named feed's configuration file. Raise Failure."""
    if not is_feed_name(given.feed):
        message = f"{given.feed!r} is not the name of a feed. {_nearest(given)}"
        raise Failure(Exit.USAGE, message.removesuffix(" "))
    path: Path = given.config_dir / f"{given.feed}.toml"
    if not _exists(path) and not _exists(given.state_dir / given.feed) and _known(given):
        raise Failure(
            Exit.CONFIG,
            f"this host has no feed {given.feed}: it has neither {path} nor a receipt. "
            f"{_nearest(given)}",
        )
    return path


def _exists(path: Path) -> bool:
    """Return whether a path exists, or this account may not know."""
    try:
        return path.exists()
    except OSError:
        return True


def _known(given: argparse.Namespace) -> list[str]:
    """Return the host's feeds, as far as this account may see them."""
    try:
        return sorted(path.stem for path in given.config_dir.glob("*.toml"))
    except OSError:
        return []


def _nearest(given: argparse.Namespace) -> str:
    """Return a question with the nearest feed, or the first feeds of the host."""
    # Only a mistake needs it.
    from roster_upload.cli.suggest import did_you_mean  # noqa: PLC0415

    known = _known(given)
    more = ", …" if len(known) > FEEDS_NAMED else ""
    listed = f"It has {', '.join(known[:FEEDS_NAMED])}{more}" if known else ""
    return did_you_mean(given.feed, known) or listed


def state_of(given: argparse.Namespace) -> Path:
    """Return the folder of a feed's state. Its unit can write to no other folder."""
    return Path(os.environ.get("STATE_DIRECTORY") or given.state_dir / given.feed)


def state_as_owner(given: argparse.Namespace) -> Path:
    """Return the folder of a feed's state, after a switch to the account that owns it."""
    state = state_of(given)
    become_owner(state)
    return state


def names(given: argparse.Namespace) -> list[str]:
    """Return the named feed, or all feeds of the host. Raise Failure for an unknown feed."""
    if not given.feed:
        return _known(given)
    path = config_file(given)
    if not path.exists() and not read_ledger(given, given.feed).receipts():
        raise Failure(
            Exit.CONFIG,
            f"this host has no feed {given.feed}: it has neither {path} nor a receipt",
        )
    return [given.feed]


def time_zone(given: argparse.Namespace, name: str) -> str:
    """Return the time zone in a feed's configuration, even if the rest of it is wrong."""
    try:
        found = config.read(given.config_dir / f"{name}.toml").get("time_zone")
    except config.ConfigError:
        return ""
    return found if isinstance(found, str) else ""


def read_ledger(given: argparse.Namespace, name: str) -> Ledger:
    """Return a feed's ledger. Raise Failure if this account cannot read it."""
    # Half of the program's starts only relay to a unit, and read no ledger.
    from roster_upload.records.ledger import Ledger  # noqa: PLC0415

    ledger = Ledger(given.state_dir / name)
    try:
        ledger.receipts()
    except OSError as error:
        raise unusable(error) from None
    return ledger


def unusable(error: OSError) -> Failure:
    """Return the failure for a file of a feed's state that cannot be read or written."""
    if isinstance(error, PermissionError) and os.geteuid() != 0:
        return Failure(Exit.LOCAL, f"{user_name()} may not open {error.filename}. Use sudo")
    return Failure(
        Exit.LOCAL, f"{error.filename} cannot be used ({error.strerror}). Look at this file"
    )
