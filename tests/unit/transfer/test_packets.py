"""A server that sends too much, announces data that it does not send, or does not speak SSH."""

from __future__ import annotations

import contextlib
import random
import socket
import struct
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from typing import Any

import paramiko
import pytest
from paramiko.common import MSG_EXT_INFO, MSG_KEXINIT, MSG_USERAUTH_INFO_REQUEST
from roster_upload import config
from roster_upload.exits import Exit, Failure
from roster_upload.transfer import packets, ssh
from roster_upload.transfer.info import ConnectionInfo
from roster_upload.transfer.watchdog import Times, Watchdog
from support import waiting
from unit.test_config import GOOD

VERSION = b"SSH-2.0-Vendor_1\r\n"
TITLE = b"\x1b]0;All districts delivered\x07\xc2\x9b31m"
SHORT = Times(connect=waiting.HANG_SECONDS)
KEY = paramiko.ECDSAKey.generate()

Serve = Callable[[socket.socket], None]


@contextlib.contextmanager
def serving(serve: Serve) -> Iterator[config.Feed]:
    """Serve one connection on a free loopback port. Yield a feed that goes there."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def take() -> None:
            connection, _ = server.accept()
            with connection, contextlib.suppress(OSError):
                serve(connection)
                while connection.recv(4096):
                    pass

        thread = threading.Thread(target=take, daemon=True)
        thread.start()
        yield config.parse(
            {
                **GOOD,
                "remote_host": "127.0.0.1",
                "remote_port": server.getsockname()[1],
                "host_keys": [f"{KEY.get_name()} {KEY.get_base64()}"],
            }
        )
        thread.join(waiting.HANG_SECONDS)
        assert not thread.is_alive()


def handshake(serve: Serve, times: Times = SHORT) -> Failure:
    """Return the failure of a handshake with a server, which is no matter of time."""
    with (
        serving(serve) as feed,
        pytest.raises(Failure) as failed,
        ssh._agreed(feed, ConnectionInfo(), Watchdog(times=times)),
    ):
        pass
    assert failed.value.message.isprintable()
    assert "did not finish" not in failed.value.message
    return failed.value


def packet(kind: int, body: bytes) -> bytes:
    """Return an SSH packet before any key."""
    payload = bytes([kind]) + body
    padding = 8 - (len(payload) + 5) % 8 + (8 if (len(payload) + 5) % 8 > 4 else 0)
    return struct.pack(">IB", len(payload) + padding + 1, padding) + payload + bytes(padding)


def lists(*texts: bytes) -> bytes:
    """Return texts as SSH sends them."""
    return b"".join(struct.pack(">I", len(text)) + text for text in texts)


def offer(*names: bytes) -> bytes:
    """Return a KEXINIT packet with these lists, and others that fit."""
    usual = [b"curve25519-sha256", KEY.get_name().encode(), b"aes128-ctr", b"aes128-ctr"]
    usual += [b"hmac-sha2-256", b"hmac-sha2-256", b"none", b"none", b"", b""]
    offered = [*names, *usual[len(names) :]]
    return packet(MSG_KEXINIT, bytes(16) + lists(*offered) + bytes(5))


# ---- bounds -------------------------------------------------------------------------------------


@pytest.mark.parametrize("length", [0xFFFF_FFFC, 0x2A10_000C, 256 * 1024 + 12])
def test_a_packet_that_is_too_long_is_not_waited_for(length: int) -> None:
    tracemalloc.start()
    talk = VERSION + struct.pack(">I", length) * 4
    failure = handshake(lambda server: server.sendall(talk), Times(connect=10))
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert failure.code is Exit.NETWORK
    assert "a packet's length is wrong" in failure.message
    assert most < 20_000_000


def test_a_packet_may_be_as_long_as_this() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        reader = packets.BoundedPacketizer(ours)
        theirs.sendall(bytes(5))
        assert reader.read_all(5) == bytes(5)
        threading.Thread(
            target=theirs.sendall, args=(bytes(packets.LONGEST_PACKET_BYTES),), daemon=True
        ).start()
        assert len(reader.read_all(packets.LONGEST_PACKET_BYTES)) == packets.LONGEST_PACKET_BYTES
        for count in (-1, packets.LONGEST_PACKET_BYTES + 1):
            with pytest.raises(paramiko.SSHException):
                reader.read_all(count)


@pytest.mark.parametrize("piece", [b"x" * 1000, b"welcome\r\n"])
def test_lines_before_the_version_have_an_end(piece: bytes) -> None:
    def talk(server: socket.socket) -> None:
        while True:
            server.sendall(piece)

    assert handshake(talk).code is Exit.NETWORK


def received(kind: int, body: bytes) -> Any:
    """Return a packetizer's result for a packet."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(packet(kind, body))
        return packets.BoundedPacketizer(ours).read_message()


def prompts(count: int, *texts: bytes) -> bytes:
    """Return a request for answers that announces so many prompts."""
    shown = b"".join(lists(text) + b"\0" for text in texts)
    return lists(b"", b"", b"") + struct.pack(">I", count) + shown


@pytest.mark.parametrize(
    ("kind", "body", "is_taken"),
    [
        (MSG_USERAUTH_INFO_REQUEST, prompts(1, b"Password: "), True),
        (MSG_USERAUTH_INFO_REQUEST, prompts(2, b"", b""), True),
        (MSG_USERAUTH_INFO_REQUEST, prompts(0), True),
        (MSG_USERAUTH_INFO_REQUEST, prompts(0xFFFF_FFFF, b"Password: "), False),
        (MSG_USERAUTH_INFO_REQUEST, prompts(3, b"", b""), False),
        (MSG_USERAUTH_INFO_REQUEST, b"", True),
        (MSG_EXT_INFO, struct.pack(">I", 1) + lists(b"server-sig-algs", b"rsa-sha2-256"), True),
        (MSG_EXT_INFO, struct.pack(">I", 0xFFFF_FFFF), False),
        (MSG_EXT_INFO, struct.pack(">I", 2) + lists(b"a", b""), False),
    ],
)
def test_a_packet_holds_as_many_items_as_it_announces(
    kind: int, body: bytes, is_taken: bool
) -> None:
    if not is_taken:
        with pytest.raises(paramiko.SSHException, match="does not hold them"):
            received(kind, body)
        return
    got, message = received(kind, body)
    assert (got, message.get_remainder()) == (kind, body)


def test_a_channel_keeps_no_more_than_its_window() -> None:
    channel = paramiko.Channel(1)
    channel.in_window_size = 1000
    packets.bound(channel)
    for pipe in (channel.in_buffer, channel.in_stderr_buffer):
        pipe.feed(bytes(600))
        pipe.feed(bytes(400))
        with pytest.raises(paramiko.SSHException, match=r"more than the window of 1,000 bytes"):
            pipe.feed(b"x")
        assert pipe.read(1000) == bytes(1000)
        pipe.feed(b"y")
        assert pipe.read(10) == b"y"


# ---- words --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "said",
    [
        TITLE + b"\r\n",
        TITLE + b"\r\n" + VERSION,
        b"SSH-" + TITLE + b"\r\n",
        b"SSH-2.0\r\n",
        b"SSH-1.5-old\r\n",
        b"SSH-2.0-\xff\xfe\r\n",
        VERSION + offer(TITLE),
        VERSION + offer(b"curve25519-sha256", TITLE),
        VERSION + offer(b"curve25519-sha256", KEY.get_name().encode(), TITLE * 9000),
        VERSION + offer(b"\xff\xfe"),
        VERSION + offer(b""),
        VERSION + packet(MSG_KEXINIT, b""),
        VERSION + packet(200, TITLE),
        VERSION + packet(1, struct.pack(">I", 2) + lists(TITLE, b"")),
        VERSION + packet(1, struct.pack(">I", 2) + lists(b"\xff", b"")),
        VERSION + packet(4, b"\1" + lists(b"\xff", b"")),
        VERSION + offer() + packet(31, lists(b"", b"", b"")),
        VERSION + offer() + packet(31, b"\xff" * 60),
        VERSION + struct.pack(">IB", 12, 255) + bytes(20),
        VERSION + struct.pack(">IB", 4, 3) + bytes(20),
    ],
)
def test_a_server_that_speaks_no_good_ssh_is_told_as_such(said: bytes) -> None:
    """At once, not after the timeout."""

    def talk(server: socket.socket) -> None:
        server.sendall(said)
        server.shutdown(socket.SHUT_WR)

    failure = handshake(talk)
    assert failure.code in (Exit.NETWORK, Exit.NEGOTIATION), failure
    assert len(failure.message) < 3000
    assert (
        "the handshake" in failure.message
        or "as an SSH server does" in failure.message
        or ("no algorithm in common" in failure.message)
    )


@pytest.mark.parametrize("seed", range(60))
def test_noise_in_a_handshake_is_the_servers_fault(seed: int) -> None:
    noise = random.Random(seed)  # noqa: S311 - no secret
    said = bytearray(VERSION + offer() + packet(31, lists(KEY.asbytes(), bytes(32), bytes(80))))
    for _ in range(noise.randint(1, 6)):
        said[noise.randrange(len(said))] = noise.randrange(256)

    def talk(server: socket.socket) -> None:
        server.sendall(said)
        server.shutdown(socket.SHUT_WR)

    assert handshake(talk).code in (Exit.NETWORK, Exit.NEGOTIATION)


def test_a_handshake_without_an_end_is_told_as_one() -> None:
    """Unlike paramiko's own timer, which gives no reason at all."""
    ours = Times(connect=0.3)
    with (
        serving(lambda server: server.sendall(VERSION)) as feed,
        pytest.raises(Failure) as failed,
        ssh._agreed(feed, ConnectionInfo(), Watchdog(times=ours)),
    ):
        pass
    assert "did not finish the handshake within 0.3 s" in failed.value.message
    left = [thread for thread in threading.enumerate() if isinstance(thread, threading.Timer)]
    assert left == [], "the program would wait for them at its end"


def test_a_timer_of_paramiko_is_a_moment() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        reader = packets.BoundedPacketizer(ours)
        assert not reader.handshake_timed_out()
        reader.start_handshake(0)
        waiting.until(reader.handshake_timed_out, "the end of the time")
        reader.complete_handshake()
        assert not reader.handshake_timed_out()
