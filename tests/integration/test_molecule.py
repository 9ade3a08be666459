"""Runs every Molecule scenario: real hosts, a real server, a night started by cron."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from integration.machine import clock, firewall, kernel_settings, users

pytestmark = pytest.mark.lab
ROOT = Path(__file__).resolve().parents[2]
SCENARIOS = sorted(path.parent.name for path in ROOT.glob("molecule/*/molecule.yml"))


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_scenario(scenario: str, capfd: pytest.CaptureFixture[str]) -> None:
    molecule = str(Path(sys.executable).with_name("molecule"))
    command = [molecule, "test", "--scenario-name", scenario]
    before, clock_before = (kernel_settings(), users(), firewall()), clock()
    report = ROOT / "build" / f"verify-{scenario}.txt"
    report.unlink(missing_ok=True)
    with capfd.disabled():  # minutes of work: show it as it goes
        print(flush=True)
        done = subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, check=False)
    # The end of the scenario's own tests tells which of them failed, and why.
    assert done.returncode == 0, report.read_text()[-8000:] if report.exists() else "before them"
    assert (kernel_settings(), users(), firewall()) == before
    assert abs(clock() - clock_before) < 5
