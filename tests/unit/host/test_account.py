"""Root's commands among files that a feed's account can change."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from roster_upload.cli import parser as cli
from roster_upload.cli import progress, through_unit
from roster_upload.delivery import steps
from roster_upload.diff import channel
from roster_upload.exits import Exit, Failure
from roster_upload.host.account import become_owner, open_plain, read_plain
from roster_upload.records.receipt import Receipt
from roster_upload.records.summary import next_step

SCRIPTS = Path(cli.__file__).parents[2]
NOBODY = 65534
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root has rights to give up")


def in_a_process(code: str, *arguments: str | Path) -> str:
    """Run Python code in a process of its own, since the rights do not come back."""
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        capture_output=True, text=True, check=True, env={"PYTHONPATH": str(SCRIPTS)},
    )  # fmt: skip
    return done.stdout


IDENTITY = """
import os, pathlib, sys
from roster_upload.host.account import become_owner
become_owner(pathlib.Path(sys.argv[1]))
print(os.getresuid(), os.getresgid(), 0 in os.getgroups())
"""


@needs_root
def test_root_goes_on_as_the_owner_for_good(tmp_path: Path) -> None:
    os.chown(tmp_path, NOBODY, 4242)
    ids = f"{(NOBODY,) * 3} {(4242,) * 3} False\n"
    assert in_a_process(IDENTITY, tmp_path) == ids


@needs_root
def test_an_owner_without_a_name_has_no_other_group(tmp_path: Path) -> None:
    os.chown(tmp_path, 43210, 4242)
    assert in_a_process(IDENTITY, tmp_path) == f"{(43210,) * 3} {(4242,) * 3} False\n"


@needs_root
@pytest.mark.parametrize("name", ["none", "roots"])
def test_what_is_roots_or_not_there_stays_with_root(tmp_path: Path, name: str) -> None:
    (tmp_path / "roots").mkdir()
    assert in_a_process(IDENTITY, tmp_path / name).startswith("(0, 0, 0) (0, 0, 0)")


@needs_root
def test_a_link_names_no_owner(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/")
    with pytest.raises(Failure, match="is not a folder") as failed:
        become_owner(tmp_path / "link")
    assert failed.value.code is Exit.LOCAL


def test_a_plain_file_is_read_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"0123456789")
    assert read_plain(path) == b"0123456789"
    assert read_plain(path, 4) == b"0123"


@pytest.mark.parametrize("kind", ["link", "pipe", "folder", "device"])
def test_what_is_no_plain_file_is_never_opened(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "file"
    (tmp_path / "target").write_text("secret")
    if kind == "link":
        path.symlink_to(tmp_path / "target")
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        path = Path("/dev/zero")
    before = len(list(Path("/proc/self/fd").iterdir()))
    with pytest.raises(OSError, match=f"{path.name}'"):
        open_plain(path)
    assert len(list(Path("/proc/self/fd").iterdir())) == before


# ---- the commands ------------------------------------------------------------------------------


def held(folder: Path, sha256: str) -> Path:
    """Return the state of a feed with a held export, which has this digest."""
    state = folder / "state" / "maple-grove"
    state.mkdir(parents=True)
    receipt = {"feed": "maple-grove", "command": "send", "outcome": "held", "exit_code": 17,
               "message": "held", "source": {"sha256": sha256}}  # fmt: skip
    (state / "receipts.jsonl").write_text(json.dumps(receipt) + "\n")
    return state


def approve(folder: Path, digest: str) -> list[str]:
    return ["--state-dir", str(folder / "state"), "approve", "maple-grove",
            "--digest", digest, "--reason", "spring"]  # fmt: skip


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """Return a folder that every account can enter, unlike pytest's own."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


@needs_root
def test_an_approval_is_written_as_the_feeds_account(open_folder: Path) -> None:
    """The account's link leads to a file that only root can write."""
    state, secret = held(open_folder, "ab" * 32), open_folder / "secret"
    (state / "receipts.jsonl").rename(secret)
    before = secret.read_bytes()
    os.chown(state, NOBODY, NOBODY)
    command = [sys.executable, "-m", "roster_upload", *approve(open_folder, "ab" * 8)]
    for link in (True, False):
        if link:
            (state / "receipts.jsonl").symlink_to(secret)
        else:
            (state / "receipts.jsonl").unlink()
            (state / "receipts.jsonl").write_bytes(before)
            os.chown(state / "receipts.jsonl", NOBODY, NOBODY)
        environment = {"PYTHONPATH": str(SCRIPTS), "SUDO_USER": "ada"}
        done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
        assert (done.returncode == 0) is not link, done.stderr
        assert secret.read_bytes() == before
    last = json.loads((state / "receipts.jsonl").read_text().splitlines()[-1])
    assert last["who"] == "ada"


def test_a_digest_in_the_ledger_is_hex(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    state = held(tmp_path, "ab" * 31 + "$(")
    before = (state / "receipts.jsonl").read_text()
    assert cli.main(approve(tmp_path, "ab" * 8)) == Exit.USAGE
    assert "No export is held" in capsys.readouterr().err
    assert (state / "receipts.jsonl").read_text() == before


@pytest.mark.parametrize("digest", ["", "xyz", "ab cd", "ab\n", "a" * 65, "../../x"])
@pytest.mark.parametrize("command", ["approve", "resend"])
def test_a_typed_digest_is_hex(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str, digest: str
) -> None:
    words = approve(tmp_path, digest) if command == "approve" else [
        "--state-dir", str(tmp_path), "resend", "maple-grove", "--digest", digest
    ]  # fmt: skip
    with pytest.raises(SystemExit) as ended:
        cli.main(words)
    assert ended.value.code == Exit.USAGE
    assert "is not the start of a digest" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["status", "history", "explain"])
def test_a_ledger_that_is_a_pipe_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    state = held(tmp_path, "ab" * 32)
    (state / "receipts.jsonl").unlink()
    os.mkfifo(state / "receipts.jsonl")
    folders = ["--config-dir", str(tmp_path), "--state-dir", str(tmp_path / "state")]
    assert cli.main([*folders, command, "maple-grove"]) == Exit.LOCAL
    assert "receipts.jsonl cannot be used (is not a plain file)" in capsys.readouterr().err


def test_a_wish_counts_while_its_command_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(through_unit, "RUN_DIR", tmp_path / "run")
    assert through_unit.wish("maple-grove") == ""
    with through_unit.wished("maple-grove", "abcd"):
        assert through_unit.wish("maple-grove") == "abcd"
        assert through_unit.wish("oak-county") == ""
        assert (tmp_path / "run" / "maple-grove.resend").stat().st_mode & 0o777 == 0o644
    assert through_unit.wish("maple-grove") == ""
    left = tmp_path / "run" / "maple-grove.resend"
    left.write_text("abcd")  # of a command that was killed
    assert through_unit.wish("maple-grove") == ""
    with through_unit.wished("maple-grove", ""):
        assert not left.exists()


def test_a_wish_is_written_over_no_link(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(through_unit, "RUN_DIR", tmp_path)
    target = tmp_path / "target"
    target.write_text("untouched")
    (tmp_path / "maple-grove.resend").symlink_to(target)
    with through_unit.wished("maple-grove", "abcd"):
        assert through_unit.wish("maple-grove") == "abcd"
    assert target.read_text() == "untouched"


def test_a_feed_without_receipts_hides_no_other(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    held(tmp_path, "ab" * 32)
    for name in ("maple-grove", "ash"):
        (tmp_path / f"{name}.toml").touch()
    (tmp_path / "state" / "ash").mkdir()
    os.mkfifo(tmp_path / "state" / "ash" / "receipts.jsonl")
    folders = ["--config-dir", str(tmp_path), "--state-dir", str(tmp_path / "state")]
    assert cli.main([*folders, "status"]) == Exit.LOCAL
    told = capsys.readouterr()
    assert "maple-grove" in told.out
    assert "is not a plain file" in told.err


def test_what_is_typed_again_is_a_name_and_a_digest() -> None:
    """A next step contains nothing that a feed's account could have made a command."""
    receipt = {"feed": "a; touch x", "exit_code": 17, "source": {"sha256": "$(touch y)" + "a" * 54}}
    assert "touch" not in next_step(Receipt.parse(receipt))
    assert "roster-upload diff FEED" in next_step(Receipt.parse(receipt))
    good = {"feed": "ash", "exit_code": 17, "source": {"sha256": "ab" * 32}}
    assert "roster-upload diff ash" in next_step(Receipt.parse(good))
    assert "ab" * 8 in next_step(Receipt.parse(good))


@pytest.mark.parametrize("answer", [[], {}, {"diff": {"records": [{}]}, "schools": {}}, 7])
def test_an_answer_that_is_no_diff_is_told(answer: Any) -> None:
    with pytest.raises(Failure, match="an unusable answer"):
        channel.received(answer)


def test_progress_behind_a_link_is_not_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = iter([None, None, "over"])
    path = tmp_path / "progress"
    (tmp_path / "secret").write_text(steps.Step("guard", 1.0).to_json())
    path.symlink_to(tmp_path / "secret")
    shown: list[str] = []
    monkeypatch.setattr(progress.Lines, "show", lambda _lines, step: shown.append(step.name))
    progress.follow("ash", path, lambda: next(looks))
    assert (shown, path.is_symlink()) == ([], True)
    path.unlink()
    path.write_text(steps.Step("guard", 1.0).to_json())
    os.utime(path, (4e9, 4e9))  # written from now on
    looks = iter([None, "over"])
    progress.follow("ash", path, lambda: next(looks))
    assert shown == ["guard"]
