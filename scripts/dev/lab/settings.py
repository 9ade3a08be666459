"""Name the lab's containers, its paths and its time limits."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
SCRIPT = ROOT / "scripts" / "lab"
STATE = ROOT / ".lab"
# The disks of provisioned hosts. A scenario in a copy of the checkout gets the place of the others.
PROVISIONED = Path(os.environ.get("LAB_PROVISIONED") or ROOT / "build" / "provisioned")
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "roster-delivery-lab"
# Each checkout has one lab. Whatever lies outside of .lab has this name.
NAME = "lab-" + hashlib.sha256(bytes(ROOT)).hexdigest()[:8]

START_SECONDS = 300  # for the start of all containers
END_SECONDS = 60  # for the end of the last process

# Container: its Debian release, and the further names that the other containers know it by.
CONTAINERS: dict[str, tuple[str, list[str]]] = {
    "lab-trixie": ("trixie", []),
    "lab-bookworm": ("bookworm", []),
    "lab-sftp": ("trixie", ["sftp.lab.test"]),
}

RELEASES = sorted({release for release, _ in CONTAINERS.values()})


def release_of(name: str) -> str:
    """Return the Debian release of a container. Further hosts have the newest one."""
    return CONTAINERS.get(name, (RELEASES[-1], []))[0]
