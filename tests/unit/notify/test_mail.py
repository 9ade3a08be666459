"""The mail says who must act."""

from __future__ import annotations

import base64
import dataclasses
import socket
from pathlib import Path

import pytest
from support.alert_servers import (
    PASSWORD,
    RECEIPT,
    TITLE,
    Post,
    certified,
    hushed,
    notify,
)
from unit.test_config import GOOD


def test_a_mail_says_who_must_act(post: Post, secrets: Path) -> None:
    assert (
        notify(
            post.feed(smtp_username="roster", time_zone="America/Denver"),
            "failure",
            RECEIPT,
            secrets,
        )
        == []
    )
    message = post.message
    assert message["Subject"] == f"{GOOD['district']}: tonight's roster was not delivered"
    assert message["To"] == "it@maple.example, ops@vendor.example"
    assert message["From"] == "roster@maple.example"
    assert message["Date"].datetime.tzinfo
    assert message["Message-ID"].endswith("@maple.example>")
    body = message.get_content()
    for line in (
        RECEIPT["message"],
        "Who must act: the SIS administrator",
        "- users.student: 500 of 2,000 would be removed",
        f"Feed: maple-grove on {socket.gethostname()}",
        "Night: 19 to 20 November, deadline 2026-11-20 09:00 UTC (02:00 MST)",
    ):
        assert line in body.splitlines()
    assert "Next step: Look first: roster-upload diff maple-grove" in body
    assert "roster-upload approve maple-grove --digest abababababababab " in body
    assert "Cause: The export differs" in body
    login = next(line for line in post.said if line.startswith("auth PLAIN "))
    assert base64.b64decode(login.split()[2]) == f"\0roster\0{PASSWORD}".encode()
    assert [line for line in post.said if line.startswith("rcpt")] == [
        "rcpt TO:<it@maple.example>",
        "rcpt TO:<ops@vendor.example>",
    ]


@pytest.mark.parametrize(
    ("kind", "command", "subject", "next_step"),
    [
        ("findings", "send", "the roster is delivered, with findings to correct in the SIS", True),
        ("recovery", "send", "the roster is delivered again", False),
        ("deadline", "watch", "the deadline is near and tonight's roster is not delivered", True),
        ("failure", "rehearse", "tonight's roster would not be delivered", True),
        (
            "unrecorded",
            "send",
            "the roster is delivered, and its receipt could not be written",
            True,
        ),
    ],
)
def test_each_kind_of_mail_has_its_subject(
    post: Post, kind: str, command: str, subject: str, next_step: bool
) -> None:
    assert notify(post.feed(), kind, {**RECEIPT, "command": command}, None) == []
    assert post.message["Subject"] == f"{GOOD['district']}: {subject}"
    assert ("Next step: " in post.message.get_content()) is next_step


def test_a_mail_password_that_is_not_there_is_told(post: Post) -> None:
    told = notify(post.feed(smtp_username="roster"), "failure", RECEIPT, None)
    assert "the mail did not work: its secret smtp is not on this host" in hushed(told)
    assert post.said == []


@pytest.mark.parametrize(
    ("refused", "told"),
    [
        ({"auth": "535 no"}, "127.0.0.1: it answered 535"),
        ({"mail": "451 later"}, "127.0.0.1: it answered 451"),
        ({"rcpt": "550 nobody"}, "127.0.0.1: it refused all recipients"),
        ({"rcpt TO:<it@": "550 nobody"}, "127.0.0.1 refused 1 of the recipients"),
        ({"data": "554 spam"}, "127.0.0.1: it answered 554"),
        ({"auth": ""}, "127.0.0.1: it closed the connection"),
    ],
)
def test_a_mail_that_is_refused_is_told(
    post: Post, secrets: Path, refused: dict[str, str], told: str
) -> None:
    post.refused = refused
    sentence = hushed(notify(post.feed(smtp_username="me"), "failure", RECEIPT, secrets))
    assert sentence == f"the mail did not work: {told}"


def test_a_mail_is_not_sent_in_the_clear_where_tls_is_asked_for(post: Post, secrets: Path) -> None:
    asking = post.feed(smtp_username="me", smtp_security="starttls")
    told = hushed(notify(asking, "failure", RECEIPT, secrets))
    assert "it lacks what smtp_security" in told
    assert not any(line.startswith(("auth", "mail")) for line in post.said)


@pytest.mark.parametrize("security", ["tls", "starttls"])
@pytest.mark.parametrize(
    ("host", "is_trusted", "arrives"),
    [("localhost", True, True), ("localhost", False, False), ("mail.example", True, False)],
)
def test_a_mail_goes_to_a_server_that_proves_its_name(
    post: Post,
    secrets: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    security: str,
    host: str,
    is_trusted: bool,
    arrives: bool,
) -> None:
    post.tls = certified(tmp_path, host)
    if is_trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "server.pem"))
    if security == "tls":
        post.server.socket = post.tls.wrap_socket(post.server.socket, server_side=True)
    asking = dataclasses.replace(
        post.feed(smtp_username="me", smtp_security=security), smtp_host="localhost"
    )
    told = notify(asking, "failure", RECEIPT, secrets)
    assert bool(post.mail) is any(line.startswith("auth") for line in post.said) is arrives
    if arrives:
        assert told == []
    else:
        assert "localhost: its certificate is not trusted" in hushed(told)


def test_a_mail_is_marked_as_sent_by_a_program(post: Post) -> None:
    assert notify(post.feed(), "failure", RECEIPT, None) == []
    assert post.message["Auto-Submitted"] == "auto-generated"
    assert "Time: 2026-11-20 07:12 UTC" in post.message.get_content()
    assert not any(line.startswith("auth") for line in post.said), "no login is configured"


@pytest.mark.parametrize("command", ["mail", "rcpt", "data"])
def test_the_words_of_a_mail_server_are_not_told(post: Post, command: str, secrets: Path) -> None:
    post.refused = {command: f"550 {TITLE}"}
    [told] = notify(post.feed(), "failure", RECEIPT, secrets)
    assert told.isprintable()
    assert "All good" not in told
