"""Handle signals that ask the program to end.

In a block of `listening` a signal is only noted. In a block of `heard` it raises Stopped at once,
wherever the main thread is. So each step ends by its own clean-up. A block of `deferred` inside is
not interrupted. Stopped is raised at its end.
"""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Iterator
from types import FrameType

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class Stopped(BaseException):
    """A signal asks the program to end.

    It is no Exception, since paramiko and other libraries treat those as a broken connection.
    """

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name  # of the signal


class _Signals:
    """The pending signal, and whether the main thread may be interrupted."""

    def __init__(self) -> None:
        self.deferrals = 0
        self.pending = ""  # name of a signal that is not raised yet
        self.since = 0.0  # when it came, on the monotonic clock

    def take(self, number: int, _frame: FrameType | None) -> None:
        """Handle a signal."""
        name = signal.Signals(number).name
        if self.deferrals <= 0:
            raise Stopped(name)
        if not self.pending:
            self.pending, self.since = name, time.monotonic()

    def raise_pending(self) -> None:
        """Raise Stopped for a deferred signal, unless an outer block still defers it."""
        if self.pending and self.deferrals <= 0:
            name, self.pending = self.pending, ""
            raise Stopped(name)


_signals = _Signals()


@contextlib.contextmanager
def listening(*, is_last: bool = False) -> Iterator[None]:
    """Note signals in the block. They are raised within `heard` only, and lost at its end.

    After the program's last block they are ignored, so that its exit code stays true.
    """
    former = {number: signal.signal(number, _signals.take) for number in SIGNALS}
    _signals.deferrals += 1
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, signal.SIG_IGN if is_last else handler)
        _signals.deferrals -= 1
        _signals.pending = ""


@contextlib.contextmanager
def heard() -> Iterator[None]:
    """Raise Stopped as soon as a signal comes in the block, or has come before it."""
    _signals.deferrals -= 1
    try:
        _signals.raise_pending()
        yield
    finally:
        _signals.deferrals += 1


class deferred:  # noqa: N801 - used like the functions above. A generator costs more
    """Raise Stopped at the end of the block, instead of anything that the block raises."""

    def __enter__(self) -> None:
        _signals.deferrals += 1

    def __exit__(self, *_: object) -> None:
        _signals.deferrals -= 1
        if _signals.pending:
            _signals.raise_pending()


def deferred_for() -> float:
    """Return how long a signal has been waiting for the end of a deferred block, in seconds."""
    return time.monotonic() - _signals.since if _signals.pending else 0.0
