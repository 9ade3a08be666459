"""Say why a Windows share was not mounted, by what mount.cifs wrote about its last attempt."""

from __future__ import annotations

import errno
import os
import re
from dataclasses import dataclass
from pathlib import Path

from roster_upload.exits import Failure
from roster_upload.host.credentials import credential
from roster_upload.terminal.printable import printable

NOTES = Path("/run/roster-upload")
ERROR = re.compile(rb"mount error\((\d+)\)")
MOST_READ = 4096
# What mount.cifs reports: the error, its cause in receipts, what is wrong and what to do.
LOGIN = (
    "login",
    "the file server refuses the login. Check the user, the domain and the password, and whether "
    "the user may read the share",
)
NETWORK = (
    "network",
    "the file server cannot be reached. Check its name and port, and whether it runs",
)
NO_SHARE = (
    "remote_path",
    "the file server has no such share or folder. Check the path in the source",
)
DIALECT = (
    "negotiation",
    "the file server offers no SMB 3 with encryption. Turn both on there",
)
KNOWN = {
    **dict.fromkeys((errno.EACCES, errno.EPERM, errno.ENOKEY, errno.EKEYEXPIRED), LOGIN),
    **dict.fromkeys((errno.ENOENT, errno.ENXIO, errno.ENOTDIR), NO_SHARE),
    errno.EOPNOTSUPP: DIALECT,
    **dict.fromkeys(
        (
            errno.ECONNREFUSED, errno.ECONNRESET, errno.ECONNABORTED, errno.EHOSTDOWN,
            errno.EHOSTUNREACH, errno.EINPROGRESS, errno.ENETUNREACH, errno.ETIMEDOUT,
            errno.EAGAIN,
        ),
        NETWORK,
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Trouble:
    """Why a share is not there: the cause as a word of receipts, and a sentence for people."""

    cause: str
    text: str


def explained(feed: str, url: str, message: str, cause: str) -> Trouble:
    """Return a failure to read a feed's export on a share, with the reason if it is known."""
    found = trouble(feed, url) if cause == "file_server" else None
    if found:
        return Trouble(found.cause, f"{url} was not mounted: {found.text}")
    return Trouble(cause, f"{message}. It is mounted from {url}")


def trouble(feed: str, url: str) -> Trouble | None:
    """Return why a feed's share at a URL was not mounted, or None if nothing is known."""
    server = url.partition("//")[2].partition("/")[0]
    if "@" in server:
        try:
            credential(feed, "source_current")
        except Failure as failure:
            return Trouble("credential", failure.message)
    try:
        with (NOTES / f"{feed}.share").open("rb") as note:
            said = note.read(MOST_READ)
    except OSError:
        return None
    if found := ERROR.search(said):
        number = int(found[1])
        known = KNOWN.get(number, ("file_server", f"it reports: {os.strerror(number)}"))
        return Trouble(*known)
    if b"could not resolve address" in said:
        return Trouble("network", "the name of the file server is unknown. Check the name and DNS")
    first = said.strip().partition(b"\n")[0]
    return Trouble("file_server", f"mount.cifs reports: {printable(first, 200)}") if first else None
