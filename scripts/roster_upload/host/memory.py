"""The program's memory limit, and the failures for a lack of memory or disk."""

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

MANY_ROWS = 100_000  # for fewer it is not worth the time
THREAD_BYTES = 32 << 20  # its stack and its first allocations
DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def give_back(rows: int) -> None:
    """Free unreferenced objects, and return their memory to the system (malloc_trim(3)).

    Arrays of millions of rows are collected in small pieces, and then joined. Without this call the
    joined arrays could not use the memory of the pieces.
    """
    if rows < MANY_ROWS:
        return
    gc.collect()
    with contextlib.suppress(OSError, AttributeError, MemoryError):
        ctypes.CDLL(None).malloc_trim(0)


def start_thread(thread: threading.Thread) -> None:
    """Start a thread. Raise MemoryError if there is too little memory for it.

    A thread with too little memory ends silently, and Python would wait for it forever.
    """
    try:
        mmap.mmap(-1, THREAD_BYTES, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS).close()
        thread.start()
    except (OSError, RuntimeError):
        raise MemoryError from None


def most_memory() -> int | None:
    """Return the program's memory limit in bytes, or None without one.

    The feed's unit sets it (LimitDATA), below the limit at which the kernel kills.
    """
    soft, _ = resource.getrlimit(resource.RLIMIT_DATA)
    return None if soft == resource.RLIM_INFINITY else soft


def most_unpacked() -> int:
    """Return the largest size of a package's unpacked files, in bytes."""
    limits, memory = spec("limits"), most_memory()
    most: int = limits["total_bytes"]
    return most if memory is None else min(most, limits["unpacked_to_memory"] * memory)


def exhausted(error: BaseException) -> Failure | None:
    """Return the failure for a lack of memory or disk, or None for any other error."""
    if isinstance(error, OSError) and error.errno in DISK_FULL:
        where = f" at {error.filename}" if error.filename else ""
        return Failure(
            Exit.LOCAL, f"no room on this host{where}: {error.strerror}. Free some, and try again"
        )
    is_memory = isinstance(error, OSError) and error.errno == errno.ENOMEM
    if not is_memory and not isinstance(error, MemoryError):
        return None
    memory = most_memory()
    if memory is None:
        return Failure(
            Exit.LOCAL, "this host lacks memory for the export. Stop other programs, or add memory"
        )
    return Failure(
        Exit.LOCAL,
        f"the export needs more than the {memory >> 20:,} MiB of memory that the program may have. "
        "Look at the export. If it is right, raise roster_upload_memory_mb and run site.yml",
    )
