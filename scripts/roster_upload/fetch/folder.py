"""The folder on the SIS's server: its newest match, and whether that file has changed."""

from __future__ import annotations

import difflib
from dataclasses import dataclass

from roster_upload.exits import Exit, SourceFailure
from roster_upload.export import is_match
from roster_upload.fetch.account import SourceAccount
from roster_upload.fetch.failure import NO_MATCH
from roster_upload.terminal.printable import printable
from roster_upload.transfer.directory import meaning_of
from roster_upload.transfer.messages import SftpStatusError
from roster_upload.transfer.protocol import Sftp

MOST_ASKED = 200  # matches whose attributes are asked for, if the listing has none
# Names in the folder, if the export is missing. To compare a hundred thousand takes minutes.
NAMED, LONGEST_NAME, MOST_COMPARED = 3, 255, 1_000


@dataclass(frozen=True)
class RemoteFile:
    """A file on the SIS's server, as it reports it. The name is never used as a local one."""

    name: str
    size: int | None  # bytes
    modified: int | None  # seconds since 1970, by the server's clock

    @property
    def shown(self) -> str:
        """Return the name for people and receipts."""
        return printable(self.name.encode("utf-8", "surrogateescape"), LONGEST_NAME)

    @property
    def order(self) -> tuple[int, bytes]:
        """Return the time and the name, of which the greatest is the newest file."""
        when = -1 if self.modified is None else self.modified
        return when, self.name.encode("utf-8", "surrogateescape")


class SourceFolder:
    """The folder of a feed's source."""

    def __init__(self, sftp: Sftp, account: SourceAccount) -> None:
        self.sftp = sftp
        self.account = account
        self.source = account.source

    def path(self, name: str) -> str:
        """Return the remote path of a name."""
        return f"{self.source.folder}/{name}"

    def url(self, file: RemoteFile) -> str:
        """Return the address of a file for people."""
        return self.source.url_of(file.shown)

    def matches(self) -> list[RemoteFile]:
        """Return the regular files that the source names, the newest last.

        Raise SourceFailure if there are none, and SftpStatusError.
        """
        found = self._matching() if self.source.is_pattern else self._one()
        if not found:
            raise SourceFailure(
                f"there is no export at {self.source.url}. {self._instead()}", NO_MATCH
            )
        return sorted(found, key=lambda file: file.order)

    def newest(self) -> RemoteFile:
        """Return the newest file that the source names. Raise as `matches` does.

        Some servers list outdated sizes, so the file itself is looked at.
        """
        listed = self.matches()[-1]
        return self.again(listed) or listed

    def again(self, file: RemoteFile) -> RemoteFile | None:
        """Return a file as it is now, None if it is gone. Raise SftpStatusError."""
        try:
            seen = self.sftp.stat(self.path(file.name))
        except SftpStatusError as refused:
            if meaning_of(refused) is Exit.REMOTE_PATH:
                return None
            if not self.source.is_pattern:
                raise
            # Some servers refuse to show attributes, except in a listing.
            return next((one for one in self._listed() if one.name == file.name), None)
        return RemoteFile(file.name, *seen.state) if seen.may_be_file else None

    def _one(self) -> list[RemoteFile]:
        """Return the file of this very name, which may be in a folder that cannot be listed."""
        file = self.again(RemoteFile(self.source.name, None, None))
        return [file] if file else []

    def _matching(self) -> list[RemoteFile]:
        """Return the files that match the pattern. Ask for what the listing has not reported."""
        found: list[RemoteFile] = []
        for file in sorted(self._listed(), key=lambda file: file.order, reverse=True):
            seen: RemoteFile | None = file
            if None in (file.size, file.modified) and len(found) < MOST_ASKED:
                seen = self.again(file)
            found += [seen] if seen else []
        return found

    def _listed(self) -> list[RemoteFile]:
        """Return the files that match the pattern, as the listing reports them."""
        pattern = self.source.name.replace("[", "[[]")  # it is a letter as any other here
        found = []
        for raw, seen in self.sftp.entries(self.source.folder or "/"):
            name = raw.decode("utf-8", "surrogateescape")
            if _is_plain(name) and is_match(name, pattern) and seen.may_be_file:
                found.append(RemoteFile(name, *seen.state))
        return found

    def _instead(self) -> str:
        """Return what the folder holds instead, the nearest names first."""
        try:
            names = [raw for raw, _ in self.sftp.entries(self.source.folder or "/")]
        except SftpStatusError as refused:
            if meaning_of(refused) is Exit.REMOTE_PATH:
                return "There is no such folder either. Did the SIS write it elsewhere?"
            return "Did the SIS write it elsewhere?"
        names = [raw for raw in names if raw not in (b".", b"..")]
        shown = [printable(raw, LONGEST_NAME) for raw in names[:MOST_COMPARED]]
        if not shown:
            return "Its folder is empty. Did the SIS write it elsewhere?"
        near = difflib.get_close_matches(self.source.name, shown, NAMED, 0) or sorted(shown)
        listed = ", ".join(f'"{name}"' for name in near[:NAMED])
        more = f" and {len(names) - NAMED:,} more" if len(names) > NAMED else ""
        return (
            f"Its folder holds {listed}{more}. If one of them is the export, correct the name in "
            "the source"
        )


def _is_plain(name: str) -> bool:
    """Return whether a server's name is that of a file in its folder, and of nothing else."""
    return name not in ("", ".", "..") and not {"/", "\0"} & set(name)
