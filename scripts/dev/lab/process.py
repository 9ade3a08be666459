"""Run programs, wait for them, and end groups of them by their namespaces."""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

from lab import settings

# If the first process of the group ends, the others and their mounts end, too. /proc shows only it.
NAMESPACES = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
TIED = ["setpriv", "--pdeathsig", "KILL"]  # ends with its parent, and so do its own processes


class LabError(Exception):
    """An error with a text that says what is wrong and what to do."""


def say(text: str) -> None:
    """Print progress on standard error, since standard output is for the command of `run`."""
    print(f"lab: {text}", file=sys.stderr, flush=True)


def run(*command: str | Path) -> str:
    """Run a command and return its output. Raise LabError if it fails."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        words = shlex.join(map(str, command))
        raise LabError(f"`{words}` failed:\n{done.stderr.strip() or done.stdout}")
    return done.stdout


def become(command: list[str]) -> NoReturn:
    """Replace this process by another program, which gets its signals and sets its exit code."""
    try:
        os.execvp(command[0], command)  # noqa: S606 - a list of words, no shell
    except OSError as error:
        raise LabError(f"{command[0]}: {error.strerror}") from None


def wait(condition: Callable[[], object], seconds: float, name: str) -> None:
    """Wait until a condition holds. Raise LabError with its name after so many seconds."""
    latest = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > latest:
            raise LabError(f"{name}: not within {seconds:.0f} s")
        time.sleep(0.05)


@contextlib.contextmanager
def lock(path: Path | None = None) -> Iterator[None]:
    """Let only one process at a time continue. The default lock is for this checkout's lab."""
    path = path or settings.ROOT / ".lab.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def first_process(unshare: subprocess.Popen[str]) -> int | None:
    """Return the outer id of the first process of new namespaces, or None if it has ended."""
    children = Path(f"/proc/{unshare.pid}/task/{unshare.pid}/children")
    while unshare.poll() is None:
        with contextlib.suppress(OSError):
            if pid := children.read_text().strip():
                return int(pid)
        time.sleep(0.01)
    return None


def end(pid: int) -> None:
    """End namespaces by their first process, and wait until all their processes have ended."""
    with contextlib.suppress(ProcessLookupError):
        handle = os.pidfd_open(pid)
        try:
            signal.pidfd_send_signal(handle, signal.SIGKILL)
            if not select.select([handle], [], [], settings.END_SECONDS)[0]:
                raise LabError(f"process {pid} does not end")
        finally:
            os.close(handle)
