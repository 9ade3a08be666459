"""A run of the watch: when it is due, one at a time, and what it does if status.yml fails."""

from __future__ import annotations

import datetime as dt
import os
import select
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from roster_fleet.outputs import Outputs
from roster_fleet.watch import running
from roster_fleet.watch import state as memory
from roster_fleet.watch.state import State

LONG = 20  # seconds
NOW = dt.datetime(2026, 11, 24, 9, 15, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("ran", "at", "now", "is_due"),
    [
        ("", "09:15", NOW, True),
        ("2026-11-24T09:16:00Z", "", NOW, True),
        ("2026-11-23T09:16:00Z", "09:15", NOW, True),
        ("2026-11-23T09:16:00Z", "09:15", NOW - dt.timedelta(seconds=1), False),
        ("2026-11-24T09:15:00Z", "09:15", NOW, False),
        ("2026-11-24T09:14:59Z", "09:15", NOW, True),
        ("2026-11-24T09:16:00Z", "09:15", NOW + dt.timedelta(hours=20), False),
        ("2026-11-24T09:16:00Z", "09:15", NOW + dt.timedelta(hours=24), True),
        ("2030-01-01T00:00:00Z", "09:15", NOW, True),  # the clock was wrong, and was set back
    ],
)
def test_a_run_is_due_once_after_its_time(
    ran: str, at: str, now: dt.datetime, is_due: bool
) -> None:
    assert running.is_due(ran, at, now) == is_due


class Player:
    """Stand for ansible-playbook, whose playbooks change the memory."""

    def __init__(self, own: Outputs, *changes: Callable[[State], State], code: int = 0) -> None:
        self.own, self.changes, self.code = own, list(changes), code
        self.played: list[str] = []

    def __call__(self, playbook: str) -> int:
        self.played.append(playbook)
        memory.save(self.own.folder, self.changes.pop(0)(memory.load(self.own.folder)))
        return self.code


@pytest.fixture
def own(tmp_path: Path) -> Outputs:
    return Outputs(tmp_path, "mine")


def works(state: State) -> State:
    return replace(state, ran="2026-11-24T09:15:07Z")


def same(state: State) -> State:
    return state


def told(state: State) -> State:
    return replace(state, failed=dt.datetime.now(dt.UTC).date().isoformat())


def test_a_run_that_works_says_nothing_more(own: Outputs) -> None:
    play = Player(own, works)
    assert running.run(own, "inventories/mine", "", play) == 0
    assert play.played == ["status"]


def test_a_run_that_is_not_due_plays_nothing(own: Outputs) -> None:
    memory.save(own.folder, State(ran=dt.datetime.now(dt.UTC).isoformat()))
    play = Player(own, works)
    assert running.run(own, "inventories/mine", "00:00", play) == 0
    assert play.played == []


def test_two_runs_are_never_at_the_same_time(
    own: Outputs, capsys: pytest.CaptureFixture[str]
) -> None:
    with running._lock(_made(own) / running.LOCK) as is_free:
        assert is_free
        play = Player(own, works)
        assert running.run(own, "inventories/mine", "", play) == 0
    assert play.played == []
    assert "another watch of mine is running" in capsys.readouterr().out


def _made(own: Outputs) -> Path:
    own.folder.mkdir(parents=True)
    return own.folder


@pytest.mark.parametrize(
    ("code", "said"),
    [(4, "status.yml ended with code 4"), (0, "Does inventories/mine have hosts in district_ho")],
)
def test_a_failure_is_told_and_is_the_units_failure(
    code: int, said: str, own: Outputs, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also one of an empty inventory, for which Ansible ends well."""
    memory.save(own.folder, State(ran="2026-11-23T09:15:00Z", troubles=("an older one",)))
    down = Player(own, lambda state: replace(state, troubles=("slack is down",)), told, code=code)
    assert running.run(own, "inventories/mine", "", down) == (code or 1)
    assert down.played == ["status", "shared/watch_failure"]
    found = memory.load(own.folder).troubles
    assert found[0] == "slack is down"
    assert said in found[1]
    output = capsys.readouterr().err
    assert said in output
    assert "nobody could be notified" not in output


def test_a_run_that_hangs_is_stopped_and_named(own: Outputs) -> None:
    """Otherwise its lock would keep all later runs from their work, and nobody would notice."""
    play = Player(own, same, told, code=running.STOPPED)
    assert running.run(own, "inventories/mine", "", play) == running.STOPPED
    assert play.played == ["status", "shared/watch_failure"]
    [trouble] = memory.load(own.folder).troubles
    assert trouble == "status.yml did not end within 120 minutes, so the watch stopped it"


@pytest.mark.parametrize("ignored", ["", "trap '' TERM; "])
def test_a_command_is_stopped_with_its_children(
    ignored: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "GRACE", 0)
    fifo, wait, pipe = tmp_path / "fifo", subprocess.Popen.wait, list[int]()
    os.mkfifo(fifo)

    def begins(process: Any, seconds: float | None = None) -> int:
        """Wait for the command's child, which then outlasts its time."""
        if seconds == LONG:
            pipe.append(os.open(fifo, os.O_RDONLY))
            assert os.read(pipe[0], 1) == b"x"
            raise subprocess.TimeoutExpired("sh", LONG)
        return wait(process, seconds)

    monkeypatch.setattr(subprocess.Popen, "wait", begins)
    words = ["sh", "-c", f"{ignored}exec >fifo; tail -f /dev/null & printf x; wait"]
    assert running.bounded(words, tmp_path, os.environ, LONG) == running.STOPPED
    assert select.select(pipe, [], [], LONG)[0], "a child still has the pipe"
    assert os.read(pipe[0], 1) == b""
    os.close(pipe[0])


def test_a_command_has_no_terminal_to_ask_at(tmp_path: Path) -> None:
    words = ["sh", "-c", "test $(ps -o sid= -p $$) = $$"]
    assert running.bounded(words, tmp_path, os.environ, 60) == 0


def test_a_failure_that_nobody_hears_of_is_said(
    own: Outputs, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without a host in the inventory, the second playbook ends well, and notifies nobody."""
    memory.save(own.folder, State(troubles=("an older one",), failed="2026-11-23"))
    assert running.run(own, "inventories/mine", "", Player(own, same, same, code=2)) == 2
    assert "nobody could be notified of this" in capsys.readouterr().err
    assert memory.load(own.folder).troubles == ("status.yml ended with code 2",)


def test_a_playbook_is_run_in_the_operators_folder(tmp_path: Path) -> None:
    """Nothing secret is among its words, and it cannot ask."""
    folder, checkout = tmp_path / "my rosters", tmp_path / "the checkout"
    programs = checkout / ".venv/bin"
    programs.mkdir(parents=True)
    folder.mkdir()
    (folder / "ansible.cfg").touch()
    program = programs / "ansible-playbook"
    program.write_text(
        '#!/bin/sh\n{ pwd; echo "$ANSIBLE_CONFIG"; echo "$PATH"; printf "%s\\n" "$@"; cat; } >out\n'
        "exit 3\n"
    )
    program.chmod(0o755)
    assert running.player(folder, checkout, "inventories/mine")("status") == 3
    where, config, path, *words = (folder / "out").read_text().splitlines()
    assert (where, config) == (str(folder), str(folder / "ansible.cfg"))
    assert path.split(os.pathsep)[0] == str(programs)
    assert words == [
        str(folder / "playbooks/status.yml"), "-i", "inventories/mine",
        "-e", '{"roster_status_notify": true, "roster_status_fail": false}',
    ]  # fmt: skip
