"""Parse the source of a feed: a path on the host, or a file on an SFTP server."""

from __future__ import annotations

import re
import urllib.parse
from dataclasses import dataclass

SFTP = "sftp://"
SFTP_PORT = 22
FORM = "sftp://USER@HOST[:PORT]/PATH/NAME"
LOGIN_IN_URL = (
    "has a password in the URL. Change the password, and put the new one into the feed's vault "
    "file, as secret below source"
)


@dataclass(frozen=True)
class SftpSource:
    """A file, or the newest match of a pattern, on an SFTP server. All parts are decoded."""

    username: str
    host: str
    port: int
    folder: str  # absolute, "" for the root
    name: str
    is_pattern: bool = False

    @property
    def url(self) -> str:
        """Return the address for people, without percent-encoding."""
        return self.url_of(self.name)

    def url_of(self, name: str) -> str:
        """Return the address of a file in the folder, for people."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port == SFTP_PORT else f":{self.port}"
        return f"{SFTP}{self.username}@{host}{port}{self.folder}/{name}"

    @classmethod
    def parse(cls, text: str) -> SftpSource:
        """Return the source in an address. Raise ValueError with a sentence on the fault."""
        authority, slash, path = text.removeprefix(SFTP).partition("/")
        if "@" not in authority and ":" in authority and "@" in path:
            raise ValueError(LOGIN_IN_URL)  # one that holds a slash
        # A query or a fragment has no meaning here, so `?` and `#` are parts of names.
        username, host, port = _login(authority)
        folder, _, name = (slash + path).rpartition("/")
        if not name:
            raise ValueError(f"has no file name. Write {FORM}")
        parts = folder.split("/")[1:] if folder else []
        if set("*?") & set(folder):
            raise ValueError("may hold * and ? in its last part only")
        decoded = [_decoded(part) for part in (*parts, name)]
        if any(part in ("", ".", "..", "~") or "/" in part for part in decoded):
            raise ValueError(f"must have an absolute path without empty parts, . or ..: {FORM}")
        folder = "".join(f"/{part}" for part in decoded[:-1])
        return cls(username, host, port, folder, decoded[-1], bool(set("*?") & set(name)))


def _login(authority: str) -> tuple[str, str, int]:
    """Return the user, the host and the port of an address. Raise ValueError."""
    user, at, server = authority.rpartition("@")
    if not at or not user:
        raise ValueError(f"has no user. Write {FORM}")
    if ":" in user:
        raise ValueError(LOGIN_IN_URL)
    match = re.fullmatch(r"(?:\[([0-9A-Fa-f:.]+)\]|([^:\[\]]*))(?::([0-9]{1,5}))?", server)
    host, port = (match[1] or match[2], int(match[3] or SFTP_PORT)) if match else ("", 0)
    if not host or not 0 < port < 1 << 16:
        raise ValueError(f"has no host name, or a wrong port. Write {FORM}")
    return _decoded(user), host, port


def _decoded(part: str) -> str:
    """Return a part of an address without its percent-encoding. Raise ValueError."""
    if re.search(r"%(?![0-9A-Fa-f]{2})", part):
        raise ValueError("holds a % that encodes nothing. Write %25 for a percent sign")
    try:
        return urllib.parse.unquote(part, errors="strict")
    except UnicodeDecodeError:
        raise ValueError("holds percent-encoded bytes that are not UTF-8") from None
