"""What is learned of a server once, so that a delivery begins with what works there."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
import hashlib
import io
import json
import struct
from dataclasses import dataclass

from roster_upload.config import Feed
from roster_upload.sftp import IN_PLACE, POSIX_RENAME, WAYS, Lost, Place, Refused, place_of
from roster_upload.ssh import Facts

SAMPLE = b"roster-upload looks at the ways of this server; this file goes away at once.\n"

# In the words of an operator, what a profile's values say.
WORDS = {
    "server": "the server's version",
    "login": "the method of login",
    "rename": "the way of renaming",
    "stat_after_close": "whether a file can be looked at after it was closed",
    "takes_on_close": "whether a file is taken away as soon as it is closed",
    "sizes": "whether the server tells sizes",
    "hash": "whether the server computes hashes",
}


@dataclass(frozen=True)
class Profile:
    """The ways of a server, as they were learned at a time."""

    server: str  # its version, as in the handshake
    extensions: tuple[str, ...]  # of SFTP, by name
    login: str  # "password", "keyboard-interactive" or "publickey"
    rename: str  # one of WAYS, or IN_PLACE
    stat_after_close: bool
    takes_on_close: bool
    sizes: bool
    hash: bool
    learned: str  # UTC, as ISO 8601

    def to_json(self) -> str:
        """The profile as a JSON object."""
        return json.dumps(dataclasses.asdict(self), indent=2, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> Profile:
        """The profile of a JSON object; raises ValueError where it is none."""
        try:
            profile = cls(**json.loads(text))
            extensions = tuple(map(str, profile.extensions))
        except (TypeError, AttributeError) as error:
            raise ValueError(f"is no profile of a server: {error}") from None
        if profile.rename not in (*WAYS, IN_PLACE):
            raise ValueError(f"is no profile of a server: {profile.rename!r} is no way of renaming")
        return dataclasses.replace(profile, extensions=extensions)


def changes(old: Profile, new: Profile) -> list[str]:
    """What is different, in words; when it was learned is no difference."""
    told = [
        f"{words} was {_word(getattr(old, key))}, is {_word(getattr(new, key))}"
        for key, words in WORDS.items()
        if getattr(old, key) != getattr(new, key)
    ]
    gone, come = (
        set(old.extensions) - set(new.extensions),
        set(new.extensions) - set(old.extensions),
    )
    told += [f"{name} is offered no longer" for name in sorted(gone)]
    told += [f"{name} is offered now" for name in sorted(come)]
    return told


def _word(value: object) -> str:
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)


def probe(feed: Feed, secret: bytes, facts: Facts, *, limit: float | None = None) -> Profile:
    """Logs in once, tries the server's ways on small files of its own, and removes them again.

    The final name is not touched. Raises Failure.
    """
    with place_of(feed, secret, facts, limit) as place:
        return Probe(place).run()


class Probe:
    """Small files under temporary names, and what a server does to them."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.sftp = place.sftp
        self.made: list[str] = []
        self.can_tell_size = False

    def run(self) -> Profile:
        """Tries all, tidies up; returns what was learned."""
        place, facts = self.place, self.place.facts
        try:
            self._remove_leftovers()
            path = self._put()
            with place.step("verify"):
                is_taken, size = self._look(path)
            way = IN_PLACE if is_taken else self._way(path)
            self._remove_all()
            return Profile(
                server=facts.server,
                extensions=facts.extensions,
                login=facts.method,
                rename=way,
                stat_after_close=size is not None,
                takes_on_close=is_taken,
                sizes=self.can_tell_size or size is not None,
                hash=not is_taken and self._has_hash(),
                learned=dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            )
        finally:
            with contextlib.suppress(Lost, struct.error):
                self.sftp.hurry()
                self._remove_all()

    def write(self) -> None:
        """Writes a small file and removes it: whether the account may."""
        try:
            self._put()
        finally:
            with contextlib.suppress(Lost, struct.error):
                self._remove_all()

    def _has_hash(self) -> bool:
        """Whether the server computes a file's SHA-256, also where it does not announce it.

        It is asked last: the answer to a request that it does not know may be to hang up.
        """
        path = self._put()
        told = None
        with self.place.step("verify"), contextlib.suppress(Lost):
            told = self.sftp.sha256(path)
        return told == hashlib.sha256(SAMPLE).hexdigest()

    def _remove_leftovers(self) -> None:
        """Removes what a probe has left that was cut off; a delivery's own are its matter."""
        start = f"{self.place.prefix}probe-"
        for name in self.place.names():
            if name.startswith(start):
                with contextlib.suppress(Refused):
                    self.sftp.remove(f"{self.place.folder}/{name}")

    def _put(self) -> str:
        """Writes a small file; returns its path."""
        path = self._new()
        with self.place.step("write"):
            handle = self.sftp.create(path)
            self.sftp.write(handle, io.BytesIO(SAMPLE))
            self.can_tell_size |= self.sftp.size_of(handle) is not None
        with self.place.step("close"):
            self.sftp.close(handle)
        return path

    def _new(self) -> str:
        path = self.place.passing("probe-")
        self.made.append(path)
        return path

    def _look(self, path: str) -> tuple[bool, int | None]:
        """Whether a file is gone, and its size where the server tells it."""
        try:
            return False, self.sftp.size(path)
        except Refused:
            return True, None

    def _way(self, path: str) -> str:
        """The first way by which a file takes another's place, else IN_PLACE."""
        offers_posix = POSIX_RENAME in self.sftp.extensions
        # The way, how, and whether the new name is one that is in use.
        ways = (
            ("posix-rename", self.sftp.posix_rename, True),
            ("rename", self.sftp.rename, True),
            ("aside", self.sftp.rename, False),
        )
        for way, rename, is_used in ways[0 if offers_posix else 1 :]:
            other = self._put() if is_used else self._new()
            with self.place.step("rename"), contextlib.suppress(Refused):
                rename(path, other)
                if path.rpartition("/")[2] not in self.place.names():
                    return way
        return IN_PLACE

    def _remove_all(self) -> None:
        while self.made:
            with contextlib.suppress(Refused):  # it is gone, or its name is another now
                self.sftp.remove(self.made[-1])
            self.made.pop()
