"""The program's exit codes, and the failure that carries one."""

from __future__ import annotations

from enum import IntEnum

from roster_upload.spec import spec
from roster_upload.terminal.printable import LONGEST_MESSAGE, printable


class Exit(IntEnum):
    """An exit code. spec/exits.toml describes each."""

    OK = 0
    USAGE = 2
    CONFIG = 3
    REFUSED = 4
    SOURCE = 5
    CREDENTIAL = 6
    NETWORK = 7
    HOST_KEY = 8
    LOGIN = 9
    REMOTE_PATH = 10
    TRANSFER = 11
    VERIFY = 12
    BUSY = 13
    LOCAL = 14
    NEGOTIATION = 15
    STOPPED = 16
    HELD = 17
    STALE = 18
    GROWING = 19
    SECOND_FACTOR = 20
    PASSWORD_EXPIRED = 21
    PERMISSION = 22
    READ_ONLY = 23
    DISK_FULL = 24
    QUOTA = 25
    VANISHED = 26
    SILENT = 27
    MISSED = 28
    PAUSED = 29
    KILLED = 30
    INTERNAL = 70

    @property
    def meaning(self) -> str:
        """Return the meaning in one line."""
        return str(spec("exits")[str(int(self))]["meaning"])

    @property
    def is_retried(self) -> bool:
        """Return whether a run tries again by itself."""
        return bool(spec("exits")[str(int(self))].get("retried"))


class Failure(Exception):
    """A failure with its exit code and a message for the operator: what, where, what to do.

    A failure with several causes has a line for each. Control characters and line breaks in quoted
    texts are escaped. `cause` is a word for receipts, where the code alone does not say enough.
    """

    cause = ""

    def __init__(self, code: Exit, *lines: str) -> None:
        self.code = code
        self.message = "\n".join(printable(line, LONGEST_MESSAGE) for line in lines)
        super().__init__(self.message)


class SourceFailure(Failure):
    """A missing export. `cause` names the reason in receipts, in one word of JSON."""

    def __init__(self, message: str, cause: str) -> None:
        super().__init__(Exit.SOURCE, message)
        self.cause = cause
