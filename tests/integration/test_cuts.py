"""Connections that break or stall at any byte: the vendor has a whole file after each."""

from __future__ import annotations

import contextlib
import random
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from roster_upload import config
from roster_upload.exits import Exit, Failure
from roster_upload.transfer.info import ConnectionInfo
from roster_upload.transfer.upload import deliver
from roster_upload.transfer.watchdog import Times
from roster_upload.transfer.writer import Pace
from support import waiting
from support.district import District
from support.vendor import OLD, PASSWORD, Vendor, serving

pytestmark = pytest.mark.heavy
NEW = random.Random(1).randbytes(100_000)  # noqa: S311 - no secret
PACE = Pace(chunk_bytes=4096, first_bytes=1024, requests=8)  # three windows
CLIENT_CUTS, SERVER_CUTS = 60, 24
UNLIMITED = 1 << 40


@dataclass
class Wire:
    """A connection between district and vendor that breaks or stalls after so many bytes."""

    port: int  # the vendor's
    from_client: int = UNLIMITED
    from_server: int = UNLIMITED
    stands_still: bool = False  # instead of ending
    passed: dict[str, int] = field(default_factory=dict)  # bytes of the last connection

    @contextlib.contextmanager
    def up(self) -> Iterator[int]:
        """Open a port for one connection within the block."""
        with socket.create_server(("127.0.0.1", 0)) as server:
            thread = threading.Thread(target=self._carry, args=(server,))
            thread.start()
            try:
                yield server.getsockname()[1]
            finally:
                thread.join(waiting.HANG_SECONDS)
                assert not thread.is_alive()

    def _carry(self, server: socket.socket) -> None:
        client, _ = server.accept()
        with client, socket.create_connection(("127.0.0.1", self.port)) as vendor:
            for end in (client, vendor):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.passed = {"client": 0, "server": 0}
            ways = [
                threading.Thread(target=self._pass, args=arguments)
                for arguments in (
                    ("client", client, vendor, self.from_client),
                    ("server", vendor, client, self.from_server),
                )
            ]
            for way in ways:
                way.start()
            for way in ways:
                way.join()

    def _pass(self, name: str, source: socket.socket, target: socket.socket, limit: int) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(min(65536, limit - self.passed[name]) or 1):
                if self.passed[name] == limit:
                    break
                target.sendall(data)
                self.passed[name] += len(data)
            while data and self.stands_still:
                data = source.recv(65536)
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


@pytest.fixture(scope="module")
def vendor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Vendor]:
    with serving(Vendor(tmp_path_factory.mktemp("vendor"), PASSWORD)) as server:
        yield server


@pytest.fixture(scope="module")
def district(tmp_path_factory: pytest.TempPathFactory, vendor: Vendor) -> District:
    made = District(tmp_path_factory.mktemp("district") / "home", vendor, PASSWORD.encode())
    made.export.write_bytes(NEW)
    return made


@pytest.fixture
def yesterdays(vendor: Vendor) -> Path:
    """Restore yesterday's file, alone in its folder."""
    path = vendor.folder / "OneRoster.zip"
    path.write_bytes(OLD)
    return path


def send(district: District, wire: Wire, limit: float | None = None) -> Exit:
    """Deliver over the wire. Return the exit code."""
    with wire.up() as port:
        district.configure(remote_port=port)
        feed = config.load(district.config_file)
        try:
            deliver(
                feed, PASSWORD.encode(), district.export, len(NEW), ConnectionInfo(),
                limit=limit, times=Times(tidy=0.2) if limit else None, pace=PACE,
            )  # fmt: skip
        except Failure as failure:
            return failure.code
    return Exit.OK


@pytest.fixture(scope="module")
def whole(district: District, vendor: Vendor) -> dict[str, int]:
    """Return the bytes of an uninterrupted conversation, by sender."""
    (vendor.folder / "OneRoster.zip").write_bytes(OLD)
    wire = Wire(vendor.port)
    assert send(district, wire) == Exit.OK
    return wire.passed


def cuts(count: int, total: int) -> list[int]:
    """Return places of cuts, a third each: handshake and login, the middle, the very end."""
    third = count // 3
    early = [index * 2600 // third for index in range(third)]
    middle = [2600 + index * (total - 3400) // third for index in range(third)]
    late = [total - 20 - index * 800 // third for index in range(third)]
    return sorted({*early, *middle, *late})


def wait_for_the_end(vendor: Vendor) -> None:
    """Wait until the vendor's server has seen the end of the connection."""
    waiting.until(lambda: not vendor.connected, "the connection's end", every=0.001)


@pytest.mark.parametrize("side", ["client", "server"])
def test_wherever_it_is_cut_the_vendor_has_a_whole_file(
    district: District, vendor: Vendor, yesterdays: Path, whole: dict[str, int], side: str
) -> None:
    count = {"client": CLIENT_CUTS, "server": SERVER_CUTS}[side]
    places = cuts(count, whole[side])
    assert len(places) > count * 0.8
    outcomes: set[tuple[Exit, bytes]] = set()
    counts = set()
    for place in places:
        yesterdays.write_bytes(OLD)
        wire = Wire(vendor.port)
        setattr(wire, f"from_{side}", place)
        code = send(district, wire)
        wait_for_the_end(vendor)
        held = yesterdays.read_bytes()
        assert held in (OLD, NEW), f"cut after {place} bytes of the {side}"
        assert code != Exit.OK or held == NEW
        assert code in {Exit.OK, Exit.NETWORK, Exit.LOGIN, Exit.VANISHED}
        outcomes.add((code, held))
        counts.add(len(vendor.held))
        assert send(district, Wire(vendor.port)) == Exit.OK
        assert vendor.held == {"OneRoster.zip": NEW}, f"cut after {place} bytes of the {side}"
    # The sweep has hit the handshake, the writes and the steps after the rename.
    assert outcomes >= {(Exit.NETWORK, OLD), (Exit.VANISHED, OLD), (Exit.VANISHED, NEW)}
    if side == "client":  # from the server the login is only a few bytes
        assert (Exit.LOGIN, OLD) in outcomes
    assert counts == {1, 2}  # files: with a temporary one that the next run deletes, and without


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_wire_that_stands_still_is_left(
    district: District,
    vendor: Vendor,
    yesterdays: Path,
    whole: dict[str, int],
    share: float,
) -> None:
    """A half-open connection: no data arrives, and no sign that it has ended."""
    wire = Wire(vendor.port, from_client=int(whole["client"] * share), stands_still=True)
    assert send(district, wire, limit=2) == Exit.SILENT
    wait_for_the_end(vendor)
    assert yesterdays.read_bytes() == OLD
    assert send(district, Wire(vendor.port)) == Exit.OK
    assert vendor.held == {"OneRoster.zip": NEW}
