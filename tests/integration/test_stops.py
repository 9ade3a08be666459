"""Signals that stop the program, in each of its states: it ends, and reports every file."""

from __future__ import annotations

import contextlib
import fcntl
import functools
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from roster_upload.exits import Exit
from support import rosters, waiting
from support.district import District
from support.line import Line, Uplink
from support.vendor import OLD, Vendor

pytestmark = pytest.mark.heavy
LARGE_STUDENTS = 20_000  # some 700 kB


@contextlib.contextmanager
def started(district: District) -> Iterator[subprocess.Popen[str]]:
    """A running delivery, which ends with the block."""
    process = district.start()
    try:
        yield process
    finally:
        process.kill()
        process.communicate(timeout=waiting.HANG_SECONDS)


def ended(
    district: District, process: subprocess.Popen[str], vendor: Vendor, name: str = "SIGTERM"
) -> str:
    """Wait for the end of a stopped delivery. Return its message."""
    _, told = process.communicate(timeout=waiting.HANG_SECONDS)
    assert process.returncode == Exit.STOPPED, told
    assert "Traceback" not in told
    receipt = district.last
    assert (receipt["exit_code"], receipt["outcome"]) == (Exit.STOPPED, "failed")
    assert f"stopped by {name}: " in receipt["message"]
    assert vendor.held["OneRoster.zip"] == OLD
    assert not list((district.folder / "tmp").iterdir())
    return str(receipt["message"])


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGHUP"])
def test_a_stop_while_it_sends_over_a_slow_line(
    district: District, vendor: Vendor, name: str
) -> None:
    """The line is full of sent data. The partial file is still deleted."""
    district.export.write_bytes(rosters.build(students=LARGE_STUDENTS))
    with Line(vendor.port, Uplink(60_000)).up() as port:
        district.configure(remote_port=port, attempts=5)
        with started(district) as process:
            waiting.until(lambda: vendor.writes > 3, "the transfer")
            process.send_signal(getattr(signal, name))
            told = ended(district, process, vendor, name)
    assert "still has the file that it had" in told
    assert vendor.held == {"OneRoster.zip": OLD}
    assert vendor.logins == vendor.logins[:1], "it is not tried again"


def test_a_stop_while_the_server_does_not_read(district: District, vendor: Vendor) -> None:
    district.export.write_bytes(rosters.build(students=LARGE_STUDENTS))
    district.configure(attempts=5)
    vendor.gate = threading.Event()
    with started(district) as process:
        waiting.until(lambda: vendor.writes, "the transfer")
        process.send_signal(signal.SIGTERM)
        vendor.gate.set()
        ended(district, process, vendor)
    assert vendor.held == {"OneRoster.zip": OLD}
    assert district.send()[0] == Exit.OK
    assert district.is_delivered


@pytest.mark.parametrize("kind", ["opendir", "write", "close", "posix-rename"])
def test_a_second_signal_is_heard(district: District, vendor: Vendor, kind: str) -> None:
    """The server is silent, so the clean-up waits for it. No operator has to wait for that."""
    district.configure(attempts=5)
    profile = district.state / "server.json"
    profile.parent.mkdir(parents=True)
    vendor.silent_at = kind
    with started(district) as process:
        waiting.until(lambda: kind in vendor.requests, "the silence")
        process.send_signal(signal.SIGTERM)
        for _ in range(waiting.HANG_SECONDS):
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(0.5)
                break
            process.send_signal(signal.SIGTERM)
        ended(district, process, vendor)


def test_a_stop_between_two_tries(district: District, vendor: Vendor) -> None:
    district.configure(attempts=5, retry_seconds=60)
    vendor.cut_at = "opendir"
    district.open_window()
    with started(district) as process:
        assert process.stderr
        # A slow machine's delivery shows its progress first.
        assert any("attempt 1 of 5" in line for line in iter(process.stderr.readline, ""))
        process.send_signal(signal.SIGTERM)
        ended(district, process, vendor)
    assert len(vendor.logins) == 1


def test_a_stop_while_the_export_settles(district: District, vendor: Vendor) -> None:
    district.configure(quiet_seconds=600)
    with started(district) as process:
        waiting.until((district.state / "lock").exists, "the start")
        process.send_signal(signal.SIGTERM)
        assert "nothing was sent" in ended(district, process, vendor)


def test_a_stop_while_it_validates(district: District, vendor: Vendor) -> None:
    district.export.write_bytes(rosters.build(students=60_000))
    with started(district) as process:
        waiting.until(lambda: list((district.folder / "tmp").iterdir()), "the private copy")
        process.send_signal(signal.SIGTERM)
        assert "nothing was sent" in ended(district, process, vendor)
    assert vendor.logins == []


def test_a_stop_while_it_waits_for_its_turn(district: District, vendor: Vendor) -> None:
    district.configure(parallel=1)
    path = district.state.parent / ".turns" / "slot-0.lock"
    path.parent.mkdir(parents=True)
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        with started(district) as process:
            assert process.stderr
            assert process.stderr.readline(), "it says what it waits for"
            process.send_signal(signal.SIGTERM)
            ended(district, process, vendor)
    assert vendor.logins == []


def test_a_stop_while_a_server_does_not_greet(
    district: District, vendor: Vendor, tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        district.configure(remote_port=server.getsockname()[1], attempts=5)
        with started(district) as process:
            connection, _ = server.accept()
            with connection:
                assert connection.recv(1), "the program's own greeting"
                process.send_signal(signal.SIGTERM)
                ended(district, process, vendor)


def has_written(vendor: Vendor, count: int) -> bool:
    """Return whether the vendor has received so many pieces."""
    return vendor.writes >= count


def test_a_stop_at_any_moment_delivers_nothing_or_all(district: District, vendor: Vendor) -> None:
    """Send signals at random moments of a transfer that takes a second."""
    district.export.write_bytes(rosters.build(students=LARGE_STUDENTS))
    vendor.seconds_a_write = 0.02
    outcomes = set()
    for count in range(1, 22, 6):
        (vendor.folder / "OneRoster.zip").write_bytes(OLD)
        vendor.writes = 0
        with started(district) as process:
            waiting.until(functools.partial(has_written, vendor, count), "the transfer")
            process.send_signal(signal.SIGTERM)
            _, told = process.communicate(timeout=waiting.HANG_SECONDS)
        outcomes.add(process.returncode)
        assert process.returncode in (Exit.OK, Exit.STOPPED), told
        if process.returncode == Exit.OK:
            assert district.is_delivered
        else:
            assert vendor.held == {"OneRoster.zip": OLD}
        assert district.last["exit_code"] == process.returncode
    assert Exit.STOPPED in outcomes
