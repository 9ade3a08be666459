"""Facts about a connection and the vendor's file, kept even if the upload fails."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import Enum

from roster_upload.transfer.profile import Profile


class Holds(Enum):
    """The vendor's file under the final name, as far as known, in sentences for an operator."""

    OLD = "The vendor still has the file that it had before"
    NEW = "The new file has replaced the old one. Start the delivery again to be sure"
    UNKNOWN = "The new file may or may not have replaced the old one. Start the delivery again"
    NOTHING = (
        "The old file was moved aside. The vendor may find no file until the next try puts it "
        "back. Start the delivery again"
    )
    PART = (
        "This server only accepts files that are written in place. The vendor may have a partial "
        "file, or none, until the next run. Start the delivery again"
    )

    @property
    def words(self) -> str:
        """Return the sentence that follows an operator's message."""
        return self.value


@dataclass
class ConnectionInfo:
    """Facts about one connection, filled while it lasts."""

    address: str = ""
    server: str = ""
    banner: str = ""  # that the server shows at the login
    host_key: str = ""
    method: str = ""  # of login
    extensions: tuple[str, ...] = ()
    holds: Holds = Holds.OLD
    learned: Profile | None = None  # the server's capabilities, if they were probed
    seconds: dict[str, float] = field(default_factory=dict)
    begin: Callable[[str], None] = field(default=lambda _phase: None)  # called for each phase

    @contextlib.contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Add the block's duration to a phase's seconds."""
        self.begin(name)
        start = time.monotonic()
        try:
            yield
        finally:
            total = self.seconds.get(name, 0.0) + time.monotonic() - start
            self.seconds[name] = round(total, 4)
