"""The command scripts/watch: which inventory, which units, and who owns them."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
from roster_fleet.watch import command, running, units


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An operator's folder with one inventory."""
    found = tmp_path / "my rosters"
    (found / "inventories" / "mine").mkdir(parents=True)
    return found


class Machine:
    """A machine with systemd, whose programs are only recorded. `codes` are those that fail."""

    def __init__(self) -> None:
        self.ran: list[list[str]] = []
        self.codes: dict[str, int] = {}

    def run(self, words: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        self.ran.append(words)
        code = next((code for word, code in self.codes.items() if word in words), 0)
        return subprocess.CompletedProcess(words, code)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Machine:
    found = Machine()
    monkeypatch.setattr(command, "SYSTEMD", tmp_path)
    monkeypatch.setattr(units, "SYSTEM_UNITS", tmp_path / "units")
    monkeypatch.setattr("os.getuid", lambda: 0)
    monkeypatch.setattr(command, "owner_of", lambda _: 0)
    monkeypatch.setattr(command, "LINGERING", tmp_path)
    monkeypatch.setattr(subprocess, "run", found.run)
    return found


def watch(folder: Path, *words: str) -> int:
    return command.main(words, folder / "scripts" / "watch")


def test_install_writes_both_units_and_runs_the_first_time(
    folder: Path, machine: Machine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert watch(folder, "install", "--at", "10:05") == 0
    service, timer = sorted((tmp_path / "units").iterdir())
    assert [service.name, timer.name] == ["roster-watch-mine.service", "roster-watch-mine.timer"]
    assert f"WorkingDirectory={folder}\n" in service.read_text()
    assert '"-i" "inventories/mine" "--at" "10:05"' in service.read_text()
    assert "10..13:05:00 UTC" in timer.read_text()
    assert machine.ran == [
        ["systemctl", "daemon-reload"],
        ["systemctl", "daemon-reload"],
        ["systemctl", "enable", "--now", "roster-watch-mine.timer"],
        ["systemctl", "start", "roster-watch-mine.service"],
    ]
    assert "the first run worked" in capsys.readouterr().out


def test_a_first_run_that_fails_is_a_failure(
    folder: Path, machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    machine.codes["start"] = 1
    assert watch(folder, "install") == 1
    assert "the first run failed. See journalctl -u roster-watch-mine" in capsys.readouterr().err


def test_a_user_has_units_of_their_own(
    folder: Path, machine: Machine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setattr("os.getuid", lambda: 1000)
    monkeypatch.setattr("getpass.getuser", lambda: "me")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    machine.codes["enable-linger"] = 1
    assert watch(folder, "install") == 0
    service = tmp_path / "config/systemd/user/roster-watch-mine.service"
    assert "network-online" not in service.read_text()
    assert all(words[1] == "--user" for words in machine.ran if words[0] == "systemctl")
    assert ["loginctl", "enable-linger", "me"] in machine.ran
    said = capsys.readouterr().out
    assert "sudo loginctl enable-linger me" in said
    assert "journalctl --user -u roster-watch-mine" in said
    (tmp_path / "me").touch()
    machine.ran.clear()
    assert watch(folder, "install") == 0
    assert not [words for words in machine.ran if words[0] == "loginctl"]


def test_root_runs_nothing_that_another_user_can_change(
    folder: Path, machine: Machine, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setattr(command, "owner_of", lambda path: 1000 * (path == folder))
    assert watch(folder, "install") == 1
    assert f"{folder} belongs to another user" in capsys.readouterr().err
    assert machine.ran == []
    monkeypatch.setattr("os.getuid", lambda: 1000)
    monkeypatch.setattr(units, "unit_folder", lambda: folder / "units")
    assert watch(folder, "install") == 0


def test_a_user_without_a_session_learns_why(
    folder: Path, machine: Machine, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setattr("os.getuid", lambda: 1000)
    monkeypatch.setattr(units, "unit_folder", lambda: folder / "units")
    machine.codes["daemon-reload"] = 1
    assert watch(folder, "install") == 1
    assert "Log in as this user itself, not by su or sudo" in capsys.readouterr().err
    assert not (folder / "units").exists()


def test_remove_undoes_install_and_can_be_run_again(
    folder: Path, machine: Machine, tmp_path: Path
) -> None:
    watch(folder, "install")
    machine.ran.clear()
    assert watch(folder, "remove") == 0
    assert list((tmp_path / "units").iterdir()) == []
    assert machine.ran == [
        ["systemctl", "disable", "--now", "roster-watch-mine.timer"],
        ["systemctl", "daemon-reload"],
    ]
    machine.ran.clear()
    assert watch(folder, "remove") == 0
    assert machine.ran == []


@pytest.mark.parametrize("action", ["install", "remove"])
def test_another_folders_units_stay(
    action: str, folder: Path, machine: Machine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    watch(folder, "install")
    other = tmp_path / "other"
    (other / "inventories" / "mine").mkdir(parents=True)
    assert watch(other, action) == 1
    assert f"belongs to {folder}. Remove it there first" in capsys.readouterr().err
    assert f"={folder}\n" in (tmp_path / "units/roster-watch-mine.service").read_text()


@pytest.mark.parametrize("action", ["install", "remove"])
def test_the_units_of_a_folder_that_was_moved_are_taken_over(
    action: str, folder: Path, machine: Machine, tmp_path: Path
) -> None:
    watch(folder, "install")
    moved = folder.rename(tmp_path / "moved 100%")
    assert watch(moved, action) == 0
    units_left = [path.read_text() for path in (tmp_path / "units").glob("*.service")]
    assert ["moved 100%%\n" in text for text in units_left] == [True] * (action == "install")


@pytest.mark.parametrize("action", ["install", "remove"])
def test_a_folder_may_be_reached_by_another_path(
    action: str, folder: Path, machine: Machine, tmp_path: Path
) -> None:
    watch(folder, "install")
    (tmp_path / "link").symlink_to(folder)
    assert watch(tmp_path / "link", action) == 0


@pytest.mark.parametrize("action", ["install", "remove"])
def test_an_inventory_of_nearly_the_same_name_stays(
    action: str, folder: Path, machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("süd", "söd"):
        (folder / "inventories" / name).mkdir()
    assert watch(folder, "install", "-i", "inventories/süd") == 0
    assert watch(folder, action, "-i", "inventories/söd") == 1
    assert "belongs to another inventory" in capsys.readouterr().err


@pytest.mark.parametrize("action", ["install", "cron", "run"])
def test_an_inventory_that_does_not_exist_is_refused(
    action: str, folder: Path, machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    assert watch(folder, action, "-i", "inventories/mien") == 1
    said = capsys.readouterr().err
    assert f"there is no {folder}/inventories/mien. " in said
    assert said.endswith("has: mine.\n")
    assert machine.ran == []
    assert not (folder / "build").exists()


def test_a_removed_inventorys_units_can_be_removed(
    folder: Path, machine: Machine, tmp_path: Path
) -> None:
    watch(folder, "install")
    (folder / "inventories" / "mine").rmdir()
    assert watch(folder, "remove", "-i", "inventories/mine") == 0
    assert list((tmp_path / "units").iterdir()) == []


def test_a_folder_is_named_without_dots(
    folder: Path, machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """systemd ignores a WorkingDirectory with them, and would run elsewhere."""
    monkeypatch.chdir(folder / "inventories")
    assert command.main(["install"], Path("../scripts/watch")) == 0
    text = (tmp_path / "units/roster-watch-mine.service").read_text()
    assert f"WorkingDirectory={folder}\n" in text
    assert ".." not in text


def test_the_checkout_is_not_an_operators_folder(
    machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main(["install"]) == 1
    assert "Run scripts/watch in your own folder" in capsys.readouterr().err


def test_without_systemd_the_line_for_cron_is_shown(
    folder: Path, machine: Machine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setattr(command, "SYSTEMD", tmp_path / "none")
    assert watch(folder, "install") == 1
    said = capsys.readouterr().err
    assert "does not run systemd. Add this line to your crontab" in said
    assert machine.ran == []
    assert watch(folder, "cron") == 0
    line = capsys.readouterr().out.strip()
    assert line in said
    assert line.startswith("15 * * * * cd ")


def test_one_of_several_inventories_must_be_named(
    folder: Path, machine: Machine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "inventories" / "other").mkdir()
    assert watch(folder, "install") == 1
    assert "name the inventory: -i inventories/NAME" in capsys.readouterr().err
    assert watch(folder, "install", "-i", "inventories/other") == 0
    assert (tmp_path / "units" / "roster-watch-other.timer").exists()


@pytest.mark.parametrize("text", ["9:15", "24:00", "09:60", "09:15:00", "soon"])
def test_a_time_of_day_is_checked(
    text: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        watch(folder, "cron", "--at", text)
    assert "is not a time of day" in capsys.readouterr().err


def test_run_passes_on_the_inventory(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[Any] = []

    def record(*words: Any) -> int:
        given.extend(words)
        return 3

    monkeypatch.setattr(running, "run", record)
    assert watch(folder, "run", "--at", "09:15") == 3
    own, inventory, at, _ = given
    assert (own.page, inventory, at) == (
        folder / "build/mine/status.html", "inventories/mine", "09:15",
    )  # fmt: skip
