"""Check how commands find the running lab."""

from __future__ import annotations

import os

import pytest
from lab import cli, running, settings
from lab.process import LabError


@pytest.mark.parametrize("text", [None, "", "nonsense", "999999999", "another's"])
def test_no_lab_runs(text: str | None, capsys: pytest.CaptureFixture[str]) -> None:
    if text == "another's":
        text = str(os.getpid())
    if text is not None:
        settings.STATE.mkdir()
        (settings.STATE / "pid").write_text(text)
    assert running.holder() is None
    assert cli.status_command([]) == 1
    assert ("scripts/lab down" in capsys.readouterr().out) is (text is not None)
    with pytest.raises(LabError, match="scripts/lab up"):
        running.inside(["true"])
    with pytest.raises(LabError, match="scripts/lab up"):
        cli.connect_command(["192.0.2.1", "22"])


def test_inside_of_the_lab_commands_run_directly(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in running.podman_environment().items():
        monkeypatch.setenv(name, value)
    assert running.inside(["true"]) == ["true"]
    monkeypatch.setattr(settings, "STATE", settings.STATE / "of-another-checkout")
    with pytest.raises(LabError):
        running.inside(["true"])
