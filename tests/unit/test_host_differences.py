"""The comparison on a host: each kind of difference is named, and nothing is changed."""

from __future__ import annotations

import grp
import json
import os
import pwd
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from roster_fleet import host_code

ME = {
    "owner": pwd.getpwuid(os.getuid()).pw_name,
    "group": grp.getgrgid(os.getgid()).gr_name,
}
SYSTEMCTL = """#!/bin/sh
shift 2
for unit; do case $unit in on*) echo active ;; *) echo inactive ;; esac; done
exit 3
"""


def compared(folder: Path, arguments: dict[str, Any]) -> subprocess.CompletedProcess[bytes]:
    """Run the comparison as a host does."""
    return subprocess.run(
        [sys.executable, "-c", host_code.START],
        input=host_code.request(arguments),
        capture_output=True,
        check=False,
        env={**os.environ, "PATH": f"{folder}/bin:{os.environ['PATH']}"},
    )


def differences(folder: Path, role: dict[str, Any], **given: Any) -> dict[str, list[str]]:
    """Return what differs on this machine."""
    calls = [
        {"files": [{**ME, **entry, "path": str(entry["path"])} for entry in call]}
        for call in role.pop("files", [])
    ]
    arguments = {
        "roles": [{"name": "some", "files": calls, **role}],
        "rollback_folder": str(folder / "undo"),
        **given,
    }
    done = compared(folder, arguments)
    assert done.returncode == 0, done.stderr
    found: dict[str, list[str]] = json.loads(done.stdout)["differences"]
    return found


def test_a_host_as_stated_has_none(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("x")
    role = {"groups": [ME["group"]], "files": [[{"path": tmp_path / "f", "content": "x"}]]}
    assert differences(tmp_path, role) == {}


def test_each_kind_of_path_is_compared(tmp_path: Path) -> None:
    for name in ("content", "mode", "owner", "gone"):
        (tmp_path / name).write_text("x")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/stale").touch()
    (tmp_path / "link").symlink_to("elsewhere")
    (tmp_path / "other").mkdir()
    entries: list[dict[str, Any]] = [
        {"path": tmp_path / "content", "content": "y"},
        {"path": tmp_path / "mode", "content": "x", "mode": "0600"},
        {"path": tmp_path / "owner", "content": "x", "owner": "no-such"},
        {"path": tmp_path / "gone", "state": "absent"},
        {"path": tmp_path / "folder", "state": "directory", "exclusive": "*"},
        {"path": tmp_path / "missing", "state": "directory"},
        {"path": tmp_path / "link", "state": "link", "target": "here"},
        {"path": tmp_path / "refused", "content": "y", "validate": "/bin/false %s"},
        {"path": tmp_path / "edited", "edits": [{"match": "a", "line": "b"}]},
    ]
    before = sorted(tmp_path.rglob("*"))
    # A list that cannot be compared to its end has a difference, too.
    role = {"files": [entries, [{"path": tmp_path / "other", "content": "x"}]]}
    names = ["content", "mode", "owner", "gone", "folder/stale", "missing", "link", "refused"]
    expected = [str(tmp_path / name) for name in [*names, "edited", "other"]]
    assert differences(tmp_path, role) == {"some": expected}
    assert sorted(tmp_path.rglob("*")) == before


def test_accounts_and_units_are_compared(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/systemctl").write_text(SYSTEMCTL)
    (tmp_path / "bin/systemctl").chmod(0o755)
    role = {
        "groups": ["no-such-group"],
        "accounts": [{"name": "no-such", "group": ME["group"]}],
        "units": ["on.automount", "off.automount", "on-too.automount"],
    }
    assert differences(tmp_path, role) == {"some": ["no-such-group", "no-such", "off.automount"]}


def test_a_unit_without_a_state_is_a_difference(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/systemctl").write_text("#!/bin/sh\necho active\nexit 1\n")
    (tmp_path / "bin/systemctl").chmod(0o755)
    role = {"units": ["on.automount", "unknown.automount"]}
    assert differences(tmp_path, role) == {"some": ["unknown.automount"]}


def test_unconfirmed_or_unreadable_changes_are_a_difference(tmp_path: Path) -> None:
    (tmp_path / "undo").mkdir()
    index = tmp_path / "undo/index.json"
    for text in ('{"changes": [{"path": "/x"}], "commands": []}', "damaged"):
        index.write_text(text)
        assert differences(tmp_path, {}) == {"roster_common": [str(tmp_path / "undo")]}
    index.write_text('{"changes": [], "commands": []}')
    assert differences(tmp_path, {}) == {}


def test_credentials_that_differ_or_cannot_be_compared_are_named(tmp_path: Path) -> None:
    (tmp_path / "old").touch()
    gone = {"name": "elm_old", "path": str(tmp_path / "old"), "state": "absent"}
    lost = {"name": "elm_state", "path": str(tmp_path / "old"), "generate": "bytes"}
    assert differences(tmp_path, {}, credentials=[gone]) == {"roster_credentials": ["elm_old"]}
    [message] = differences(tmp_path, {}, credentials=[lost])["roster_credentials"]
    assert "systemd-creds" in message or "can no longer decrypt" in message
    assert (tmp_path / "old").exists()


@pytest.mark.parametrize(
    "role",
    [
        {"file": []},
        {"units": "on.automount"},
        {"units": [7]},
        {"files": [{}]},
        {"files": [{"files": [{"content": "x"}]}]},
        {"files": [{"files": [{"path": "/x", "mode": 0o600}]}]},
        {"files": [{"files": [{"path": "/x", "divert": "no"}]}]},
        {"accounts": [{"name": "elm", "group": "elm", "password_hash": 7}]},
    ],
)
def test_what_the_modules_would_not_take_as_it_is_is_not_compared(
    tmp_path: Path, role: dict[str, Any]
) -> None:
    arguments = {"roles": [{"name": "some", **role}], "rollback_folder": str(tmp_path)}
    done = compared(tmp_path, arguments)
    assert (done.returncode, done.stdout) == (1, b"")
    assert b"ValueError" in done.stderr
