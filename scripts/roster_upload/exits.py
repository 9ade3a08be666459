"""The program's exit codes, one meaning each, and the failure that carries one."""

from __future__ import annotations

from enum import IntEnum

from roster_upload.terminal.printable import LONGEST_MESSAGE, printable


class Exit(IntEnum):
    """An exit code; its meaning is in `MEANINGS`."""

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


MEANINGS: dict[Exit, str] = {
    Exit.OK: "done; after `send`, the vendor has tonight's file",
    Exit.USAGE: "the command line is not one of this program",
    Exit.CONFIG: "the feed's configuration file is missing or wrong",
    Exit.REFUSED: "the package breaks the rules of its format; nothing was sent",
    Exit.SOURCE: "the export is missing or unreadable",
    Exit.CREDENTIAL: "the feed's secret is missing or unusable",
    Exit.NETWORK: "the server cannot be found or reached",
    Exit.HOST_KEY: "the server shows a host key that is not pinned",
    Exit.LOGIN: "the server refused the login",
    Exit.REMOTE_PATH: "the upload path does not exist on the server",
    Exit.TRANSFER: "the server refused a part of the transfer",
    Exit.VERIFY: "the server holds something else than was sent",
    Exit.BUSY: "another delivery of this feed, or too many of this host, are under way",
    Exit.LOCAL: "this host has no room or no right to work",
    Exit.NEGOTIATION: "server and program have no secure algorithm in common",
    Exit.STOPPED: "the delivery was stopped by a signal",
    Exit.HELD: "the guard holds the export, which differs too much from the last accepted one",
    Exit.STALE: "the export is older than its limit",
    Exit.GROWING: "the export is still being written",
    Exit.SECOND_FACTOR: "the server asks for more than the password",
    Exit.PASSWORD_EXPIRED: "the server asks for a new password",
    Exit.PERMISSION: "the server does not let this account write there",
    Exit.READ_ONLY: "the server's file system is read-only",
    Exit.DISK_FULL: "the server's disk is full",
    Exit.QUOTA: "the account's quota at the server is used up",
    Exit.VANISHED: "the server ended the connection in the middle",
    Exit.SILENT: "the server stopped answering",
    Exit.MISSED: "the deadline is near, or past, and tonight's roster is not delivered",
    Exit.PAUSED: "nothing is sent by plan: a blackout date",
    Exit.KILLED: "the delivery was killed before it could say how it ended",
    Exit.INTERNAL: "an error of the program itself",
}


# What may be cured by trying again. A login is never among it: servers lock accounts.
RETRYABLE = frozenset({Exit.NETWORK, Exit.TRANSFER, Exit.VANISHED, Exit.SILENT})


class Failure(Exception):
    """A failure with its exit code and a sentence for the operator: what, where, what to do.

    Whatever the sentence quotes, it stays one line, and holds no character that steers a terminal.
    A failure of several causes has a line for each.
    """

    def __init__(self, code: Exit, *lines: str) -> None:
        self.code = code
        self.message = "\n".join(printable(line, LONGEST_MESSAGE) for line in lines)
        super().__init__(self.message)
