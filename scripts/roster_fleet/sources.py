"""Parse the source of a feed: a path on its host, an SFTP server, or a Windows share.

The upload program knows paths and `sftp://`. Its host mounts a share, so the program reads a path.
"""

from __future__ import annotations

import fnmatch
import itertools
import posixpath
import re
import urllib.parse
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from roster_upload import config
from roster_upload.spec import checks, schema
from roster_upload.spec.sources import LOGIN_IN_URL, SftpSource

SMB, SFTP = "smb://", "sftp://"
PORTS = {SFTP: 22, SMB: 445}
MOUNTS = "/srv/roster-source"
FORM = f"{SMB}[DOMAIN;][USER@]SERVER[:PORT]/SHARE/PATH/NAME"
ALLOWED = f"Use an absolute path, {SFTP}USER@HOST/PATH/NAME or {SMB}SERVER/SHARE/PATH/NAME"
SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
UNC = re.compile(r"[\\/]{2}|(?i:smb):\\")
SERVER = re.compile(
    r"(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?))(?::(\d+))?"
)
BAD_ESCAPE = re.compile("%(?![0-9A-Fa-f]{2})")
Feed = Mapping[str, Any]


@dataclass(frozen=True)
class SmbSource:
    """A file, or the newest match of a pattern, on a Windows share. All parts are decoded."""

    domain: str
    user: str  # "" for a guest
    host: str
    port: int
    share: str
    folder: str  # within the share, without slashes at its ends
    name: str  # may hold * and ?

    @classmethod
    def parse(cls, text: str) -> SmbSource:
        """Return the share in a URL. Raise ValueError, which shows no password."""
        shown = without_login(text)  # also of a password that holds a slash
        authority, _, path = text.removeprefix(SMB).partition("/")
        login, _, server = authority.rpartition("@")
        found = SERVER.fullmatch(server)
        if ":" in login or (not found and "@" in path):  # a password may hold a slash
            raise ValueError(f"{shown!r} {LOGIN_IN_URL}")
        if "\\" in text:
            raise ValueError(f"{shown!r} has backslashes. Write {FORM}")
        port = int(found[3] or PORTS[SMB]) if found else 0
        if not found or not 0 < port < 1 << 16:
            raise ValueError(f"{shown!r} has a wrong server or port. Write {FORM}")
        host = checks.host(found[1] or found[2])
        domain, _, user = login.rpartition(";")
        *folders, name = parts = [_decoded(shown, part) for part in path.split("/")]
        if len(parts) < 2 or {"", ".", ".."} & set(parts):
            raise ValueError(f"{shown!r} must hold a share and a file, and no . or ..: {FORM}")
        if any(set("*?[") & set(folder) for folder in folders):
            raise ValueError(f"{shown!r} may hold * and ? in its last part only")
        domain, user = _decoded(shown, domain), _decoded(shown, user)
        for part in (domain, user, *folders):
            bad = {",", "\\"} | ({"%"} if part in {domain, user} else set())
            if bad & set(part) or part != part.strip():
                raise ValueError(
                    f"{shown!r} cannot be mounted. Its user, share and folders must not hold a "
                    "comma, a backslash, or a space at either end, nor a user a percent sign. "
                    "Write a domain as DOMAIN;USER, or rename the folder"
                )
        share, folder = folders[0], "/".join(folders[1:])
        return cls(domain, user, host, port, share, folder, name)


def without_login(text: str) -> str:
    """Return a URL without what stands before its @, which may be a password."""
    return re.sub("//.*@", "//...@", text, flags=re.DOTALL)


def share_of(feed: Feed) -> SmbSource | None:
    """Return the share that a feed's export is on, None for another source. Raise ValueError."""
    source = str(feed.get("source", ""))
    return SmbSource.parse(source) if source.startswith(SMB) else None


def local_path(feed: Feed) -> str:
    """Return where the host reads a feed's export, "" for one that the program fetches."""
    share, source = share_of(feed), str(feed.get("source", ""))
    if share:
        return f"{MOUNTS}/{feed['feed']}/{share.name}"
    return source if source.startswith("/") else ""


def local_folders(feeds: Sequence[Feed]) -> list[str]:
    """Return the folders from which a host reads exports, each once."""
    return list(dict.fromkeys(map(posixpath.dirname, filter(None, map(local_path, feeds)))))


def for_program(feed: Feed) -> dict[str, Any]:
    """Return a feed as its program knows it: a share is a path. Raise ValueError."""
    if share_of(feed) is None:
        return dict(feed)
    return {**feed, "source": local_path(feed), "source_origin": feed["source"]}


def auth_of(feed: Feed) -> str:
    """Return how a host logs in to the server of a source: `password`, `key`, or "" for not."""
    source = str(feed.get("source", ""))
    if source.startswith(SFTP):
        return str(feed.get("source_auth") or "password")
    share = share_of(feed)
    return "password" if share and share.user else ""


def problems(feed: Feed) -> list[config.ConfigProblem]:
    """Return what is wrong with a feed's values, by the program's rules and those of sources."""
    source = feed.get("source")
    if isinstance(source, str) and (text := _form_problem(source)):
        return [config.ConfigProblem("source", text)]
    try:
        return config.problems(for_program(feed))
    except ValueError as error:
        return [config.ConfigProblem("source", str(error))]


def _form_problem(source: str) -> str:
    """Return why a text is no path and no URL of a source, or ""."""
    shown = checks.shown_source(source)
    if UNC.match(source):
        return f"{shown!r} looks like a Windows share. Write {FORM}"
    if source.startswith(tuple(PORTS)):
        return ""
    if SCHEME.match(source):
        return f"{shown!r} has an unknown scheme. {ALLOWED}"
    if not source.startswith("/"):
        return f"{shown!r} is not an absolute path or a URL. {ALLOWED}"
    return f"{source!r} must not hold the part .." if ".." in source.split("/") else ""


User = tuple[str, str]  # the name of a host, and of one of its feeds


def removed_twice(feeds: Iterable[tuple[str, Feed]]) -> Iterator[tuple[User, User, str]]:
    """Yield a feed that removes a file which another one fetches, that one, and the URL.

    `feeds` has each feed with the name of its host.
    """
    places: dict[tuple[object, ...], list[tuple[User, bool, SftpSource]]] = defaultdict(list)
    for host, feed in feeds:
        if source := _fetched(feed.get("source")):
            server = source.host.lower().rstrip("."), source.port, source.username
            removes = feed.get("source_after") == "remove"
            places[*server, source.folder].append(((host, str(feed.get("feed"))), removes, source))
    for users in places.values():
        for first, second in itertools.combinations(users, 2):
            names = first[2].name, second[2].name
            if any(fnmatch.fnmatchcase(*pair) for pair in (names, names[::-1])):
                for remover, other in ((first, second), (second, first)):
                    if remover[1]:
                        yield remover[0], other[0], remover[2].url
                        break


def cross_problems(feeds: Sequence[Feed]) -> list[config.ConfigProblem]:
    """Return problems between the feeds of one host."""
    between = [
        config.ConfigProblem(
            "source_after",
            f"{feed} removes {url} after its delivery, but {other} fetches the same file. Set "
            "source_after: keep for both",
        )
        for (_, feed), (_, other), url in removed_twice(("", feed) for feed in feeds)
    ]
    return config.cross_problems(feeds) + between


def _fetched(source: object) -> SftpSource | None:
    """Return the file on an SFTP server, or None for another source and for a wrong one."""
    try:
        found = schema.keys()["source"].parse(source)
    except ValueError:
        return None
    return found if isinstance(found, SftpSource) else None


def problem(source: str) -> str | None:
    """Return why a source is not allowed, or None."""
    feed = {"feed": "feed", "source": source}
    return next((found.message for found in problems(feed) if found.key == "source"), None)


def _decoded(shown: str, part: str) -> str:
    """Return a part of a URL without its percent-encoding. Raise ValueError."""
    try:
        decoded = urllib.parse.unquote(part, errors="strict")
    except UnicodeDecodeError:
        raise ValueError(f"{shown!r}: its percent-encoding is not UTF-8") from None
    if BAD_ESCAPE.search(part):
        raise ValueError(f"{shown!r}: write a % as %25")
    if not decoded.isprintable() or "/" in decoded or set("*?") & (set(decoded) - set(part)):
        raise ValueError(f"{shown!r} must not hold an encoded / * or ?, or control characters")
    return decoded
