"""The chain: what somebody without the host's key can change, and what shows it."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from roster_upload.records.chain import DIGESTS_KEPT, Chain, LedgerKey, Line, break_text
from roster_upload.records.ledger import LAST_LINES, PRUNED_AT_ONCE, Ledger
from roster_upload.records.parts import Break
from support.receipts import append

KEY, OTHER = LedgerKey(b"k" * 32), LedgerKey(b"o" * 32)


def night(number: int, **values: object) -> dict[str, object]:
    """Return the receipt of a night."""
    day = dt.date(2026, 1, 1) + dt.timedelta(days=number)
    finished = f"{day}T07:15:00Z"
    return {"outcome": "sent", "source": {"sha256": "e" * 64}, "finished": finished, **values}


def codes(ledger: Ledger, key: LedgerKey = KEY) -> list[tuple[str, int]]:
    """Return the breaks that the key shows, by code and position."""
    return [(found.code, found.position) for found in ledger.chain().keys(key)]


def lines_of(ledger: Ledger) -> list[bytes]:
    return ledger.path.read_bytes().splitlines()


def write(ledger: Ledger, lines: list[bytes]) -> None:
    ledger.path.write_bytes(b"".join(line + b"\n" for line in lines))


def rechained(lines: list[bytes], *, without_keys: bool = False) -> list[bytes]:
    """Return lines chained anew, as anybody can do who knows how. Nobody but the unit has the key.

    `without_keys` also removes the keys, as if a program of an older release had written them.
    """
    found: list[bytes] = []
    for number, line in enumerate(lines):
        values = json.loads(line)
        if without_keys:
            values = {k: v for k, v in values.items() if k not in ("key", "mac", "new_key")}
            values["v"] = 2
        previous = Line(number, found[-1], None).digest if found else ""
        if number == 1 and json.loads(found[0])["outcome"] == "pruned":
            previous = json.loads(found[0])["continues"]
        if values["previous"] == previous and not without_keys:
            found.append(line)
            continue
        values["previous"] = previous
        found.append(json.dumps(values, ensure_ascii=False, separators=(",", ":")).encode())
    return found


@pytest.fixture
def keyed(tmp_path: Path) -> Ledger:
    """Return a ledger whose first two lines are older than its key."""
    for number in (1, 2):
        append(Ledger(tmp_path), night(number))
    ledger = Ledger(tmp_path, KEY)
    old = [rechained(lines_of(ledger), without_keys=True)]
    write(ledger, old[0])
    for number in range(3, 9):
        append(ledger, night(number, district="Größe"))
    return ledger


def test_lines_of_an_older_release_are_history_and_the_first_new_one_says_so(
    keyed: Ledger,
) -> None:
    values = [json.loads(line) for line in lines_of(keyed)]
    assert [line.get("key") for line in values] == [None] * 2 + [KEY.id] * 6
    assert [line.get("new_key") for line in values] == [None] * 2 + [True] + [None] * 5
    assert (codes(keyed), keyed.first_break()) == ([], None)
    assert all(line.endswith(b'"}') and list(json.loads(line))[-1] == "mac"
               for line in lines_of(keyed)[2:])  # fmt: skip
    assert keyed.key_check() is not None
    assert Ledger(keyed.path.parent).key_check() is None, "without the key nothing is checked"


@pytest.mark.parametrize("outcome", ["approved", "failed", "begun"])
def test_what_watcher_alarm_and_approval_write_needs_no_key(keyed: Ledger, outcome: str) -> None:
    append(Ledger(keyed.path.parent), night(9, outcome=outcome))
    append(keyed, night(10))
    assert codes(keyed) == []
    assert "new_key" not in json.loads(lines_of(keyed)[-1])


@pytest.mark.parametrize("outcome", ["sent", "held", "skipped", "refused", "ended", "rehearsed"])
def test_a_line_without_a_key_behind_one_with_it_is_a_break(keyed: Ledger, outcome: str) -> None:
    append(Ledger(keyed.path.parent), night(9, outcome=outcome))
    append(keyed, night(10))
    assert codes(keyed) == [("no_key", 9)]
    assert keyed.first_break() is None, "only the key shows it"


def test_a_new_key_is_told_and_no_alarm(keyed: Ledger) -> None:
    ledger = Ledger(keyed.path.parent, OTHER)
    append(ledger, night(9))
    assert json.loads(lines_of(ledger)[-1])["new_key"] is True
    assert (codes(ledger, OTHER), ledger.first_break()) == ([], None)
    append(ledger, night(10))
    assert "new_key" not in json.loads(lines_of(ledger)[-1])


def test_a_line_with_another_hosts_key_is_a_break(keyed: Ledger) -> None:
    append(Ledger(keyed.path.parent, OTHER), night(9))
    append(keyed, night(10))
    assert codes(keyed) == [("other_key", 9)]


def test_a_newer_line_that_lost_its_key_is_a_break_wherever_it_is(keyed: Ledger) -> None:
    """A program of this release gives each such line a key."""
    values = [json.loads(line) for line in lines_of(keyed)]
    stripped = [{k: v for k, v in one.items() if k not in ("key", "mac", "new_key")}
                for one in values]  # fmt: skip
    write(keyed, rechained([json.dumps(one, separators=(",", ":")).encode() for one in stripped]))
    assert codes(keyed) == [("no_key", position) for position in range(3, 9)]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda lines: [*lines[:3], lines[3].replace(b'"sent"', b'"held"'), *lines[4:]],
        lambda lines: lines[:3] + lines[4:],
        lambda lines: [*lines[:3], lines[4], lines[3], *lines[5:]],
        lambda lines: lines[1:],
        lambda lines: [lines[0].replace(b'"sent"', b'"held"'), *lines[1:]],
        lambda lines: lines[3:],
        lambda lines: [*lines[:4], lines[0], *lines[4:]],
    ],
    ids=["edit", "remove", "swap", "cut", "edit-old", "cut-old", "repeat"],
)
def test_whoever_chains_the_lines_anew_is_seen_by_the_key(
    keyed: Ledger, spoil: Callable[[list[bytes]], list[bytes]]
) -> None:
    write(keyed, rechained(spoil(lines_of(keyed))))
    assert keyed.first_break() is None, "the chain alone shows nothing"
    assert codes(keyed), "the key does"
    before = codes(keyed)
    append(keyed, night(20))
    assert set(before) <= set(codes(keyed)), "and the next run repairs nothing"


def test_only_the_mark_of_a_pruning_stands_for_other_lines(keyed: Ledger) -> None:
    lines = lines_of(keyed)
    third = json.loads(lines[1])
    bridge = {**json.loads(lines[0]), "outcome": "held",
              "continues": third["previous"]}  # fmt: skip
    write(keyed, [json.dumps(bridge, separators=(",", ":")).encode(), *lines[1:]])
    assert keyed.first_break() == 2


# ---- pruning -------------------------------------------------------------------------------------


def prune(ledger: Ledger, before: int) -> int:
    """Prune the nights before one, by a clock that follows the last lines."""
    stamps = sorted(line.receipt.finished for line in ledger.entries()[-LAST_LINES:])
    now = dt.datetime.fromisoformat(stamps[(len(stamps) - 1) // 4])
    return ledger.prune(now - dt.datetime.fromisoformat(str(night(before)["finished"])), now)


def test_the_mark_of_a_pruning_has_the_key_where_a_removed_line_had_it(keyed: Ledger) -> None:
    digests = [Line(0, line, None).digest for line in lines_of(keyed)]
    assert prune(keyed, 2) == 1
    assert "mac" not in json.loads(lines_of(keyed)[0]), "only older lines were removed"
    assert codes(keyed) == []
    assert prune(keyed, 5) == 3
    mark = json.loads(lines_of(keyed)[0])
    assert (mark["key"], mark["lines"]) == (KEY.id, 4)
    assert (codes(keyed), keyed.first_break()) == ([], None)
    chain = keyed.chain()
    assert (chain.pruned, chain.length) == (4, 8)
    assert [chain.digest_at(n) for n in range(5, 9)] == digests[4:]
    assert chain.digest_at(4) == digests[3]
    assert [chain.digest_at(n) for n in range(1, 4)] == [one[:32] for one in digests[:3]]
    assert [chain.digest_at(n) for n in (-1, 0, 9)] == ["", "", ""]


def test_a_forged_mark_hides_nothing_even_when_it_is_pruned(keyed: Ledger) -> None:
    lines = lines_of(keyed)
    mark = {"v": 2, "outcome": "pruned", "lines": 4, "finished": "2026-01-05T07:15:00Z",
            "previous": "", "continues": json.loads(lines[4])["previous"]}  # fmt: skip
    write(keyed, [json.dumps(mark, separators=(",", ":")).encode(), *lines[4:]])
    assert keyed.first_break() is None
    assert codes(keyed) == [("start", 0)]
    assert prune(keyed, 7) == 2
    assert codes(keyed) == [("start", 0)]
    write(keyed, [lines_of(keyed)[0][:-2] + b'0"}', *lines_of(keyed)[1:]])
    assert [code for code, _ in codes(keyed)] == ["start"]


def test_a_mark_with_a_false_number_is_a_break(keyed: Ledger) -> None:
    assert prune(keyed, 6) == 5
    lines = lines_of(keyed)
    write(keyed, [lines[0].replace(b'"lines":5', b'"lines":9'), *lines[1:]])
    assert ("mac", 9) in codes(keyed)


@pytest.mark.parametrize(
    "line", [{"outcome": "failed", "lines": 1000}, {"outcome": "pruned", "lines": 7}, {}]
)
def test_a_line_counts_once_whatever_it_says(keyed: Ledger, line: dict[str, object]) -> None:
    """Anybody can add a line. The numbers that the control node compares stay the same."""
    with keyed.path.open("ab") as out:
        out.write(json.dumps(line).encode() + b"\n")
    for number in range(10, 15):
        append(keyed, night(number))
    last = keyed.chain()
    digests = [last.digest_at(number) for number in range(1, last.length + 1)]
    assert prune(keyed, 12)
    after = keyed.chain()
    assert (after.length, after.pruned) == (last.length, 11)
    found = [after.digest_at(number) for number in range(1, last.length + 1)]
    assert all(one.startswith(half) and half for one, half in zip(digests, found, strict=True))


def test_without_the_key_no_keyed_line_is_pruned(keyed: Ledger) -> None:
    assert prune(Ledger(keyed.path.parent), 6) == 0
    assert prune(keyed, 6) == 5


def test_the_digests_of_pruned_lines_are_bounded(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path, KEY)
    lines = [night(number) for number in range(1, DIGESTS_KEPT + 2 * PRUNED_AT_ONCE)]
    values: list[dict[str, Any]] = [{"v": 2, "previous": "", **one} for one in lines]
    write(ledger, rechained([json.dumps(one).encode() for one in values], without_keys=True))
    while prune(ledger, len(lines)):
        pass
    chain = ledger.chain()
    assert len(json.loads(lines_of(ledger)[0])["removed"]) == DIGESTS_KEPT
    assert chain.digest_at(chain.pruned - DIGESTS_KEPT) == ""
    assert len(chain.digest_at(chain.pruned - DIGESTS_KEPT + 1)) == 32


@pytest.mark.parametrize("count", ["x", -4, True, 1 << 70, 1.5, None])
def test_any_number_in_a_mark_is_read(count: object) -> None:
    line = json.dumps({"outcome": "pruned", "lines": count, "removed": ["x", 5], "continues": []})
    chain = Chain([Line(1, line.encode(), json.loads(line))])
    assert (chain.pruned, chain.length, chain.digest_at(1)) == (0, 0, "")
    assert chain.keys(KEY) == []


# ---- any change ----------------------------------------------------------------------------------

LENGTH = 8


@st.composite
def attacks(draw: st.DrawFn) -> tuple[list[int], int | None, bool, bool]:
    """Return an order of lines, a line to edit, and whether to chain anew, and without keys."""
    order = draw(
        st.one_of(
            st.lists(st.integers(0, LENGTH - 1), max_size=LENGTH + 1),
            st.permutations(range(LENGTH)),
            st.integers(0, LENGTH).map(lambda end: list(range(end))),
            st.just(list(range(LENGTH))),
        )
    )
    edited = draw(st.none() | st.integers(0, LENGTH - 1))
    return order, edited, draw(st.booleans()), draw(st.booleans())


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Ledger:
    """Return a ledger that all examples change."""
    ledger = Ledger(tmp_path_factory.mktemp("feed"), KEY)
    for number in range(LENGTH):
        append(ledger, night(number, n=number))
    return ledger


@pytest.fixture(scope="module")
def lines(whole: Ledger) -> list[bytes]:
    return lines_of(whole)


@given(attack=attacks())
def test_no_change_escapes_both_the_key_and_the_control_node(
    whole: Ledger, lines: list[bytes], attack: tuple[list[int], int | None, bool, bool]
) -> None:
    order, edited, is_chained, without_keys = attack
    changed = [
        lines[at].replace(b'"sent"', b'"stale"') if at == edited else lines[at] for at in order
    ]
    if is_chained and changed:
        changed = rechained(changed, without_keys=without_keys)
    write(whole, changed)
    append(whole, night(LENGTH, n=LENGTH))  # the next night, before anybody looks
    is_seen = bool(whole.first_break()) or bool(codes(whole))
    is_witnessed = whole.chain().digest_at(LENGTH) != Line(0, lines[-1], None).digest
    assert (is_seen or is_witnessed) is (changed != lines)


def test_words_name_the_line_and_the_night() -> None:
    found = Break(code="mac", position=812, night="2026-11-27")
    assert break_text(found, 5) == (
        "line 5 (the night of 26 to 27 November) was changed: its key does not fit"
    )
    assert break_text(found, 0).startswith("line 812 (")
    assert break_text(Break(code="start"), 0).startswith("the lines before")
    assert break_text(Break(code="new"), 3) == "line 3 was changed"
