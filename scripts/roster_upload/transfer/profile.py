"""What is learned of a server once, so that an upload begins with what works there."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from roster_upload.terminal.printable import printable

# The ways to the final name, the best first. IN_PLACE is none of them: it has to be learned.
RENAME_METHODS = ("posix-rename", "rename", "aside")
IN_PLACE = "in-place"

# In the words of an operator, what a profile's values say.
WORDS = {
    "server": "the server's version",
    "login": "the method of login",
    "rename": "the way of renaming",
    "temporary_name": "the pattern of temporary names",
    "lists": "whether the folder's names can be listed",
    "stat_after_close": "whether a file can be looked at after it was closed",
    "takes_on_close": "whether a file is taken away as soon as it is closed",
    "sizes": "whether the server tells sizes",
    "hash": "whether the server computes hashes",
}
# What an operator reads of the ways to the final name.
METHODS = {
    "posix-rename": "the new file replaces the old one in one step (posix-rename)",
    "rename": "the new file replaces the old one in one step (rename)",
    "aside": "the server replaces no file: the old file is moved aside before the new one takes "
    "its place, so a connection that breaks between the two leaves no file until the next try",
    IN_PLACE: "the server renames no file: the new file is written over the old one, so a "
    "connection that breaks leaves a part of it until the next try",
}


@dataclass(frozen=True)
class Profile:
    """The ways of a server, as they were learned at a time."""

    server: str  # its version, as in the handshake
    extensions: tuple[str, ...]  # of SFTP, by name
    login: str  # "password", "keyboard-interactive" or "publickey"
    rename: str  # one of RENAME_METHODS, or IN_PLACE
    stat_after_close: bool
    takes_on_close: bool
    sizes: bool
    hash: bool
    learned: str  # UTC, as ISO 8601
    temporary_name: str = ""  # a pattern as in the feed's setting, "" where the usual one will do
    lists: bool = True  # the folder's names

    def to_json(self) -> str:
        """Return the profile as a JSON object."""
        return json.dumps(dataclasses.asdict(self), indent=2, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> Profile:
        """Return the profile of a JSON object; raise ValueError where it is none."""
        try:
            profile = cls(**json.loads(text, object_hook=_printable))
            extensions = tuple(printable(str(name)) for name in profile.extensions)
        except (TypeError, AttributeError) as error:
            raise ValueError(f"is no profile of a server: {error}") from None
        if profile.rename not in METHODS:
            raise ValueError(f"is no profile of a server: {profile.rename!r} is no way of renaming")
        return dataclasses.replace(profile, extensions=extensions)


def _printable(values: dict[str, Any]) -> dict[str, Any]:
    return {
        key: printable(value) if isinstance(value, str) else value for key, value in values.items()
    }


def read_profile(path: Path) -> Profile | None:
    """Return the profile that a file holds, None where there is none of use."""
    try:
        return Profile.from_json(path.read_text("utf-8"))
    except (OSError, ValueError):
        return None


def changes(old: Profile, new: Profile) -> list[str]:
    """Return what is different, in words; when it was learned is no difference."""
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
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value) or "usual"
