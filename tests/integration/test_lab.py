"""The lab leaves nothing behind, however it ends, and does not change the machine."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest
from support import waiting
from support.machine import machine

pytestmark = pytest.mark.lab
SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"


def processes_of(folder: Path) -> list[str]:
    """Return the command lines of processes that name the folder."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if str(folder) in words:
            found.append(words)
    return found


def wait_for(path: Path, process: subprocess.Popen[bytes]) -> None:
    def has_started() -> bool:
        assert process.poll() is None or path.exists(), "the lab ended by itself"
        return path.exists()

    waiting.until(has_started, "the lab", every=0.1)


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -9)]
)
def test_a_lab_ends_whole_and_leaves_the_machine_alone(
    tmp_path: Path, number: signal.Signals, code: int
) -> None:
    shutil.copytree(SCRIPTS / "dev" / "lab", tmp_path / "scripts" / "dev" / "lab")
    lab = Path(shutil.copy(SCRIPTS / "lab", tmp_path / "scripts" / "lab"))
    environment = {key: value for key, value in os.environ.items() if key != "LAB"}
    before = machine()
    started = tmp_path / "started"
    work = f"podman ps --quiet > {started}.new; mv {started}.new {started}; sleep 300"
    process = subprocess.Popen([lab, "run", "--", "sh", "-c", work], env=environment)
    try:
        wait_for(started, process)
        assert len(started.read_text().split()) == 3
        assert machine() == before
    finally:
        process.send_signal(number)
    assert process.wait(60) == code
    if number is signal.SIGKILL:  # nobody could clean up, but nothing keeps running
        waiting.until(lambda: not processes_of(tmp_path), "the processes' end")
        subprocess.run([lab, "down"], env=environment, check=True)
    assert processes_of(tmp_path) == []
    assert not (tmp_path / ".lab").exists()
    assert machine() == before
