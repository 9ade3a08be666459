"""`forget` removes the former credential only if a delivery was accepted since."""

from __future__ import annotations

import datetime as dt
import json
import os
from pathlib import Path

import pytest
from roster_upload.cli import parser
from roster_upload.exits import Exit
from roster_upload.records.ledger import Ledger
from roster_upload.records.receipt import Receipt
from unit.test_config import GOOD

FEED = str(GOOD["feed"])
PUT_ASIDE = dt.datetime(2026, 11, 1, tzinfo=dt.UTC)


@pytest.fixture
def former(tmp_path: Path) -> Path:
    """Return a former credential, put aside at PUT_ASIDE, of a configured feed."""
    text = "".join(
        f"{key} = {json.dumps(list(value) if isinstance(value, (list, tuple)) else value)}\n"
        for key, value in GOOD.items()
    )
    (tmp_path / f"{FEED}.toml").write_text(text)
    (tmp_path / FEED).mkdir()
    path = tmp_path / "previous" / FEED / "previous"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"secret")
    os.utime(path, (PUT_ASIDE.timestamp(), PUT_ASIDE.timestamp()))
    return path


def forget(tmp_path: Path) -> int:
    return parser.main([f"--config-dir={tmp_path}", f"--state-dir={tmp_path}", "forget", FEED])


@pytest.mark.parametrize("slot", ["previous", "source_previous"])
@pytest.mark.parametrize(("day", "stays"), [("2026-10-31", True), ("2026-11-02", False)])
def test_a_delivery_after_the_rotation_ends_the_former_credential(
    tmp_path: Path, former: Path, day: str, stays: bool, slot: str
) -> None:
    former = former.rename(former.with_name(slot))
    sent = {"feed": FEED, "outcome": "sent", "command": "send", "started": f"{day}T07:10:00Z"}
    Ledger(tmp_path / FEED).append(Receipt.parse(sent))
    assert forget(tmp_path) == Exit.OK
    assert former.exists() is stays


def test_receipts_that_cannot_be_read_keep_the_former_credential(
    tmp_path: Path, former: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / FEED / "receipts.jsonl").mkdir()
    assert forget(tmp_path) == Exit.LOCAL
    assert "receipts.jsonl" in capsys.readouterr().err
    assert former.exists()
