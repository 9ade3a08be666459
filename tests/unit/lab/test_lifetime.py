"""Check the end of `lab run`, without a lab."""

from __future__ import annotations

import pytest
from lab import lifetime, running


@pytest.mark.parametrize(("script", "code"), [("exit 7", 7), ("kill -9 $$", 137), ("true", 0)])
def test_run_ends_as_its_command_does(
    monkeypatch: pytest.MonkeyPatch, script: str, code: int
) -> None:
    monkeypatch.setenv("CONTAINERS_CONF", running.podman_environment()["CONTAINERS_CONF"])
    assert lifetime.run_command(["sh", "-c", script]) == code
