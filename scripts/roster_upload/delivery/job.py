"""A delivery under way: its inputs and its receipt."""

from __future__ import annotations

import contextlib
import datetime as dt
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from roster_upload.config import Feed
from roster_upload.delivery.steps import Steps
from roster_upload.exits import Exit, Failure
from roster_upload.export import Snapshot
from roster_upload.host.credentials import credential
from roster_upload.package.built import Built
from roster_upload.records import evidence
from roster_upload.records.history import History
from roster_upload.records.night import Night, stamp
from roster_upload.records.package_store import PackageStore
from roster_upload.records.parts import Target
from roster_upload.records.receipt import Outcome, Receipt
from roster_upload.records.season import Reset
from roster_upload.records.state import State
from roster_upload.terminal import output
from roster_upload.terminal.printable import printable

if TYPE_CHECKING:
    from roster_upload.fetch.folder import RemoteFile

Outgoing = Snapshot | Built  # the file to send: the export, or the package made of it


class Draft:
    """The receipt of a run that is under way."""

    def __init__(self, receipt: Receipt) -> None:
        self.receipt = receipt
        self.steps = Steps()

    def update(self, **changes: Any) -> None:
        """Change some fields of the receipt."""
        self.receipt = replace(self.receipt, **changes)

    @contextlib.contextmanager
    def phase(self, name: str, limit: float = 0) -> Iterator[None]:
        """Add the seconds of the block to those of a phase, which may take `limit` of them."""
        self.steps.begin(name, limit)
        start = time.monotonic()
        try:
            yield
        finally:
            known = self.receipt.seconds
            seconds = round(known.get(name, 0) + time.monotonic() - start, 4)
            self.update(seconds={**known, name: seconds})

    @property
    def is_sent(self) -> bool:
        """Return whether the vendor has the file. Later errors do not change that."""
        return self.receipt.outcome is Outcome.SENT


@dataclass
class Job:
    """The data that the steps of a delivery share.

    `command` is `send`, `rehearse` (all steps except the transfer) or `resend` (an accepted package
    again: that of `digest`, or the last good one).
    """

    feed: Feed
    night: Night
    state: State
    draft: Draft
    history: History  # the feed's receipts so far
    command: str
    digest: str
    started: dt.datetime
    config_file: Path
    holds: str = ""  # the vendor's file in words, once a transfer has begun
    fetched: RemoteFile | None = None  # the file on the SIS's server, once it is found
    is_at_vendor: bool = False  # whether the vendor had this export before

    @property
    def receipt(self) -> Receipt:
        """Return the receipt as it is now."""
        return self.draft.receipt

    @property
    def target(self) -> Target:
        """Return the address of the file at the vendor."""
        feed = self.feed
        return Target(feed.remote_host, feed.remote_port, feed.remote_dir, feed.remote_name)

    @property
    def day(self) -> dt.date:
        """Return the date of the night."""
        return self.night.deadline.date()

    @property
    def reset(self) -> dt.date | None:
        """Return the vendor's reset that this delivery is the first one after, None otherwise."""
        return Reset.of(self.feed).not_passed(self.day, self.history.sent())

    def secret(self, slot: str) -> bytes:
        """Return one of the feed's secrets. Raise Failure."""
        return credential(self.feed.feed, slot)

    def package_store(self) -> PackageStore:
        """Return the store of accepted packages. Raise Failure."""
        folder = evidence.packages(self.state.folder)
        return PackageStore(folder, self.secret("state"), self.feed.keep_packages)


def now() -> str:
    """Return the present moment in the format of receipts."""
    return stamp(dt.datetime.now(dt.UTC))


@contextlib.contextmanager
def beside(what: str) -> Iterator[None]:
    """Log an error of the block, and go on: the record of the delivery comes first."""
    try:
        yield
    except Exception as error:  # noqa: BLE001 - the record comes first
        output.say(f"{what}: {reason(error)}")


def reason(error: Exception) -> str:
    """Return the reason of an error as one line."""
    return printable(getattr(error, "strerror", None) or str(error) or type(error).__name__)


def no_room(error: OSError) -> Failure:
    """Return the failure of a private copy for want of space."""
    return Failure(Exit.LOCAL, f"no room for a private copy: {error.strerror}")
