"""A socket that carries a diff from a feed's unit to root's terminal.

Only the unit has the key of the kept packages. Root's command listens on the socket and accepts
connections of the unit's user only. The diff is JSON and is never written to a file. Root escapes
it before showing it.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import struct
import threading
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from roster_upload.diff.people import Diff, Record, Wish
from roster_upload.exits import Exit, Failure

LOOK_SECONDS = 0.1  # between two checks whether the unit has ended
LONGEST_ANSWER = 1 << 28  # characters. The largest districts need a tenth of it.
CREDENTIALS = struct.Struct("iII")  # of the process at the other end: its id, user and group


def socket_path(folder: Path, feed: str) -> Path:
    """Return the path of the socket between root's command and a feed's unit."""
    return folder / f"{feed}.diff"


class Listener:
    """A socket that accepts one diff from a process of the user `owner`."""

    def __init__(self, path: Path, owner: int, wish: Wish) -> None:
        self.answer: dict[str, Any] | None = None
        self._path = path
        self._owner = owner
        self._request = json.dumps(asdict(wish)).encode() + b"\n"
        self._is_over = threading.Event()
        self._socket = socket.socket(socket.AF_UNIX)
        self._thread = threading.Thread(target=self._take, daemon=True)

    def __enter__(self) -> Listener:
        self._bind()
        self._thread.start()
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        """Wait for a begun answer, unless the block has failed. Remove the socket."""
        self._is_over.set()
        try:
            if not kind:
                self._thread.join()
        finally:
            self._socket.close()
            self._path.unlink(missing_ok=True)

    def _bind(self) -> None:
        with contextlib.suppress(FileNotFoundError), socket.socket(socket.AF_UNIX) as other:
            try:
                other.connect(str(self._path))
            except ConnectionRefusedError:  # left by a command that was killed
                self._path.unlink()
            else:
                raise Failure(
                    Exit.BUSY, "another terminal waits for the same diff. Try again afterwards"
                )
        # Anybody may connect, and the peer's user is checked. Changing a file's owner in a folder
        # of the unit's user could be abused against root.
        former = os.umask(0o111)
        try:
            self._socket.bind(str(self._path))
        finally:
            os.umask(former)
        self._socket.listen()
        self._socket.settimeout(LOOK_SECONDS)

    def _take(self) -> None:
        while self.answer is None and not self._is_over.is_set():
            with contextlib.suppress(OSError, ValueError):  # ValueError: the answer broke off
                connection, _ = self._socket.accept()
                with connection:
                    self._read(connection)

    def _read(self, connection: socket.socket) -> None:
        connection.settimeout(None)
        peer = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, CREDENTIALS.size)
        if CREDENTIALS.unpack(peer)[1] == self._owner:
            connection.sendall(self._request)
            with connection.makefile("r", encoding="utf-8") as lines:
                self.answer = json.loads(lines.read(LONGEST_ANSWER))


@contextlib.contextmanager
def connected(path: Path) -> Iterator[tuple[Wish, socket.socket]]:
    """Yield root's query and the socket for the answer. Raise Failure if nobody waits."""
    with socket.socket(socket.AF_UNIX) as connection:
        try:
            connection.connect(str(path))
        except OSError:
            raise Failure(
                Exit.USAGE,
                "a diff names people and is only for root's terminal. Run as root: roster-upload "
                "diff FEED",
            ) from None
        with connection.makefile("r", encoding="utf-8") as lines:
            wish = Wish(**json.loads(lines.readline()))
        yield wish, connection


def send(connection: socket.socket, diff: Diff, schools: dict[str, str]) -> None:
    """Send a diff and the names of its schools."""
    answer = {"diff": asdict(diff), "schools": schools}
    with connection.makefile("w", encoding="utf-8", errors="backslashreplace") as out:
        json.dump(answer, out)


def received(answer: dict[str, Any]) -> tuple[Diff, dict[str, str]]:
    """Return the diff in an answer, and the names of its schools. Raise Failure."""
    try:
        records = [
            Record(**{**record, "changes": tuple(map(tuple, record["changes"]))})
            for record in answer["diff"]["records"]
        ]
        return Diff(**{**answer["diff"], "records": records}), answer["schools"]
    except (KeyError, TypeError, ValueError):
        raise Failure(
            Exit.LOCAL, "the feed's unit sent an unusable answer. Run site.yml on this host"
        ) from None
