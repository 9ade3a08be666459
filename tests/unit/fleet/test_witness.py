"""The head of each feed's receipts: kept on the control node, and compared with the next report."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from roster_fleet.report import parsed, stamp
from roster_fleet.status import rows as status
from roster_fleet.status.cache import Cache
from roster_fleet.status.witness import Code, Witness, not_reported, seen_by
from roster_upload.records.chain import LedgerKey
from roster_upload.records.ledger import Ledger
from roster_upload.report.head import head
from support import fleets
from support.fleets import NOW
from support.receipts import append

OLD, NEW = "a" * 64, "b" * 64
FEED = "feed-0020"
BREAK = {"code": "mac", "position": 7, "line": 5, "night": "2026-11-20"}
LINK = {"code": "link", "position": 3, "line": 3, "night": "2026-11-20"}
LATER = "2026-11-25T10:00:00Z"


def chain(lines: int = 10, digest: str = OLD, **values: Any) -> dict[str, Any]:
    """Return the head of a report. No line was asked for yet."""
    return {"lines": lines, "digest": digest, "position": 0, "digest_there": "", "checked": "",
            "breaks": [], **values}  # fmt: skip


def later(lines: int = 12, digest: str = NEW, **values: Any) -> dict[str, Any]:
    """Return the head of a later report, which goes on behind `chain()`."""
    return chain(lines, digest, **{"position": 10, "digest_there": OLD, **values})


def host(told: dict[str, Any] | None, seen: str = "", **feed: Any) -> status.Host:
    """Return a host with one feed, whose report has this head."""
    values = fleets.feed(20, 40) | {"chain": told} | feed
    report = parsed(fleets.report([values], asked=seen or stamp(NOW)))
    return status.Host("roster-1", report, seen or stamp(NOW), planned=[FEED])


def look(witness: Witness, told: dict[str, Any] | None, *, at: str = LATER, accept: bool = False,
         **feed: Any) -> list[str]:  # fmt: skip
    """Return the codes of what is found in a later report."""
    found = witness.look(host(told, at, **feed), at, [FEED] if accept else [])
    return [one.code.value for one in found[FEED]]


@pytest.fixture
def witness(tmp_path: Path) -> Witness:
    """Return a witness that has seen ten lines."""
    found = Witness(tmp_path / "receipts")
    assert look(found, chain(), at=stamp(NOW)) == []
    return found


def test_the_first_look_keeps_the_head_and_finds_nothing(witness: Witness) -> None:
    path = witness.path("roster-1", FEED)
    assert json.loads(path.read_text()) == {
        "lines": 10, "digest": OLD, "seen": stamp(NOW), "breaks": []
    }  # fmt: skip
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert witness.positions("roster-1", [FEED, "other"]) == {FEED: 10}


def test_a_chain_that_goes_on_moves_the_head(witness: Witness) -> None:
    assert look(witness, later()) == []
    assert witness.positions("roster-1", [FEED]) == {FEED: 12}
    path = witness.path("roster-1", FEED)
    before = path.stat().st_mtime_ns, path.read_text()
    assert look(witness, later(position=12, digest_there=NEW), at="2026-11-26T10:00:00Z") == []
    assert (path.stat().st_mtime_ns, path.read_text()) == before, "nothing to commit"


def test_a_pruned_line_is_compared_by_half_of_its_digest(witness: Witness) -> None:
    assert look(witness, later(digest_there=OLD[:32])) == []


@pytest.mark.parametrize(
    ("told", "code"),
    [
        (later(digest_there=NEW), "rewritten"),
        (later(digest_there=NEW[:32]), "rewritten"),
        (later(10, NEW, digest_there=NEW), "rewritten"),
        (later(9, digest_there=""), "shortened"),
        (chain(0, "", position=10), "shortened"),
        (later(digest_there=""), "not_comparable"),
        (later(position=9), "silent"),
        (later(position=0), "silent"),
        (None, "silent"),
        (later(breaks=[BREAK]), "changed"),
        (later(breaks=[LINK]), "changed"),
    ],
)
def test_a_chain_without_the_old_head_is_red_until_it_is_accepted(
    witness: Witness, told: dict[str, Any] | None, code: str
) -> None:
    for day in (25, 26):
        assert look(witness, told, at=f"2026-11-{day}T10:00:00Z") == [code]
    assert witness.positions("roster-1", [FEED]) == {FEED: 10}, "the old head stays"
    if not told:
        assert look(witness, told, at="2026-11-27T10:00:00Z", accept=True) == []
        assert witness.positions("roster-1", [FEED]) == {FEED: 0}
        assert look(witness, told, at="2026-11-28T10:00:00Z") == [], "it goes on without"
        return
    accepted = look(witness, told, at="2026-11-27T10:00:00Z", accept=True)
    is_key = told["breaks"] and told["breaks"][0]["code"] != "link"
    assert accepted == (["accepted"] if is_key else [])
    again = {**told, "position": told["lines"], "digest_there": told["digest"]}
    assert look(witness, again, at="2026-11-28T10:00:00Z") == accepted, "once is enough"
    worse = {**again, "breaks": [*told["breaks"], {**BREAK, "position": 8}]}
    assert look(witness, worse, at="2026-11-29T10:00:00Z")[-1] == "changed"


def test_breaks_of_the_chain_from_before_the_first_look_stay_amber(tmp_path: Path) -> None:
    """The first status after an upgrade shows nothing that is newly red."""
    found = Witness(tmp_path)
    assert look(found, chain(breaks=[LINK]), at=stamp(NOW)) == []
    assert look(found, later(breaks=[LINK])) == []
    assert look(found, later(12, position=12, digest_there=NEW), at="2026-11-26T10:00:00Z") == []
    again = later(position=12, digest_there=NEW, breaks=[LINK])
    assert look(found, again, at="2026-11-27T10:00:00Z") == ["changed"], "it had gone"


def test_a_key_that_does_not_fit_is_red_at_the_first_look(tmp_path: Path) -> None:
    found = Witness(tmp_path)
    assert look(found, chain(breaks=[BREAK]), at=stamp(NOW)) == ["changed"]
    assert look(found, later(breaks=[BREAK])) == ["changed"]


def test_an_older_release_that_never_told_a_head_is_in_order(tmp_path: Path) -> None:
    found = Witness(tmp_path)
    assert look(found, None) == []
    assert not (tmp_path / "roster-1").exists()
    assert look(found, chain(0, "")) == [], "a new feed without receipts"
    assert look(found, chain(position=0), at="2026-11-26T10:00:00Z") == []


def test_a_feed_that_vanished_is_red_in_a_row_of_its_own(witness: Witness) -> None:
    reached = host(chain())
    nothing = replace(reached, report=parsed(fleets.report([], asked=LATER)))
    found = witness.look(nothing, LATER)
    rows = status.build_rows([seen_by(nothing, found)], "")
    assert [row.state for row in rows] == ["red", "amber"]
    assert "no longer reports its last receipt line" in rows[0].problems[0].text
    unplanned = replace(nothing, planned=[])
    assert witness.look(unplanned, LATER) == {}
    assert witness.path("roster-1", FEED).exists(), "its receipts may be kept, too"


def test_an_unreachable_host_is_not_compared(witness: Witness) -> None:
    gone = replace(host(later(digest_there=NEW)), trouble=status.Problem("red", "unreachable"))
    assert witness.look(gone, LATER) == {}
    assert witness.look(status.Host("roster-1", None, ""), LATER) == {}


def test_a_feed_whose_receipts_cannot_be_read_is_red_already(witness: Witness) -> None:
    assert look(witness, None, trouble="its receipts cannot be read") == []
    assert look(witness, later(digest_there=NEW), trouble="it lacks a receipt") == ["rewritten"]
    assert look(witness, {"lines": "x"}) == []
    assert witness.positions("roster-1", [FEED]) == {FEED: 10}


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"\xff", b'{"lines": -1}', b'{"lines": 1e400}', b"[" * 9000,
                json.dumps({"lines": 5, "digest": "x", "seen": LATER}).encode(),
                json.dumps({"lines": 5, "digest": OLD, "seen": LATER, "breaks": [5]}).encode()],
)  # fmt: skip
def test_a_damaged_head_is_told_and_begun_anew(witness: Witness, content: bytes) -> None:
    path = witness.path("roster-1", FEED)
    path.write_bytes(content)
    assert witness.positions("roster-1", [FEED]) == {}
    assert look(witness, chain()) == ["unreadable"]
    assert look(witness, later(), at="2026-11-26T10:00:00Z") == []


def test_a_head_that_cannot_be_saved_is_told(tmp_path: Path) -> None:
    (tmp_path / "receipts").write_text("a file")
    witness = Witness(tmp_path / "receipts")
    assert look(witness, chain()) == ["unreadable"] * 2


def test_a_preview_keeps_nothing(tmp_path: Path) -> None:
    witness = Witness(tmp_path / "receipts")
    witness.look(host(chain()), LATER, is_check=True)
    assert not (tmp_path / "receipts").exists()


def test_two_runs_at_once_do_not_accuse_the_host(witness: Witness) -> None:
    assert look(witness, later(), at=LATER) == []
    assert look(witness, later(11, "c" * 64), at=LATER) == [], "the other one asked before"
    assert witness.positions("roster-1", [FEED]) == {FEED: 12}
    assert look(witness, later(), at="2026-11-26T10:00:00Z") == ["silent"]


@pytest.mark.parametrize(("ahead", "codes"), [(60, []), (61, ["rewritten"])])
def test_a_clock_that_was_ahead_ends_no_comparison(
    tmp_path: Path, ahead: int, codes: list[str]
) -> None:
    witness = Witness(tmp_path)
    later_run = stamp(dt.datetime.fromisoformat(LATER) + dt.timedelta(minutes=ahead))
    assert look(witness, chain(), at=later_run) == []
    assert look(witness, later(digest_there=NEW)) == codes


def test_a_host_fills_no_disk_here(tmp_path: Path) -> None:
    witness = Witness(tmp_path)
    feeds = [fleets.feed(20, 2) | {"feed": f"x-{n}", "chain": chain()} for n in range(90)]
    reached = replace(host(chain()), report=parsed(fleets.report(feeds)))
    assert [*witness.look(reached, LATER)] == [FEED]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "spoilt",
    [
        {"lines": 10**12}, {"lines": -1}, {"lines": True}, {"digest": "x"}, {"position": "1"},
        {"digest_there": "a" * 31}, {"breaks": [{"code": 5}]}, {"breaks": [BREAK] * 101},
        {"breaks": {}}, {"checked": "now"},
    ],
)  # fmt: skip
def test_garbage_is_the_fault_of_its_feed(spoilt: dict[str, Any]) -> None:
    [feed] = host(chain() | spoilt).report["feeds"]  # type: ignore[index]
    assert feed["fault"].startswith("feeds[0].chain.")


def test_a_red_row_says_what_where_and_what_to_do(witness: Witness) -> None:
    told = later(digest_there=NEW, breaks=[BREAK])
    reached = host(told, LATER, broken_at=4)
    seen, codes = witness.look_at_all([reached], LATER, [], is_check=False)
    [row] = status.build_rows(seen, "")
    assert row.state == "red"
    assert [problem.text for problem in row.problems if problem.state == "red"] == [
        "history was rewritten: receipt line 10, seen 2026-11-24 15:30 UTC, has another content. "
        "See “History was rewritten” in docs/operations.md",
        "its receipts were changed by hand: line 5 (the night of 19 to 20 November) was changed: "
        "its key does not fit. See “History was rewritten” in docs/operations.md",
    ]
    assert not any("line 4" in problem.text for problem in row.problems), "told once"
    assert codes == [
        {"host": "roster-1", "feed": FEED, "code": "rewritten"},
        {"host": "roster-1", "feed": FEED, "code": "changed"},
    ]
    seen, codes = witness.look_at_all([reached], LATER, [f"roster-1/{FEED}"], is_check=False)
    [row] = status.build_rows(seen, "")
    assert (row.state, codes[0]["code"]) == ("amber", "accepted")


def test_only_what_was_reported_can_be_accepted() -> None:
    reached = host(chain())
    unreached = replace(reached, name="roster-2", trouble=status.Problem("red", "unreachable"))
    assert not_reported([f"roster-1/{FEED}"], [reached, unreached]) == ""
    for entry in (FEED, f"roster-2/{FEED}", "roster-1/other"):
        assert entry in not_reported([f"roster-1/{FEED}", entry], [reached, unreached])


def test_a_feed_that_moves_takes_its_head_along(witness: Witness) -> None:
    witness.carry("roster-1", "roster-2", FEED)
    witness.carry("roster-1", "roster-2", "never-seen")
    assert witness.positions("roster-2", [FEED, "never-seen"]) == {FEED: 10}
    moved = replace(host(later(digest_there=NEW), LATER), name="roster-2")
    assert [one.code for one in witness.look(moved, LATER)[FEED]] == [Code.REWRITTEN]


def test_a_decommissioned_feed_can_come_back(witness: Witness) -> None:
    path = witness.path("roster-1", FEED)
    content = path.read_text()
    for _ in range(2):
        witness.put_aside("roster-1", FEED, "2026-11-26")
    assert path.with_name(f"{FEED}-2026-11-26.head.json").read_text() == content
    assert look(witness, chain(3, NEW)) == [], "its receipts begin anew"


def test_a_cached_report_keeps_its_head(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    assert cache.keep([host(chain())]) == []
    kept = cache.load("roster-1").report
    assert kept
    assert kept["feeds"][0]["chain"]["digest"] == OLD


# ---- a host's own life ---------------------------------------------------------------------------

KEYS = [LedgerKey(bytes([number]) * 32) for number in range(3)]
STEPS = st.lists(
    st.sampled_from(["run", "run", "watcher", "approval", "torn", "prune", "new key", "status"]),
    min_size=8,
    max_size=30,
)


@given(steps=STEPS)
def test_nothing_that_the_program_does_is_an_alarm(
    tmp_path_factory: pytest.TempPathFactory, steps: list[str]
) -> None:
    folder = tmp_path_factory.mktemp("feed")
    witness, keys = Witness(folder / "receipts"), [*KEYS]
    day = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    for step in [*steps, "run", "status"]:
        ledger, day = Ledger(folder, keys[0]), day + dt.timedelta(days=1)
        receipt = {"finished": stamp(day), "source": {"sha256": OLD}, "command": "send"}
        if step == "run":
            check = ledger.key_check()
            assert check
            append(ledger, {**receipt, "outcome": "sent", "checked": check.to_json()})
        elif step in ("watcher", "approval"):
            outcome = {"watcher": "failed", "approval": "approved"}[step]
            append(Ledger(folder), {**receipt, "outcome": outcome})
        elif step == "torn" and ledger.path.exists():
            with ledger.path.open("ab") as out:
                out.write(b'{"v":3,"out')
        elif step == "prune":
            ledger.prune(dt.timedelta(days=3), day)
        elif step == "new key" and keys[1:]:
            keys.pop(0)
        elif step == "status":
            position = witness.positions("roster-1", [FEED]).get(FEED, 0)
            told = head(ledger.chain(), Ledger(folder).history(), position)
            assert look(witness, told, at=stamp(day)) == []
