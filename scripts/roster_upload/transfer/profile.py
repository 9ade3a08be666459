"""A server's capabilities, tested once, so that uploads start with the methods that work."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from roster_upload.terminal.printable import printable

# Methods that replace the old file, the best first. IN_PLACE is used only if a probe found it.
MOVE_ASIDE = "move-aside"
RENAME_METHODS = ("posix-rename", "rename", MOVE_ASIDE)
IN_PLACE = "in-place"
FORMER_METHODS = {"aside": MOVE_ASIDE}  # names in profiles of earlier versions

# A profile's values in messages.
LABELS = {
    "server": "the server's version",
    "login": "the login method",
    "rename": "the rename method",
    "temporary_name": "the pattern of temporary names",
    "lists": "whether the folder's names can be listed",
    "stat_after_close": "whether a closed file is visible",
    "takes_on_close": "whether the server takes a file away as soon as it is closed",
    "sizes": "whether the server reports sizes",
    "hash": "whether the server computes hashes",
}
# The methods in messages.
METHODS = {
    "posix-rename": "the new file replaces the old one in one step (posix-rename)",
    "rename": "the new file replaces the old one in one step (rename)",
    MOVE_ASIDE: "the server cannot replace a file, so the old file is moved aside before the new "
    "one is renamed. If the connection breaks in between, there is no file until the next try",
    IN_PLACE: "the server cannot rename files, so the new file is written over the old one. If the "
    "connection breaks, there is a partial file until the next try",
}


@dataclass(frozen=True)
class Profile:
    """A server's capabilities at the time of a probe."""

    server: str  # its version, as in the handshake
    extensions: tuple[str, ...]  # of SFTP, by name
    login: str  # "password", "keyboard-interactive" or "publickey"
    rename: str  # one of RENAME_METHODS, or IN_PLACE
    stat_after_close: bool
    takes_on_close: bool
    sizes: bool
    hash: bool
    learned: str  # UTC, as ISO 8601
    temporary_name: str = ""  # a pattern as in the feed's setting, "" for the usual one
    lists: bool = True  # the folder's names

    def to_json(self) -> str:
        """Return the profile as a JSON object."""
        return json.dumps(dataclasses.asdict(self), indent=2, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> Profile:
        """Return the profile in a JSON object, with today's names. Raise ValueError."""
        try:
            profile = cls(**json.loads(text, object_hook=_printable))
            extensions = tuple(printable(str(name)) for name in profile.extensions)
        except (TypeError, AttributeError) as error:
            raise ValueError(f"is not a server's profile: {error}") from None
        method = FORMER_METHODS.get(profile.rename, profile.rename)
        if method not in METHODS:
            raise ValueError(f"is not a server's profile: unknown rename method {method!r}")
        return dataclasses.replace(profile, rename=method, extensions=extensions)


def _printable(values: dict[str, Any]) -> dict[str, Any]:
    return {
        key: printable(value) if isinstance(value, str) else value for key, value in values.items()
    }


def read_profile(path: Path) -> Profile | None:
    """Return the profile in a file, None if the file is missing or unusable."""
    try:
        return Profile.from_json(path.read_text("utf-8"))
    except (OSError, ValueError):
        return None


def changes(old: Profile, new: Profile) -> list[str]:
    """Return the differences as phrases for a message. The time of the probe is ignored."""
    differences = [
        f"{label} was {_shown(getattr(old, key))}, is {_shown(getattr(new, key))}"
        for key, label in LABELS.items()
        if getattr(old, key) != getattr(new, key)
    ]
    before, now = set(old.extensions), set(new.extensions)
    differences += [f"{name} is no longer offered" for name in sorted(before - now)]
    differences += [f"{name} is now offered" for name in sorted(now - before)]
    return differences


def _shown(value: object) -> str:
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value) or "usual"
