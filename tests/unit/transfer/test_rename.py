"""A temporary file replaces the old one, on servers with different capabilities."""

from __future__ import annotations

from pathlib import Path

import pytest
from roster_upload.exits import Exit
from roster_upload.transfer import (
    messages,
)
from support.sftp_server import (
    FINAL,
    NO_REPLACING,
    TODAY,
    YESTERDAY,
    Faults,
    Server,
    leftover,
    profile,
)
from unit.transfer.test_upload import OLD, attempt


@pytest.mark.parametrize(
    ("faults", "left"),
    [
        ({}, TODAY),
        ({"refuse": {"write": 4}}, YESTERDAY),
        ({"refuse": {"open": 4}}, YESTERDAY),
        ({"refuse": {"close": 4}}, YESTERDAY),
    ],
)
def test_the_only_whole_file_comes_back_from_aside(
    tmp_path: Path, faults: Faults, left: bytes
) -> None:
    """The run before ended between its two renames."""
    server = Server(**faults)
    server.files = {leftover(server, "old"): YESTERDAY, leftover(server): b"x"}
    attempt(server, tmp_path)
    assert server.files == {FINAL: left}


def test_an_old_file_that_was_put_aside_comes_back_at_once(tmp_path: Path) -> None:
    """The server allows moving the old file away, but not renaming the new one into its place."""
    server = Server(**NO_REPLACING, refuse={("rename", 3): 4})
    code, told = attempt(server, tmp_path)
    assert (code, "refused renaming" in told) == (Exit.TRANSFER, True)
    assert server.requests.count("rename") == 4
    assert server.files == {FINAL: YESTERDAY}


def test_nothing_is_put_aside_where_there_is_nothing(tmp_path: Path) -> None:
    server = Server(files={}, refuse={"posix-rename": 3, ("rename", 1): 3})
    assert attempt(server, tmp_path)[0] == Exit.PERMISSION
    assert server.requests.count("rename") == 1


# ---- what the vendor has, and how it is learned -------------------------------------------------


def test_a_renaming_that_is_refused_has_changed_nothing(tmp_path: Path) -> None:
    code, told = attempt(Server(files={}, refuse={"posix-rename": 4, "rename": 4}), tmp_path)
    assert (code, OLD in told) == (Exit.TRANSFER, True)


def test_an_older_file_aside_never_takes_the_place_of_the_present_one(tmp_path: Path) -> None:
    server = Server(refuse={"write": 4})
    server.files[leftover(server, "old")] = b"older"
    attempt(server, tmp_path)
    assert server.files == {FINAL: YESTERDAY}


@pytest.mark.parametrize("known", [None, "move-aside", "rename"])
def test_a_folder_at_the_final_name_is_left_there(tmp_path: Path, known: str | None) -> None:
    server = Server(files={}, replaces=False, kind_of_folder=0o040755)
    server.folders.add(FINAL)
    code, told = attempt(server, tmp_path, known=profile(known) if known else None)
    assert (code, "is a folder on sftp.example.org" in told) == (Exit.REMOTE_PATH, True), told
    assert FINAL in server.folders
    assert server.files == {}


def test_a_file_in_the_way_of_the_old_one_goes(tmp_path: Path) -> None:
    """It was left by a broken run, and nobody may list the folder."""

    class Strict(Server):
        def _rename(self, name: str, old: str, new: str) -> int:
            return messages.FAILURE if new in self.files else super()._rename(name, old, new)

    server = Strict(**NO_REPLACING, refuse={"opendir": 3})
    server.files[leftover(server, "old")] = b"older"
    assert attempt(server, tmp_path, known=profile("move-aside"))[0] == Exit.OK
    assert server.files == {FINAL: TODAY}
