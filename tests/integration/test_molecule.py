"""Runs every Molecule scenario: real hosts, a real server, a night started by cron."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCENARIOS = sorted(path.parent.name for path in ROOT.glob("molecule/*/molecule.yml"))


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_scenario(scenario: str, capfd: pytest.CaptureFixture[str]) -> None:
    molecule = str(Path(sys.executable).with_name("molecule"))
    command = [molecule, "test", "--scenario-name", scenario]
    with capfd.disabled():  # minutes of work: show it as it goes
        print(flush=True)
        done = subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, check=False)
    assert done.returncode == 0
