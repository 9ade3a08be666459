"""The module `file_set`, run as Ansible runs it: what it changes, says and leaves alone."""

from __future__ import annotations

import base64
import grp
import json
import os
import pwd
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

MODULE = Path(__file__).resolve().parents[2] / "roles/roster_common/library/file_set.py"
ME = {
    "owner": pwd.getpwuid(os.getuid()).pw_name,
    "group": grp.getgrgid(os.getgid()).gr_name,
}


def file_set(*files: dict[str, Any], check: bool = False) -> dict[str, Any]:
    """Runs the module; returns its result."""
    arguments = {
        "files": [{**ME, **entry, "path": str(entry["path"])} for entry in files],
        "_ansible_check_mode": check,
        "_ansible_diff": True,
        "_ansible_remote_tmp": "/tmp",  # noqa: S108 - Ansible's own default
    }
    done = subprocess.run(
        [sys.executable, MODULE],
        input=json.dumps({"ANSIBLE_MODULE_ARGS": arguments}),
        env={**os.environ, "_ANSIBLE_MODULE_PROFILE": "legacy"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def test_files_are_written_once(tmp_path: Path) -> None:
    files: list[dict[str, Any]] = [
        {"path": tmp_path / "d", "state": "directory", "mode": "0750"},
        {"path": tmp_path / "d/f", "content": "größe\n", "mode": "0640"},
        {"path": tmp_path / "l", "state": "link", "target": str(tmp_path / "d/f")},
    ]
    planned = file_set(*files, check=True)
    assert planned["changed"] is True
    assert not list(tmp_path.iterdir())
    done = file_set(*files)
    assert done["changed_paths"] == planned["changed_paths"] == [str(f["path"]) for f in files]
    assert done["diff"][1]["after"] == "größe\n"
    assert (tmp_path / "l").read_text() == "größe\n"
    assert oct((tmp_path / "d").stat().st_mode)[-3:] == "750"
    assert oct((tmp_path / "d/f").stat().st_mode)[-3:] == "640"
    assert file_set(*files)["changed"] is False
    assert file_set(*files, check=True)["changed"] is False


def test_a_changed_mode_alone_is_put_right(tmp_path: Path) -> None:
    entry = {"path": tmp_path / "f", "content": "x", "mode": "0600"}
    file_set(entry)
    (tmp_path / "f").chmod(0o644)
    result = file_set(entry)
    assert result["changed_paths"] == [str(tmp_path / "f")]
    assert "0644" in result["diff"][0]["before"]
    assert oct((tmp_path / "f").stat().st_mode)[-3:] == "600"


def test_one_refused_content_leaves_all_as_it_was(tmp_path: Path) -> None:
    result = file_set(
        {"path": tmp_path / "good", "content": "x"},
        {"path": tmp_path / "bad", "content": "x", "validate": "/bin/false %s"},
    )
    assert result["failed"] is True
    assert "nothing was written" in result["msg"]
    assert str(tmp_path / "bad") in result["msg"]
    assert not list(tmp_path.iterdir())


def test_a_content_is_validated_before_it_counts(tmp_path: Path) -> None:
    check = {"path": tmp_path / "f", "validate": "/bin/grep -q good %s"}
    assert file_set({**check, "content": "good"})["changed"] is True
    assert file_set({**check, "content": "wrong"})["failed"] is True
    assert (tmp_path / "f").read_text() == "good"


def test_what_is_not_listed_goes_and_the_rest_stays(tmp_path: Path) -> None:
    for name in ("old.toml", "kept.toml", "other.txt"):
        (tmp_path / name).write_text("x")
    files = [
        {"path": tmp_path, "state": "directory", "mode": "0700", "exclusive": "*.toml"},
        {"path": tmp_path / "kept.toml", "content": "x"},
    ]
    file_set(*files, check=True)
    assert (tmp_path / "old.toml").exists()
    assert str(tmp_path / "old.toml") in file_set(*files)["changed_paths"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["kept.toml", "other.txt"]
    assert file_set(*files)["changed"] is False


def test_a_content_that_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"\xff old")
    entry = {"path": tmp_path / "f", "content_base64": base64.b64encode(b"\xfe new").decode()}
    diff = file_set(entry)["diff"][0]
    assert diff["before"].startswith("5 bytes, SHA-256 ")
    assert diff["before"] != diff["after"]
    assert (tmp_path / "f").read_bytes() == b"\xfe new"
    assert file_set(entry)["changed"] is False


def test_absent_removes(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("x")
    entry = {"path": tmp_path / "f", "state": "absent"}
    assert file_set(entry)["changed"] is True
    assert file_set(entry)["changed"] is False


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        ({"content": "x", "owner": "no-such-user"}, "no owner named 'no-such-user'"),
        ({}, "needs a content"),
        ({"content": "x", "validate": "/bin/true"}, "as %s"),
    ],
)
def test_a_wrong_entry_is_told(tmp_path: Path, entry: dict[str, Any], told: str) -> None:
    result = file_set({"path": tmp_path / "f", **entry})
    assert result["failed"] is True
    assert told in result["msg"]
