"""Receipts: each is chained to the one before, and a torn line loses only itself."""

from __future__ import annotations

import datetime as dt
import json
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from roster_upload.exits import Exit
from roster_upload.host import locks
from roster_upload.host.locks import feed_lock
from roster_upload.records.ledger import LAST_LINES, PRUNED_AT_ONCE, Ledger
from support.receipts import append


def prune(ledger: Ledger, before: str) -> int:
    """Prune receipts older than a time, by a clock that follows the last receipts."""
    stamps = sorted(record.finished for record in ledger.records()[-LAST_LINES:])
    now = dt.datetime.fromisoformat(stamps[(len(stamps) - 1) // 4] if stamps else before)
    return ledger.prune(now - dt.datetime.fromisoformat(before), now)


def test_receipts_are_chained_and_an_edit_shows(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    for number in range(4):
        append(ledger, {"outcome": "sent", "number": number})
    assert [receipt.others["number"] for receipt in ledger.receipts()] == [0, 1, 2, 3]
    assert ledger.receipts()[0].previous == ""
    assert ledger.first_break() is None

    lines = ledger.path.read_text().splitlines(keepends=True)
    ledger.path.write_text("".join([lines[0], lines[1].replace("sent", "held"), *lines[2:]]))
    assert ledger.first_break() == 3
    ledger.path.write_text("".join([lines[0], *lines[2:]]))
    assert ledger.first_break() == 2


def test_a_torn_line_is_left_out_and_written_over_nothing(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    append(ledger, {"number": 0})
    with ledger.path.open("ab") as handle:
        handle.write(b'{"number": 1, "half')
    assert [receipt.others["number"] for receipt in ledger.receipts()] == [0]
    append(ledger, {"number": 2})
    assert [receipt.others["number"] for receipt in ledger.receipts()] == [0, 2]
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
    append(ledger, night(1))
    assert synced == [ledger.path, tmp_path]
    append(ledger, night(2))
    assert synced[2:] == [ledger.path]
    append(ledger, night(3))
    assert prune(ledger, "2026-11-04T00:00:00Z") == 2
    temporary, folder = synced[4:]
    assert temporary.name.startswith(".receipts.jsonl.")
    assert folder == tmp_path, "else a power cut undoes it"


def test_starts_at_once_chain_their_receipts(tmp_path: Path) -> None:
    writers = [
        threading.Thread(target=append, args=(Ledger(tmp_path), {"number": number}))
        for number in range(20)
    ]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    ledger = Ledger(tmp_path)
    assert sorted(receipt.others["number"] for receipt in ledger.receipts()) == list(range(20))
    assert ledger.first_break() is None


def test_a_receipt_is_for_the_feeds_group_alone(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    old = os.umask(0o077)
    try:
        append(ledger, {"number": 0})
    finally:
        os.umask(old)
    assert ledger.path.stat().st_mode & 0o777 == 0o640


def night(number: int, **values: object) -> dict[str, object]:
    """Return a receipt of a night."""
    finished = f"2026-11-{number:02}T07:15:00Z"
    source = {"sha256": "e" * 64}
    return {"outcome": "sent", "source": source, "finished": finished, "n": number, **values}


def test_old_receipts_give_way_and_the_chain_holds(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    for number in range(1, 11):
        append(ledger, night(number))
    assert prune(ledger, "2026-11-04T00:00:00Z") == 3
    assert [receipt.others["n"] for receipt in ledger.receipts()] == list(range(4, 11))
    assert ledger.first_break() is None
    assert prune(ledger, "2026-11-04T00:00:00Z") == 0
    append(ledger, night(11))
    assert prune(ledger, "2026-11-06T00:00:00Z") == 2
    append(ledger, night(12))
    assert ledger.first_break() is None
    mark = json.loads(ledger.path.read_text().splitlines()[0])
    assert (mark["outcome"], mark["lines"]) == ("pruned", 5)
    # Later edits or removals still show.
    lines = ledger.path.read_text().splitlines(keepends=True)
    ledger.path.write_text("".join([lines[0], *lines[2:]]))
    assert ledger.first_break() == 2
    ledger.path.write_text("".join([*lines[:3], lines[3].replace("sent", "held"), *lines[4:]]))
    assert ledger.first_break() == 5


def test_the_last_receipt_stays_however_old(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    for number in (1, 2):
        append(ledger, night(number))
    assert prune(ledger, "2027-01-01T00:00:00Z") == 1
    assert [receipt.others["n"] for receipt in ledger.receipts()] == [2]


def test_what_the_vendor_has_stays_however_old(tmp_path: Path) -> None:
    """After a summer without deliveries the guard still compares with the last one."""
    ledger = Ledger(tmp_path)
    for number, outcome in enumerate(["sent", "held", "sent", *["skipped"] * 6], 1):
        append(ledger, night(number, outcome=outcome))
    assert prune(ledger, "2027-01-01T00:00:00Z") == 2
    assert [receipt.others["n"] for receipt in ledger.accepted()] == [3]
    assert [receipt.others["n"] for receipt in ledger.receipts()] == list(range(3, 10))
    assert prune(ledger, "2027-01-01T00:00:00Z") == 0
    append(ledger, night(10))
    assert prune(ledger, "2027-01-01T00:00:00Z") == 7
    assert [receipt.others["n"] for receipt in ledger.receipts()] == [10]
    assert ledger.first_break() is None


@pytest.mark.parametrize(
    ("spoil", "broken_at"),
    [
        (lambda lines: lines[1:], 1),  # the mark is gone
        (lambda lines: [lines[0], *lines[2:]], 2),
        (lambda lines: [lines[0], lines[1].replace(b"sent", b"held"), *lines[2:]], 3),
        (lambda lines: [lines[0], b"{" + lines[1], *lines[2:]], 3),
        (lambda lines: [lines[0], lines[2], lines[1], *lines[3:]], 2),
        (lambda lines: [lines[0].replace(b'"continues":"', b'"continues":"0'), *lines[1:]], 2),
        (lambda lines: [*lines[:-2], lines[-1]], 4),
    ],
)
def test_what_was_spoilt_by_hand_shows_after_pruning(
    tmp_path: Path, spoil: Callable[[list[bytes]], list[bytes]], broken_at: int
) -> None:
    ledger = Ledger(tmp_path)
    for number in range(1, 8):
        append(ledger, night(number))
    assert prune(ledger, "2026-11-04T00:00:00Z") == 3
    assert ledger.first_break() is None
    lines = ledger.path.read_bytes().splitlines(keepends=True)
    assert len(lines) == 5
    ledger.path.write_bytes(b"".join(spoil(lines)))
    assert ledger.first_break() == broken_at
    append(ledger, night(20))  # which is chained to the existing ones, and repairs nothing
    assert ledger.first_break() == broken_at


def test_what_is_edited_before_it_goes_breaks_what_follows(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    for number in range(1, 6):
        append(ledger, night(number))
    lines = ledger.path.read_bytes().splitlines(keepends=True)
    lines[2] = lines[2].replace(b"sent", b"held")
    ledger.path.write_bytes(b"".join(lines))
    assert prune(ledger, "2026-11-04T00:00:00Z") == 3
    assert ledger.first_break() == 2


def test_a_pruning_that_fails_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = Ledger(tmp_path)
    for number in range(1, 6):
        append(ledger, night(number))
    before = ledger.path.read_bytes()

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space"):
            prune(ledger, "2026-11-04T00:00:00Z")
    assert ledger.path.read_bytes() == before
    append(ledger, night(6))
    assert prune(ledger, "2026-11-04T00:00:00Z") == 3
    assert ledger.first_break() is None
    assert [path.name for path in tmp_path.iterdir()] == [ledger.path.name]


def test_a_pruned_ledger_keeps_its_mode(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    for number in range(1, 6):
        append(ledger, night(number))
    old = os.umask(0)
    try:
        prune(ledger, "2026-11-04T00:00:00Z")
    finally:
        os.umask(old)
    assert ledger.path.stat().st_mode & 0o777 == 0o640


def test_appending_meanwhile_loses_nothing(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    for number in range(1, 29):
        append(ledger, night(number))

    def add() -> None:
        for _ in range(30):
            append(Ledger(tmp_path), night(30))

    threads = [threading.Thread(target=add) for _ in range(3)]
    for thread in threads:
        thread.start()
    for number in range(2, 29):
        prune(ledger, f"2026-11-{number:02}T00:00:00Z")
    for thread in threads:
        thread.join()
    assert sum(receipt.others["n"] == 30 for receipt in ledger.receipts()) == 90
    assert ledger.first_break() is None


def test_an_approval_is_used_once(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    digest = "a" * 64
    assert ledger.approval(digest) is None
    append(ledger, night(1, outcome="held", source={"sha256": digest}))
    assert ledger.approval(digest) is None
    append(ledger, night(2, outcome="approved", digest=digest))
    found = ledger.approval(digest)
    assert found
    assert found.others["n"] == 2
    assert ledger.approval("b" * 64) is None
    append(ledger, night(3, outcome="failed", source={"sha256": digest}))
    assert ledger.approval(digest)
    append(ledger, night(4, source={"sha256": "b" * 64}))
    assert ledger.approval(digest), "another export uses nothing up"
    append(ledger, night(5, source={"sha256": digest}))
    assert ledger.approval(digest) is None
    append(ledger, night(6, outcome="held", source={"sha256": digest}))
    assert ledger.approval(digest) is None
    append(ledger, night(7, outcome="approved", digest=digest))
    assert ledger.approval(digest), "once more, where somebody says so again"


# ---- to the last value --------------------------------------------------------------------------


@pytest.mark.parametrize("line", [b'{"number": 1', b"5\n", b"[]\n", b'"text"\n', b"\n"])
def test_a_line_that_is_no_receipt_is_left_out(tmp_path: Path, line: bytes) -> None:
    ledger = Ledger(tmp_path)
    assert ledger.receipts() == []
    append(ledger, {"number": 0})
    with ledger.path.open("ab") as handle:
        handle.write(line)
    assert [receipt.others["number"] for receipt in ledger.receipts()] == [0]


def test_numbers_count_all_lines(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    append(ledger, {"n": 1})
    with ledger.path.open("ab") as handle:
        handle.write(b"torn\n")
    append(ledger, {"n": 3})
    assert [(line.number, line.receipt.others["n"]) for line in ledger.entries()] == [
        (1, 1),
        (3, 3),
    ]
    text = ledger.path.read_bytes()
    assert text.count(b"\n") == 3, "no empty line, where the last one was whole"
    assert [line for _, line, _ in ledger.entries()] == text.split(b"\n")[:-1:2]


def test_a_receipt_is_readable_and_says_its_version(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    append(ledger, {"district": "Größe", "command": "watch", "previous": "forged"})
    text = ledger.path.read_text("utf-8")
    assert text.startswith('{"v":3,"district":"Größe","command":"watch",')
    assert text.endswith(',"previous":""}\n')


def test_all_of_a_receipt_is_synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[int] = []

    def fsync(descriptor: int) -> None:
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        if path.is_file():
            lines.append(path.read_bytes().count(b"\n"))

    monkeypatch.setattr(os, "fsync", fsync)
    ledger = Ledger(tmp_path)
    for number in range(1, 4):
        append(ledger, night(number))
    prune(ledger, "2026-11-02T00:00:00Z")
    assert lines == [1, 2, 3, 3], "a mark and the two that stay"


@pytest.mark.parametrize(
    ("before", "count"),
    [
        ("2026-11-02T07:15:00Z", 1),  # the one of exactly that time stays
        ("2026-11-02T07:15:01Z", 2),
        ("2026-11-01T07:15:00Z", 0),
    ],
)
def test_receipts_of_the_last_day_kept_stay(tmp_path: Path, before: str, count: int) -> None:
    ledger = Ledger(tmp_path)
    for number in range(1, 6):
        append(ledger, night(number))
    content = ledger.path.read_bytes()
    assert prune(ledger, before) == count
    assert [receipt.others["n"] for receipt in ledger.receipts()] == list(range(1 + count, 6))
    assert (ledger.path.read_bytes() == content) is (count == 0)


def test_a_ledger_without_a_delivery_keeps_its_last_receipt(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    assert prune(ledger, "2027-01-01T00:00:00Z") == 0
    for number in range(1, 4):
        append(ledger, night(number, outcome="held"))
    assert prune(ledger, "2027-01-01T00:00:00Z") == 2
    assert [receipt.others["n"] for receipt in ledger.receipts()] == [3]
    inode = ledger.path.stat().st_ino
    assert prune(ledger, "2027-01-01T00:00:00Z") == 0
    assert ledger.path.stat().st_ino == inode, "a mark alone is no reason to write"


def test_a_pruned_ledger_is_as_closed_as_before(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    for number in range(1, 4):
        append(ledger, night(number))
    old = os.umask(0)
    try:
        prune(ledger, "2026-11-03T00:00:00Z")
    finally:
        os.umask(old)
    assert ledger.path.stat().st_mode & 0o777 == 0o640
    assert list(tmp_path.iterdir()) == [ledger.path]
    mark = json.loads(ledger.path.read_text().splitlines()[0])
    assert {key: mark[key] for key in ("v", "lines", "finished", "previous")} == {
        "v": 3, "lines": 2, "finished": "2026-11-02T07:15:00Z", "previous": ""
    }  # fmt: skip


@pytest.mark.parametrize(
    ("receipts", "is_approved"),
    [
        ([{"outcome": "held", "digest": "a"}], False),
        ([{"outcome": "approved", "digest": "b"}], False),
        ([{"outcome": "approved", "digest": "a"}], True),
        (
            [
                {"outcome": "approved", "digest": "a"},
                {"outcome": "failed", "source": {"sha256": "a"}},
            ],
            True,
        ),
        ([{"outcome": "approved", "digest": "a"}, {"outcome": "sent"}], True),
        ([{"outcome": "approved", "digest": "a"}] * 2 + [{"outcome": "sent", "n": 1}], True),
        (
            [{"outcome": "approved", "digest": "a"}] * 2
            + [{"outcome": "sent", "source": {"sha256": "a"}}],
            False,  # said twice, used once
        ),
    ],
)
def test_what_counts_as_an_approval(
    tmp_path: Path, receipts: list[dict[str, object]], is_approved: bool
) -> None:
    ledger = Ledger(tmp_path)
    for receipt in receipts:
        append(ledger, receipt)
    assert (ledger.approval("a") is not None) is is_approved
    assert len(ledger.accepted()) == sum(receipt["outcome"] == "sent" for receipt in receipts)


# ---- runs that were killed -----------------------------------------------------------------------


def begun(run: str, **values: object) -> dict[str, object]:
    return {"outcome": "begun", "run": run, "started": NOON, "finished": NOON, **values}


NOON = "2026-11-05T12:00:00Z"


def test_a_run_without_an_end_was_killed(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    append(ledger, begun("a", command="resend"))
    append(ledger, begun("a", at_vendor="unknown", source={"sha256": "a" * 64}))
    append(ledger, {"outcome": "approved"})
    assert [r.outcome for r in ledger.receipts()] == ["failed", "approved"]
    [receipt] = [r for r in ledger.receipts() if r.outcome == "failed"]
    assert receipt.exit_code == Exit.KILLED
    assert "may hold its file" in receipt.message
    assert receipt.source.sha256 == "a" * 64
    # The holder of the feed's lock writes it down, once.
    assert [r.run for r in ledger.close_killed()] == ["a"]
    assert ledger.close_killed() == []
    assert [r.outcome for r in ledger.receipts()] == ["approved", "failed"]
    assert ledger.first_break() is None
    assert ledger.accepted() == [], "what was begun is no delivery"


def test_a_run_that_was_killed_before_the_transfer_sent_nothing(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    append(ledger, begun("a"))
    assert "Nothing was sent" in ledger.receipts()[0].message


@pytest.mark.parametrize("outcome", ["sent", "failed", "held", "ended"])
def test_a_run_with_an_end_was_not_killed(tmp_path: Path, outcome: str) -> None:
    ledger = Ledger(tmp_path)
    append(ledger, begun("a"))
    append(ledger, {"outcome": "failed", "run": "b"})  # a start that found the feed busy
    append(ledger, {"outcome": outcome, "run": "a"})
    told = [r.outcome for r in ledger.receipts()]
    assert told == ["failed", *([outcome] if outcome != "ended" else [])]
    assert ledger.close_killed() == []


def test_a_run_that_is_under_way_was_not_killed(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    append(ledger, begun("a"))
    assert ledger.under_way() is None
    with feed_lock(tmp_path):
        assert ledger.receipts() == [], "it may be the one that has the lock"
        append(ledger, begun("b"))
        assert [r.run for r in ledger.receipts()] == ["a"]
        way = ledger.under_way()
        assert way
        assert way.run == "b"
        append(ledger, {"outcome": "sent", "run": "b"})
    assert [r.run for r in ledger.receipts()] == ["a", "b"]


def test_looking_while_a_run_ends_finds_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = Ledger(tmp_path)
    append(ledger, begun("a"))

    def ends(_folder: Path) -> bool:
        append(ledger, {"outcome": "sent", "run": "a"})
        return False

    monkeypatch.setattr(locks, "is_held", ends)
    assert [r.outcome for r in ledger.receipts()] == ["sent"]


# ---- damage --------------------------------------------------------------------------------------


@pytest.mark.parametrize("damage", [b"\0" * 200, b"\xff{", b"null", b"[" * 5000, b'{"v":2}', b"  "])
def test_a_damaged_line_is_told(tmp_path: Path, damage: bytes) -> None:
    ledger = Ledger(tmp_path)
    for number in (1, 2, 3):
        append(ledger, night(number))
    assert ledger.damaged() == []
    lines = ledger.path.read_bytes().splitlines()
    ledger.path.write_bytes(b"\n".join([lines[0], damage, lines[2], b""]))
    assert ledger.damaged() == [2]
    ledger.path.write_bytes(b"\n".join([lines[0], lines[1], damage]))
    assert ledger.damaged() == [3]
    append(ledger, night(4))
    assert ledger.damaged() == [3]
    assert [r.others["n"] for r in ledger.receipts() if "n" in r.others] == [1, 2, 4]


def test_a_torn_line_is_no_damage_wherever_it_is_torn(tmp_path: Path) -> None:
    """A power cut leaves the beginning of a line: only this line is lost."""
    ledger = Ledger(tmp_path)
    for number in (1, 2):
        append(ledger, night(number, note="größe"))
    data = ledger.path.read_bytes()
    first = data.index(b"\n") + 1
    for length in range(first + 1, len(data)):
        ledger.path.write_bytes(data[:length])
        is_whole = length == len(data) - 1  # torn exactly before its newline
        assert ledger.damaged() == []
        assert len(ledger.receipts()) == 1 + is_whole
        append(ledger, night(3))
        assert [r.others["n"] for r in ledger.receipts()] == ([1, 2, 3] if is_whole else [1, 3])
        assert (ledger.damaged(), ledger.first_break()) == ([], None)
        append(ledger, night(4))
        assert (ledger.damaged(), ledger.first_break()) == ([], None)


def test_nobody_can_call_a_line_torn_afterwards(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    append(ledger, night(1))
    append(ledger, night(2, torn=True))
    lines = ledger.path.read_bytes().splitlines(keepends=True)
    ledger.path.write_bytes(b"{" + lines[0] + lines[1])
    assert ledger.damaged() == [1]


# ---- wrong clocks --------------------------------------------------------------------------------


def at(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text)


def of_nights(ledger: Ledger, count: int) -> None:
    """Return receipts of so many nights in a row, the last one on 2026-11-30."""
    for back in range(count - 1, -1, -1):
        day = at("2026-11-30T07:15:00+00:00") - dt.timedelta(days=back)
        append(ledger, {**SENT, "finished": f"{day:%Y-%m-%dT%H:%M:%SZ}"})


SENT: dict[str, object] = {"outcome": "sent", "source": {"sha256": "a" * 64}}
YEAR = dt.timedelta(days=365)


@pytest.mark.parametrize("nights", [1, 5, 60])
def test_a_run_with_the_clock_ahead_takes_no_history_away(tmp_path: Path, nights: int) -> None:
    ledger = Ledger(tmp_path)
    of_nights(ledger, nights)
    later = "2031-06-01T07:15:00Z"
    append(ledger, {**begun("a"), "finished": later})
    append(ledger, {**SENT, "run": "a", "finished": later})
    assert ledger.prune(YEAR, at(later)) == 0
    assert len(ledger.receipts()) == nights + 1


def test_a_clock_that_stays_ahead_takes_little_at_a_time(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    of_nights(ledger, 200)
    for _ in range(LAST_LINES):
        append(ledger, {**SENT, "finished": "2031-06-01T07:15:00Z"})
    assert ledger.prune(YEAR, at("2031-06-01T07:20:00Z")) == PRUNED_AT_ONCE


def test_a_stamp_ahead_does_not_keep_what_is_behind_it(tmp_path: Path) -> None:
    """It would end the pruning until 2031."""
    ledger = Ledger(tmp_path)
    append(ledger, {**SENT, "finished": "2031-06-01T07:15:00Z"})
    with ledger.path.open("ab") as handle:
        handle.write(b"damaged\n")
    of_nights(ledger, 30)
    assert ledger.prune(dt.timedelta(days=10), at("2026-11-30T07:20:00Z")) > 0
    assert all(r.finished < "2027" for r in ledger.receipts())
    assert ledger.damaged() == []


def test_a_stamp_ahead_stays_as_long_as_what_is_behind_it(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    append(ledger, {**SENT, "finished": "2031-06-01T07:15:00Z"})
    of_nights(ledger, 30)
    assert ledger.prune(YEAR, at("2026-11-30T07:20:00Z")) == 0


def test_a_clock_that_is_behind_takes_nothing_away(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    of_nights(ledger, 30)
    assert ledger.prune(dt.timedelta(days=1), at("1980-01-01T00:00:00Z")) == 0
