"""Show the progress of a transfer: a bar on a terminal, or a file for the unit's caller."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from roster_upload.host.account import read_plain

LONGEST_PROGRESS = 64  # bytes
LOOK_SECONDS = 0.2  # between two looks at the progress


class Progress:
    """A bar of a transfer on a terminal."""

    def __init__(self, feed: str) -> None:
        from rich.console import Console  # noqa: PLC0415 - only a terminal needs it
        from rich.progress import (  # noqa: PLC0415
            BarColumn,
            DownloadColumn,
            Progress,
            TextColumn,
            TransferSpeedColumn,
        )

        self._bar = Progress(
            TextColumn(feed),
            BarColumn(),
            DownloadColumn(),
            TransferSpeedColumn(),
            console=Console(stderr=True),
            transient=True,
        )
        self._task: Any = None

    def __call__(self, done: int, size: int) -> None:
        """Show that `done` of `size` bytes are acknowledged."""
        if self._task is None:
            self._task = self._bar.add_task("", total=size)
            self._bar.start()
        self._bar.update(self._task, completed=done)
        if done >= size:
            self.close()

    def close(self) -> None:
        """Remove the bar."""
        if self._task is not None:
            self._bar.stop()
            self._task = None


class ProgressFile:
    """The progress of a transfer, in a file for the program that has started the unit."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._written = 0.0

    def __call__(self, done: int, size: int) -> None:
        """Write that `done` of `size` bytes are acknowledged."""
        now = time.monotonic()
        if now - self._written > LOOK_SECONDS or done >= size:
            self._written = now
            with contextlib.suppress(OSError):  # it must not harm the transfer
                self._path.write_text(f"{done} {size}")


def follow(feed: str, path: Path, is_over: Callable[[], object]) -> None:
    """Show the progress in a file as a bar, from now on until the transfer is over."""
    since = time.time()
    bar = Progress(feed)
    while is_over() is None:
        with contextlib.suppress(OSError, ValueError):
            done, size = map(int, read_plain(path, LONGEST_PROGRESS).split())
            # A complete file is only being verified.
            if done < size and path.lstat().st_mtime >= since:
                bar(done, size)
        time.sleep(LOOK_SECONDS)
    bar.close()
