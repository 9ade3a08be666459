"""Locks: one delivery of a feed, one login of an account, so many transfers of a host."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from roster_upload import config
from roster_upload.exits import Exit, Failure
from roster_upload.host import locks
from unit.test_config import GOOD


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "LOOK_SECONDS", 0.01)


def feed(name: str = "maple", **changes: Any) -> config.Feed:
    """Return a feed with an account of its own."""
    return config.parse({**GOOD, "feed": name, "username": f"{name}@vendor", **changes})


def turn(
    folder: Path, of: config.Feed, seconds: float = 0, said: list[str] | None = None
) -> contextlib.AbstractContextManager[None]:
    return locks.transfer_slot(folder, of, seconds, ([] if said is None else said).append)


@contextlib.contextmanager
def other_process(held: contextlib.AbstractContextManager[None]) -> Iterator[int]:
    """Return the id of a process that holds a lock until it is killed."""
    ready, told = os.pipe()
    child = os.fork()
    if not child:
        try:
            with held:
                os.write(told, b"!")
                signal.pause()
        finally:
            os._exit(1)  # it is no second run of the tests
    try:
        assert os.read(ready, 1) == b"!"
        yield child
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(ready)
        os.close(told)


# ---- a feed's deliveries ------------------------------------------------------------------------


def test_a_feed_has_one_delivery_at_a_time(tmp_path: Path) -> None:
    folder = tmp_path / "state" / "maple"
    with other_process(locks.feed_lock(folder)):
        with pytest.raises(Failure) as failed, locks.feed_lock(folder):
            pass
        assert failed.value.code == Exit.BUSY
        assert failed.value.message == "another delivery of maple is under way. See its journal"
        with locks.feed_lock(tmp_path / "state" / "oak"):
            pass
    with locks.feed_lock(folder):  # a killed one holds nothing
        pass


def test_a_delivery_that_fails_leaves_no_lock(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), locks.feed_lock(tmp_path):
        raise ZeroDivisionError
    with locks.feed_lock(tmp_path):
        pass


def test_a_folder_that_is_none_is_told(tmp_path: Path) -> None:
    (tmp_path / "maple").write_text("")
    with pytest.raises(Failure) as failed, locks.feed_lock(tmp_path / "maple"):
        pass
    assert failed.value.code == Exit.LOCAL
    assert failed.value.message == (
        f"{tmp_path}/maple cannot be written (File exists). Run the feed as its unit: "
        "systemctl start roster-upload@maple.service"
    )
    with pytest.raises(Failure) as failed, turn(tmp_path / "maple", feed()):
        pass
    assert failed.value.code == Exit.LOCAL
    assert failed.value.message == (
        f"{tmp_path}/maple cannot be written (File exists). Run the feed as its unit: "
        "systemctl start roster-upload@maple.service"
    )


# ---- a host's transfers -------------------------------------------------------------------------


def test_a_host_has_so_many_transfers_at_once(tmp_path: Path) -> None:
    with contextlib.ExitStack() as stack:
        for name in ("maple", "oak", "elm"):
            stack.enter_context(turn(tmp_path, feed(name, parallel=3)))
        said: list[str] = []
        with pytest.raises(Failure) as failed, turn(tmp_path, feed("ash", parallel=3), 0.05, said):
            pass
        assert failed.value.code == Exit.BUSY
        assert failed.value.message == (
            "other feeds of this host were transferring all the time. Raise parallel"
        )
        assert said == ["waiting for other feeds of this host that are being transferred"]
        with turn(tmp_path, feed("ash", parallel=4)):
            pass
    with turn(tmp_path, feed("ash", parallel=1)):
        pass


@pytest.mark.parametrize(
    ("changes", "is_the_same"),
    [
        ({}, True),
        ({"username": "Maple@Vendor"}, True),
        ({"username": "other"}, False),
        ({"remote_host": "other.example"}, False),
        ({"remote_port": 2222}, False),
    ],
)
def test_an_account_has_one_login_at_a_time(
    tmp_path: Path, changes: dict[str, Any], is_the_same: bool
) -> None:
    """Two feeds of a district share an account, and vendors count its logins."""
    second = feed("second", **{"username": "maple@vendor", **changes})
    with turn(tmp_path, feed()):
        if not is_the_same:
            with turn(tmp_path, second):
                return
        with pytest.raises(Failure) as failed, turn(tmp_path, second):
            pass
        assert failed.value.code == Exit.BUSY
        assert failed.value.message == (
            f"other feeds of {second.username} at {GOOD['remote_host']} were transferring all the "
            "time. Let their windows open earlier"
        )


def test_who_waits_for_an_account_takes_no_place(tmp_path: Path) -> None:
    second, third = feed("second", username="maple@vendor", parallel=2), feed("oak", parallel=2)
    waits = threading.Event()
    with turn(tmp_path, feed(parallel=2)):

        def wait() -> None:
            with locks.transfer_slot(tmp_path, second, 60, lambda _: waits.set()):
                pass

        waiting = threading.Thread(target=wait)
        waiting.start()
        assert waits.wait(60)
        with turn(tmp_path, third):
            pass
    waiting.join(60)
    assert not waiting.is_alive()


def test_a_turn_comes_when_one_ends(tmp_path: Path) -> None:
    said: list[str] = []
    with other_process(turn(tmp_path, feed("oak", parallel=1))) as child:

        def end_the_other(words: str) -> None:
            said.append(words)
            os.kill(child, signal.SIGKILL)

        # The limit only ends a hang.
        with locks.transfer_slot(tmp_path, feed(parallel=1), 60, end_the_other):
            pass
    assert said == ["waiting for other feeds of this host that are being transferred"]


def test_no_more_than_so_many_are_ever_at_it(tmp_path: Path) -> None:
    guard, now, most = threading.Lock(), 0, 0
    have_met = threading.Condition(guard)
    accounts: list[str] = []

    def deliver(name: str, account: str) -> None:
        nonlocal now, most
        for _ in range(10):
            with turn(tmp_path, feed(name, username=account, parallel=2), 300):
                with guard:
                    now, most = now + 1, max(most, now + 1)
                    assert account not in accounts
                    accounts.append(account)
                    have_met.notify_all()
                    while most < 2 and have_met.wait(60):
                        pass
                time.sleep(0.001)  # a third would come in now
                with guard:
                    now -= 1
                    accounts.remove(account)
            done.append(name)

    done: list[str] = []
    workers = [
        threading.Thread(target=deliver, args=(f"feed{n}", f"account{n % 3}")) for n in range(6)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(300)
    assert len(done) == 60
    assert most == 2


def test_a_fault_inside_is_not_taken_for_a_lock(tmp_path: Path) -> None:
    with pytest.raises(BlockingIOError, match="mine"), turn(tmp_path, feed()):
        raise BlockingIOError("mine")
    with turn(tmp_path, feed(parallel=1)):
        pass


def test_locks_tell_no_account(tmp_path: Path) -> None:
    """The files on the disk name no account."""
    with turn(tmp_path, feed(parallel=1)):
        names = sorted(path.name for path in tmp_path.iterdir())
        assert names[1:] == ["slot-0.lock"]
        assert "maple" not in names[0]
        with (tmp_path / names[0]).open() as handle, pytest.raises(BlockingIOError):
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_locks_are_closed_to_others(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        with locks.feed_lock(tmp_path / "state"), turn(tmp_path / "turns", feed()):
            pass
    finally:
        os.umask(old)
    modes = {path.stat().st_mode & 0o777 for path in (tmp_path / "state", tmp_path / "turns")}
    assert modes == {0o750}


@pytest.mark.parametrize(("seconds", "looks"), [(0, 1), (3, 4), (3.5, 5)])
def test_a_turn_is_waited_for_as_long_as_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seconds: float, looks: int
) -> None:
    now, seen = 100.0, 0
    first_free = locks._first_free

    def look(*arguments: Any) -> Any:
        nonlocal seen
        seen += 1
        return first_free(*arguments)

    def sleep(waited: float) -> None:
        nonlocal now
        now += waited

    with turn(tmp_path, feed()):
        monkeypatch.setattr(locks, "LOOK_SECONDS", 1)
        monkeypatch.setattr("time.monotonic", lambda: now)
        monkeypatch.setattr("time.sleep", sleep)
        monkeypatch.setattr(locks, "_first_free", look)
        with pytest.raises(Failure), turn(tmp_path, feed(), seconds):
            pass
    assert seen == looks
