"""Views: all that they show is in the receipts, and nothing else is."""

from __future__ import annotations

import json
import re
import socket
import string
import sys
import zoneinfo
from pathlib import Path
from typing import Any

import pytest
from roster_upload import config
from roster_upload.cli import explain as explaining
from roster_upload.cli import progress, render
from roster_upload.exits import Exit
from roster_upload.notify import metrics
from roster_upload.notify.channels import webhook
from roster_upload.records import summary
from roster_upload.records.receipt import Receipt
from roster_upload.spec import spec
from support.receipts import history
from unit.test_config import GOOD

DIGEST = "3f1c9a7d" * 8
FINDING = {
    "rule": "oneroster.missing-value",
    "severity": "error",
    "file": "users.csv",
    "column": "sourcedId",
    "detail": "",
    "count": 3,
    "rows": [4, 9, 17],
}
WARNING = {**FINDING, "severity": "warning"}
TOLD = [{"rule": FINDING["rule"], "file": "users.csv", "column": "sourcedId", "count": 3}]
SENT: dict[str, Any] = {
    "v": 2,
    "feed": "maple-grove",
    "district": "Maple Grove",
    "command": "send",
    "outcome": "sent",
    "exit_code": 0,
    "message": "Maple Grove: sent",
    "started": "2026-11-20T07:10:00Z",
    "finished": "2026-11-20T08:12:00Z",
    "night": "2026-11-20",
    "deadline": "2026-11-20T09:00:00Z",
    "in_window": True,
    "minutes_to_deadline": 110,
    "source": {"path": "/srv/OneRoster.zip", "bytes": 1_942_113, "sha256": DIGEST},
    "rows": {"users": 13_100, "classes": 611},
    "findings": [],
    "changes": {
        "users.student": {
            "before": 12_470,
            "now": 12_481,
            "added": 14,
            "removed": 3,
            "changed": 40,
        },
        "classes": {"before": 612, "now": 611, "added": 0, "removed": 1, "changed": 0},
    },
    "held": [],
    "remote": {
        "host": "sftp.vendor.example",
        "port": 22,
        "dir": "imagine/0123456-Maple Grove/product",
        "name": "OneRoster.zip",
        "address": "192.0.2.7",
        "server": "SSH-2.0-Vendor_9",
        "host_key": "SHA256:abcdefgh",
    },
    "seconds": {"dns": 0.1, "kex": 2.25, "write": 1.5},
}
YESTERDAY = {
    **SENT,
    "night": "2026-11-19",
    "finished": "2026-11-19T08:11:00Z",
    "source": {**SENT["source"], "sha256": "0" * 64},
}
HELD = {
    **SENT,
    "outcome": "held",
    "exit_code": int(Exit.HELD),
    "message": "the guard holds the export: users.student: 500 of 12,481 would be removed",
    "findings": [FINDING],
    "held": ["users.student: 500 of 12,481 would be removed", "2 schools would be empty"],
    "night": "2026-11-21",
    "finished": "2026-11-21T07:12:00Z",
}
APPROVED = {
    "feed": "maple-grove",
    "outcome": "approved",
    "command": "approve",
    "digest": DIGEST,
    "who": "kim",
    "why": "three schools closed",
    "finished": "2026-11-21T14:00:00Z",
    "message": "kim lets the held export 3f1c9a7d3f1c9a7d through once: three schools closed",
}
ALARM: dict[str, Any] = {
    "v": 2,
    "feed": "maple-grove",
    "district": "Maple Grove",
    "command": "watch",
    "outcome": "failed",
    "exit_code": int(Exit.MISSED),
    "message": "Maple Grove: tonight's roster is not delivered, 30 min before the deadline; no try",
    "started": "2026-11-22T08:30:00Z",
    "finished": "2026-11-22T08:30:01Z",
    "night": "2026-11-22",
    "deadline": "2026-11-22T09:00:00Z",
    "minutes_to_deadline": 30,
}
REHEARSED: dict[str, Any] = {
    **SENT,
    "command": "rehearse",
    "outcome": "rehearsed",
    "message": "Maple Grove: all is ready for tonight; nothing was sent",
    "night": "2026-11-23",
    "finished": "2026-11-22T21:00:00Z",
}
NEWER_KEYS = ("command", "deadline", "changes", "held", "attempts")
OLD = {key: value for key, value in {**SENT, "v": 1}.items() if key not in NEWER_KEYS}
WHO = {
    "SIS administrator",
    "us",
    "the vendor's engineer",
    "the network's administrator",
    "nobody",
}


Stored = dict[str, Any]


def receipt_of(stored: Stored | None) -> Receipt | None:
    return Receipt.parse(stored) if stored else None


def json_of(stored: Stored) -> Stored:
    """Return a receipt as it is shown."""
    return Receipt.parse(stored).to_json()


def explain(code: Exit, stored: Stored | None, feed: config.Feed | None) -> dict[str, Any]:
    return explaining.explain(code, receipt_of(stored), feed)


def summary_line(stored: Stored, before: Stored | None) -> str:
    return summary.summary_line(Receipt.parse(stored), receipt_of(before))


def cautions(stored: Stored | None) -> list[str]:
    return summary.cautions(receipt_of(stored))


def status(name: str, receipts: list[Stored], broken_at: int | None) -> dict[str, Any]:
    return render.status(name, history(receipts), broken_at)


def rows_of(receipts: list[Stored], nights: int) -> list[dict[str, Any]]:
    return render.history(history(receipts), nights)


def history_text(receipts: list[Stored], nights: int, width: int | None = None) -> str:
    return render.history_text(history(receipts), nights, width)


@pytest.fixture
def finding() -> dict[str, Any]:
    """A finding of a rule that this program knows."""
    from roster_upload.records.finding import rules  # noqa: PLC0415 - read where it is asked for

    return {**FINDING, "rule": next(iter(rules()))}


# ---- explain ------------------------------------------------------------------------------------


def test_every_exit_code_is_explained() -> None:
    told = spec("explain")
    assert set(told) == {str(int(code)) for code in Exit}
    for code, entry in told.items():
        assert set(entry) == {"cause", "who", "do", "letter"}, code
        assert entry["cause"].endswith(".")
        assert entry["who"] in WHO
        assert bool(entry["do"]) or entry["who"] == "nobody"
        outside = entry["who"] in WHO - {"us", "nobody"}
        assert bool(entry["letter"]) or not outside, f"{code}: nothing to send to {entry['who']}"


def test_every_command_of_an_explanation_is_one_of_the_program() -> None:
    from roster_upload.cli.parser import COMMANDS  # noqa: PLC0415 - it imports the whole program

    named = set()
    for entry in spec("explain").values():
        named |= set(re.findall(r"roster-upload ([a-z][a-z-]+)", entry["do"]))
    assert named
    assert named <= set(COMMANDS)


KNOWN = {
    "district": "Maple Grove",
    "feed": "maple-grove",
    "message": "it went wrong",
    "when": "2026-11-21T07:12:00Z",
    "host": "roster-host.example",
    "remote_host": "sftp.vendor.example",
    "username": "rosters@maple.example",
    "remote_dir": "imagine/0123456-Maple Grove/product",
    "server": "SSH-2.0-Vendor_9",
    "host_key": "SHA256:abcdefgh",
    "address": "192.0.2.7",
    "sha256": DIGEST,
    "reasons": "- users.student: 500 of 12,481 would be removed\n- 2 schools would be empty",
}


def feed(**changes: Any) -> config.Feed:
    values = {
        "district": KNOWN["district"],
        "remote_host": KNOWN["remote_host"],
        "remote_dir": KNOWN["remote_dir"],
        "username": KNOWN["username"],
    }
    return config.parse({**GOOD, **values, **changes})


@pytest.mark.parametrize("code", Exit)
def test_a_letter_holds_the_receipts_values_and_no_others(
    code: Exit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: KNOWN["host"])
    receipt = {**HELD, "exit_code": int(code), "message": KNOWN["message"], "findings": []}
    letter = explain(code, receipt, feed())["letter"]
    template = spec("explain")[str(int(code))]["letter"]
    names = {name for _, name, _, _ in string.Formatter().parse(template) if name}
    assert names <= {*KNOWN, "exit_code"}
    assert letter == template.format(**KNOWN, exit_code=int(code))
    assert "unknown" not in letter
    for name in names - {"exit_code"}:
        assert KNOWN[name] in letter


@pytest.mark.parametrize("code", Exit)
def test_what_is_not_known_is_said_to_be_so(code: Exit) -> None:
    told = explain(code, None, None)
    assert not re.search(r"[{}]", told["letter"])
    template = spec("explain")[str(int(code))]["letter"]
    fields = [name for _, name, _, _ in string.Formatter().parse(template) if name]
    assert told["letter"].count("unknown") == sum(f not in ("host", "exit_code") for f in fields)
    assert told["evidence"] == []
    assert json.loads(json.dumps(told)) == told


def test_a_letter_takes_braces_as_they_are() -> None:
    receipt = {**HELD, "exit_code": int(Exit.NETWORK), "message": "it {says} {0}"}
    assert "it {says} {0}" in explain(Exit.NETWORK, receipt, None)["letter"]


def test_an_explanation_has_evidence_and_a_command_to_copy(finding: dict[str, Any]) -> None:
    told = explain(Exit.HELD, {**HELD, "findings": [finding]}, feed())
    look, approve = "roster-upload diff maple-grove", "roster-upload approve maple-grove --digest "
    assert 0 < told["do"].index(look) < told["do"].index(f"{approve}3f1c9a7d3f1c9a7d --reason ")
    assert look in told["letter"]
    message, text, *held, slowest = told["evidence"]
    assert message == HELD["message"]
    assert text.startswith("error: users.csv, column sourcedId, rows 4, 9, 17: ")
    assert held == HELD["held"]
    assert slowest == "the longest phase was kex, 2.2 s"
    shown = explaining.explain_text(told)
    for line in (*told["evidence"], told["cause"], told["do"], f"exit code 17: {told['meaning']}"):
        assert line in shown
    assert f"  - {HELD['held'][1]}" in shown, "the letter names every reason"


def test_an_older_programs_rule_is_told_by_its_name() -> None:
    gone = {**FINDING, "rule": "oneroster.given-up", "new_key": 1}
    evidence = explain(Exit.REFUSED, {**HELD, "findings": [gone]}, None)["evidence"]
    assert "error: users.csv [oneroster.given-up]" in evidence


def test_an_explanation_without_a_feed_keeps_the_placeholder() -> None:
    assert "roster-upload approve FEED --digest SHA256" in explain(Exit.HELD, None, None)["do"]
    assert "roster-upload@maple-grove" in explain(Exit.STOPPED, HELD, None)["do"]


# ---- the morning's line -------------------------------------------------------------------------


def test_the_mornings_line_of_a_delivery() -> None:
    assert summary_line(SENT, YESTERDAY) == (
        "Maple Grove: sent 01:12 Mountain, 48 min early: 12,481 students (+14 −3), "
        "611 classes (+0 −1), same file as yesterday: no"
    )


@pytest.mark.parametrize(
    ("finished", "deadline", "told"),
    [
        ("2026-11-20T07:12:00Z", "2026-11-20T09:00:00Z", "sent 00:12 Mountain, 108 min early: "),
        ("2026-07-20T07:12:00Z", "2026-07-20T09:00:00Z", "sent 01:12 Mountain, 108 min early: "),
        ("2026-11-20T09:00:00Z", "2026-11-20T09:00:00Z", "sent 02:00 Mountain, 0 min early: "),
        ("2026-11-20T09:05:00Z", "2026-11-20T09:00:00Z", "sent 02:05 Mountain, 5 min LATE: "),
    ],
)
def test_a_delivery_is_early_or_late_at_its_end(finished: str, deadline: str, told: str) -> None:
    receipt = {**SENT, "finished": finished, "deadline": deadline}
    assert summary_line(receipt, None).startswith(f"Maple Grove: {told}")


@pytest.mark.parametrize(
    ("before", "told"),
    [
        ({**YESTERDAY, "source": SENT["source"]}, ", same file as yesterday: yes"),
        ({**YESTERDAY, "night": "2026-11-13"}, ", same file as on 2026-11-13: no"),
        (None, "611 classes (+0 −1)"),
    ],
)
def test_the_mornings_line_compares_with_what_was_there(before: Any, told: str) -> None:
    assert summary_line(SENT, before).endswith(told)


def test_the_mornings_line_tells_what_there_is() -> None:
    plain = {**SENT, "changes": {}}
    assert summary_line(plain, None).endswith("early: 13,100 users, 611 classes")
    opaque = {**plain, "rows": {}}
    assert summary_line(opaque, None).endswith("early: 1,942,113 bytes")
    outside = {**SENT, "in_window": False}
    assert "outside the nightly window: 12,481 students" in summary_line(outside, None)
    changed = {**SENT, "remote": {**SENT["remote"], "server_changed": ["no posix-rename"]}}
    assert summary_line(changed, None).endswith("; the server has changed: no posix-rename")


def test_the_mornings_line_of_a_failure_tells_what_the_vendor_has() -> None:
    assert summary_line(HELD, SENT) == (
        "Maple Grove: held, the vendor has the roster of 2026-11-20: the guard holds the export: "
        "users.student: 500 of 12,481 would be removed"
    )
    late = {**HELD, "outcome": "failed", "message": "Maple Grove: it is late"}
    assert summary_line(late, None) == "Maple Grove: failed, the vendor has none: it is late"


def test_without_time_zones_it_is_utc(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(zoneinfo, "TZPATH", ())
    zoneinfo.reset_tzpath(to=[tmp_path])
    zoneinfo.ZoneInfo.clear_cache()
    monkeypatch.setitem(sys.modules, "tzdata", None)
    try:
        assert summary.mountain("2026-11-20T08:12:00Z") == ("2026-11-20 08:12", "UTC")
    finally:
        zoneinfo.reset_tzpath()
    assert summary.mountain("2026-11-20T08:12:00Z") == ("2026-11-20 01:12", "Mountain")


@pytest.mark.parametrize(
    ("more", "end"),
    [
        ({"faulty_rows": {"users.csv": 2, "classes.csv": 1}}, "(+0 −1); 3 faulty rows"),
        ({"faulty_rows": {"users.csv": 1}}, "(+0 −1); 1 faulty row"),
        ({"findings": [WARNING], "told": TOLD}, "(+0 −1); 1 new warning"),
        ({"findings": [WARNING], "told": []}, "611 classes (+0 −1)"),
        (
            {"waiting": {"since": "2026-11-19", "nights": 2, "counts": {"users.student": 1200}}},
            "(+0 −1); removals wait: 1,200 users.student",
        ),
    ],
)
def test_the_mornings_line_tells_what_was_found(more: dict[str, Any], end: str) -> None:
    assert summary_line({**SENT, **more}, None).endswith(end)


def test_the_mornings_line_compares_what_was_sent() -> None:
    package = {"package": {"sha256": "b" * 64}}
    assert summary_line({**SENT, **package}, {**YESTERDAY, **package}).endswith("yesterday: yes")
    assert summary_line({**SENT, **package}, {**YESTERDAY, "source": SENT["source"]}).endswith(
        "yesterday: no"
    )
    one, other = ({"source": {"bytes": 1, "sha256": d, "content": "c"}} for d in "ab")
    assert summary_line({**SENT, **one}, {**YESTERDAY, **other}).endswith("yesterday: yes")


# ---- what keeps a delivery from being green ------------------------------------------------------

WAITS = {"since": "2026-11-19", "nights": 2, "counts": {"users.student": 1200, "classes": 3}}


def test_a_delivery_in_order_needs_no_caution() -> None:
    assert cautions(SENT) == []
    assert cautions(None) == []
    assert cautions({**SENT, "findings": [WARNING], "faulty_rows": {}}) == []


def test_faulty_rows_are_a_caution(finding: dict[str, Any]) -> None:
    fault = {**finding, "severity": "fault"}
    found = {**SENT, "findings": [WARNING, fault, FINDING], "faulty_rows": {"users.csv": 3}}
    [text] = cautions(found)
    assert text.startswith("the export has 3 faulty rows, first: fault: users.csv, column sourced")
    assert text.endswith("; roster-upload check maple-grove shows all")


@pytest.mark.parametrize(
    ("nights", "limit", "is_told"), [(9, 10, False), (10, 10, True), (11, 10, True), (99, 0, False)]
)
def test_an_export_that_never_changes_is_a_caution(nights: int, limit: int, is_told: bool) -> None:
    found = {**SENT, "unchanged_nights": nights, "unchanged_limit": limit}
    told = [f"no record has changed for {nights} school nights; does the SIS export?"]
    assert cautions(found) == (told if is_told else [])


def test_removals_that_wait_are_a_caution() -> None:
    assert cautions({**SENT, "waiting": WAITS}) == [
        "removals wait since 2026-11-19 (2 nights): 1,200 users.student, 3 classes; "
        "roster-upload diff maple-grove shows who"
    ]


# ---- status -------------------------------------------------------------------------------------


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
    assert "Mountain, 77 bytes" in text
    assert f"sha256     {'b' * 64}" in text


def test_the_status_of_a_feed_in_order() -> None:
    told = status("maple-grove", [YESTERDAY, SENT], None)
    assert told["deliveries"] == 2
    assert (told["last"], told["last_sent"]) == (json_of(SENT), json_of(SENT))
    assert told["morning"] == summary_line(SENT, YESTERDAY)
    assert told["next_step"] == ""
    text = render.status_text([told])
    assert text.splitlines()[0] == "maple-grove"
    assert "last sent  2026-11-20 01:12 Mountain, 1,942,113 bytes" in text
    assert f"sha256     {DIGEST}" in text
    assert "next step" not in text
    assert "LEDGER" not in text


def test_the_status_of_a_red_feed_says_what_to_do() -> None:
    rehearsed = {**SENT, "command": "rehearse", "outcome": "rehearsed"}
    told = status("maple-grove", [rehearsed, SENT, HELD], 3)
    assert told["deliveries"] == 2, "a rehearsal is no delivery"
    assert (told["last"], told["last_sent"]) == (json_of(HELD), json_of(SENT))
    text = render.status_text([told])
    assert "the vendor has the roster of 2026-11-20" in text
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
    has = "the vendor has the roster of 2026-11-20"
    for last in (ALARM, REHEARSED):
        told = status("maple-grove", [YESTERDAY, SENT, last], None)
        assert (told["last"], told["last_sent"]) == (json_of(last), json_of(SENT))
        why = last["message"].removeprefix("Maple Grove: ")
        assert told["morning"] == f"Maple Grove: {last['outcome']}, {has}: {why}"
        assert json.loads(json.dumps(told)) == told
        assert f"  {told['morning']}" in render.status_text([told]).splitlines()
    assert status("maple-grove", [ALARM], None)["next_step"].startswith(
        "roster-upload status maple-grove says why"
    )


# ---- history ------------------------------------------------------------------------------------


def nights(count: int) -> list[dict[str, Any]]:
    """So many nights' deliveries, each with one student more."""
    change = SENT["changes"]["users.student"]
    return [
        {
            **SENT,
            "night": f"2026-11-{day:02}",
            "finished": f"2026-11-{day:02}T08:12:00Z",
            "changes": {"users.student": {**change, "now": 12_400 + day}},
        }
        for day in range(1, count + 1)
    ]


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


def test_a_letter_names_the_file_that_it_is_about() -> None:
    package = {**HELD, "package": {"sha256": "b" * 64}}
    assert DIGEST in explain(Exit.HELD, package, None)["letter"]
    assert DIGEST in explain(Exit.REFUSED, package, None)["letter"]
    assert "b" * 64 in explain(Exit.VERIFY, package, None)["letter"]


def test_what_is_ignored_is_told_to_nobody(finding: dict[str, Any]) -> None:
    ignored = {**HELD, "findings": [{**finding, "severity": "ignored"}]}
    told = explain(Exit.REFUSED, ignored, None)
    assert not any(finding["rule"] in text for text in [*told["evidence"], told["letter"]])


def test_the_history_is_read_at_80_columns() -> None:
    text = history_text([*nights(18), HELD, APPROVED], 14, width=80)
    lines = text.splitlines()
    assert max(map(len, lines)) <= 80
    assert "…" not in text
    assert "\x1b" not in text
    row = next(line for line in lines if line.startswith("2026-11-18 01:12"))
    assert row.split() == [
        "2026-11-18",
        "01:12",
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
    assert "2026-11-21 00:12  the guard holds the export: users.student: 500 of 12,481" in text
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
    """An output that says it is a terminal."""

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
    lines = history_text(receipts, 14).splitlines()
    shown = [next(line for line in lines if line.startswith(start)) for start in (
        "2026-11-20 01:12  sent ", "2026-11-21 00:12  held 17 ", "2026-11-21 07:00  approved ",
        "2026-11-22 01:30  watch: failed 28 ", "2026-11-22 14:00  rehearsed ",
    )]  # fmt: skip
    assert DIGEST[:12] in shown[2]
    assert f"2026-11-22 01:30  {ALARM['message']}" in lines
    assert not any(line.startswith("students of the last") for line in lines), "one has students"


def test_a_receipt_of_version_1_is_shown_like_any() -> None:
    assert summary_line(OLD, None) == (
        "Maple Grove: sent 01:12 Mountain, 110 min early: 13,100 users, 611 classes"
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


# ---- all of them --------------------------------------------------------------------------------


@pytest.mark.parametrize("receipt", [SENT, HELD, {**HELD, "exit_code": int(Exit.LOGIN)}])
def test_no_view_holds_a_number_that_is_not_of_the_receipt(
    receipt: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What people are told can be looked up: each number is of the receipt, or made of it."""
    monkeypatch.setattr(socket, "gethostname", lambda: "host")
    code = Exit(receipt["exit_code"])
    told = [
        summary_line(receipt, YESTERDAY),
        render.status_text([status("maple-grove", [YESTERDAY, receipt], None)]),
        explaining.explain_text(explain(code, receipt, None)),
    ]
    known = json.dumps([receipt, YESTERDAY, spec("explain")[str(int(code))]])
    made = {"48", "01", "00", "12", "11", "2.2"}  # times in Mountain time, a margin, a rounding
    for number in re.findall(r"\d[\d,.]*\d|\d", " ".join(told)):
        assert number in made or number.replace(",", "") in known.replace(",", ""), number


def test_mails_and_views_agree_on_what_to_do() -> None:
    news = json.loads(webhook.content(feed(), "failure", Receipt.parse(HELD)))
    assert news["action"] == explain(Exit.HELD, HELD, feed())["do"]


def test_who_started_a_unit_sees_how_far_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[int, int]] = []
    path = tmp_path / "maple-grove.progress"
    path.write_text("9 10")  # of the night before
    told = iter([None, (100, 400), (300, 400), (400, 400)])
    left = progress.ProgressFile(path)

    def is_over() -> object:
        step = next(told, "over")
        if isinstance(step, tuple):
            left(*step)
        return "over" if step == "over" else None

    class Bar(progress.Progress):
        def __call__(self, done: int, size: int) -> None:
            seen.append((done, size))
            super().__call__(done, size)

    monkeypatch.setattr(progress, "Progress", Bar)
    monkeypatch.setattr(progress, "LOOK_SECONDS", 0.01)
    progress.follow("maple-grove", path, is_over)
    assert seen == [(100, 400), (300, 400)]
    monkeypatch.setattr(left, "_path", tmp_path / "no" / "such")
    left(400, 400)  # harms nobody


def test_a_receipt_steers_no_terminal() -> None:
    """The program's user can write the ledger, and root reads it."""
    words = "\x1b]0;x\x07[link=https://a.example]x[/link]"
    receipt = {**HELD, "message": words, "outcome": words, "command": words,
               "source": {**HELD["source"], "sha256": words}}  # fmt: skip
    text = history_text([receipt, receipt], 14, width=400)
    assert [line for line in text.split("\n") if not line.isprintable()] == []
    assert "[link=" in text
