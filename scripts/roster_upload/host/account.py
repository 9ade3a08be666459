"""Let root's commands use the files of a feed's account, which may be compromised.

An attacker with this account can replace any file of its folders by a link or a pipe.
"""

from __future__ import annotations

import errno
import os
import pwd
import stat
from pathlib import Path

from roster_upload.exits import Exit, Failure


def become_owner(folder: Path) -> None:
    """Give up root's rights for good, and continue as the owner of a feed's state.

    A link in the folder then opens nothing that this account could not open itself. Its
    parent folder is root's, so the account cannot choose another owner. Raise Failure.
    """
    if os.geteuid() != 0:
        return
    try:
        owner = folder.lstat()
    except FileNotFoundError:  # nothing was ever delivered
        return
    if not stat.S_ISDIR(owner.st_mode):
        raise Failure(Exit.LOCAL, f"{folder} is not a folder. Remove it and run site.yml")
    if owner.st_uid == 0:
        return
    try:
        os.initgroups(pwd.getpwuid(owner.st_uid).pw_name, owner.st_gid)
    except KeyError:
        os.setgroups([])
    os.setgid(owner.st_gid)
    os.setuid(owner.st_uid)


def user_name() -> str:
    """Return the name of the user of this process."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())


def open_plain(path: Path, flags: int = os.O_RDONLY, mode: int = 0o640) -> int:
    """Open a plain file and return its descriptor. Raise OSError for a link, pipe or device."""
    # Without O_NONBLOCK a pipe would block this process.
    handle = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, mode)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise OSError(errno.EINVAL, "is not a plain file", str(path))
    return handle


def read_plain(path: Path, longest: int = -1) -> bytes:
    """Return the first `longest` bytes of a plain file, or all. Raise OSError."""
    with os.fdopen(open_plain(path), "rb") as file:
        return file.read(longest)
