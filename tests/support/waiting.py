"""Waiting for the thing itself: no test measures time, and none sleeps for a guess."""

from __future__ import annotations

import time
from collections.abc import Callable

HANG_SECONDS = 120  # so slow is no machine


def until(is_so: Callable[[], object], what: str, *, every: float = 0.01) -> None:
    """Return as soon as it is so; raise AssertionError where it hangs."""
    end = time.monotonic() + HANG_SECONDS
    while not is_so():
        assert time.monotonic() < end, f"waiting for {what} has no end"
        time.sleep(every)
