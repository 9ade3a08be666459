"""Tests of transfers: a size that is wrong is asked for again at once."""

from __future__ import annotations

import pytest
from roster_upload.transfer import verify


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong size is requested again, here at once."""
    monkeypatch.setattr(verify, "LOOK_AGAIN_SECONDS", (0, 0, 0))
