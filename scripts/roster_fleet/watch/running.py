"""Run status.yml for the watch, once a night, and report a run that failed."""

from __future__ import annotations

import datetime as dt
import fcntl
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from roster_fleet.outputs import Outputs
from roster_fleet.watch import state as memory

LOCK = "watch.lock"
# A red district is no failure of the watch, whatever the inventory says for CI.
NOTIFY = '{"roster_status_notify": true, "roster_status_fail": false}'
BUSY = "another watch of {name} is running. Nothing is to do"
DONE = "the watch of {name} has run since {at} UTC. Nothing is to do"
NO_PAGE = "status.yml asked no host. Does {inventory} have hosts in district_hosts?"
ENDED = "status.yml ended with code {code}"
HUNG = "status.yml did not end within {minutes} minutes, so the watch stopped it"
UNTOLD = "nobody could be notified of this"
STATUS, FAILURE = "status", "shared/watch_failure"  # the playbooks
# A run that hangs must not keep the next day from its own. What makes it hang, such as a script
# for the inventory, may do the same to the second playbook.
MINUTES = {STATUS: 120, FAILURE: 20}
STOPPED = 124  # the exit code of a playbook that was stopped, as that of timeout(1)
GRACE = 10  # seconds from the first signal to the last

Play = Callable[[str], int]  # of a playbook: its exit code


def is_due(ran: str, at: str, now: dt.datetime) -> bool:
    """Return whether no run has worked since the last time of day `at` in UTC. "" is always."""
    if not at or not ran:
        return True
    hour, minute = map(int, at.split(":"))
    last = now.replace(hour=hour, minute=minute, second=0, microsecond=0)
    last -= dt.timedelta(days=last > now)
    # A run of the future was recorded while the clock was wrong.
    return not last <= dt.datetime.fromisoformat(ran) <= now


def run(own: Outputs, inventory: str, at: str, play: Play) -> int:
    """Run the watch if it is due. Return the exit code: 0 if it worked, or if nothing is to do."""
    own.folder.mkdir(parents=True, exist_ok=True)
    with _lock(own.folder / LOCK) as is_free:
        if not is_free:
            return _says(BUSY.format(name=own.name))
        if not is_due(memory.load(own.folder).ran, at, dt.datetime.now(dt.UTC)):
            return _says(DONE.format(name=own.name, at=at))
        return _watch(own, inventory, play)


def _watch(own: Outputs, inventory: str, play: Play) -> int:
    """Run status.yml. Notify of its failure. Return the exit code."""
    before, today = memory.load(own.folder), dt.datetime.now(dt.UTC).date().isoformat()
    memory.save(own.folder, replace(before, troubles=()))
    code = play(STATUS)
    after = memory.load(own.folder)
    if code == 0 and after.ran != before.ran:
        return 0
    troubles = (*after.troubles, _trouble(code, inventory))
    memory.save(own.folder, replace(after, troubles=troubles))
    for text in troubles:
        _says(text, sys.stderr)
    play(FAILURE)
    if memory.load(own.folder).failed < today:  # without hosts, the playbook ends well
        _says(UNTOLD, sys.stderr)
    return code or 1


def _trouble(code: int, inventory: str) -> str:
    """Return how a run failed that ended with this code."""
    if code == STOPPED:
        return HUNG.format(minutes=MINUTES[STATUS])
    return ENDED.format(code=code) if code else NO_PAGE.format(inventory=inventory)


def _says(text: str, where: object = None) -> int:
    print(f"watch: {text}", file=where or sys.stdout, flush=True)  # type: ignore[arg-type]
    return 0


@contextmanager
def _lock(path: Path) -> Iterator[bool]:
    """Yield whether this process has the lock. It ends with the process."""
    with path.open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True


def player(folder: Path, checkout: Path, inventory: str) -> Play:
    """Return what runs a playbook in the operator's folder. It asks nobody for anything."""
    programs = checkout / ".venv" / "bin"
    environment = {**os.environ, "PATH": f"{programs}:{os.environ.get('PATH', os.defpath)}"}
    if (folder / "ansible.cfg").is_file():
        environment["ANSIBLE_CONFIG"] = str(folder / "ansible.cfg")

    def play(playbook: str) -> int:
        words: Sequence[str | Path] = (
            programs / "ansible-playbook",
            folder / "playbooks" / f"{playbook}.yml",
            *("-i", inventory, "-e", NOTIFY),
        )
        return bounded(words, folder, environment, 60 * MINUTES[playbook])

    return play


def bounded(
    words: Sequence[str | Path], folder: Path, environment: Mapping[str, str], seconds: float
) -> int:
    """Run a command for `seconds` at most. Return its exit code, or STOPPED.

    It has a session of its own. So no program of it finds a terminal to ask at.
    """
    with subprocess.Popen(
        words, cwd=folder, env=environment, stdin=subprocess.DEVNULL, start_new_session=True
    ) as process:
        try:
            return process.wait(seconds)
        except subprocess.TimeoutExpired:
            return STOPPED
        finally:
            _stop(process)


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Stop a command and its children, if it has not ended."""
    if process.poll() is not None:
        return
    os.killpg(process.pid, signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        process.wait(GRACE)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
