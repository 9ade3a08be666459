"""Read an account's files in a process with limits, and with only this account's rights.

An attacker with this account can make its files huge or endless. Then only this process ends
without an answer, and root's own continues.
"""

from __future__ import annotations

import os
import resource
import select
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from roster_upload.exits import Exit, Failure
from roster_upload.host.account import become_owner

MOST_MEMORY = 512 << 20  # bytes
LONGEST_ANSWER = 400_000  # bytes
BLOCK = 1 << 16


def answer_as_owner(
    folder: Path,
    work: Callable[[], bytes],
    seconds: float,
    memory: int = MOST_MEMORY,
    longest: int = LONGEST_ANSWER,
) -> bytes:
    """Return the result of `work`, run in a child process as the owner of a folder.

    Raise Failure if the child takes too long, answers too much, or ends without an answer.
    """
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        os.close(reader)
        _work(writer, folder, work, memory)
    os.close(writer)
    try:
        answer = _read(reader, time.monotonic() + seconds, longest)
    finally:
        os.close(reader)
        os.kill(child, signal.SIGKILL)  # it may hang. If it has ended, this does nothing.
        os.waitpid(child, 0)
    if not answer:
        raise Failure(Exit.LOCAL, f"the files in {folder} could not be read within their limits")
    return answer


def _work(writer: int, folder: Path, work: Callable[[], bytes], memory: int) -> NoReturn:
    """Write the result of `work` and end, without any clean-up of the parent's."""
    try:
        become_owner(folder)
        resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))
        answer = memoryview(work())
        while answer:
            answer = answer[os.write(writer, answer) :]
    finally:
        os._exit(0)


def _read(reader: int, end: float, longest: int) -> bytes:
    """Return everything that the writer sends until it closes. Raise Failure."""
    found = bytearray()
    while len(found) <= longest:
        if not select.select([reader], [], [], max(end - time.monotonic(), 0))[0]:
            raise Failure(Exit.LOCAL, "the answer took too long")
        block = os.read(reader, BLOCK)
        if not block:
            return bytes(found)
        found += block
    raise Failure(Exit.LOCAL, f"the answer has more than {longest:,} bytes")
