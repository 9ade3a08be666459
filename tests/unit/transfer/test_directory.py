"""The feed's folder: missing, full, and the meaning of refusals."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from roster_upload.exits import Exit, Failure
from roster_upload.transfer import directory, messages
from support.sftp_server import (
    ALL,
    FOLDER,
    Server,
    directory_of,
)
from unit.transfer.test_upload import attempt


@pytest.mark.parametrize(
    ("makes", "folders", "refuse", "code"),
    [
        (False, {"imagine"}, {}, Exit.REMOTE_PATH),
        (True, {"imagine"}, {}, Exit.OK),
        (True, set(), {}, Exit.OK),
        (True, {"imagine"}, {"mkdir": 3}, Exit.PERMISSION),
        (True, {"imagine"}, {"mkdir": 4}, Exit.TRANSFER),
        (True, None, {"opendir": 3, "open": 3, "stat": 3}, Exit.PERMISSION),
        (True, None, {"open": 2}, Exit.TRANSFER),
    ],
)
def test_a_missing_folder_is_made_where_the_feed_says_so(
    tmp_path: Path, makes: bool, folders: set[str] | None, refuse: dict[Any, int], code: Exit
) -> None:
    server = Server(files={}, refuse=refuse)
    server.folders = server.folders if folders is None else set(folders)
    made = server.folders.copy()
    assert attempt(server, tmp_path, make_remote_dir=makes)[0] == code
    assert ("mkdir" in server.requests) is (makes and folders is not None)
    if code is Exit.OK:
        assert server.folders == {"imagine", FOLDER.rpartition("/")[0], FOLDER}
        assert server.requests.count("mkdir") == 3 - len(made), "what is there stays"


@pytest.mark.parametrize(("extensions", "hints"), [((), True), (ALL, False)])
def test_a_server_that_tells_no_room_may_be_full(
    tmp_path: Path, extensions: tuple[str, ...], hints: bool
) -> None:
    code, told = attempt(Server(refuse={"write": 4}, extensions=extensions), tmp_path)
    assert (code, "may be full" in told) == (Exit.TRANSFER, hints)


def test_no_other_name_is_tried_on_a_full_disk(tmp_path: Path) -> None:
    server = Server(refuse={"open": 14})
    assert attempt(server, tmp_path)[0] == Exit.DISK_FULL
    assert server.requests.count("open") == 1


def test_names_of_temporary_files_belong_to_one_feed() -> None:
    own, other = directory_of(Server()), directory_of(Server(), feed="oak-valley")
    name = own.temporary("probe-").rpartition("/")[2]
    assert own.is_own(name)
    assert own.is_own(name, "probe-")
    assert not own.is_own(name, "old")
    assert not other.is_own(name)
    assert own.is_own(own.aside.rpartition("/")[2], "old")


def test_the_final_name_is_never_a_leftover() -> None:
    own = directory_of(Server())
    name = own.temporary().rpartition("/")[2]
    assert not directory_of(Server(), remote_name=name).is_own(name)


def test_a_folder_that_exists_but_cannot_be_listed_has_no_names() -> None:
    assert directory_of(Server(refuse={"opendir": 3})).look() is None
    missing = directory_of(Server(folders=set()))
    with pytest.raises(messages.SftpStatusError):
        missing.look()


@pytest.mark.parametrize(
    ("refusals", "code"),
    [
        ([(4, ""), (3, "")], Exit.PERMISSION),
        ([(3, ""), (4, "Disk quota exceeded")], Exit.QUOTA),
        ([(4, "No space left on device"), (12, "")], Exit.DISK_FULL),
        ([(4, ""), (5, "")], Exit.TRANSFER),
    ],
)
def test_the_most_specific_refusal_explains_a_failure(
    refusals: list[tuple[int, str]], code: Exit
) -> None:
    refused = [messages.SftpStatusError(*refusal) for refusal in refusals]
    assert directory.meaning_of(directory.most_specific(refused)) is code
    there = directory_of(Server())
    there.is_seen = True
    assert there.failure(*refused).code is code


@pytest.mark.parametrize(
    ("room", "size", "code"),
    [((100, 0), 100, None), ((0, 0), 1 << 40, Exit.DISK_FULL), ((100, 1), 1, Exit.READ_ONLY)],
)
def test_space_that_the_server_reports_is_checked(
    room: tuple[int, int], size: int, code: Exit | None
) -> None:
    there = directory_of(Server(room=room))
    if code is None:
        there.check_room(size)
        return
    with pytest.raises(Failure) as failed:
        there.check_room(size)
    assert failed.value.code is code
