"""Writes a remote file with many requests in flight, and checks the answer to each one."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO

from roster_upload.transfer.protocol import Sftp

SHORTEST_MEASURE_SECONDS = 0.25
NOTE_SECONDS = 0.02
LINE_SECONDS = 0.05  # between two checks of a line whose queue is full


@dataclass(frozen=True)
class Pace:
    """Limits of the data in flight."""

    chunk_bytes: int = 32_640  # the largest that fits into one SSH packet with its header
    first_bytes: int = 4_096  # the smallest, so that a slow line shows progress from the start
    requests: int = 64  # OpenSSH's window for a session: 64 packets of 32 KiB
    seconds: float = 4  # the line must be able to send all data in flight within this time
    unsent_bytes: int = 131_072  # in the system's queue, until the line is measured


class Window:
    """Limits the data in flight to the amount that the line sends within `Pace.seconds`.

    A slow line would take minutes for a full window. A stop, a refusal or another feed's data
    would have to wait for it.
    """

    def __init__(self, pace: Pace) -> None:
        self.pace = pace
        self.chunk = pace.first_bytes  # length of the next request's data
        self.is_quick = False  # whether the line sends a full window in time
        self._allowed = math.inf  # bytes in flight, unlimited until the line is measured
        self._answers: deque[tuple[float, int]] = deque([(time.monotonic(), 0)])

    def sent(self, count: int) -> None:
        """Note how many bytes of the file were sent. Chunks grow until the line is measured."""
        if len(self._answers) == 1:
            self._measure_chunk(count)

    def acknowledged(self, count: int) -> None:
        """Note how many bytes of the file the server has acknowledged so far."""
        now = time.monotonic()
        last, former = self._answers[-1]
        if len(self._answers) > 1 and now - last < NOTE_SECONDS and count < 2 * former:
            return
        self._answers.append((now, count))
        while len(self._answers) > 2 and now - self._answers[1][0] > self.pace.seconds:
            self._answers.popleft()
        self._measure_chunk(self.rate)
        self._allowed = max(self.rate * self.pace.seconds, 2 * self.chunk)
        self.is_quick = self._allowed >= self.pace.requests * self.pace.chunk_bytes

    @property
    def rate(self) -> float:
        """Return the acknowledged bytes a second, 0 before the first answer."""
        (began, before), (now, count) = self._answers[0], self._answers[-1]
        return (count - before) / max(now - began, SHORTEST_MEASURE_SECONDS)

    def _measure_chunk(self, wanted: float) -> None:
        """Set the chunk to the bytes that the line sends in a second, within limits."""
        self.chunk = max(self.pace.first_bytes, min(int(wanted), self.pace.chunk_bytes))

    def is_open(self, in_flight: int, chunk: int) -> bool:
        """Return whether a chunk may be sent while so many bytes are unanswered."""
        return not in_flight or in_flight + chunk <= self._allowed


def write(
    sftp: Sftp,
    handle: bytes,
    data: BinaryIO,
    progress: Callable[[int], None] | None = None,
    *,
    meanwhile: Callable[[], None] | None = None,
    then: Callable[[], None] | None = None,
    pace: Pace | None = None,
) -> None:
    """Write all data to an open remote file, and wait for the answers.

    `progress` is called with the number of acknowledged bytes. `meanwhile` is called once, as soon
    as the window is full. `then` is called when all data is sent, before it is acknowledged. Raise
    SftpStatusError or ConnectionLost. The file is useless then, closed or not.
    """
    pace = pace or Pace()
    window = Window(pace)
    sftp.begin_file()
    offset = known = 0
    beside = [meanwhile] if meanwhile else []

    def note() -> None:
        nonlocal known
        if sftp.acknowledged > known:
            known = sftp.acknowledged
            window.acknowledged(known)
            if progress:
                progress(known)

    def await_answer() -> None:
        sftp.await_write()
        note()

    chunk = data.read(window.chunk)
    while chunk and not sftp.refused_write:
        is_line_full = (
            not window.is_quick and bool(sftp.writes) and sftp.watchdog.unsent() > pace.unsent_bytes
        )
        is_full = len(sftp.writes) >= pace.requests
        if not (is_full or is_line_full) and window.is_open(offset - sftp.acknowledged, len(chunk)):
            sftp.post_write(handle, offset, chunk)
            offset += len(chunk)
            window.sent(offset)
            chunk = data.read(window.chunk)
            sftp.receive_ready()  # a server with a small window never lets ours become full
            note()
        elif beside:
            beside.pop()()
        elif not is_line_full or is_full or sftp.has_answer(LINE_SECONDS):
            await_answer()
    if then and not sftp.refused_write:
        then()
    if beside:
        beside.pop()()
    while sftp.writes:
        await_answer()
    if sftp.refused_write:
        raise sftp.refused_write
