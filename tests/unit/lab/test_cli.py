"""Check the command line of the lab, without containers."""

from __future__ import annotations

import os
import signal
import sys

import pytest
from lab import cli
from lab.process import LabError


@pytest.mark.parametrize(
    "words",
    [
        "", "bogus", "run", "run --", "exec", "sh", "connect", "connect 192.0.2.1", "up now",
        "--only=nobody up", "--provisioned down", "--only=lab-sftp add lab-01",
    ],
)  # fmt: skip
def test_wrong_usage(
    monkeypatch: pytest.MonkeyPatch, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["scripts/lab", *words.split()])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 2
    assert "Traceback" not in capsys.readouterr().err


def test_a_port_is_a_number() -> None:
    with pytest.raises(LabError, match="'x' is not a port"):
        cli.connect_command(["192.0.2.1", "x"])


@pytest.mark.parametrize(("level", "says"), [(None, "sudo scripts/lab up"), ("1", "sudo make")])
def test_without_root_it_says_what_to_type(
    monkeypatch: pytest.MonkeyPatch, level: str | None, says: str
) -> None:
    monkeypatch.delenv("MAKELEVEL", raising=False)
    if level:
        monkeypatch.setenv("MAKELEVEL", level)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(sys, "argv", ["scripts/lab", "up"])
    with pytest.raises(LabError, match=says):
        cli.main()


def test_a_signal_becomes_an_exit_code() -> None:
    with pytest.raises(SystemExit) as ended:
        cli.stop(signal.SIGTERM, None)
    assert ended.value.code == 143
