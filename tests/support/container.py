"""Run servers in containers of the lab's images for the time of a test."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from support import waiting

IMAGES = Path(__file__).resolve().parents[2] / ".lab" / "images"


def image(release: str) -> Path:
    """Return the tree of the lab's image of a Debian release."""
    return (IMAGES / release).resolve()


def unchanged(tree: Path) -> list[str]:
    """Return a tree as podman run takes it. The container's changes end with it."""
    return ["--rootfs", f"{tree}:O"]


@contextmanager
def reserved_port() -> Iterator[int]:
    """Reserve a loopback port for a server that sets SO_REUSEADDR, for the time of the block."""
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(("127.0.0.1", 0))
        yield holder.getsockname()[1]


@contextmanager
def running(
    tree: Path,
    home: Path,
    *inside: str,
    is_ready: Callable[[str], bool],
    options: tuple[str, ...] = (),
) -> Iterator[None]:
    """Run a command in a container of a tree, with `home` as `/vendor`.

    Its output is in `home/log`. The block starts when `is_ready` accepts that output.
    """
    if "LAB" not in os.environ:
        pytest.fail("needs the lab's images; type: scripts/lab run -- pytest")
    command = [
        "podman", "run", "--rm", "--network=host", "--privileged", "--cgroups=disabled",
        f"--volume={home}:/vendor", *options, *unchanged(tree), *inside,
    ]  # fmt: skip
    path = home / "log"
    with path.open("w") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:

        def is_up() -> bool:
            assert process.poll() is None, path.read_text()
            return is_ready(path.read_text())

        waiting.until(is_up, "the server", every=0.05)
        yield
    finally:
        process.terminate()
        process.wait(waiting.HANG_SECONDS)
