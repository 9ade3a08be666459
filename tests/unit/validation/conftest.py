"""Tests of the validation share where a package lies, and how small pieces of a file are."""

from __future__ import annotations

from pathlib import Path

import pytest
from roster_upload.validation import blocks, lines


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """Return the path of a test's package."""
    return tmp_path / "OneRoster.zip"


@pytest.fixture
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let each piece end after a few bytes, including within line ends."""
    monkeypatch.setattr(blocks, "PIECE_BYTES", 4)
    monkeypatch.setattr(lines, "FIRST_BYTES", 8)
