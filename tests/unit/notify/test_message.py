"""The message of an event says what happened, who must act and what to do."""

from __future__ import annotations

import socket
from typing import Any

import pytest
from roster_upload.notify import message
from roster_upload.records.receipt import Receipt
from support.alert_servers import RECEIPT, SENT, feed
from unit.test_config import GOOD

FINDINGS = [
    {
        "rule": "value.enum", "severity": severity, "file": "users.csv", "column": column,
        "detail": "", "count": 3, "rows": [20, 21, 22],
    } for severity, column in (("fault", "role"), ("warning", "sex"), ("ignored", "grades"))
]  # fmt: skip
NOTIFIED = [{"rule": "value.enum", "file": "users.csv", "column": "role", "count": 3}]


def made(kind: str, receipt: dict[str, Any], **changes: Any) -> message.Message:
    return message.of_event(feed(**changes), kind, Receipt.parse(receipt))


def test_a_failure_says_who_must_act() -> None:
    told = made("failure", RECEIPT, time_zone="America/Denver")
    assert told.title == f"{GOOD['district']}: tonight's roster was not delivered"
    paragraphs = told.body.split("\n\n")
    for text in (
        RECEIPT["message"],
        "Who must act: the SIS administrator",
        "- users.student: 500 of 2,000 would be removed",
        f"Feed: maple-grove on {socket.gethostname()}",
        "Night: 19 to 20 November, deadline 2026-11-20 09:00 UTC (02:00 MST)",
        "Time: 2026-11-20 07:12 UTC (00:12 MST)",
    ):
        assert text in paragraphs
    assert "Next step: Look first: roster-upload diff maple-grove" in told.body
    assert "roster-upload approve maple-grove --digest abababababababab " in told.body
    assert "Cause: The export differs" in told.body


def test_programs_get_the_event_as_values() -> None:
    told = dict(made("failure", RECEIPT).values)
    same = ("command", "outcome", "exit_code", "night", "deadline")
    assert {key: told.pop(key) for key in same} == {key: RECEIPT[key] for key in same}
    assert told.pop("action").startswith("Look first: roster-upload diff maple-grove ")
    assert told == {
        "kind": "failure",
        "feed": "maple-grove",
        "district": GOOD["district"],
        "host": socket.gethostname(),
        "reason": RECEIPT["message"],
        "time": RECEIPT["finished"],
        "findings": [],
    }


@pytest.mark.parametrize(
    ("kind", "command", "title", "shown", "next_step"),
    [
        ("findings", "send", "with findings to correct in the SIS", "warning", True),
        ("recovery", "send", "the roster is delivered again", "success", False),
        ("deadline", "watch", "the deadline is near and tonight's roster", "failure", True),
        ("failure", "send", "tonight's roster was not delivered", "failure", True),
        ("failure", "rehearse", "tonight's roster would not be delivered", "warning", True),
        ("unrecorded", "send", "its receipt could not be written", "warning", True),
    ],
)
def test_each_kind_has_its_title(
    kind: str, command: str, title: str, shown: str, next_step: bool
) -> None:
    told = made(kind, {**RECEIPT, "command": command})
    assert told.title.startswith(f"{GOOD['district']}: ")
    assert title in told.title
    assert told.kind == shown
    assert ("Next step: " in told.body) is next_step


@pytest.mark.parametrize("kind", ["findings", "recovery"])
def test_new_findings_are_told_and_known_ones_are_not(kind: str) -> None:
    told = made(kind, {**SENT, "findings": FINDINGS, "told": NOTIFIED})
    assert told.values["findings"] == FINDINGS[:1]
    assert "- fault: users.csv, column role, rows 20, 21, 22: " in told.body
    assert "column sex" not in told.body
    assert "column grades" not in told.body
    assert "Cause" not in told.body
    is_alone = kind == "findings"
    assert ("Next step: Run roster-upload check maple-grove to see all" in told.body) is is_alone
    assert ("roster-upload check maple-grove" in told.values["action"]) is is_alone


def test_a_receipt_that_knows_little_is_told_all_the_same() -> None:
    bare = {"feed": "maple-grove", "outcome": "failed", "exit_code": 199, "message": "odd"}
    told = made("failure", bare)
    assert told.values["reason"] == "odd"
    assert "Who must act: unknown" in told.body
