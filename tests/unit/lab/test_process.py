"""Check waiting, locks and the end of processes."""

from __future__ import annotations

import fcntl
import subprocess
from pathlib import Path

import pytest
from lab import process, settings
from lab.process import LabError


def test_waiting_has_an_end() -> None:
    process.wait(lambda: True, 0, "nothing")
    with pytest.raises(LabError, match="a miracle: not within 0 s"):
        process.wait(lambda: False, 0.01, "a miracle")


def test_the_first_process_is_found_and_ended() -> None:
    outer = subprocess.Popen(["sh", "-c", "sleep 300; exit 7"], text=True)
    pid = process.first_process(outer)
    assert pid
    assert Path(f"/proc/{pid}/comm").read_text() in {"sleep\n", "sh\n"}
    process.end(pid)
    assert outer.wait(10) == 7
    assert process.first_process(outer) is None
    process.end(pid)  # no longer there: nothing to do


def test_one_command_at_a_time() -> None:
    path = settings.ROOT / ".lab.lock"
    with process.lock(), path.open() as other, pytest.raises(BlockingIOError):
        fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
    with path.open() as other:
        fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
