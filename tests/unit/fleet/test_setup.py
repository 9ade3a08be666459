"""scripts/setup makes the environment of the checkout, also through the link of a folder."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(params=["control", "dev"])
def checkout(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Make a checkout whose environment is complete, so that there is nothing to install."""
    checkout = tmp_path / "checkout"
    for name in ("scripts", "requirements", ".venv"):
        (checkout / name).mkdir(parents=True)
    shutil.copy(ROOT / "scripts" / "setup", checkout / "scripts")
    for name in ("control", "dev"):
        (checkout / "requirements" / f"{name}.txt").write_text(f"# {name}\n")
    version = subprocess.run([sys.executable, "--version"], capture_output=True, check=True)
    content = version.stdout + f"# control\n# {request.param}".encode()
    if request.param == "dev":
        (checkout / ".venv" / "dev").touch()
    (checkout / ".venv" / "stamp").write_text(hashlib.sha256(content).hexdigest())
    return checkout


@pytest.mark.parametrize("script", ["scripts/setup", "roster-delivery/scripts/setup"])
def test_the_checkout_is_found_through_a_link(tmp_path: Path, checkout: Path, script: str) -> None:
    folder = tmp_path / "my rosters"
    folder.mkdir()
    (folder / "roster-delivery").symlink_to(checkout)
    (folder / "scripts").symlink_to("roster-delivery/scripts")
    environment = {"PATH": os.environ["PATH"], "PYTHON": sys.executable}
    done = subprocess.run(
        ["/bin/sh", script],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert not (folder / ".venv").exists()
