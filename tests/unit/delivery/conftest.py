"""A feed in a folder, for each test."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.delivery_host import Host


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    return Host(tmp_path, monkeypatch)
