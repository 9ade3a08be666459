"""Wait for the thing itself. No test measures time or sleeps for a guessed time."""

from __future__ import annotations

import time
from collections.abc import Callable

HANG_SECONDS = 120  # no machine is this slow


def until(is_so: Callable[[], object], what: str, *, every: float = 0.01) -> None:
    """Return as soon as it is so. Raise AssertionError if it hangs."""
    end = time.monotonic() + HANG_SECONDS
    while not is_so():
        assert time.monotonic() < end, f"waiting for {what} has no end"
        time.sleep(every)
