"""Paths of the host: what they are now, whose they are, and the distribution's own files."""

from __future__ import annotations

import grp
import os
import pwd
import stat

DEFAULT_MODE = {"file": "0644", "directory": "0755"}
DIVERTED = ".distrib"  # dpkg-divert's own suffix


class EntryError(Exception):
    """An entry that cannot be applied. The message says why."""

    def __init__(self, path, message):
        super().__init__(message)
        self.path = path


def current_state(path):
    """Return file, directory, link, other or absent. The path's last link is not followed."""
    try:
        mode = os.lstat(path).st_mode
    except OSError:
        return "absent"
    if stat.S_ISLNK(mode):
        return "link"
    if stat.S_ISDIR(mode):
        return "directory"
    return "file" if stat.S_ISREG(mode) else "other"


def read(path):
    """Return the bytes of a file."""
    with open(path, "rb") as handle:
        return handle.read()


def is_diverted(path):
    """Return whether dpkg-divert keeps the distribution's own file beside the path."""
    return current_state(path + DIVERTED) == "file"


def read_original(path):
    """Return the text of the distribution's own file, or "" before its package is installed."""
    for candidate in (path + DIVERTED, path):
        if current_state(candidate) == "file":
            return read(candidate).decode("utf-8")
    return ""


def owner_ids(entry, is_check=False):
    """Return (uid, gid) of an entry. Raise EntryError for a name that the host does not know.

    In check mode such a name may be one that the real run would make. Its id is then None.
    """
    ids = []
    for lookup, kind, field in (
        (pwd.getpwnam, "owner", "pw_uid"),
        (grp.getgrnam, "group", "gr_gid"),
    ):
        try:
            ids.append(getattr(lookup(entry[kind]), field))
        except KeyError:
            if not is_check:
                message = "no %s named %r on this host" % (kind, entry[kind])
                raise EntryError(entry["path"], message) from None
            ids.append(None)
    return tuple(ids)


def permissions(entry):
    """Return an entry's permissions as a number. Raise EntryError if it needs a mode."""
    mode = entry["mode"] or DEFAULT_MODE.get(entry["state"])
    if not mode:
        raise EntryError(entry["path"], "needs a mode")
    return int(mode, 8)


def attribute_changes(entry, is_check=False):
    """Return owner and mode as texts (before, after). Both are empty if nothing differs."""
    uid, gid = owner_ids(entry, is_check)
    wanted = permissions(entry)
    now = os.lstat(entry["path"])
    if (now.st_uid, now.st_gid, stat.S_IMODE(now.st_mode)) == (uid, gid, wanted):
        return "", ""
    before = "owner %s:%s mode %04o\n" % (now.st_uid, now.st_gid, stat.S_IMODE(now.st_mode))
    return before, "owner %s:%s mode %04o\n" % (uid, gid, wanted)


def set_attributes(entry):
    """Give a path its owner, its group and its mode."""
    uid, gid = owner_ids(entry)
    os.lchown(entry["path"], uid, gid)
    os.chmod(entry["path"], permissions(entry))
