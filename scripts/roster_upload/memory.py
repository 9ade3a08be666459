"""Memory that was freed in small pieces, given back to the system."""

from __future__ import annotations

import contextlib
import ctypes
import gc

MANY_ROWS = 100_000  # of fewer it is not worth the time


def give_back(rows: int) -> None:
    """Free what nothing refers to, and return its memory to the system (malloc_trim(3)).

    Arrays of millions of rows are gathered in small pieces. Their place would stay with the program
    and could not be had for the large ones that are made of them.
    """
    if rows < MANY_ROWS:
        return
    gc.collect()
    with contextlib.suppress(OSError, AttributeError, MemoryError):
        ctypes.CDLL(None).malloc_trim(0)
