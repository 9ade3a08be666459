"""The profile of a server."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from roster_upload.transfer.profile import Profile, changes, read_profile
from support.sftp_server import (
    PROFILE,
)


def test_a_profile_survives_its_file() -> None:
    assert Profile.from_json(PROFILE.to_json()) == PROFILE


@pytest.mark.parametrize("text", ["", "[]", "{}", "null", '{"server": "x"}', "{"])
def test_what_is_no_profile_is_told(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - json's own, or ours
        Profile.from_json(text)


def test_a_profile_with_an_unknown_way_is_told() -> None:
    text = dataclasses.replace(PROFILE, rename="by-hand").to_json()
    with pytest.raises(ValueError, match="unknown rename method 'by-hand'"):
        Profile.from_json(text)


def test_what_has_changed_is_told_in_words() -> None:
    later = dataclasses.replace(PROFILE, learned="2027-02-01T00:00:00Z")
    assert changes(PROFILE, later) == []
    later = dataclasses.replace(
        later, server="SSH-2.0-Vendor_2", hash=False, extensions=("limits", "statvfs@openssh.com")
    )
    assert changes(PROFILE, later) == [
        "the server's version was SSH-2.0-Vendor_1, is SSH-2.0-Vendor_2",
        "whether the server computes hashes was yes, is no",
        "check-file is no longer offered",
        "limits is now offered",
    ]


@pytest.mark.parametrize("key", ["login", "rename", "stat_after_close", "takes_on_close", "sizes"])
def test_each_difference_of_a_server_is_told(key: str) -> None:
    old = getattr(PROFILE, key)
    new: Any = (not old) if isinstance(old, bool) else "move-aside"
    [told] = changes(PROFILE, dataclasses.replace(PROFILE, **{key: new}))
    words = {True: "yes", False: "no"}
    assert told.endswith(f" was {words.get(old, old)}, is {words.get(new, new)}")


def test_a_profile_holds_printable_text_only() -> None:
    """The program's user can write it, and root reads it."""
    text = dataclasses.replace(PROFILE, server="\x1b]0;x\x07", extensions=("\x9b",)).to_json()
    read = Profile.from_json(text)
    assert (read.server, read.extensions) == (r"\x1b]0;x\x07", (r"\x9b",))


def test_a_profile_of_an_earlier_version_gets_the_new_name_of_its_method(tmp_path: Path) -> None:
    former = dataclasses.asdict(PROFILE) | {"rename": "aside"}
    file = tmp_path / "server.json"
    file.write_text(json.dumps(former))
    assert read_profile(file) == dataclasses.replace(PROFILE, rename="move-aside")


@pytest.mark.parametrize("text", ["", "{}", "\xff"])
def test_an_unusable_file_is_no_profile(tmp_path: Path, text: str) -> None:
    file = tmp_path / "server.json"
    assert read_profile(file) is None
    file.write_bytes(text.encode("latin-1"))
    assert read_profile(file) is None
