"""Alerts: an event reaches every channel, and holds nothing that harms."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
from roster_upload.notify.channels import heartbeat
from support.alert_servers import (
    RECEIPT,
    SENT,
    TITLE,
    Post,
    Web,
    feed,
    notify,
)

FINDINGS = [
    {
        "rule": "value.enum", "severity": severity, "file": "users.csv", "column": column,
        "detail": "", "count": 3, "rows": [20, 21, 22],
    } for severity, column in (("fault", "role"), ("warning", "sex"), ("ignored", "grades"))
]  # fmt: skip


TOLD = [{"rule": "value.enum", "file": "users.csv", "column": "role", "count": 3}]


@pytest.mark.parametrize("kind", ["findings", "recovery"])
def test_new_findings_are_told_and_known_ones_are_not(
    web: Web, post: Post, secrets: Path, kind: str
) -> None:
    found = {**SENT, "findings": FINDINGS, "told": TOLD}
    configured = post.feed(webhook_url=f"{web.url}/x")
    assert notify(configured, kind, found, secrets) == []
    told = json.loads(web.got[0][2])
    assert told["findings"] == FINDINGS[:1]
    body = post.message.get_content()
    assert "- fault: users.csv, column role, rows 20, 21, 22: " in body
    assert "column sex" not in body
    assert "column grades" not in body
    assert "Cause" not in body
    is_alone = kind == "findings"
    assert ("Next step: Run roster-upload check maple-grove to see all" in body) is is_alone
    assert ("roster-upload check maple-grove" in told["action"]) is is_alone


def test_a_feed_without_channels_tells_nobody() -> None:
    assert notify(feed(), "failure", RECEIPT, None) == []
    assert heartbeat.beat(feed(), None, 0) == []


def test_a_receipt_that_knows_little_is_told_all_the_same(web: Web, post: Post) -> None:
    bare = {"feed": "maple-grove", "outcome": "failed", "exit_code": 199, "message": "odd"}
    assert notify(post.feed(webhook_url=web.url), "failure", bare, None) == []
    assert json.loads(web.got[0][2])["message"] == "odd"
    assert "Who must act: unknown" in post.message.get_content()


def test_no_alert_holds_what_steers_a_terminal(web: Web, post: Post, secrets: Path) -> None:
    told = {**RECEIPT, "message": TITLE, "held": [TITLE], "night": TITLE}
    one = dataclasses.replace(post.feed(), webhook_url=f"{web.url}/x", mail_to=("a@maple.example",))
    assert notify(one, "failure", told, secrets) == []
    for line in post.message.get_content().replace("\r\n", "\n").split("\n"):
        assert line.isprintable()
    [(_, _, body)] = web.got
    assert json.loads(body)["message"] == r"\x1b]0;All good\x07\x9b31m\u2028"
