"""The parts of a receipt: files, changes, notified findings, waits, approvals and the server."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from roster_upload.records.plain_json import plain
from roster_upload.records.schema import (
    NEEDED,
    Part,
    day,
    digest,
    each,
    key,
    maybe,
    moment,
    table,
    text,
    whole,
)


@dataclass(frozen=True)
class File(Part):
    """A file of a delivery: the export, or the package made of it."""

    path: str = key(text, "path of the export")
    bytes: int | None = key(maybe(whole), "size", None)
    sha256: str = key(digest, "digest of the file")
    content: str = key(text, "digest of the contents of a zip, which ignores its time stamps")
    modified: str = key(moment, "when the export was written")
    origin: str = key(text, "address of the server that the export comes from")
    name: str = key(text, "name of the export on that server")
    cause: str = key(
        text,
        "why there was no export: `no_match`, `permission`, `file_server`, `network`, `host_key`, "
        "`login` or another exit code's name in small letters",
    )
    after: str = key(text, "what became of the file on its server: `removed` or `left`")
    note: str = key(text, "why it was left")
    steps: Mapping[str, Any] = key(table(plain), "declared steps, with their counts", {})

    def is_same_remote(self, other: File) -> bool:
        """Return whether two files are one and the same file on a server."""
        both = ((one.origin, one.name, one.bytes, one.modified) for one in (self, other))
        first, second = both
        return bool(self.name) and first == second

    def is_same(self, other: File) -> bool:
        """Return whether two files have the same content, except for time stamps in their zips.

        Older receipts have no digest of the content. Their SHA-256 is compared.
        """
        if self.content and other.content:
            return self.content == other.content
        return bool(self.sha256) and self.sha256 == other.sha256


@dataclass(frozen=True)
class Change(Part):
    """The number of records of a kind, by the last export and by this one."""

    now: int = key(whole, "records of tonight", NEEDED)
    before: int | None = key(maybe(whole), "records of the last accepted package", None)
    added: int = key(whole, "new records", 0, always=True)
    removed: int = key(whole, "records that are gone", 0, always=True)
    changed: int | None = key(maybe(whole), "records with another row", None)


@dataclass(frozen=True)
class Notified(Part):
    """A finding that was part of a notification."""

    rule: str = key(text, "rule", NEEDED)
    file: str = key(text, "file", NEEDED)
    column: str = key(text, "column", NEEDED)
    count: int = key(whole, "how often", NEEDED)

    @property
    def key(self) -> tuple[str, str, str]:
        """Return the key that it shares with the same finding of another night."""
        return self.rule, self.file, self.column


@dataclass(frozen=True)
class Waiting(Part):
    """Removals that wait."""

    since: str = key(day, "first night", NEEDED)
    nights: int = key(whole, "nights, with this one", NEEDED)
    counts: Mapping[str, int] = key(table(whole), "removals by kind of record", NEEDED)


@dataclass(frozen=True)
class Approval(Part):
    """The approval of a held export."""

    who: str = key(text, "account", NEEDED)
    why: str = key(text, "reason", NEEDED)
    finished: str = key(text, "when", NEEDED)


@dataclass(frozen=True)
class Break(Part):
    """A place where a ledger was changed by something else than the program."""

    code: str = key(
        text,
        "`link` (not chained to the line before), `mac` (wrong key), `no_key`, `other_key`, "
        "`start` (the lines before were replaced)",
        NEEDED,
    )
    position: int = key(whole, "lines since the feed's first one, 0 for the start", 0)
    night: str = key(day, "night of the line")


@dataclass(frozen=True)
class KeyCheck(Part):
    """The check of a ledger with its key, at the start of a run."""

    lines: int = key(whole, "lines so far", NEEDED)
    breaks: tuple[Break, ...] = key(each(Break.parse), "lines that the key does not fit", ())


@dataclass(frozen=True)
class Target:
    """The address of a file at the vendor."""

    host: str
    port: int | None
    dir: str
    name: str


@dataclass(frozen=True)
class Remote(Part):
    """The vendor's server and the transfer to it."""

    host: str = key(text, "host")
    port: int | None = key(maybe(whole), "port", None)
    dir: str = key(text, "upload path")
    name: str = key(text, "remote name")
    address: str = key(text, "IP address")
    server: str = key(text, "version that the server sends")
    host_key: str = key(text, "fingerprint of its host key")
    login: str = key(text, "method of the login")
    bytes: int | None = key(maybe(whole), "size there, absent where the server hides sizes", None)
    method: str = key(text, "method of renaming")
    verified: str = key(text, "`hash`, `size`, `answers` or `taken`")
    server_changed: tuple[str, ...] = key(each(text), "changes of the server", ())

    @property
    def target(self) -> Target:
        """Return the address of the file at the vendor."""
        return Target(self.host, self.port, self.dir, self.name)
