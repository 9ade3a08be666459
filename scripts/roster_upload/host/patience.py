"""Bound calls of the system that may wait for ever, such as those about a mounted file."""

from __future__ import annotations

import errno
import queue
import threading
from collections.abc import Callable
from typing import TypeVar

Result = TypeVar("Result")
# Errors of a mount whose file server does not answer, or is gone.
OF_MOUNTS = frozenset({
    errno.EIO, errno.ENODEV, errno.ENOTCONN, errno.ESTALE, errno.EHOSTDOWN, errno.EHOSTUNREACH,
    errno.ENETUNREACH, errno.ETIMEDOUT, errno.ECONNREFUSED, errno.ECONNRESET, errno.ECONNABORTED,
    errno.EREMOTEIO,
})  # fmt: skip
MOUNT_SECONDS = 60.0  # for one answer of a file server


def answered(work: Callable[[], Result], seconds: float = MOUNT_SECONDS) -> Result:
    """Return the result of `work`, or raise its error. Raise TimeoutError after some seconds.

    A thread does the work, since nothing else can leave a call that waits for a file server.
    """
    answers: queue.SimpleQueue[tuple[Result | None, Exception | None]] = queue.SimpleQueue()

    def run() -> None:
        try:
            answers.put((work(), None))
        except Exception as error:  # noqa: BLE001 - the caller gets it
            answers.put((None, error))

    threading.Thread(target=run, daemon=True).start()
    try:
        result, error = answers.get(timeout=seconds)
    except queue.Empty:
        raise TimeoutError(errno.ETIMEDOUT, f"no answer within {seconds:g} s") from None
    if error:
        raise error
    return result  # type: ignore[return-value]  # without an error it is the result
