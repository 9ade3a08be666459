"""Any receipt can be written and read back, and whatever a disk makes of one harms no reader."""

from __future__ import annotations

import datetime as dt
import enum
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
from roster_upload.notify import alerts as tell
from roster_upload.records import receipts
from roster_upload.records.ledger import Ledger
from roster_upload.records.record import EPOCH, healed, path_text, plain
from support import share


class Awkward:
    """What nobody should put into a receipt."""

    def __str__(self) -> str:
        raise RuntimeError


class Colour(enum.IntEnum):
    RED = 3


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(exclude_categories=()))
    | st.binary(max_size=8)
    | st.binary(max_size=8).map(lambda raw: Path(raw.replace(b"\0", b"?").decode("latin-1")))
    | st.binary(min_size=1, max_size=8).map(lambda raw: raw.decode("utf-8", "surrogateescape"))
    | st.datetimes()
    | st.dates()
    | st.sampled_from([Awkward(), object, Colour.RED, 10**400, {1}, (2,), 1j])
)
ANYTHING = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=5) | st.integers() | st.none(), inner, max_size=3)
    ),
    max_leaves=12,
)


@given(st.dictionaries(st.text(max_size=8), ANYTHING, max_size=6))
def test_any_receipt_can_be_appended_and_read_back(
    tmp_path_factory: pytest.TempPathFactory, receipt: dict[str, Any]
) -> None:
    ledger = Ledger(tmp_path_factory.mktemp("feed"))
    ledger.append({"outcome": "sent", "n": 1})
    ledger.append({**receipt, "outcome": "failed"})
    ledger.append({"outcome": "sent", "n": 3})
    assert [r["outcome"] for r in ledger.receipts()] == ["sent", "failed", "sent"]
    assert ledger.first_break() is None


PRINTABLE = st.text(st.characters(exclude_categories=["C", "Z"]))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False,
    allow_infinity=False) | PRINTABLE,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(PRINTABLE, inner, max_size=3),
    max_leaves=12,
)  # fmt: skip


@given(JSON)
def test_what_json_can_say_in_printable_text_stays_as_it_is(value: Any) -> None:
    assert plain(value) == value


def test_what_json_cannot_say_becomes_text() -> None:
    deep: list[Any] = []
    for _ in range(5000):
        deep = [deep]
    loop: dict[str, Any] = {}
    loop["again"] = loop
    for value in (deep, loop):
        assert json.loads(json.dumps(plain(value)))
    assert plain({"path": Path("/srv/Gr\udcfc\udcdfe")}) == {"path": "/srv/Gr\\xfc\\xdfe"}
    assert plain(float("nan")) == "nan"
    assert plain(10**5000) == "a number of 16610 bits"
    assert plain([Colour.RED, b"\xff", "\ud800", {1: None}]) == [3, "\\xff", "\\ud800", {"1": None}]
    assert plain(Awkward()) == "<Awkward>"
    assert plain(dt.date(2026, 11, 1)) == "2026-11-01"
    assert path_text(Path("/srv/Größe\x1b")) == "/srv/Größe\\x1b"


GOOD: dict[str, Any] = {
    "v": 2, "run": "ab12", "feed": "maple", "district": "Maple", "command": "send",
    "outcome": "sent", "exit_code": 0, "message": "Maple: sent", "night": "2026-11-02",
    "started": "2026-11-02T07:10:00Z", "finished": "2026-11-02T07:15:00Z",
    "deadline": "2026-11-02T09:00:00Z", "in_window": True, "minutes_to_deadline": 110,
    "source": {"path": "/srv/x.zip", "bytes": 10, "sha256": "a" * 64, "content": "c" * 64,
               "modified": "2026-11-02T03:00:00Z"},
    "package": {"bytes": 9, "sha256": "b" * 64, "content": "d", "steps": {}},
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
BROKEN = JSON | st.sampled_from(
    [float("nan"), 1e400, -1, 99, "0001-01-01", "9999-12-31", "0001-01-01T00:00:00Z",
     "2026-11-02T07:15:00", "2026-13-40", [None], [{}], {"": None}, "\ud800", [[1]], 10**400]
)  # fmt: skip


def spoil(target: Any, keys: list[Any], value: Any) -> Any:
    """A copy in which the value at some keys is another one."""
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
    """Runs a command; returns its exit code."""
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        return cli.main([f"--config-dir={host}", f"--state-dir={host}", *words])


@settings(max_examples=share.of(60))
@given(st.lists(st.integers(0, 60), min_size=1, max_size=3), BROKEN, OUTCOMES, st.booleans())
def test_a_damaged_receipt_harms_no_reader(
    readers: Path, where: list[int], value: Any, outcome: str, is_missing: bool
) -> None:
    """One value of another type, or a key that is gone, as a flipped bit leaves it."""
    damaged = spoil({**GOOD, "outcome": outcome}, where, value)
    if is_missing:
        del damaged[list(damaged)[where[0] % len(damaged)]]
    ledger = Ledger(readers / "maple")
    ledger.path.parent.mkdir(exist_ok=True)
    lines = [json.dumps(r) for r in (GOOD, damaged, {**GOOD, "run": "cd"}, damaged)]
    ledger.path.write_text("".join(f"{line}\n" for line in lines))
    approve = ("approve", "maple", "--digest", "f" * 12, "--reason", "so")
    for words in (("status",), ("history", "maple"), approve, ("explain", "maple")):
        assert command(readers, *words) in (Exit.OK, Exit.USAGE), words
    before = ledger.receipts()
    for receipt in before:
        tell.event(before, receipt)
        receipts.waiting(before, "2026-11-03", {})
        receipts.unchanged_nights(before, GOOD["source"], "2026-11-03")
    receipts.news(before, GOOD)
    receipts.unsure(before)
    tell.exposition("maple", before)
    assert json.dumps([history(before, 9), status("maple", before, None)])
    ledger.approval("a" * 64)
    ledger.prune(dt.timedelta(days=1), dt.datetime(2026, 11, 9, tzinfo=dt.UTC))
    ledger.append(GOOD)


def test_a_receipt_says_what_its_readers_rely_on() -> None:
    assert healed({}) == {
        "outcome": "unknown", "finished": EPOCH, "command": "send", "message": "", "source": {},
        "remote": {}, "started": EPOCH, "night": EPOCH[:10], "exit_code": 70,
    }  # fmt: skip
    assert healed(GOOD) == GOOD
    assert healed({"outcome": "sent"})["exit_code"] == 0
    assert "exit_code" not in healed({"outcome": "approved"})
    assert healed({"outcome": "approved", "command": "send"})["command"] == "approve"
    assert healed({"finished": "soon", "started": GOOD["started"]})["finished"] == GOOD["started"]
    assert healed({"source": {"bytes": "ten", "sha256": "../x"}})["source"] == {}
    assert healed({"told": [None, {"rule": "r"}, GOOD["told"][0]]})["told"] == GOOD["told"]


@pytest.mark.parametrize(
    "text", ["2026-11-02T07:15:00", "0001-01-01T00:00:00Z", "9999-12-31T00:00:00Z", "soon", ""]
)
def test_a_moment_that_cannot_be_shown_is_none(text: str) -> None:
    assert healed({**GOOD, "deadline": text}).get("deadline") is None
    assert healed({**GOOD, "night": text[:10]})["night"] == "2026-11-02"
