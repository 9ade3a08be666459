"""The module `file_set`, run as Ansible runs it: its changes, its result and its limits."""

from __future__ import annotations

import base64
import grp
import importlib.machinery
import importlib.util
import json
import os
import pwd
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from support import forks

ROOT = Path(__file__).resolve().parents[2]
MODULE = ROOT / "roles/roster_common/library/file_set.py"
# As Ansible has it: what lies in a role's module_utils is a part of ansible.module_utils.
FOLDER = ROOT / "roles/roster_common/module_utils"
PARTS = f"import ansible.module_utils; ansible.module_utils.__path__.append({str(FOLDER)!r})"
ME = {
    "owner": pwd.getpwuid(os.getuid()).pw_name,
    "group": grp.getgrgid(os.getgid()).gr_name,
}


def file_set(
    *files: dict[str, Any],
    check: bool = False,
    folder: Path | None = None,
    timer: str | None = None,
    environment: dict[str, str] | None = None,
) -> dict[str, Any]:
    """Run the module. Return its result."""
    arguments: dict[str, Any] = {
        "files": [{**ME, **entry, "path": str(entry["path"])} for entry in files],
        "_ansible_check_mode": check,
        "_ansible_diff": True,
        "_ansible_remote_tmp": "/tmp",  # noqa: S108 - Ansible's own default
    }
    if folder:
        arguments |= {"rollback_folder": str(folder), "rollback_timer": timer}
    done = forks.having("ansible.module_utils.basic").run(
        f"{PARTS}; import runpy; runpy.run_path({str(MODULE)!r}, run_name='__main__')",
        stdin=json.dumps({"ANSIBLE_MODULE_ARGS": arguments}),
        env={**os.environ, "_ANSIBLE_MODULE_PROFILE": "legacy", **(environment or {})},
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


def test_only_differing_lines_are_said_and_the_distribution_keeps_its_file(tmp_path: Path) -> None:
    """`edits` applies to the file that dpkg-divert(1) has moved. Lab hosts try the real one."""
    folder = tmp_path / "bin"
    folder.mkdir()
    log = tmp_path / "log"
    (folder / "dpkg-divert").write_text(f'#!/bin/sh\necho "$*" >> {log}\n')
    (folder / "dpkg-divert").chmod(0o755)
    path = tmp_path / "login.defs"
    path.write_text("# UMASK 022\nKEEP 1\nUMASK 022\nOLD 1\n")
    edits: list[dict[str, str]] = [
        {"match": r"^#?\s*UMASK\s", "line": "UMASK 027"},
        {"match": "^NEW", "line": "NEW 1"},
        {"match": "^OLD"},
    ]
    entry = {"path": path, "edits": edits}
    environment = {"PATH": f"{folder}:{os.environ['PATH']}"}
    result = file_set(entry, environment=environment)
    assert result["changed"] is True
    assert path.read_text() == "UMASK 027\nKEEP 1\nNEW 1\n"
    kept = tmp_path / "login.defs.distrib"
    assert kept.read_text().startswith("# UMASK 022")
    assert f"--divert {kept} --add {path}" in log.read_text()
    assert file_set(entry, environment=environment)["changed"] is False

    kept.write_text("KEEP 2\n")  # an update of the package
    file_set(entry, environment=environment)
    assert path.read_text() == "KEEP 2\nUMASK 027\nNEW 1\n"

    back = {"path": path, "state": "original"}
    assert file_set(back, check=True, environment=environment)["changed"] is True
    assert file_set(back, environment=environment)["changed"] is True
    assert path.read_text() == "KEEP 2\n"
    assert not kept.exists()
    assert f"--remove {path}" in log.read_text()
    assert file_set(back, environment=environment)["changed"] is False


def test_an_existing_path_gets_its_mode_and_a_missing_one_is_not_made(tmp_path: Path) -> None:
    (tmp_path / "there").write_text("as it is")
    files = [{"path": tmp_path / n, "state": "existing", "mode": "0600"} for n in ("there", "not")]
    assert file_set(*files)["changed_paths"] == [str(tmp_path / "there")]
    assert oct((tmp_path / "there").stat().st_mode)[-3:] == "600"
    assert not (tmp_path / "not").exists()
    assert file_set(*files)["changed"] is False


def test_commands_are_told_once_each_in_the_order_of_the_changes(tmp_path: Path) -> None:
    files = [
        {"path": tmp_path / "a", "content": "a", "on_change": ["reload", "start a"]},
        {"path": tmp_path / "b", "content": "b", "on_change": ["reload", "start b"]},
    ]
    assert file_set(*files, check=True)["commands"] == ["reload", "start a", "start b"]
    assert file_set(files[1])["commands"] == ["reload", "start b"]
    assert file_set(*files)["commands"] == ["reload", "start a"]
    assert file_set(*files)["commands"] == []


def test_the_rollback_timer_starts_before_the_first_change(tmp_path: Path) -> None:
    kept, log, path = tmp_path / "undo", tmp_path / "log", tmp_path / "f"
    timer = f"ls {path} >> {log} 2>&1; echo started >> {log}"
    file: dict[str, Any] = {"path": path, "content": "x"}
    file_set(file, folder=kept, timer=timer, check=True)
    assert not log.exists()
    file_set(file, {"path": tmp_path / "g", "content": "y"}, folder=kept, timer=timer)
    first, *rest = log.read_text().splitlines()
    assert "No such file" in first  # once, and nothing was written yet
    assert rest == ["started"]
    # A call that finds unconfirmed changes starts the timer again, even if it changes nothing.
    file_set(file, folder=kept, timer=timer)
    assert log.read_text().splitlines()[2:] == [str(path), "started"]
    (kept / "index.json").unlink()
    assert file_set(file, folder=kept, timer=timer)["changed"] is False
    assert len(log.read_text().splitlines()) == 4
    told = file_set({"path": tmp_path, "content": "a folder"}, folder=kept, timer=timer)["msg"]
    assert "rolls back" not in told
    link: dict[str, Any] = {"path": tmp_path, "state": "link", "target": "x"}
    told = file_set({"path": tmp_path / "h", "content": "h"}, link, folder=kept, timer=timer)["msg"]
    assert "rolls back earlier changes unless another run comes first" in told


def rollback_program(kept: Path) -> ModuleType:
    """The host's own program, on another folder and without systemd."""
    path = ROOT / "roles/roster_common/files/usr/local/sbin/district-rollback"
    loader = importlib.machinery.SourceFileLoader("district_rollback", str(path))
    spec = importlib.util.spec_from_loader("district_rollback", loader)
    assert spec
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    folder = kept.parent
    module.__dict__.update(
        FOLDER=kept,
        FAILED=folder / "undo.failed",
        DONE=folder / "undo.done",
        PROGRAMS=folder / "host/sbin",
        FIREWALL=folder / "host/nftables.conf",
        OPENED=folder / "firewall/opened.nft",
        WAYS_IN={folder / "host/sshd.conf": "Keys only\n", folder / "host/sudoers": None},
        OPEN_WAYS_IN=["echo opened >> log"],
        RELOAD_UNITS="true",
    )
    return module


def snapshot(folder: Path) -> dict[str, tuple[int, str]]:
    """Return the modes and contents of everything below a folder."""
    found = {}
    for path in sorted(folder.rglob("*")):
        content = str(path.readlink()) if path.is_symlink() else ""
        if path.is_file() and not path.is_symlink():
            content = path.read_text()
        found[str(path)] = (path.lstat().st_mode, content)
    return found


def test_everything_can_be_rolled_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    host, kept = tmp_path / "host", tmp_path / "undo"
    (host / "full/deep").mkdir(parents=True)
    (host / "full/deep/file").write_text("deep")
    (host / "full/old").write_text("old")
    (host / "changed").write_text("before")
    (host / "changed").chmod(0o600)
    (host / "gone").write_text("gone")
    (host / "link").symlink_to("gone")
    (host / "closed").mkdir(mode=0o755)
    (host / "sbin").mkdir()
    before = snapshot(host)
    commands = [f"test -e {host}/sbin/program && echo pam-auth-update >> log", "echo one >> log"]
    files: list[dict[str, Any]] = [
        {"path": host / "sbin/program", "content": "new", "on_change": commands},
        {"path": host / "folder", "state": "directory"},
        {"path": host / "folder/new", "content": "new"},
        {"path": host / "changed", "content": "after", "mode": "0644"},
        {"path": host / "gone", "state": "absent"},
        {"path": host / "link", "state": "link", "target": "elsewhere"},
        {"path": host / "closed", "state": "directory", "mode": "0700"},
        {"path": host / "full", "state": "directory", "exclusive": "*"},
    ]
    done = file_set(*files, folder=kept)
    assert done["unconfirmed"] is True
    assert not (host / "full/deep").exists()
    # Another call goes on, and the first one's commands still have to be run.
    again = file_set({"path": host / "changed", "content": "later"}, folder=kept)
    assert (again["unconfirmed"], again["commands"]) == (True, commands)

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["district-rollback", "--at-boot"])
    program = rollback_program(kept)
    assert program.main() == 0
    assert snapshot(host) == before
    assert not kept.exists()
    assert f"rolled back: {host}/changed" in capsys.readouterr().out
    # At boot nothing runs yet, but PAM needs no service. What the changes brought is still there.
    assert (tmp_path / "log").read_text() == "pam-auth-update\n"
    assert file_set({"path": host / "gone", "content": "gone"}, folder=kept)["unconfirmed"] is False


EMPTY, CUT, NULS, MISSING = "empty", "cut", "NULs", "missing"


def damage(path: Path, kind: str) -> None:
    """Damage a file like a power cut or a dying disk."""
    size = path.stat().st_size
    if kind == MISSING:
        path.unlink()
    elif kind == NULS:
        path.write_bytes(b"\0" * size)
    else:
        os.truncate(path, 0 if kind == EMPTY else size // 2)


@pytest.fixture
def changed_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A host with unconfirmed changes. Return its folder."""
    host = tmp_path / "host"
    host.mkdir()
    (tmp_path / "firewall").mkdir()
    names = ["first", "sshd.conf", "nftables.conf", "sudoers", "last"]
    for name in names:
        (host / name).write_text(f"before {name}\n" * 2000)
    changes = [{"path": host / name, "content": "Port 2222\nafter\n"} for name in names]
    changes[-1]["on_change"] = ["echo command >> log"]
    file_set(*changes, folder=tmp_path / "undo")
    # The machine's firewall stays out of tests. Lab hosts try the real one.
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/nft").write_text("#!/bin/sh\n")
    (tmp_path / "bin/nft").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["district-rollback"])
    return host


@pytest.mark.parametrize("kind", [EMPTY, CUT, NULS, MISSING])
@pytest.mark.parametrize("number", range(5))
def test_a_roll_back_goes_on_past_what_it_cannot_read(
    changed_host: Path, capsys: pytest.CaptureFixture[str], number: int, kind: str
) -> None:
    folder = changed_host.parent
    names = ["first", "sshd.conf", "nftables.conf", "sudoers", "last"]
    lost = names.pop(number)
    damage(folder / f"undo/{number}.tar", kind)
    assert rollback_program(folder / "undo").main() == 1
    for name in names:
        assert (changed_host / name).read_text().startswith(f"before {name}\n")
    assert not list(changed_host.glob("*.rollback"))
    assert f"NOT rolled back: {changed_host / lost}" in capsys.readouterr().err
    assert "command\n" in (folder / "log").read_text()
    # Everything that can lock the operator out is opened, and nothing else.
    path = changed_host / lost
    expected = {"sshd.conf": "Port 2222\nKeys only\n", "sudoers": None}
    text = path.read_text() if path.exists() else None
    assert text == expected.get(lost, "Port 2222\nafter\n")
    assert ("opened" in (folder / "log").read_text()) is (lost in expected)
    assert (folder / "firewall/opened.nft").exists() is (lost == "nftables.conf")
    # Stored for an inspection, and out of the way of the next run.
    assert (folder / "undo.failed").is_dir()
    assert not (folder / "undo").exists()
    assert rollback_program(folder / "undo").main() == 0


@pytest.mark.parametrize("kind", [EMPTY, CUT, NULS, MISSING, "another shape"])
def test_without_an_index_the_ways_in_are_opened(changed_host: Path, kind: str) -> None:
    folder = changed_host.parent
    index = folder / "undo/index.json"
    if kind == "another shape":
        index.write_text('{"changes": [{"path": null}]}')
    else:
        damage(index, kind)
    assert rollback_program(folder / "undo").main() == 1
    assert (changed_host / "sshd.conf").read_text() == "Port 2222\nKeys only\n"
    assert not (changed_host / "sudoers").exists()
    rule = (folder / "firewall/opened.nft").read_text()
    assert rule.startswith("insert rule inet district_host input tcp dport { ")
    assert (folder / "log").read_text() == "opened\n"
    assert (folder / "undo.failed/0.tar").exists()


def test_an_index_that_was_not_begun_means_that_nothing_changed(tmp_path: Path) -> None:
    kept = tmp_path / "undo"
    kept.mkdir()
    (kept / "0.tar").write_bytes(b"half")
    assert rollback_program(kept).main() == 0
    assert not list(tmp_path.iterdir())


def test_a_failing_command_is_told_and_ends_nothing(
    changed_host: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = changed_host.parent
    index = folder / "undo/index.json"
    index.write_text(json.dumps({**json.loads(index.read_text()), "commands": ["false", "true"]}))
    assert rollback_program(folder / "undo").main() == 1
    assert "failed: false" in capsys.readouterr().err
    assert (changed_host / "first").read_text().startswith("before")
    assert not (folder / "undo.failed").exists()
    assert not (folder / "firewall/opened.nft").exists()


def test_a_firewall_that_cannot_be_loaded_is_opened(changed_host: Path) -> None:
    """Its file is as before, but its included files are not, so the new rules are still active."""
    folder = changed_host.parent
    (folder / "bin/nft").write_text("#!/bin/sh\nfalse\n")
    assert rollback_program(folder / "undo").main() == 1
    assert (changed_host / "nftables.conf").read_text().startswith("before")
    assert (folder / "firewall/opened.nft").exists()


@pytest.mark.parametrize("kind", [EMPTY, CUT, NULS, MISSING])
def test_the_next_run_goes_on_beside_an_unreadable_index(changed_host: Path, kind: str) -> None:
    folder = changed_host.parent
    damage(folder / "undo/index.json", kind)
    entry = {"path": changed_host / "first", "content": "next"}
    assert "kept in" not in str(file_set(entry, folder=folder / "undo", check=True)["warnings"])
    done = file_set(entry, folder=folder / "undo")
    assert f"It is kept in {folder}/undo.unreadable" in str(done["warnings"])
    assert (folder / "undo.unreadable/4.tar").exists()
    index = json.loads((folder / "undo/index.json").read_text())
    assert [change["path"] for change in index["changes"]] == [str(changed_host / "first")]


WATCHED = """
import json, os, runpy
calls = []
def watch(name):
    real = getattr(os, name)
    def call(*arguments):
        path = arguments[0]
        if isinstance(path, int):
            path = os.readlink("/proc/self/fd/%d" % path)
        calls.append([name, str(path)])
        return real(*arguments)
    setattr(os, name, call)
watch("fsync"); watch("replace")
try:
    runpy.run_path({module!r}, run_name="__main__")
finally:
    open({log!r}, "w").write(json.dumps(calls))
"""


def test_what_rolls_a_change_back_outlives_a_power_cut_before_it_is_made(tmp_path: Path) -> None:
    path, kept, log = tmp_path / "f", tmp_path / "undo", tmp_path / "log"
    path.write_text("before")
    arguments = {"files": [{**ME, "path": str(path), "content": "x"}], "rollback_folder": str(kept)}
    done = forks.having("ansible.module_utils.basic").run(
        PARTS + WATCHED.format(module=str(MODULE), log=str(log)),
        stdin=json.dumps({"ANSIBLE_MODULE_ARGS": arguments}),
        env={**os.environ, "_ANSIBLE_MODULE_PROFILE": "legacy"},
    )
    assert json.loads(done.stdout)["changed"] is True
    calls = json.loads(log.read_text())
    archive, index = str(kept / "0.tar"), str(kept / "index.json")
    assert calls[:7] == [
        ["fsync", str(tmp_path)],
        ["fsync", archive + ".new"],
        ["replace", archive + ".new"],
        ["fsync", str(kept)],
        ["fsync", index + ".new"],
        ["replace", index + ".new"],
        ["fsync", str(kept)],
    ]
