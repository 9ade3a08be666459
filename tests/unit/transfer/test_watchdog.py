"""Connections that move, and connections that stand still."""

from __future__ import annotations

import contextlib
import math
import socket
import termios
import threading
from collections.abc import Iterator

import pytest
from roster_upload.host import stop
from roster_upload.transfer import watchdog
from support import waiting

QUICK = watchdog.Times(answer=0.05, tidy=0.02)


def test_a_watch_hangs_up_where_nothing_moves() -> None:
    ours, theirs = socket.socketpair()
    ours.settimeout(5)
    watch = watchdog.Watchdog(times=QUICK)
    with ours, theirs, watch.over(ours):
        assert ours.recv(1) == b""
        assert watch.has_hung_up


def test_a_watch_that_is_over_leaves_its_connection() -> None:
    before = set(threading.enumerate())
    ours, theirs = socket.socketpair()
    watch = watchdog.Watchdog(0, QUICK)
    with ours, theirs:
        with watch.over(ours):
            started = set(threading.enumerate()) - before
        for thread in started:
            thread.join(5)
        assert (watch.is_over, watch.has_hung_up) == (True, False)
        theirs.sendall(b"x")
        assert ours.recv(1) == b"x"


def test_a_watch_leaves_no_step_more_than_there_is() -> None:
    assert (watchdog.Watchdog().ends, watchdog.Watchdog().left(60)) == (math.inf, 60)
    assert 25 < watchdog.Watchdog(30).left(60) <= 30
    assert watchdog.Watchdog(0).left(60) == 0.01
    assert watchdog.Watchdog(0).is_over
    assert not watchdog.Watchdog(60).is_over
    assert not watchdog.Watchdog().is_over


Watched = tuple[watchdog.Watchdog, socket.socket, socket.socket]


@contextlib.contextmanager
def watched(
    times: watchdog.Times,
) -> Iterator[tuple[watchdog.Watchdog, socket.socket, socket.socket]]:
    """A watched TCP connection, and its other end."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        with socket.create_connection(server.getsockname()) as ours:
            theirs, _ = server.accept()
            watch = watchdog.Watchdog(times=times)
            with theirs, watch.over(ours):
                yield watch, ours, theirs


PATIENT = watchdog.Times(answer=60, tidy=10)


def fill(connection: socket.socket) -> None:
    """Send as much as the system accepts while nobody reads."""
    connection.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        while True:
            connection.send(bytes(65536))


def test_what_the_other_end_takes_is_seen() -> None:
    with watched(PATIENT) as (watch, ours, theirs):
        fill(ours)
        assert watch.unsent() > 0
        queued = watch._ask_system(termios.TIOCOUTQ)
        assert queued > watch.unsent()
        while watch._ask_system(termios.TIOCOUTQ):
            theirs.recv(1 << 20)
        assert watch.unsent() == 0


class Queue:
    """A watchdog with the system's queue and clock set by the test."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        monkeypatch.setattr(watchdog, "time", self)
        self.watch = watchdog.Watchdog(times=PATIENT)
        self.queued = 0
        monkeypatch.setattr(self.watch, "_ask_system", lambda _request: self.queued)

    def monotonic(self) -> float:
        return self.now

    def at(self, now: float, queued: int) -> float:
        """Check at a time, with so many bytes in the queue."""
        self.now, self.queued = now, queued
        return self.watch.silent_for()


@pytest.fixture
def queue(monkeypatch: pytest.MonkeyPatch) -> Queue:
    return Queue(monkeypatch)


def test_what_leaves_is_progress(queue: Queue) -> None:
    """A slow line answers nothing for long, but the peer's received bytes show that it moves."""
    queue.watch.sent()
    assert queue.at(50, 900) == -10
    assert queue.at(100, 800) == -60
    assert queue.at(155, 700) == -60
    assert queue.at(160, 0) == -60, "and the server has its time from then on"
    assert queue.at(219, 0) == -1
    assert queue.at(221, 0) == 1


def test_a_line_that_takes_nothing_is_dead(queue: Queue) -> None:
    queue.watch.sent()
    queue.at(1, 900)
    with queue.watch.allowing(300):
        assert queue.at(60, 900) == 0
        assert queue.at(61, 950) == 1, "more is no progress"
        queue.watch.moved()
        assert queue.at(62, 950) == -59, "an answer is"


def test_a_keepalive_that_leaves_is_no_progress(queue: Queue) -> None:
    queue.watch.sent()
    queue.at(0, 10)
    queue.at(1, 0)  # the request has left
    for second in range(15, 60, 15):
        queue.at(second, 50)
        queue.at(second + 1, 0)
    assert queue.at(60, 0) == -1
    assert queue.at(62, 0) == 1


def test_a_server_may_be_allowed_more_where_its_system_lives(queue: Queue) -> None:
    with queue.watch.allowing(300):
        assert queue.at(290, 0) == -10
        assert queue.at(300, 50) == -60 + 10, "since it was empty last"
        assert queue.at(345, 50) == -5
        assert queue.at(351, 50) == 1
    assert queue.watch.allowed == 60


def test_no_step_is_allowed_less_than_an_answer_takes() -> None:
    watch = watchdog.Watchdog(times=PATIENT)
    with watch.allowing(1):
        assert watch.allowed == 60


def test_what_the_system_does_not_tell_is_nothing() -> None:
    watch = watchdog.Watchdog()
    assert watch.unsent() == 0
    with watched(PATIENT) as (watch, ours, _):
        ours.close()
        assert watch.unsent() == 0
        assert watch.silent_for() < 0


def test_a_stop_does_not_wait_for_a_request_that_is_stuck(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stop, "deferred_for", lambda: 4.0)
    with watched(PATIENT) as (watch, ours, _):
        ours.settimeout(waiting.HANG_SECONDS)
        assert ours.recv(1) == b"", "hung up on"
        assert not watch.has_hung_up, "but not for silence"
