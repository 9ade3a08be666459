"""Check the relay between ssh and a container."""

from __future__ import annotations

import os
import socket
import threading

import pytest
from lab import relay
from lab.process import LabError


def test_the_relay_carries_both_ways_at_once_and_passes_on_ends() -> None:
    ours, theirs = socket.socketpair()
    source, feed = os.pipe()
    outlet, sink = os.pipe()
    sent, answer = os.urandom(3_000_000), os.urandom(3_000_000)
    got: dict[str, bytes] = {}

    def server() -> None:  # answers before it reads, which would block a relay of one thread
        theirs.sendall(answer)
        with theirs.makefile("rb") as stream:
            got["server"] = stream.read()  # ends when the relay closes its input
        theirs.close()

    def writer() -> None:
        with open(feed, "wb") as stream:  # noqa: PTH123 - a descriptor
            stream.write(sent)

    def reader() -> None:
        with open(outlet, "rb") as stream:  # noqa: PTH123 - a descriptor
            got["client"] = stream.read()

    threads = [threading.Thread(target=work) for work in (server, writer, reader)]
    for thread in threads:
        thread.start()
    relay.relay(ours, source, sink)
    os.close(sink)
    for thread in threads:
        thread.join(10)
    assert got == {"server": sent, "client": answer}
    ours.close()
    os.close(source)


def test_a_closed_port_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay, "within", lambda: True)
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        with pytest.raises(LabError, match=f"127.0.0.1 port {port}: .*refused"):
            relay.connect("127.0.0.1", port)
