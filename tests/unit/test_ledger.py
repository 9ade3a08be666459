"""Receipts: each is chained to the one before, and a torn line loses nothing but itself."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path

import pytest
from roster_upload.ledger import Ledger


def test_receipts_are_chained_and_an_edit_shows(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    for number in range(4):
        ledger.append({"outcome": "sent", "number": number})
    assert [receipt["number"] for receipt in ledger.receipts()] == [0, 1, 2, 3]
    assert ledger.receipts()[0]["previous"] == ""
    assert ledger.first_break() is None

    lines = ledger.path.read_text().splitlines(keepends=True)
    ledger.path.write_text("".join([lines[0], lines[1].replace("sent", "held"), *lines[2:]]))
    assert ledger.first_break() == 3
    ledger.path.write_text("".join([lines[0], *lines[2:]]))
    assert ledger.first_break() == 2


def test_a_torn_line_is_left_out_and_written_over_nothing(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    ledger.append({"number": 0})
    with ledger.path.open("ab") as handle:
        handle.write(b'{"number": 1, "half')
    assert [receipt["number"] for receipt in ledger.receipts()] == [0]
    ledger.append({"number": 2})
    assert [receipt["number"] for receipt in ledger.receipts()] == [0, 2]
    assert ledger.path.read_bytes().count(b"\n") == 3
    assert json.loads(ledger.path.read_bytes().splitlines()[-1])["number"] == 2
    assert ledger.first_break() is None, "a power cut is no forgery"

    lines = ledger.path.read_bytes().splitlines(keepends=True)
    ledger.path.write_bytes(b"".join([b"{" + lines[0], *lines[1:]]))
    assert ledger.first_break() == 3, "a line that was spoilt by hand is"


def test_a_receipt_is_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[Path] = []

    def fsync(descriptor: int) -> None:
        synced.append(Path(f"/proc/self/fd/{descriptor}").readlink())

    monkeypatch.setattr(os, "fsync", fsync)
    ledger = Ledger(tmp_path)
    ledger.append({"number": 0})
    assert synced == [ledger.path, tmp_path]
    ledger.append({"number": 1})
    assert synced[2:] == [ledger.path]


def test_starts_at_once_chain_their_receipts(tmp_path: Path) -> None:
    writers = [
        threading.Thread(target=Ledger(tmp_path).append, args=({"number": number},))
        for number in range(20)
    ]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    ledger = Ledger(tmp_path)
    assert sorted(receipt["number"] for receipt in ledger.receipts()) == list(range(20))
    assert ledger.first_break() is None


def test_a_receipt_is_for_the_feeds_group_alone(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    old = os.umask(0o077)
    try:
        ledger.append({"number": 0})
    finally:
        os.umask(old)
    assert ledger.path.stat().st_mode & 0o777 == 0o640
