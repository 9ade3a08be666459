"""Servers and secrets, for each test."""

from __future__ import annotations

import math
import socket
import threading
import types
from collections.abc import Iterator
from pathlib import Path

import pytest
from roster_upload.notify.channels import channel
from support.alert_servers import SECRET, Post, Waits, Web, running


@pytest.fixture
def secrets(tmp_path: Path) -> Path:
    """Return the folder of credentials, as systemd makes it."""
    folder = tmp_path / "credentials"
    folder.mkdir()
    (folder / "maple-grove_heartbeat").write_text(SECRET)
    return folder


@pytest.fixture
def web() -> Iterator[Web]:
    made = Web()
    with running(made.server):
        yield made


@pytest.fixture
def post() -> Iterator[Post]:
    made = Post()
    with running(made.server):
        yield made


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A server that accepts connections and never sends anything."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture
def closed_port() -> Iterator[int]:
    """Return a port where nothing listens, nor will meanwhile."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> Waits:
    found = Waits()

    class Channel(threading.Thread):
        def start(self) -> None:
            found.threads.append(self)
            super().start()

        def join(self, timeout: float | None = None) -> None:
            found.let_pass(math.inf if timeout is None else timeout)

    clock = types.SimpleNamespace(monotonic=lambda: sum(found.seconds))
    monkeypatch.setattr(channel, "time", clock)
    monkeypatch.setattr(channel, "threading", types.SimpleNamespace(Thread=Channel))
    return found
