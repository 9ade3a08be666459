"""Servers in containers of the lab's images, for the time of a test."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

IMAGES = Path(__file__).resolve().parents[2] / ".lab" / "images"


def image(release: str) -> list[str]:
    """A Debian release as podman run takes it: the lab's own image, which stays as it is."""
    return ["--rootfs", f"{(IMAGES / release).resolve()}:O"]


def free_port() -> int:
    """A loopback port that nobody listens at."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
        return port


@contextmanager
def running(
    release: str,
    home: Path,
    *inside: str,
    is_ready: Callable[[str], bool],
    options: tuple[str, ...] = (),
    seconds: float = 30,
) -> Iterator[None]:
    """Runs a command in a container of a Debian release, which has `home` as `/vendor`.

    Its output is in `home/log`. The block begins when `is_ready` says so of that output, `seconds`
    later at most.
    """
    if "LAB" not in os.environ:
        pytest.fail("needs the lab's images; type: scripts/lab run -- pytest")
    command = [
        "podman", "run", "--rm", "--network=host", "--privileged", "--cgroups=disabled",
        f"--volume={home}:/vendor", *options, *image(release), *inside,
    ]  # fmt: skip
    path = home / "log"
    with path.open("w") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        end = time.monotonic() + seconds
        while not is_ready(path.read_text()):
            assert process.poll() is None, path.read_text()
            assert time.monotonic() < end, path.read_text()
            time.sleep(0.05)
        yield
    finally:
        process.terminate()
        process.wait(30)
