"""`notify` sends with the feed's secrets. The alarm's tests show the rest."""

from __future__ import annotations

from pathlib import Path

import pytest
from roster_upload.cli import parser
from roster_upload.exits import Exit


def test_a_feed_without_a_configuration_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = parser.main([f"--config-dir={tmp_path}", f"--state-dir={tmp_path}", "notify", "maple"])
    assert code == Exit.CONFIG
    assert "maple.toml" in capsys.readouterr().err
