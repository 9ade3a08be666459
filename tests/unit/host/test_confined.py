"""Work among an account's files: its rights, its limits, and an end whatever the files are."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from roster_upload.exits import Exit, Failure
from roster_upload.host import confined
from support.waiting import HANG_SECONDS

NOBODY = 65534
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root has rights to give up")


def processes() -> set[str]:
    """Return this process's children."""
    return set(Path(f"/proc/self/task/{os.getpid()}/children").read_text().split())


@pytest.fixture(autouse=True)
def _leaves_nothing() -> Iterator[None]:
    before = processes(), len(list(Path("/proc/self/fd").iterdir()))
    yield
    assert (processes(), len(list(Path("/proc/self/fd").iterdir()))) == before


def test_an_answer_comes_back_whole(tmp_path: Path) -> None:
    answer = os.urandom(300_000)
    assert confined.answer_as_owner(tmp_path, lambda: answer, HANG_SECONDS) == answer


@needs_root
def test_the_work_has_the_owners_rights_alone(tmp_path: Path) -> None:
    os.chown(tmp_path, NOBODY, 4242)
    answer = confined.answer_as_owner(
        tmp_path, lambda: json.dumps([*os.getresuid(), *os.getresgid()]).encode(), HANG_SECONDS
    )
    assert json.loads(answer) == [NOBODY] * 3 + [4242] * 3
    assert os.geteuid() == 0


def test_work_that_fails_or_gives_nothing_has_no_answer(tmp_path: Path) -> None:
    def fail() -> bytes:
        raise ValueError

    for work in (fail, lambda: b""):
        with pytest.raises(Failure, match="could not be read") as failed:
            confined.answer_as_owner(tmp_path, work, HANG_SECONDS)
        assert failed.value.code is Exit.LOCAL


def test_work_without_an_end_ends(tmp_path: Path) -> None:
    def hang() -> bytes:
        time.sleep(600)
        return b"x"

    start = time.monotonic()
    with pytest.raises(Failure, match="took too long"):
        confined.answer_as_owner(tmp_path, hang, seconds=0.2)
    assert time.monotonic() - start < 300


def test_too_much_memory_or_too_long_an_answer_is_refused(tmp_path: Path) -> None:
    def huge() -> bytes:
        return bytes(1 << 30)

    with pytest.raises(Failure, match="could not be read"):
        confined.answer_as_owner(tmp_path, huge, HANG_SECONDS, memory=256 << 20)
    with pytest.raises(Failure, match="more than 1,000 bytes"):
        confined.answer_as_owner(tmp_path, lambda: bytes(1001), HANG_SECONDS, longest=1000)
    assert (
        len(confined.answer_as_owner(tmp_path, lambda: bytes(1000), HANG_SECONDS, longest=1000))
        == 1000
    )
