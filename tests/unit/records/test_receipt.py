"""A receipt is a type: any JSON can be parsed, one schema writes it, damage harms no reader."""

from __future__ import annotations

import datetime as dt
import io
import json
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from roster_upload.cli import parser as cli
from roster_upload.cli.render import history, status
from roster_upload.exits import Exit
from roster_upload.notify import events, metrics
from roster_upload.records.ledger import Ledger
from roster_upload.records.parts import Change, File, Target
from roster_upload.records.receipt import EPOCH, Outcome, Receipt, table_of_keys
from support import share, values
from support.receipts import append


@given(st.dictionaries(st.text(max_size=8), values.ANYTHING, max_size=6))
def test_any_receipt_can_be_appended_and_read_back(
    tmp_path_factory: pytest.TempPathFactory, receipt: dict[str, Any]
) -> None:
    ledger = Ledger(tmp_path_factory.mktemp("feed"))
    append(ledger, {"outcome": "sent", "n": 1})
    ledger.append(Receipt(outcome=Outcome.FAILED, others={**receipt, "outcome": "failed"}))
    append(ledger, {"outcome": "sent", "n": 3})
    assert [r.outcome for r in ledger.receipts()] == ["sent", "failed", "sent"]
    assert ledger.first_break() is None


GOOD: dict[str, Any] = {
    "v": 2, "run": "ab12", "feed": "maple", "district": "Maple", "command": "send",
    "outcome": "sent", "exit_code": 0, "message": "Maple: sent", "night": "2026-11-02",
    "started": "2026-11-02T07:10:00Z", "finished": "2026-11-02T07:15:00Z",
    "deadline": "2026-11-02T09:00:00Z", "in_window": True, "minutes_to_deadline": 110,
    "source": {"path": "/srv/x.zip", "bytes": 10, "sha256": "a" * 64, "content": "c" * 64,
               "modified": "2026-11-02T03:00:00Z"},
    "package": {"bytes": 9, "sha256": "b" * 64, "content": "d", "steps": {"rows": 1}},
    "rows": {"users": 3}, "faulty_rows": {"users.csv": 1},
    "findings": [{"rule": "value.enum", "severity": "fault", "file": "users.csv", "column": "role",
                  "detail": "", "count": 1, "rows": [2]}],
    "told": [{"rule": "value.enum", "file": "users.csv", "column": "role", "count": 1}],
    "unchanged_nights": 1, "unchanged_limit": 3,
    "waiting": {"since": "2026-11-01", "nights": 2, "counts": {"users.student": 3}},
    "changes": {"users.student": {"before": 3, "now": 3, "added": 0, "removed": 0, "changed": 0}},
    "held": ["a reason"], "lost": [], "approved": {"who": "it", "why": "so", "finished": "x"},
    "remote": {"host": "h", "port": 22, "dir": "d", "name": "n", "server": "s",
               "server_changed": ["it has"]},
    "attempts": 1, "seconds": {"write": 1.5}, "digest": "a" * 64, "who": "it", "why": "so",
    "at_vendor": "new",
}  # fmt: skip
OUTCOMES = st.sampled_from(["sent", "held", "failed", "approved", "begun", "stale", "skipped"])
BROKEN = values.JSON | st.sampled_from(
    [float("nan"), 1e400, -1, 99, "0001-01-01", "9999-12-31", "0001-01-01T00:00:00Z",
     "2026-11-02T07:15:00", "2026-13-40", [None], [{}], {"": None}, "\ud800", [[1]], 10**400]
)  # fmt: skip


def spoil(target: Any, keys: list[Any], value: Any) -> Any:
    """Return a copy in which the value at some keys is another one."""
    if not keys or not isinstance(target, dict | list) or not target:
        return value
    copy: Any = dict(target) if isinstance(target, dict) else list(target)
    names = list(copy) if isinstance(copy, dict) else list(range(len(copy)))
    name = names[keys[0] % len(names)]
    copy[name] = spoil(copy[name], keys[1:], value)
    return copy


@pytest.fixture(scope="module")
def readers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("host")


def command(host: Path, *words: str) -> int:
    """Run a command. Return its exit code."""
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        return cli.main([f"--config-dir={host}", f"--state-dir={host}", *words])


@settings(max_examples=share.of(60))
@given(st.lists(st.integers(0, 60), min_size=1, max_size=3), BROKEN, OUTCOMES, st.booleans())
def test_a_damaged_receipt_harms_no_reader(
    readers: Path, where: list[int], value: Any, outcome: str, is_missing: bool
) -> None:
    """Yield one value of another type, or without a key, as after a flipped bit."""
    damaged = spoil({**GOOD, "outcome": outcome}, where, value)
    if is_missing:
        del damaged[list(damaged)[where[0] % len(damaged)]]
    ledger = Ledger(readers / "maple")
    ledger.path.parent.mkdir(exist_ok=True)
    lines = [json.dumps(r) for r in (GOOD, damaged, {**GOOD, "run": "cd"}, damaged)]
    ledger.path.write_text("".join(f"{line}\n" for line in lines))
    approve = ("approve", "maple", "--digest", "f" * 12, "--why", "so")
    for words in (("status",), ("history", "maple"), approve, ("explain", "maple")):
        assert command(readers, *words) in (Exit.OK, Exit.USAGE), words
    before, good = ledger.history(), Receipt.parse(GOOD)
    for receipt in before:
        events.event(before, receipt)
    before.waiting("2026-11-03", {})
    before.unchanged_nights(good.source, "2026-11-03")
    before.new_findings(good)
    before.unsure()
    before.open_hold()
    assert all(result.verdict for result in before.nights())
    metrics.exposition("maple", before)
    assert json.dumps([history(before, 9), status("maple", before, None)])
    ledger.approval("a" * 64)
    ledger.prune(dt.timedelta(days=1), dt.datetime(2026, 11, 9, tzinfo=dt.UTC))
    append(ledger, GOOD)


def test_a_receipt_is_written_as_it_was_read() -> None:
    assert Receipt.parse(GOOD).to_json() == GOOD


def test_a_receipt_has_types() -> None:
    receipt = Receipt.parse(GOOD)
    assert receipt.outcome is Outcome.SENT
    assert receipt.source == File(**GOOD["source"])
    assert receipt.sent_file.sha256 == "b" * 64
    assert receipt.changes == {"users.student": Change(now=3, before=3, changed=0)}
    assert receipt.remote.target == Target("h", 22, "d", "n")
    assert [finding.rule for finding in receipt.notified_findings] == ["value.enum"]
    assert receipt.reasons == ("a reason",)


def test_a_receipt_has_what_its_readers_rely_on() -> None:
    empty = Receipt.parse({})
    assert (empty.outcome, empty.command, empty.message) == (Outcome.UNKNOWN, "send", "")
    assert (empty.started, empty.finished, empty.night) == (EPOCH, EPOCH, EPOCH[:10])
    assert (empty.exit_code, empty.source) == (70, File())
    assert Receipt.parse({"outcome": "sent"}).exit_code == 0
    approved = Receipt.parse({"outcome": "approved", "command": "send"})
    assert (approved.exit_code, approved.command, approved.night) == (None, "approve", "")
    started = GOOD["started"]
    assert Receipt.parse({"finished": "soon", "started": started}).finished == started
    assert Receipt.parse({"source": {"bytes": "ten", "sha256": "../x"}}).source == File()
    told = Receipt.parse({"told": [None, {"rule": "r"}, GOOD["told"][0]]}).to_json()["told"]
    assert told == GOOD["told"]


@pytest.mark.parametrize(
    "text", ["2026-11-02T07:15:00", "0001-01-01T00:00:00Z", "9999-12-31T00:00:00Z", "soon", ""]
)
def test_a_moment_that_cannot_be_shown_is_dropped(text: str) -> None:
    assert Receipt.parse({**GOOD, "deadline": text}).deadline == ""
    assert Receipt.parse({**GOOD, "night": text[:10]}).night == "2026-11-02"


def test_a_newer_release_is_read_as_what_it_is() -> None:
    newer = {**GOOD, "outcome": "deferred", "moon": {"phase": 3}}
    receipt = Receipt.parse(newer)
    assert (receipt.outcome, receipt.outcome_text) == (Outcome.UNKNOWN, "deferred")
    assert receipt.to_json() == newer


def test_every_key_has_a_text() -> None:
    assert all(words for _, words in table_of_keys())
    assert GOOD.keys() <= {name for name, _ in table_of_keys()}
