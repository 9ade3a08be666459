"""Check the end of `lab run`, without a lab."""

from __future__ import annotations

import subprocess

import pytest
from lab import lifetime, running


@pytest.mark.parametrize(("script", "code"), [("exit 7", 7), ("kill -9 $$", 137), ("true", 0)])
def test_run_ends_as_its_command_does(
    monkeypatch: pytest.MonkeyPatch, script: str, code: int
) -> None:
    monkeypatch.setenv("CONTAINERS_CONF", running.podman_environment()["CONTAINERS_CONF"])
    assert lifetime.run_command(["sh", "-c", script]) == code


@pytest.mark.parametrize(
    ("code", "output", "said"),
    [
        (0, "12345678\n", "lab: the containers used 12.3 s of CPU time\n"),
        (0, "", ""),  # there was none
        (1, "12345678\n", ""),  # it is tried again
    ],
)
def test_the_end_of_a_lab_says_what_its_containers_used(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    code: int,
    output: str,
    said: str,
) -> None:
    done = subprocess.CompletedProcess([], code, output)
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: done)
    assert lifetime.are_cgroups_removed() is (code == 0)
    assert capsys.readouterr().err == said
