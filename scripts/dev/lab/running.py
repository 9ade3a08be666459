"""Find the running lab of this checkout, and run commands in it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from lab import settings
from lab.process import LabError


def podman_environment() -> dict[str, str]:
    """Return the environment variables that podman and all commands in the lab need."""
    return {
        "CONTAINERS_CONF": str(settings.STATE / "containers.conf"),
        "CONTAINERS_STORAGE_CONF": str(settings.STATE / "storage.conf"),
        "LAB": "1",
    }


def within() -> bool:
    """Return whether this process runs inside the lab of this checkout."""
    return os.environ.get("CONTAINERS_CONF") == podman_environment()["CONTAINERS_CONF"]


def holder() -> int | None:
    """Return the outer process id of the lab's first process, or None if no lab runs."""
    try:
        pid = int((settings.STATE / "pid").read_text())
        command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except (OSError, ValueError):
        return None
    return pid if bytes(settings.SCRIPT) in command else None


def need_holder() -> int:
    """Return the outer process id of the lab's first process. Raise LabError if no lab runs."""
    if pid := holder():
        return pid
    raise LabError("no lab is running. Type: scripts/lab up")


def inside(command: Sequence[str]) -> list[str]:
    """Return the command line that runs a command in the lab, in the present directory.

    nsenter stays as its parent. It leaves Ctrl-C to the command, and ends the command if it ends.
    """
    if within():
        return list(command)
    variables = [f"{key}={value}" for key, value in podman_environment().items()]
    return [
        "env", "--ignore-signal=INT",
        "nsenter", f"--target={need_holder()}", "--mount", "--net", "--pid",
        # Not --wd: getcwd(3) would search for a folder of the outer mounts each time.
        "env", f"--chdir={Path.cwd()}", "--default-signal=INT", *variables,
        "setpriv", "--pdeathsig", "TERM", *command,
    ]  # fmt: skip
