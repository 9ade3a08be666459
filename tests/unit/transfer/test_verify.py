"""The proofs that the server has the file that was sent."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from roster_upload.exits import Exit
from roster_upload.transfer.profile import Profile
from support.sftp_server import (
    FINAL,
    HASHES,
    PROFILE,
    TODAY,
    YESTERDAY,
    Faults,
    Server,
    profile,
)
from unit.transfer.test_upload import OLD, SIZE, TODAYS_HASH, attempt


@pytest.mark.parametrize("way", ["posix-rename", "rename", "move-aside"])
def test_a_renaming_that_is_only_acknowledged_is_noticed(tmp_path: Path, way: str) -> None:
    server = Server(files={}, does_nothing=(way, "rename"))
    code, told = attempt(server, tmp_path, known=profile(way))
    assert (code, "did not rename" in told) == (Exit.VERIFY, True)
    assert "still has the file that it had" in told
    assert server.files == {}
    server = Server(does_nothing=(way, "rename"))
    code, told = attempt(server, tmp_path, known=profile(way))
    assert (code, "did not rename" in told) == (Exit.VERIFY, True)
    assert server.files == {FINAL: YESTERDAY}


@pytest.mark.parametrize("known", [None, profile("in-place")])
def test_a_file_that_shrinks_in_its_place_is_noticed(tmp_path: Path, known: Profile | None) -> None:
    server = Server(spoils="close" if known else "posix-rename")
    code, told = attempt(server, tmp_path, known=known)
    assert (code, "has 5 bytes on the server" in told) == (Exit.VERIFY, True)
    assert "Start the delivery again to be sure" in told
    assert server.files == {FINAL: TODAY[:5]}, "the vendor has nothing else"


@pytest.mark.parametrize(
    ("has_profile", "hashes", "sha256", "told"),
    [
        (False, True, "", "size"),
        (False, True, TODAYS_HASH, "hash"),
        (False, False, TODAYS_HASH, "size"),
        (True, False, TODAYS_HASH, "hash"),  # not announced, and found by trying
        (True, True, "", "size"),
    ],
)
def test_a_hash_is_asked_for_where_there_is_one(
    tmp_path: Path, has_profile: bool, hashes: bool, sha256: str, told: str
) -> None:
    server = Server(**HASHES) if hashes else Server()
    known = dataclasses.replace(PROFILE, hash=True) if has_profile else None
    result = attempt(server, tmp_path, known=known, sha256=sha256)
    assert result == (Exit.OK, f"posix-rename, {SIZE}, {told}")
    assert server.requests.count("check-file-name") == (told == "hash")


def test_a_wrong_hash_is_noticed_before_the_old_file_is_gone(tmp_path: Path) -> None:
    server = Server(**HASHES, hash=bytes(32))
    assert attempt(server, tmp_path, sha256=TODAYS_HASH)[0] == Exit.VERIFY
    assert not any("rename" in request for request in server.requests)


@pytest.mark.parametrize("way", ["posix-rename", "rename"])
@pytest.mark.parametrize(
    "faults",
    [
        {"hides": ("stat", "fstat")},  # the answers alone would prove it
        {**HASHES, "files": {FINAL: bytes(SIZE)}},  # of the same size as the new one
        {},
    ],
)
def test_a_renaming_that_was_not_done_never_counts(
    tmp_path: Path, faults: Faults, way: str
) -> None:
    server = Server(**faults, does_nothing=("posix-rename", "rename"))
    before = dict(server.files)
    code, told = attempt(server, tmp_path, known=profile(way), sha256=TODAYS_HASH)
    assert (code, "did not rename" in told, OLD in told) == (Exit.VERIFY, True, True)
    assert server.files == before
