"""The memory that the program may have, and what to tell where it or the disk is used up."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import gc
import mmap
import resource
import threading

from roster_upload.exits import Exit, Failure
from roster_upload.spec import spec

MANY_ROWS = 100_000  # of fewer it is not worth the time
THREAD_BYTES = 32 << 20  # its stack, and what it does first
DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


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


def start_thread(thread: threading.Thread) -> None:
    """Start a thread. Raise MemoryError where there is too little for one.

    One that has too little ends without a word, and Python would wait for it for ever.
    """
    try:
        mmap.mmap(-1, THREAD_BYTES, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS).close()
        thread.start()
    except (OSError, RuntimeError):
        raise MemoryError from None


def most_memory() -> int | None:
    """Return how many bytes the program may have, None where nothing limits it.

    The feed's unit sets that limit (LimitDATA), below the one at which the kernel kills.
    """
    soft, _ = resource.getrlimit(resource.RLIMIT_DATA)
    return None if soft == resource.RLIM_INFINITY else soft


def most_unpacked() -> int:
    """Return how many bytes the files of a package may have, unpacked."""
    limits, memory = spec("limits"), most_memory()
    most: int = limits["total_bytes"]
    return most if memory is None else min(most, limits["unpacked_to_memory"] * memory)


def exhausted(error: BaseException) -> Failure | None:
    """Return the failure where an error is want of memory or of disk, None for any other."""
    if isinstance(error, OSError) and error.errno in DISK_FULL:
        where = f" at {error.filename}" if error.filename else ""
        return Failure(
            Exit.LOCAL, f"no room on this host{where}: {error.strerror}; free some, then again"
        )
    is_memory = isinstance(error, OSError) and error.errno == errno.ENOMEM
    if not is_memory and not isinstance(error, MemoryError):
        return None
    memory = most_memory()
    if memory is None:
        return Failure(Exit.LOCAL, "this host has not enough memory for the export")
    return Failure(
        Exit.LOCAL,
        f"the export needs more than the {memory >> 20:,} MiB of memory that the program may have; "
        "look at what is in it. If it is right, raise roster_upload_memory_mb and run site.yml",
    )
