"""Members of a zip in blocks, unpacked in a thread beside the reader."""

from __future__ import annotations

import contextlib
import lzma
import queue
import struct
import threading
import zipfile
import zlib
from collections.abc import Iterator
from typing import IO

from roster_upload.host.memory import start_thread

BLOCK_BYTES = 1 << 20  # unpacked at once
PIECE_BYTES = 1 << 18  # looked at at once, so that a batch stays in the processor's cache
BLOCKS_AHEAD = 4
LOOK_SECONDS = 0.5  # between two looks at whether a thread lives
UNPACKING_ERRORS = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    EOFError,
    RuntimeError,
    NotImplementedError,
    OSError,
    ValueError,  # a member's place or name that cannot be one
)
# How the CSV reader says that a text ends within a quoted field.
UNFINISHED = "unexpected end of data"


def blocks(stream: IO[bytes]) -> Iterator[bytes]:
    """Yield a stream's bytes, unpacked ahead by a thread, since that leaves the interpreter free.

    A short stream needs no thread. Raise what the reading raises, and MemoryError where the thread
    has too little.
    """
    first = stream.read(BLOCK_BYTES)
    if first:
        yield first
    if len(first) == BLOCK_BYTES:
        yield from _blocks_ahead(stream)


def _blocks_ahead(stream: IO[bytes]) -> Iterator[bytes]:
    waiting: queue.Queue[bytes | Exception] = queue.Queue(BLOCKS_AHEAD)
    is_over = threading.Event()

    def put(item: bytes | Exception) -> bool:
        while not is_over.is_set():
            with contextlib.suppress(queue.Full):
                waiting.put(item, timeout=0.1)
                return True
        return False

    def read() -> None:
        try:
            while put(block := stream.read(BLOCK_BYTES)) and block:
                pass
        except Exception as error:  # noqa: BLE001 - raised where it is waited for
            put(error)

    reader = threading.Thread(target=read, daemon=True)
    start_thread(reader)
    try:
        while block := _next(waiting, reader):
            if isinstance(block, Exception):
                raise block
            yield block
    finally:
        is_over.set()
        reader.join()


def _next(waiting: queue.Queue[bytes | Exception], reader: threading.Thread) -> bytes | Exception:
    """Return what comes next. Raise MemoryError where a thread has ended without a word."""
    while True:
        is_alive = reader.is_alive()
        with contextlib.suppress(queue.Empty):
            return waiting.get(timeout=LOOK_SECONDS if is_alive else 0)
        if not is_alive:
            raise MemoryError


def pieces(stream: IO[bytes]) -> Iterator[bytes]:
    """Yield a stream's bytes in pieces of a convenient size."""
    for block in blocks(stream):
        for start in range(0, len(block), PIECE_BYTES):
            yield block[start : start + PIECE_BYTES]
