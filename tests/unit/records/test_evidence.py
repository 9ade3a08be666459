"""Each trace of a delivery has its receipt. Otherwise the receipts are incomplete."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from roster_upload.records import evidence
from roster_upload.records.ledger import Ledger
from support.receipts import append

SHA, OTHER = "a" * 64, "b" * 64
SENT = {
    "run": "1",
    "outcome": "sent",
    "source": {"sha256": SHA},
    "finished": "2026-11-01T07:15:00Z",
}


def leave_baseline(folder: Path) -> None:
    evidence.baseline(folder, SHA).write_bytes(b"")


def leave_package(folder: Path) -> None:
    evidence.packages(folder).mkdir()
    (evidence.packages(folder) / f"20261101T071500000000Z-{SHA}.package").write_bytes(b"")


def leave_marker(folder: Path) -> None:
    evidence.mark(folder, SHA)


def leave_profile(folder: Path) -> None:
    (folder / "server.json").write_text("{}")


TRACES = [leave_baseline, leave_package, leave_marker, leave_profile]


def test_a_new_feed_lacks_nothing(tmp_path: Path) -> None:
    assert evidence.gaps(tmp_path) == []
    assert evidence.gaps(tmp_path / "none") == []


@pytest.mark.parametrize("leave", TRACES)
def test_a_trace_without_a_receipt_is_a_gap(tmp_path: Path, leave: Callable[[Path], None]) -> None:
    leave(tmp_path)
    assert len(evidence.gaps(tmp_path)) == 1
    # Later runs that send nothing explain nothing.
    lost = evidence.gaps(tmp_path)
    ledger = Ledger(tmp_path)
    append(ledger, {"run": "2", "outcome": "begun", "command": "send", "lost": lost})
    append(ledger, {"run": "2", "outcome": "held", "source": {"sha256": SHA}, "lost": lost})
    append(ledger, {"run": "3", "outcome": "failed", "command": "watch"})
    append(ledger, {"run": "4", "outcome": "failed", "command": "send", "exit_code": 3})
    append(ledger, {"outcome": "approved", "digest": SHA})
    assert evidence.gaps(tmp_path) == lost


@pytest.mark.parametrize("leave", TRACES)
def test_a_trace_with_its_receipt_is_none(tmp_path: Path, leave: Callable[[Path], None]) -> None:
    leave(tmp_path)
    append(Ledger(tmp_path), {"run": "1", "outcome": "begun", "command": "send"})
    append(Ledger(tmp_path), SENT)
    assert evidence.gaps(tmp_path) == []


@pytest.mark.parametrize("leave", [leave_baseline, leave_marker])
def test_what_was_sent_last_needs_its_own_receipt(
    tmp_path: Path, leave: Callable[[Path], None]
) -> None:
    """The ledger was cut in half: an older delivery is still in it."""
    leave(tmp_path)
    append(Ledger(tmp_path), {**SENT, "source": {"sha256": OTHER}})
    assert len(evidence.gaps(tmp_path)) == 1


@pytest.mark.parametrize(
    "receipt",
    [
        {"run": "1", "outcome": "begun", "at_vendor": "unknown", "source": {"sha256": SHA}},
        {"outcome": "failed", "exit_code": 7, "source": {"sha256": SHA}},  # of an older program
        {"outcome": "failed", "package": {"sha256": SHA}, "source": {"sha256": OTHER}},
    ],
)
def test_a_first_delivery_that_failed_explains_its_baseline(
    tmp_path: Path, receipt: dict[str, object]
) -> None:
    leave_baseline(tmp_path)
    append(Ledger(tmp_path), receipt)
    assert evidence.gaps(tmp_path) == []


@pytest.mark.parametrize("command", ["send", "resend", "rehearse", "probe"])
def test_what_learns_of_the_server_explains_its_profile(tmp_path: Path, command: str) -> None:
    leave_profile(tmp_path)
    outcome = "ended" if command == "probe" else "begun"
    append(Ledger(tmp_path), {"outcome": outcome, "command": command})
    assert evidence.gaps(tmp_path) == []


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"[" * 9999, b'{"sha256": 5}', b"\xff"])
def test_a_marker_that_cannot_be_read_is_a_gap(tmp_path: Path, content: bytes) -> None:
    append(Ledger(tmp_path), SENT)
    evidence.marker(tmp_path).write_bytes(content)
    assert len(evidence.gaps(tmp_path)) == 1


def test_damage_is_a_gap_until_something_is_sent_that_knows_of_it(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    append(ledger, SENT)
    with ledger.path.open("ab") as handle:
        handle.write(b"damaged\n")
    assert evidence.gaps(tmp_path) == ["receipts.jsonl is damaged in line 2"]
    append(ledger, SENT)
    assert evidence.gaps(tmp_path), "who sent did not know of it"
    append(ledger, {**SENT, "lost": evidence.gaps(tmp_path)})
    assert evidence.gaps(tmp_path) == []
    with ledger.path.open("ab") as handle:
        handle.write(b"damaged\n" * 9)
    assert evidence.gaps(tmp_path) == [
        "receipts.jsonl is damaged in lines 5, 6, 7, 8, 9 and 4 more"
    ]
