"""Receipts for tests, written as the JSON that a ledger holds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from roster_upload.records.history import History
from roster_upload.records.ledger import Ledger
from roster_upload.records.receipt import Receipt


def append(ledger: Ledger, *receipts: Mapping[str, Any]) -> None:
    """Append receipts to a ledger."""
    for receipt in receipts:
        ledger.append(Receipt.parse(receipt))


def history(receipts: Iterable[Mapping[str, Any]]) -> History:
    """Return the history of some receipts."""
    return History.of(map(Receipt.parse, receipts))
