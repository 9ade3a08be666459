"""Fixtures of the tests against servers: by default the misbehaving one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.district import District
from support.vendor import OLD, PASSWORD, Vendor, serving


@pytest.fixture
def vendor(tmp_path: Path) -> Iterator[Vendor]:
    """Start a server that holds yesterday's file."""
    with serving(Vendor(tmp_path / "vendor", PASSWORD)) as server:
        (server.folder / "OneRoster.zip").write_bytes(OLD)
        yield server


@pytest.fixture
def district(tmp_path: Path, vendor: Vendor) -> District:
    """Return a district whose feed goes to that server."""
    return District(tmp_path / "district", vendor, PASSWORD.encode())
