"""The program's exit codes, one meaning each, and the failure that carries one."""

from __future__ import annotations

from enum import IntEnum


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
    INTERNAL = 70


MEANINGS: dict[Exit, str] = {
    Exit.OK: "done; after `send`, the vendor has tonight's file",
    Exit.USAGE: "the command line is not one of this program",
    Exit.CONFIG: "the feed's configuration file is missing or wrong",
    Exit.REFUSED: "the package breaks the rules of its format; nothing was sent",
    Exit.SOURCE: "the export is missing, unreadable or still being written",
    Exit.CREDENTIAL: "the feed's secret is missing or unusable",
    Exit.NETWORK: "the server cannot be found or reached",
    Exit.HOST_KEY: "the server shows a host key that is not pinned",
    Exit.LOGIN: "the server refused the login",
    Exit.REMOTE_PATH: "the upload path is missing or closed to this account",
    Exit.TRANSFER: "the transfer broke off or the server refused a part of it",
    Exit.VERIFY: "the server holds something else than was sent",
    Exit.BUSY: "another delivery of this feed is under way",
    Exit.LOCAL: "this host has no room or no right to work",
    Exit.NEGOTIATION: "server and program have no secure algorithm in common",
    Exit.STOPPED: "the delivery was stopped by a signal",
    Exit.INTERNAL: "an error of the program itself",
}


class Failure(Exception):
    """A failure with its exit code and one sentence for the operator: what, where, what to do."""

    def __init__(self, code: Exit, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
