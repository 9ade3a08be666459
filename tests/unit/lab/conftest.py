"""Give the lab's modules a checkout, a cache and mirrors of the test's own."""

from __future__ import annotations

from pathlib import Path

import pytest
from lab import images, settings

MIRRORS = "http://mirror.example/debian", "http://mirror.example/debian-security"


@pytest.fixture(autouse=True)
def _own_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Point the modules to folders of the test."""
    for name in ("ROOT", "STATE", "CACHE"):
        monkeypatch.setattr(settings, name, tmp_path / name.lower())
    monkeypatch.setattr(images, "mirrors", lambda: MIRRORS)
    monkeypatch.delenv("CONTAINERS_CONF", raising=False)  # these tests can run inside of a lab
    (tmp_path / "root").mkdir()
