"""scripts/new-inventory says what it has made, and what comes next."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from roster_fleet.folder import command

ROOT = Path(__file__).resolve().parents[3]


def test_the_next_steps_fit_the_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = tmp_path / "my rosters"
    assert command.main([str(root), "east"], ROOT) == 0
    said = capsys.readouterr().out
    assert f"cd '{root}'" in said
    assert said.endswith("ansible-playbook playbooks/onboard.yml\n")
    assert command.main([str(root), "west"], ROOT) == 0
    said = capsys.readouterr().out
    assert said.endswith("ansible-playbook playbooks/onboard.yml -i inventories/west\n")
    for words in ([], ["east"], ["west"]):
        assert command.main([str(root), *words], ROOT) == 0
        assert capsys.readouterr().out.splitlines() == [
            "new-inventory: nothing to do. Everything is there already"
        ]


def test_a_missing_key_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    home = tmp_path / "inventories" / "east"
    home.mkdir(parents=True)
    (home / "hosts.yml").touch()
    (home / "a.vault").write_text("$ANSIBLE_VAULT;1.2;AES256;east\n61\n")
    assert command.main([str(tmp_path), "east"], ROOT) == 0
    assert f"Copy it to {home / 'vault-key.txt'}" in capsys.readouterr().out


def test_a_refusal_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main([str(tmp_path / "new")], ROOT) == 1
    assert capsys.readouterr().err.startswith("new-inventory: ")
    assert command.main([str(tmp_path / "new"), "lab"], ROOT) == 1
    assert capsys.readouterr().err.count("\n") == 1
    assert not (tmp_path / "new").exists()


def test_a_folder_that_cannot_be_written_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refused(self: Path, *_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", "/checkout", None, str(self))

    monkeypatch.setattr(Path, "symlink_to", refused)
    assert command.main([str(tmp_path), "east"], ROOT) == 1
    error = capsys.readouterr().err
    assert f"{tmp_path}/roster-delivery cannot be read or written: permission denied" in error
    (tmp_path / "file").touch()
    assert command.main([str(tmp_path / "file" / "x"), "east"], ROOT) == 1
    assert "choose another folder" in capsys.readouterr().err


def test_a_home_folder_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert command.main([str(tmp_path), "east"], ROOT) == 1
    assert "is your home folder" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_the_script_needs_nothing_but_python(tmp_path: Path) -> None:
    words = ["/usr/bin/env", "-i", "python3", "-S", str(ROOT / "scripts/new-inventory")]
    done = subprocess.run([*words, str(tmp_path), "a"], capture_output=True, text=True, check=True)
    assert "made the vault key inventories/a/vault-key.txt" in done.stdout
