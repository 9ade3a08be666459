"""Show the steps of a command: a bar or a line on a terminal, and plain lines elsewhere."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from roster_upload.delivery.steps import LONGEST, LOOK_SECONDS, Step, Steps
from roster_upload.host.account import read_plain
from roster_upload.terminal.output import say

FIRST_SECONDS = 2.0  # before the first plain line, so that a quick command writes none
LINE_SECONDS = 30.0  # between two plain lines of a step
DUMB = ("dumb", "unknown")  # values of TERM, of terminals that only take lines
LONGEST_NAME = 24  # columns of a feed's name beside a bar


class Bar(Steps):
    """The step in the last line of a terminal: a bar of the bytes, or its words and its time."""

    def __init__(self, feed: str, zone: str = "", console: Any = None) -> None:
        super().__init__()
        self._feed, self._zone = feed, zone
        self._console = console
        self._shown: Any = None
        self._task: Any = None
        self._kind: bool | None = None

    def show(self, step: Step) -> None:
        """Show a step from now on. A thread shows the time that it takes."""
        is_bar = step.size > 0 and step.name in ("write", "fetch")
        if is_bar is not self._kind:
            self.close()
            self._kind, self._shown = is_bar, self._display(is_bar=is_bar)
            total = step.size or None
            self._task = self._shown.add_task("", total=total, feed=self._feed, step=step)
            self._shown.start()
        else:
            self._shown.update(self._task, completed=step.done, step=step, refresh=not is_bar)

    def _display(self, *, is_bar: bool) -> Any:
        from rich.console import Console  # noqa: PLC0415 - only a terminal needs it
        from rich.progress import (  # noqa: PLC0415
            BarColumn,
            DownloadColumn,
            Progress,
            ProgressColumn,
            SpinnerColumn,
            TextColumn,
            TransferSpeedColumn,
        )
        from rich.table import Column  # noqa: PLC0415
        from rich.text import Text  # noqa: PLC0415

        zone = self._zone

        class Words(ProgressColumn):
            """The words of a step with its time."""

            max_refresh = 0.5

            def render(self, task: Any) -> Text:
                step: Step = task.fields["step"]
                return Text(step.text(max(time.time() - step.since, 0), zone))

        fits = Column(max_width=LONGEST_NAME, no_wrap=True, overflow="ellipsis")
        name = TextColumn("{task.fields[feed]}", markup=False, table_column=fits)
        rest = Column(ratio=1)
        columns: list[Any] = [SpinnerColumn("line"), name, Words(table_column=rest)]
        if is_bar:
            columns = [name, BarColumn(bar_width=None), DownloadColumn(), TransferSpeedColumn()]
        return Progress(
            *columns,
            console=self._console or Console(stderr=True),
            transient=True,
            expand=True,
            redirect_stdout=False,  # it may be a pipe
        )

    def close(self) -> None:
        """Remove the line."""
        if self._shown:
            self._shown.stop()
        self._shown, self._kind = None, None


class Lines(Steps):
    """The steps as plain lines: one that takes some time, and again every half a minute."""

    def __init__(self, feed: str, zone: str = "", *, by_itself: bool = False) -> None:
        super().__init__()
        self._feed, self._zone = feed, zone
        self._next = time.monotonic() + FIRST_SECONDS
        self._over = threading.Event()
        self._thread: threading.Thread | None = None
        if by_itself:  # the command is busy meanwhile
            self._thread = threading.Thread(target=self._watch, daemon=True)
            self._thread.start()

    def show(self, step: Step) -> None:
        """Take a step as the present one."""
        if self.at is None or self.at.name != step.name:
            self._next = min(self._next, time.monotonic() + FIRST_SECONDS)
        self.at = step
        if not self._thread:
            self.look()

    def look(self) -> None:
        """Write a line about the present step if it is time for one."""
        if self.at and time.monotonic() >= self._next:
            self._next = time.monotonic() + LINE_SECONDS
            seconds = max(time.time() - self.at.since, 0)
            say(f"{self._feed}: {self.at.text(seconds, self._zone)}")

    def _watch(self) -> None:
        while not self._over.wait(LOOK_SECONDS):
            self.look()

    def close(self) -> None:
        """Write nothing more."""
        self._over.set()
        if self._thread:
            self._thread.join()


def _redraws() -> bool:
    """Return whether the error output is a terminal that can draw its last line anew."""
    return sys.stderr.isatty() and os.environ.get("TERM", "").lower() not in ("", *DUMB)


@contextlib.contextmanager
def shown(feed: str, zone: str = "", name: str = "") -> Iterator[Steps]:
    """Show the steps of a command that does its work itself, the step `name` first."""
    steps = Bar(feed, zone) if _redraws() else Lines(feed, zone, by_itself=True)
    with contextlib.closing(steps):
        if name:
            steps.begin(name)
        yield steps


def follow(
    feed: str, path: Path, is_over: Callable[[], object], zone: str = "", since: float | None = None
) -> None:
    """Show the step in a unit's file until the unit is done.

    A file that was written before `since`, by default before now, is of an earlier run.
    """
    began = time.time()
    since = began if since is None else since
    with contextlib.closing(Bar(feed, zone) if _redraws() else Lines(feed, zone)) as steps:
        last: Step | None = None
        while is_over() is None:
            found = _read(path, since) or last
            if not found and time.time() - began >= FIRST_SECONDS:
                found = Step("unit", began)
            if found and (found != last or isinstance(steps, Lines)):
                steps.show(found)
            last = found
            time.sleep(LOOK_SECONDS)


def _read(path: Path, since: float) -> Step | None:
    """Return the step in a file, unless it is older than a moment."""
    try:
        text = read_plain(path, LONGEST)
        return Step.parse(text) if path.lstat().st_mtime >= since else None
    except OSError:
        return None
