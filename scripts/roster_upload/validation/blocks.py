"""Read members of a zip in blocks, unpacked by a thread beside the reader."""

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

BLOCK_BYTES = 1 << 20  # unpacked in one step
PIECE_BYTES = 1 << 18  # parsed in one step, so that a batch stays in the processor's cache
BLOCKS_AHEAD = 4
LOOK_SECONDS = 0.5  # between two checks that a thread is alive
UNPACKING_ERRORS = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    EOFError,
    RuntimeError,
    NotImplementedError,
    OSError,
    ValueError,  # an impossible offset or name of a member
)
# The CSV reader's message for a text that ends within a quoted field.
UNFINISHED = "unexpected end of data"


def blocks(stream: IO[bytes]) -> Iterator[bytes]:
    """Yield a stream's bytes, unpacked ahead by a thread, since zlib runs beside the interpreter.

    A short stream needs no thread. Raise the reader's errors, and MemoryError if the thread runs
    out of memory.
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
        except Exception as error:  # noqa: BLE001 - raised again by `_blocks_ahead`
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
    """Return the next block or error. Raise MemoryError if the thread ended without either."""
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
