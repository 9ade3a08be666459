"""What is learned of a connection and of the vendor's file on the way, wherever it ends."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum

from roster_upload.transfer.profile import Profile


class Holds(Enum):
    """What the vendor has under the final name, as far as is known, in words for an operator."""

    OLD = "the vendor still has what it had before"
    NEW = "the new file has taken the old one's place; start it again to be sure"
    UNKNOWN = "whether the new file has taken its place is not known; start it again"
    NOTHING = (
        "the old file was moved aside, so the vendor may find no file until the next try puts it "
        "back: start it again"
    )
    PART = (
        "this server only takes a file in place, so the vendor may hold a part of it, or none, "
        "until the next run: start it again"
    )

    @property
    def words(self) -> str:
        """The sentence behind an operator's message."""
        return self.value


@dataclass
class ConnectionInfo:
    """What was learned on the way, whether or not it led to the end."""

    address: str = ""
    server: str = ""
    host_key: str = ""
    method: str = ""  # of login
    extensions: tuple[str, ...] = ()
    holds: Holds = Holds.OLD
    learned: Profile | None = None  # the server's ways, where they were tried
    seconds: dict[str, float] = field(default_factory=dict)

    @contextlib.contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Add what the block takes to a phase's seconds."""
        start = time.monotonic()
        try:
            yield
        finally:
            total = self.seconds.get(name, 0.0) + time.monotonic() - start
            self.seconds[name] = round(total, 4)
