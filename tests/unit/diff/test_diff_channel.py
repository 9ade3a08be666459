"""The socket between a feed's unit and root's terminal."""

from __future__ import annotations

import contextlib
import os
import socket
import stat
from pathlib import Path

import pytest
from roster_upload.diff import channel
from roster_upload.diff.people import Diff, Record, Wish
from roster_upload.exits import Exit, Failure

DIFF = Diff(
    [Record("changed", "users.student", "1", "Q", "s", "05", (("email", "a", "b"),))],
    {"users.student": {"removed": 0, "cancelled": 0, "added": 0, "changed": 1}},
    ["a note"],
)


def test_a_diff_goes_through_the_socket_whole(tmp_path: Path) -> None:
    path = channel.socket_path(tmp_path, "a")
    wish = Wish("s", "users.student")
    with channel.Listener(path, os.geteuid(), wish) as listener:
        assert stat.S_ISSOCK(path.stat().st_mode)
        with channel.connected(path) as (asked, connection):
            channel.send(connection, DIFF, {"s": "School"})
    assert asked == wish
    assert listener.answer is not None
    assert channel.received(listener.answer) == (DIFF, {"s": "School"})
    assert not path.exists()


def test_another_user_is_not_heard(tmp_path: Path) -> None:
    path = channel.socket_path(tmp_path, "a")
    with (
        channel.Listener(path, os.geteuid() + 1, Wish()) as listener,
        socket.socket(socket.AF_UNIX) as other,
    ):
        other.connect(str(path))
        with contextlib.suppress(OSError):
            other.sendall(b'{"diff": {}}')
            assert other.recv(1) == b"", "nothing is asked of it"
    assert listener.answer is None


def test_the_socket_goes_also_where_the_command_fails(tmp_path: Path) -> None:
    path = channel.socket_path(tmp_path, "a")
    with socket.socket(socket.AF_UNIX) as unit:  # that goes on

        def interrupted() -> None:
            with channel.Listener(path, os.geteuid(), Wish()):
                unit.connect(str(path))
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            interrupted()
    assert not path.exists()


def test_a_socket_that_was_left_is_replaced_and_one_in_use_is_not(tmp_path: Path) -> None:
    path = channel.socket_path(tmp_path, "a")
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    with channel.Listener(path, os.geteuid(), Wish()):
        with pytest.raises(Failure) as failed, channel.Listener(path, os.geteuid(), Wish()):
            pass
        assert failed.value.code is Exit.BUSY
        assert path.exists()


def test_a_unit_that_nobody_waits_for_writes_to_nothing(tmp_path: Path) -> None:
    file = channel.socket_path(tmp_path, "a")
    file.write_text("")  # somebody's file in the socket's place
    for path in (file, tmp_path / "none"):
        with pytest.raises(Failure, match="root's terminal"), channel.connected(path):
            pass
    assert file.read_text() == ""
