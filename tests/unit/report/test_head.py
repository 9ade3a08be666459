"""The head of a ledger for the control node, read without the host's key."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest
from roster_upload.records.chain import MOST_BREAKS, LedgerKey
from roster_upload.records.ledger import Ledger
from roster_upload.report.head import head, positions
from support.receipts import append

NIGHT = {"outcome": "sent", "source": {"sha256": "e" * 64}, "finished": "2026-11-24T07:15:00Z"}


def told(ledger: Ledger, position: int = 0) -> dict[str, Any]:
    return head(ledger.chain(), ledger.history(), position)


def test_the_host_is_asked_for_a_position_and_tells_its_digest(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path, LedgerKey(b"k" * 32))
    assert told(ledger, 5) == {
        "lines": 0, "digest": "", "position": 5, "digest_there": "", "checked": "", "breaks": []
    }  # fmt: skip
    for _ in range(3):
        append(ledger, NIGHT)
    digests = [hashlib.sha256(line).hexdigest() for line in ledger.path.read_bytes().splitlines()]
    assert told(ledger, 2) == {
        "lines": 3, "digest": digests[2], "position": 2, "digest_there": digests[1],
        "checked": "", "breaks": [],
    }  # fmt: skip
    assert told(ledger, 4)["digest_there"] == ""


def test_breaks_are_those_of_the_chain_and_of_the_last_check(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    mac = {"code": "mac", "position": 1, "night": "2026-11-20"}
    append(ledger, {**NIGHT, "checked": {"lines": 1, "breaks": [mac, {**mac, "position": 9}]}})
    append(ledger, {**NIGHT, "checked": {"lines": 2, "breaks": [mac]}})
    append(ledger, {**NIGHT, "command": "watch", "outcome": "failed"})
    found = told(ledger)
    assert found["checked"] == NIGHT["finished"]
    assert found["breaks"] == [{**mac, "line": 1}]
    lines = ledger.path.read_bytes().splitlines(keepends=True)
    ledger.path.write_bytes(b"".join([lines[0], *lines[2:]]))
    assert [(one["code"], one["position"], one["line"]) for one in told(ledger)["breaks"]] == [
        ("link", 2, 2), ("mac", 1, 1), ("mac", 9, 0)
    ]  # fmt: skip


def test_breaks_are_bounded(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    ledger.path.write_bytes(b'{"previous":"x"}\n' * 5000)
    assert len(told(ledger)["breaks"]) == MOST_BREAKS


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", {}),
        ("maple=812 oak=9", {"maple": 812, "oak": 9}),
        ("maple=-1 maple=x =5 Oak=3 oak=9=9 ../x=1 birch=" + "9" * 16, {}),
        ("maple=1 $(id) maple=2", {"maple": 2}),
    ],
)
def test_positions_are_read_and_anything_else_is_ignored(text: str, found: dict[str, int]) -> None:
    assert positions(text) == found
