"""Status and history show only the receipts' content, and all of it correctly."""

from __future__ import annotations

import json
import re
import socket
import sys
from typing import Any

import pytest
from roster_upload.cli import explain as explaining
from roster_upload.cli import render
from roster_upload.exits import Exit
from roster_upload.notify import metrics
from roster_upload.spec import spec
from support.receipts import history
from support.stored import (
    ALARM,
    APPROVED,
    DIGEST,
    HELD,
    OLD,
    REHEARSED,
    SENT,
    WAITS,
    YESTERDAY,
    cautions,
    explain,
    feed,
    history_text,
    json_of,
    nights,
    rows_of,
    status,
    summary_line,
)


def test_the_status_tells_cautions_of_the_last_delivery_that_went_well() -> None:
    waits = {**SENT, "waiting": WAITS}
    for receipts in ([waits], [waits, HELD], [waits, REHEARSED], [waits, ALARM]):
        told = status("maple-grove", receipts, None)
        assert told["cautions"] == cautions(waits)
        assert f"  amber      {told['cautions'][0]}" in render.status_text([told]).splitlines()
    for receipts in ([waits, SENT], [waits, {**SENT, "outcome": "skipped"}], []):
        assert status("maple-grove", receipts, None)["cautions"] == []


def test_removals_that_wait_can_be_let_through() -> None:
    told = status("maple-grove", [{**SENT, "waiting": WAITS}], None)
    assert told["approved"] == ""
    assert "roster-upload approve maple-grove --digest 3f1c9a7d3f1c9a7d" in told["next_step"]
    told = status("maple-grove", [{**SENT, "waiting": WAITS}, APPROVED], None)
    assert told["approved"] == APPROVED["digest"]
    assert told["next_step"].endswith("systemctl start roster-upload@maple-grove.service")


def test_the_status_shows_what_was_sent() -> None:
    package = {**SENT, "package": {"bytes": 77, "sha256": "b" * 64}}
    text = render.status_text([status("maple-grove", [package], None)])
    assert "UTC, 77 bytes" in text
    assert f"sha256     {'b' * 64}" in text


def test_the_status_of_a_feed_in_order() -> None:
    told = status("maple-grove", [YESTERDAY, SENT], None)
    assert told["deliveries"] == 2
    assert (told["last"], told["last_sent"]) == (json_of(SENT), json_of(SENT))
    assert told["morning"] == summary_line(SENT, YESTERDAY)
    assert told["next_step"] == ""
    text = render.status_text([told])
    assert text.splitlines()[0] == "maple-grove"
    assert "last sent  2026-11-20 08:12 UTC, 1,942,113 bytes" in text
    assert f"sha256     {DIGEST}" in text
    assert "next step" not in text
    assert "LEDGER" not in text


def test_the_status_of_a_red_feed_says_what_to_do() -> None:
    rehearsed = {**SENT, "command": "rehearse", "outcome": "rehearsed"}
    told = status("maple-grove", [rehearsed, SENT, HELD], 3)
    assert told["deliveries"] == 2, "a rehearsal is no delivery"
    assert (told["last"], told["last_sent"]) == (json_of(HELD), json_of(SENT))
    text = render.status_text([told])
    assert "the vendor has the roster of the night of 19 to 20 November" in text
    assert "  next step  Look first: roster-upload diff maple-grove" in text
    assert "amber" not in text
    assert "LEDGER     was changed by hand at line 3" in text


def test_what_was_approved_has_only_to_be_sent() -> None:
    told = status("maple-grove", [SENT, HELD, APPROVED], None)
    assert told["deliveries"] == 2, "an approval is no delivery"
    assert told["next_step"].endswith("systemctl start roster-upload@maple-grove.service")
    other = {**APPROVED, "digest": "0" * 64}
    assert "roster-upload approve" in status("maple-grove", [HELD, other], None)["next_step"]


def test_the_status_of_feeds_that_were_never_delivered() -> None:
    nothing = status("oak-county", [], None)
    bare = {**HELD, "outcome": "failed", "exit_code": int(Exit.CONFIG), "message": "it is wrong"}
    del bare["district"], bare["feed"]
    text = render.status_text([nothing, status("elm", [bare], None)])
    assert text.splitlines()[:4] == ["oak-county", "  no delivery yet", "elm", "  it is wrong"]


def test_the_status_after_an_alarm_or_a_rehearsal() -> None:
    has = "the vendor has the roster of the night of 19 to 20 November"
    for last in (ALARM, REHEARSED):
        told = status("maple-grove", [YESTERDAY, SENT, last], None)
        assert (told["last"], told["last_sent"]) == (json_of(last), json_of(SENT))
        why = last["message"].removeprefix("Maple Grove: ")
        assert told["morning"] == f"Maple Grove: {last['outcome']}, {has}: {why}"
        assert json.loads(json.dumps(told)) == told
        assert f"  {told['morning']}" in render.status_text([told]).splitlines()
    assert status("maple-grove", [ALARM], None)["next_step"].startswith(
        "Run roster-upload status maple-grove "
    )


def test_history_has_a_row_for_each_receipt() -> None:
    rows = rows_of([SENT, HELD, APPROVED], 14)
    assert [row["outcome"] for row in rows] == ["sent", "held", "approved"]
    assert rows[0] == {
        "night": "2026-11-20",
        "finished": "2026-11-20T08:12:00Z",
        "command": "send",
        "outcome": "sent",
        "exit_code": 0,
        "students": 12_481,
        "added": 14,
        "removed": 3,
        "bytes": 1_942_113,
        "sha256": DIGEST,
        "seconds": 3.9,
        "message": "Maple Grove: sent",
    }
    assert rows[2]["sha256"] == DIGEST
    assert rows[2]["students"] is None
    assert [row["night"] for row in rows_of(nights(20), 3)] == [
        "2026-11-18",
        "2026-11-19",
        "2026-11-20",
    ]


def test_history_has_the_digest_that_the_next_command_asks_for() -> None:
    package = {"package": {"bytes": 77, "sha256": "b" * 64}}
    sent, held = rows_of([{**SENT, **package}, {**HELD, **package}], 14)
    assert (sent["sha256"], sent["bytes"]) == ("b" * 64, 77), "to send it again"
    assert (held["sha256"], held["bytes"]) == (DIGEST, 1_942_113), "to approve it"


def test_the_history_is_read_at_80_columns() -> None:
    text = history_text([*nights(18), HELD, APPROVED], 14, width=80)
    lines = text.splitlines()
    assert max(map(len, lines)) <= 80
    assert "…" not in text
    assert "\x1b" not in text
    row = next(line for line in lines if line.startswith("2026-11-18 08:12"))
    assert row.split() == [
        "2026-11-18",
        "08:12",
        "sent",
        "12,418",
        "+14",
        "−3",
        "1.9",
        "MB",
        "3.9",
        DIGEST[:12],
    ]
    assert "held 17" in text
    assert "2026-11-21 07:12 UTC  the guard holds the export: users.student: 500 of" in text
    trend = next(line for line in lines if line.startswith("students of the last 14 sent: "))
    assert trend.endswith("▁▁▂▂▃▃▄▄▅▅▆▆▇█  12,405 to 12,418")


def test_a_large_districts_history_folds_rather_than_loses() -> None:
    big = {
        **HELD,
        "command": "rehearse",
        "source": {**SENT["source"], "bytes": 1_234_567_890},
        "changes": {
            "users.student": {"before": 0, "now": 1_234_567, "added": 1_234_567, "removed": 999_999}
        },
    }
    text = history_text([big], 14, width=80)
    assert max(map(len, text.splitlines())) <= 80
    for word in (
        "rehearse:",
        "held",
        "17",
        "1,234,567",
        "+1,234,567",
        "−999,999",
        "1.2",
        DIGEST[:12],
    ):
        assert word in text.split()


def test_a_history_takes_brackets_as_they_are() -> None:
    odd = {**HELD, "message": "a finding [red]users[/red] :warning: [users.rule]"}
    assert odd["message"] in history_text([odd], 14)


@pytest.mark.parametrize(("variable", "is_coloured"), [("LINES", True), ("NO_COLOR", False)])
def test_a_terminal_is_shown_colours_unless_it_wants_none(
    monkeypatch: pytest.MonkeyPatch, variable: str, is_coloured: bool
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv(variable, "24")
    monkeypatch.setattr(sys, "stdout", Terminal())
    assert ("\x1b[31m" in history_text([HELD], 14)) is is_coloured


class Terminal:
    """An output that claims to be a terminal."""

    def isatty(self) -> bool:
        return True


def test_a_history_has_rows_of_every_kind() -> None:
    receipts = [OLD, SENT, HELD, APPROVED, ALARM, REHEARSED]
    rows = rows_of(receipts, 14)
    assert json.loads(json.dumps(rows)) == rows
    keys = ("command", "outcome", "exit_code", "students", "bytes")
    assert [tuple(row[key] for key in keys) for row in rows] == [
        ("send", "sent", 0, None, 1_942_113),
        ("send", "sent", 0, 12_481, 1_942_113),
        ("send", "held", 17, 12_481, 1_942_113),
        ("approve", "approved", None, None, None),
        ("watch", "failed", 28, None, None),
        ("rehearse", "rehearsed", 0, 12_481, 1_942_113),
    ]
    text = history_text(receipts, 14)
    lines = text.splitlines()
    shown = [next(line for line in lines if line.startswith(start)) for start in (
        "2026-11-20 08:12  sent ", "2026-11-21 07:12  held 17 ", "2026-11-21 14:00  approved ",
        "2026-11-22 08:30  watch: failed 28 ", "2026-11-22 21:00  rehearsed ",
    )]  # fmt: skip
    assert DIGEST[:12] in shown[2]
    assert "2026-11-22 08:30 UTC  Maple Grove: tonight's roster is not delivered, 30 min" in text
    assert not any(line.startswith("students of the last") for line in lines), "one has students"


def test_a_receipt_of_version_1_is_shown_like_any() -> None:
    assert summary_line(OLD, None) == (
        "Maple Grove: sent 08:12 UTC, 110 min early: 13,100 users, 611 classes"
    )
    old_failure = {**OLD, "outcome": "failed", "exit_code": int(Exit.LOGIN), "message": "no login"}
    told = status("maple-grove", [OLD, old_failure], None)
    assert told["deliveries"] == 2
    assert "no login" in render.status_text([told])
    assert "the login of" in explain(Exit.LOGIN, old_failure, feed())["letter"]
    text = metrics.exposition("maple-grove", history([OLD, old_failure]))
    assert 'roster_upload_deliveries{feed="maple-grove",outcome="sent"} 1\n' in text
    assert 'roster_upload_margin_seconds{feed="maple-grove"} 6600\n' in text


def test_an_empty_history_says_so() -> None:
    assert rows_of([], 14) == []
    assert history_text([], 14) == "no delivery yet"
    assert "students of the last" not in history_text([SENT], 14)


@pytest.mark.parametrize(
    ("numbers", "told"),
    [([1, 2, 3, 4, 5, 6, 7, 8], "▁▂▃▄▅▆▇█"), ([5, 5, 5], "▁▁▁"), ([100, 0, 50], "█▁▄"), ([7], "▁")],
)
def test_a_trend_is_a_row_of_bars(numbers: list[int], told: str) -> None:
    assert render.trend(numbers) == told


@pytest.mark.parametrize("receipt", [SENT, HELD, {**HELD, "exit_code": int(Exit.LOGIN)}])
def test_no_view_holds_a_number_that_is_not_of_the_receipt(
    receipt: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """All displayed values can be looked up: each number is in the receipt, or derived from it."""
    monkeypatch.setattr(socket, "gethostname", lambda: "host")
    code = Exit(receipt["exit_code"])
    told = [
        summary_line(receipt, YESTERDAY),
        render.status_text([status("maple-grove", [YESTERDAY, receipt], None)]),
        explaining.explain_text(explain(code, receipt, None)),
    ]
    known = json.dumps([receipt, YESTERDAY, spec("exits")[str(int(code))]])
    made = {"48", "2.2", "19", "18"}  # a margin, a rounding, the days before
    for number in re.findall(r"\d[\d,.]*\d|\d", " ".join(told)):
        assert number in made or number.replace(",", "") in known.replace(",", ""), number


def test_a_receipt_steers_no_terminal() -> None:
    """The program's user can write the ledger, and root reads it."""
    words = "\x1b]0;x\x07[link=https://a.example]x[/link]"
    receipt = {**HELD, "message": words, "outcome": words, "command": words,
               "source": {**HELD["source"], "sha256": words}}  # fmt: skip
    text = history_text([receipt, receipt], 14, width=400)
    assert [line for line in text.split("\n") if not line.isprintable()] == []
    assert "[link=" in text


def test_the_keys_of_the_receipts_are_not_called_good_without_the_key() -> None:
    told = status("maple-grove", [YESTERDAY, SENT], None)
    chain: dict[str, Any] = {"checked": "2026-11-20T07:12:00Z", "breaks": []}
    text = render.status_text([{**told, "chain": chain}])
    assert text.splitlines()[-1] == ("  keys       last checked by the run of 2026-11-20 07:12 UTC")
    mac = {"code": "mac", "position": 9, "line": 5, "night": "2026-11-20"}
    link = {**mac, "code": "link"}
    text = render.status_text([{**told, "chain": {**chain, "breaks": [link, mac]}}])
    assert text.count("LEDGER") == 1
    assert "LEDGER     line 5 (the night of 19 to 20 November) was changed: its key" in text
    assert "keys" not in render.status_text([{**told, "chain": {**chain, "checked": ""}}])
