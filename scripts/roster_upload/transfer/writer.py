"""Writes a remote file: many requests on their way, the answer to each one checked."""

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
LINE_SECONDS = 0.05  # after which a line that had too much to send is looked at again


@dataclass(frozen=True)
class Pace:
    """How much is sent before the server has answered."""

    chunk_bytes: int = 32_640  # the longest; with its request's header it fits into one SSH packet
    first_bytes: int = 4_096  # the shortest, so that a slow line shows progress from the start
    requests: int = 64  # OpenSSH's window for a session: 64 packets of 32 KiB
    seconds: float = 4  # in which the line has to drain what is on its way
    unsent_bytes: int = 131_072  # the system's queue, while nothing is known of the line


class Window:
    """Decides how much may be sent now: what the line, as measured, drains within seconds.

    A slow line would take minutes for a full window. A stop, a refusal or another feed's data
    would wait behind it.
    """

    def __init__(self, pace: Pace) -> None:
        self.pace = pace
        self.chunk = pace.first_bytes  # length of the next request's data
        self.is_quick = False  # whether the line drains more in time than may be on its way
        self._allowed = math.inf  # bytes on their way, while nothing is known of the line
        self._answers: deque[tuple[float, int]] = deque([(time.monotonic(), 0)])

    def sent(self, count: int) -> None:
        """Note how many bytes of the file were sent: requests grow until something is known."""
        if len(self._answers) == 1:
            self._measure_chunk(count)

    def acknowledged(self, count: int) -> None:
        """Note how many bytes of the file the server has acknowledged by now."""
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
        """Bytes a second that the server has acknowledged lately, 0 before the first answer."""
        (began, before), (now, count) = self._answers[0], self._answers[-1]
        return (count - before) / max(now - began, SHORTEST_MEASURE_SECONDS)

    def _measure_chunk(self, wanted: float) -> None:
        """A request holds what the line takes a second for, within limits."""
        self.chunk = max(self.pace.first_bytes, min(int(wanted), self.pace.chunk_bytes))

    def is_open(self, in_flight: int, chunk: int) -> bool:
        """Whether a request may be sent while so many bytes are without their answer."""
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

    `progress` is told the bytes that are acknowledged; `meanwhile` is done once, when as much is
    on its way as may be, and `then` when all is, so that neither waits for the writing. Raise
    SftpStatusError or ConnectionLost; the file is of no use then, closed or not.
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
            sftp.receive_ready()  # a server's window may be so small that ours is never full
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
