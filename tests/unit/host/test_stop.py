"""Signals: recorded, raised at once, or raised at the end of a protected part."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator

import pytest
from roster_upload.host import stop


def ask(number: int = signal.SIGTERM) -> None:
    """Send a signal to this process, whose handler runs before the next line."""
    os.kill(os.getpid(), number)


@contextlib.contextmanager
def heard() -> Iterator[list[str]]:
    """A block that signals can end. It records the signal and the work."""
    done: list[str] = []
    try:
        with stop.listening(), stop.heard():
            yield done
    except stop.Stopped as stopped:
        done.append(stopped.name)


@pytest.mark.parametrize("number", stop.SIGNALS)
def test_a_signal_is_heard_at_once(number: signal.Signals) -> None:
    with heard() as done:
        ask(number)
        done.append("never")
    assert done == [number.name]


def test_it_is_no_ordinary_error() -> None:
    """Libraries take those for a broken connection."""
    assert not issubclass(stop.Stopped, Exception)


def test_outside_of_what_is_heard_a_signal_is_noted() -> None:
    with stop.listening():
        ask()
        with pytest.raises(stop.Stopped), stop.heard():
            pytest.fail("it begins")
        with stop.heard():
            pass  # it was raised once


def test_a_deferred_signal_comes_at_the_end_of_the_block() -> None:
    with heard() as done:
        with stop.deferred():
            with stop.deferred():
                ask()
            done.append("inner")
            assert 0 < stop.deferred_for() < 60
            done.append("outer")
        done.append("never")
    assert done == ["inner", "outer", "SIGTERM"]
    assert stop.deferred_for() == 0


def test_a_deferred_signal_takes_the_place_of_another_end() -> None:
    """Otherwise a connection that broke because of it would be tried again."""
    with heard() as done, stop.deferred():
        ask()
        raise OSError("the connection is gone")
    assert done == ["SIGTERM"]


def test_each_signal_is_heard_while_others_are_tidied_up_after() -> None:
    heard = []
    with stop.listening():
        for _ in range(2):
            try:
                with stop.heard():
                    try:
                        ask()
                    finally:
                        heard.append("tidying")
                        ask(signal.SIGINT)
                        heard.append("never")
            except stop.Stopped as stopped:
                heard.append(stopped.name)
    assert heard == ["tidying", "SIGINT"] * 2


def test_the_former_handlers_come_back() -> None:
    before = [signal.getsignal(number) for number in stop.SIGNALS]
    with stop.listening():
        ask()
        assert [signal.getsignal(number) for number in stop.SIGNALS] != before
    assert [signal.getsignal(number) for number in stop.SIGNALS] == before
    with stop.deferred():
        pass  # the recorded signal is forgotten
