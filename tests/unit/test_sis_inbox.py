"""The watcher of the inboxes: whatever lies in one, it is counted or closed, and alone."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import json
import os
import resource
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
GOOD, BAD = "games", "lp"  # accounts of every Debian, of which nothing runs
MOST = 1_000_000  # files
LIMITS = {"max_bytes": 10**9, "max_files": 1000}
Program = Any  # a program of the hosts carries no types


@pytest.fixture
def program(tmp_path: Path) -> Program:
    """The host's own program, on other folders, with the inboxes of two accounts."""
    path = ROOT / "roles/sis_inbox/files/usr/local/sbin/sis-inbox"
    loader = importlib.machinery.SourceFileLoader("sis_inbox", str(path))
    spec = importlib.util.spec_from_loader("sis_inbox", loader)
    assert spec
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    folders = {name: tmp_path / name.lower() for name in ("ROOT", "KEYS", "LINKS")}
    for folder in folders.values():
        folder.mkdir()
    module.__dict__.update(
        folders, SETTINGS=tmp_path / "settings.json", FREE_SHARE=0, RESTART=["true"]
    )
    for user in (GOOD, BAD):
        (module.ROOT / user / "incoming").mkdir(parents=True)
    settle(module)
    return module


def settle(program: Program, **values: object) -> None:
    """Write the watcher's settings."""
    settings = {
        "folder": str(program.ROOT), "users": [BAD, GOOD], "open_command": "put", **LIMITS, **values
    }  # fmt: skip
    program.SETTINGS.write_text(json.dumps(settings))


def inbox(program: Program, user: str) -> Any:
    """Return an account's inbox as the program sees it."""
    return program.Inbox(user, program.ROOT)


def incoming(program: Program, user: str) -> Path:
    return Path(program.ROOT / user / "incoming")


def opened(program: Program) -> dict[str, bool]:
    """Return which inboxes are open, by account."""
    return {user: inbox(program, user).is_open() for user in (GOOD, BAD)}


def nest(folder: Path, depth: int, name: str = "d") -> None:
    """Make folders in each other, deeper than any path can say."""
    here = os.open(folder, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir(name, dir_fd=here)
        below = os.open(name, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)


def unnest(folder: Path, depth: int, name: str = "d") -> None:
    """Remove them again, which pytest's own clearing up cannot."""
    here = os.open(folder, os.O_RDONLY)
    for _ in range(depth - 1):
        below = os.open(name, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    for _ in range(depth):
        os.rmdir(name, dir_fd=here)
        above = os.open("..", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = above
    os.close(here)


@pytest.fixture
def few_handles() -> Iterator[None]:
    """A process that may have a few files open."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.mark.usefixtures("few_handles")
@pytest.mark.parametrize(("depth", "name"), [(1_100, "d"), (40, "d" * 200), (10_000, "d")])
def test_a_deep_tree_is_counted_with_few_handles(
    program: Program,
    depth: int,
    name: str,
) -> None:
    folder = incoming(program, BAD)
    nest(folder, depth, name)
    try:
        settle(program, max_files=MOST)
        box = inbox(program, BAD)
        box.look(MOST)
        assert (box.trouble, box.held.files) == ("", depth)
        settle(program, max_files=20)
        assert program.main() == 0
        assert opened(program) == {GOOD: True, BAD: False}
    finally:
        unnest(folder, depth, name)


def test_what_is_held_is_counted_once_and_no_link_is_followed(
    program: Program,
    tmp_path: Path,
) -> None:
    folder = incoming(program, BAD)
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/big").write_bytes(b"x" * 100_000)
    (folder / "link").symlink_to(tmp_path / "outside")
    (folder / "one").write_bytes(b"x" * 50_000)
    (folder / "two").hardlink_to(folder / "one")
    with (folder / "sparse").open("wb") as sparse:
        sparse.truncate(10**8)
    box = inbox(program, BAD)
    box.look(MOST)
    assert box.held.files == 4
    assert 10**8 + 50_000 <= box.held.bytes < 10**8 + 100_000
    assert 50_000 <= box.held.on_disk < 100_000


def test_a_small_file_counts_as_what_it_takes_of_the_disk(program: Program) -> None:
    for number in range(10):
        (incoming(program, BAD) / str(number)).write_text("x")
    settle(program, max_bytes=1000)
    assert program.main() == 0
    assert opened(program) == {GOOD: True, BAD: False}


def test_many_empty_files_close_an_inbox_and_are_not_all_counted(
    program: Program,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = incoming(program, BAD)
    for number in range(300):
        (folder / str(number)).touch()
    settle(program, max_files=100)
    assert program.main() == 0
    assert opened(program) == {GOOD: True, BAD: False}
    told = capsys.readouterr().err
    assert f"{folder}: closed, it holds at least 0 bytes in 101 files and folders" in told
    assert "and may hold 100 files and folders. Remove files" in told
    for number in range(250):
        (folder / str(number)).unlink()
    assert program.main() == 0
    assert opened(program) == {GOOD: True, BAD: True}
    assert f"{folder}: open again" in capsys.readouterr().out


def test_an_open_file_without_a_name_is_counted(program: Program) -> None:
    folder = incoming(program, BAD)
    with (folder / "gone").open("wb") as handle, (folder / "there").open("wb") as there:
        handle.write(b"x" * 100_000)
        handle.flush()
        there.write(b"x" * 100_000)
        there.flush()
        (folder / "gone").unlink()
        device = folder.stat().st_dev
        found = list(program.unlinked([str(os.getpid()), "999999999"], device))
        assert os.fstat(handle.fileno()).st_ino in [status.st_ino for status in found]
        assert os.fstat(there.fileno()).st_ino not in [status.st_ino for status in found]
        assert not list(program.unlinked([str(os.getpid())], device + 1))


@pytest.mark.parametrize("damage", ["no folder", "a link", "no account"])
def test_what_cannot_be_looked_at_is_closed_alone(
    program: Program,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    damage: str,
) -> None:
    assert program.main() == 0
    assert opened(program) == {GOOD: True, BAD: True}
    folder, bad = incoming(program, BAD), BAD
    if damage == "no account":
        bad = "no-such-account"
        settle(program, users=[bad, GOOD])
        (program.ROOT / bad / "incoming").mkdir(parents=True)
        folder = incoming(program, bad)
        inbox(program, bad).switch(is_open=True)
    else:
        folder.rmdir()
    if damage == "a link":
        folder.symlink_to(tmp_path)
    assert program.main() == 1
    assert inbox(program, GOOD).is_open()
    assert not inbox(program, bad).is_open()
    assert f"{folder}: " in capsys.readouterr().err


@pytest.mark.parametrize("text", ["", '{"users": [', "\0" * 100, "{}", "[]"])
def test_without_settings_all_are_closed(program: Program, text: str) -> None:
    assert program.main() == 0
    program.SETTINGS.write_text(text)
    assert program.main() == 1
    assert opened(program) == {GOOD: False, BAD: False}


def test_an_account_that_is_gone_has_no_keys_left(program: Program) -> None:
    assert program.main() == 0
    settle(program, users=[GOOD])
    assert program.main() == 0
    assert sorted(link.name for link in program.LINKS.iterdir()) == [GOOD, "open.conf"]


def open_list(program: Program) -> str:
    """Return what the inboxes' SSH server reads."""
    return Path(program.LINKS / "open.conf").read_text()


def test_the_server_knows_which_inboxes_are_open(program: Program, tmp_path: Path) -> None:
    program.__dict__["RESTART"] = ["sh", "-c", f"echo >> {tmp_path}/restarted"]
    assert program.main() == 0
    assert open_list(program) == f"Match User {GOOD},{BAD}\n\tForceCommand put\n"
    incoming(program, BAD).joinpath("x").touch()
    settle(program, max_files=0)
    assert program.main() == 0
    assert open_list(program) == f"Match User {GOOD}\n\tForceCommand put\n"
    assert program.main() == 0
    assert (tmp_path / "restarted").read_text() == "\n\n"  # not by a run without changes
    settle(program, users=[])
    assert program.main() == 0
    assert open_list(program) == ""


def test_a_server_that_does_not_restart_is_tried_again(
    program: Program, capsys: pytest.CaptureFixture[str]
) -> None:
    program.__dict__["RESTART"] = ["false"]
    assert program.main() == 1
    assert "does not know what is open" in capsys.readouterr().err
    assert opened(program) == {GOOD: True, BAD: True}
    program.__dict__["RESTART"] = ["true"]
    assert program.main() == 0
    assert GOOD in open_list(program)


def test_a_tree_that_never_holds_still_is_closed(
    program: Program,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whoever moves folders during the count cannot lead it outside or end it."""
    folder = incoming(program, BAD)
    (folder / "a/b/c").mkdir(parents=True)
    outside = program.ROOT.parent / "outside"
    outside.mkdir()
    for number in range(50):
        (outside / str(number)).touch()
    identity = program.identity

    def swap(handle: int) -> tuple[int, int]:
        """Move the folder that was just entered, as its owner could."""
        found: tuple[int, int] = identity(handle)
        if Path(f"/proc/self/fd/{handle}").readlink() == folder / "a/b/c":
            (folder / "a/b/c").rename(outside / "c")
        elif (outside / "c").exists():
            (outside / "c").rename(folder / "a/b/c")
        return found

    monkeypatch.setitem(program.__dict__, "identity", swap)
    assert program.main() == 1
    assert opened(program) == {GOOD: True, BAD: False}


def test_a_folder_that_becomes_a_link_is_not_followed(program: Program) -> None:
    folder = incoming(program, BAD)
    outside = program.ROOT.parent / "outside"
    outside.mkdir()
    (outside / "big").write_bytes(b"x" * 10_000_000)
    (folder / "real").mkdir()
    (folder / "swapped").symlink_to(outside)
    is_over = threading.Event()

    def swap() -> None:
        while not is_over.is_set():
            (folder / "real").rename(folder / "kept")
            (folder / "swapped").rename(folder / "real")
            (folder / "real").rename(folder / "swapped")
            (folder / "kept").rename(folder / "real")

    thread = threading.Thread(target=swap)
    thread.start()
    try:
        for _ in range(30):
            box = inbox(program, BAD)
            box.look(MOST)
            assert box.held is None or box.held.bytes < 10_000_000
    finally:
        is_over.set()
        thread.join()


@pytest.mark.parametrize(
    ("total", "free", "held", "share"),
    [
        (100, 60, [0, 0], 25),  # a tenth stays free
        (100, 10, [50, 0], 25),  # the one that fills it has more than its share
        (100, 0, [89, 1], 40),
        (100, 5, [0, 0], -3),  # others than the inboxes fill the disk
        (100, 0, [None, 1], 45),  # what was not counted is no fault of the other
    ],
)
def test_a_disk_is_shared_by_its_inboxes(
    program: Program,
    total: int,
    free: int,
    held: list[int | None],
    share: int,
) -> None:
    program.__dict__["FREE_SHARE"] = 0.1
    assert program.fair_share(total, free, held) == share


def test_sessions_of_former_accounts_end(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only of an account that owns a former inbox, and never those of root."""
    (program.ROOT / "root/incoming").mkdir(parents=True)
    owners = {GOOD: os.getuid() or 1000, BAD: 1, "root": 0}
    monkeypatch.setattr(program.pwd, "getpwnam", lambda name: SimpleNamespace(pw_uid=owners[name]))
    monkeypatch.setattr(Path, "lstat", lambda _path: SimpleNamespace(st_uid=owners[GOOD]))
    ended: list[int] = []
    monkeypatch.setattr(program, "sessions", lambda user: {GOOD: ["4711"]}[user])
    monkeypatch.setattr(program.os, "kill", lambda process, _signal: ended.append(process))
    program.end_former_sessions({"folder": program.ROOT, "users": [GOOD]})
    assert ended == []
    program.end_former_sessions({"folder": program.ROOT, "users": []})
    assert ended == [4711]
