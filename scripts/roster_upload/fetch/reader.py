"""Read a remote file with many requests in flight, and check the answer to each one."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from roster_upload.transfer.messages import EOF, ProtocolError, SftpStatusError
from roster_upload.transfer.protocol import Sftp

CHUNK_BYTES = 32_768  # servers answer no more at once
REQUESTS = 64  # in flight: two megabytes, which bounds the memory as well


def read(
    sftp: Sftp,
    handle: bytes,
    size: int,
    write: Callable[[bytes], object],
    progress: Callable[[int], None] | None = None,
) -> int:
    """Read a file in its order. Return the number of bytes: `size + 1` for one that is longer.

    Answers may be shorter than requested. Raise SftpStatusError, ConnectionLost, or what `write`
    raises.
    """
    waiting: deque[tuple[int, int, int]] = deque()  # request, offset and length
    asked = done = 0
    while True:
        while len(waiting) < REQUESTS and asked <= size:
            length = min(CHUNK_BYTES, size + 1 - asked)
            waiting.append((sftp.post_read(handle, asked, length), asked, length))
            asked += length
        if not waiting:
            return done
        number, offset, length = waiting.popleft()
        try:
            data = sftp.take_data(number)
        except SftpStatusError as refused:
            if refused.code != EOF:
                raise
            return done
        if not 0 < len(data) <= length:
            raise ProtocolError(f"it sent {len(data):,} bytes of a file instead of {length:,}")
        write(data)
        done += len(data)
        if progress:
            progress(done)
        if len(data) < length:
            rest = offset + len(data), length - len(data)
            waiting.appendleft((sftp.post_read(handle, *rest), *rest))
