"""Telling: what arrives, what is said where it does not, and that no secret is in either."""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import datetime as dt
import email
import email.message
import email.policy
import http.server
import itertools
import json
import math
import os
import re
import socket
import socketserver
import ssl
import threading
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.request import Request

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from roster_upload import config
from roster_upload.config import Feed
from roster_upload.exits import Exit
from roster_upload.notify import alerts, events, metrics
from roster_upload.notify.channels import channel, heartbeat
from roster_upload.records.receipt import OF_DELIVERIES, Receipt
from support import waiting
from support.receipts import history
from unit.test_config import GOOD

SECRET = "T0/a-secret_path"
PASSWORD = " its own pass word "
SECRETS = {"webhook": f"{SECRET}\n", "heartbeat": SECRET, "smtp": f"{PASSWORD}\n"}
RECEIPT = {
    "feed": "maple-grove",
    "district": "Maple Grove",
    "command": "send",
    "outcome": "held",
    "exit_code": int(Exit.HELD),
    "message": "the guard holds the export: users.student: 500 of 2,000 would be removed",
    "started": "2026-11-20T07:10:00Z",
    "finished": "2026-11-20T07:12:03Z",
    "night": "2026-11-20",
    "deadline": "2026-11-20T09:00:00Z",
    "held": ["users.student: 500 of 2,000 would be removed"],
    "source": {"path": "/srv/OneRoster.zip", "bytes": 1_942_113, "sha256": "ab" * 32},
}
SENT = {
    **RECEIPT,
    "outcome": "sent",
    "exit_code": 0,
    "message": "Maple Grove: sent",
    "held": [],
    "rows": {"users": 2100, "classes": 95},
    "changes": {
        "users.student": {"before": 1990, "now": 2001, "added": 14, "removed": 3, "changed": 0}
    },
    "seconds": {"dns": 0.0123456, "write": 1.25},
}


def feed(**changes: Any) -> Feed:
    """A feed with changes to a good configuration.

    The tests' mail server knows no TLS, without which a configuration with a login is refused.
    """
    security = changes.get("smtp_security", "none")
    good = config.parse({**GOOD, **changes, "smtp_security": "tls"})
    return dataclasses.replace(good, smtp_security=security)


def notify(feed: Feed, kind: str, receipt: dict[str, Any], secrets: Path | None) -> list[str]:
    """Notify of a receipt."""
    return alerts.notify(feed, kind, Receipt.parse(receipt), secrets)


@pytest.fixture
def secrets(tmp_path: Path) -> Path:
    """The folder of credentials, as systemd makes it."""
    folder = tmp_path / "credentials"
    folder.mkdir()
    for purpose, secret in SECRETS.items():
        (folder / f"maple-grove_{purpose}").write_text(secret)
    return folder


# ---- servers ------------------------------------------------------------------------------------


class Web:
    """A web server that keeps what it was asked, and answers as `answer` and `moved` say."""

    def __init__(self) -> None:
        self.got: list[tuple[str, str, bytes]] = []
        self.answer: tuple[int, dict[str, str]] = (200, {})
        self.moved: dict[str, str] = {}  # from a path to another address
        web = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def _take(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                web.got.append((self.command, self.path, body))
                code, headers = web.answer
                if there := web.moved.get(self.path):
                    code, headers = 302, {"Location": there}
                self.send_response(code)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()

            do_GET = do_POST = _take  # noqa: N815 - names of the library

            def log_message(self, *_: object) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"


@contextlib.contextmanager
def running(server: socketserver.BaseServer) -> Iterator[None]:
    """A server that serves in a thread until the end."""
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def web() -> Iterator[Web]:
    made = Web()
    with running(made.server):
        yield made


class Post:
    """A mail server that keeps its conversation and the mail.

    `refused` answers some commands, by hanging up where the answer is empty. With `tls` it offers
    STARTTLS.
    """

    def __init__(self) -> None:
        self.said: list[str] = []
        self.mail = b""
        self.refused: dict[str, str] = {}
        self.tls: ssl.SSLContext | None = None
        post = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                with contextlib.suppress(OSError):  # of a client that wants another protocol
                    self._talk()

            def setup_files(self) -> None:
                self.rfile = self.connection.makefile("rb")
                self.wfile = self.connection.makefile("wb", 0)

            def _talk(self) -> None:
                self.wfile.write(b"220 mail.example ESMTP\r\n")
                while line := self.rfile.readline():
                    said = line.decode(errors="replace").strip()
                    said = said[:4].lower() + said[4:]
                    post.said.append(said)
                    self._answer(said)
                    if said == "quit":
                        return

            def _answer(self, said: str) -> None:
                for start, answer in post.refused.items():
                    if said.startswith(start):
                        if not answer:
                            self.connection.shutdown(socket.SHUT_RDWR)
                            return
                        self.wfile.write(f"{answer}\r\n".encode())
                        return
                if said.startswith("ehlo"):
                    offered = b"250-STARTTLS\r\n" if post.tls else b""
                    self.wfile.write(b"250-mail.example\r\n" + offered + b"250 AUTH PLAIN\r\n")
                elif said.lower() == "starttls" and post.tls:
                    self.wfile.write(b"220 go on\r\n")
                    self.connection = post.tls.wrap_socket(self.connection, server_side=True)
                    self.setup_files()
                elif said.startswith("auth"):
                    self.wfile.write(b"235 welcome\r\n")
                elif said == "data":
                    self.wfile.write(b"354 go on\r\n")
                    lines = iter(self.rfile.readline, b".\r\n")
                    post.mail = b"".join(lines)
                    self.wfile.write(b"250 taken\r\n")
                else:
                    self.wfile.write(b"221 bye\r\n" if said == "quit" else b"250 fine\r\n")

        self.server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]

    def feed(self, **changes: Any) -> Feed:
        """A feed that mails by this server."""
        return feed(
            mail_to=["it@maple.example", "ops@vendor.example"],
            mail_from="roster@maple.example",
            smtp_host="127.0.0.1",
            smtp_port=self.port,
            **changes,
        )

    @property
    def message(self) -> email.message.EmailMessage:
        """The mail that arrived."""
        message = email.message_from_bytes(self.mail, policy=email.policy.default)
        assert isinstance(message, email.message.EmailMessage)
        return message


@pytest.fixture
def post() -> Iterator[Post]:
    made = Post()
    with running(made.server):
        yield made


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A server that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port where nothing listens, nor will anything else meanwhile."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


class Waits:
    """The waits for channels: how long each may take, by a clock that moves only with them."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self.threads: list[threading.Thread] = []
        self.is_over: Callable[[], bool] = lambda: True  # when a wait ends

    def let_pass(self, seconds: float) -> None:
        waiting.until(self.is_over, "the wait for a channel")
        self.seconds.append(seconds)

    @property
    def hanging(self) -> int:
        return sum(thread.is_alive() for thread in self.threads)


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> Waits:
    found = Waits()

    class Channel(threading.Thread):
        def start(self) -> None:
            found.threads.append(self)
            super().start()

        def join(self, timeout: float | None = None) -> None:
            found.let_pass(math.inf if timeout is None else timeout)

    clock = types.SimpleNamespace(monotonic=lambda: sum(found.seconds))
    monkeypatch.setattr(channel, "time", clock)
    monkeypatch.setattr(channel, "threading", types.SimpleNamespace(Thread=Channel))
    return found


# ---- what is worth telling ----------------------------------------------------------------------


def receipt(outcome: str, code: Exit = Exit.OK, night: int = 20, command: str = "send") -> Any:
    return {
        **RECEIPT,
        "outcome": outcome,
        "exit_code": int(code),
        "night": f"2026-11-{night}",
        "command": command,
    }


SENT_BEFORE = receipt("sent", night=19)
HELD = receipt("held", Exit.HELD)
LOGIN = receipt("failed", Exit.LOGIN)
# A start that found the feed busy; one that got no turn beside others has its export's digest.
BUSY = {**receipt("failed", Exit.BUSY), "source": {"path": "/srv/OneRoster.zip"}}
NO_TURN = receipt("failed", Exit.BUSY)
REHEARSED = receipt("rehearsed", command="rehearse")
NOT_REHEARSED = receipt("held", Exit.HELD, command="rehearse")
ALARM = receipt("failed", Exit.MISSED, command="watch")
FOUND = {**receipt("sent"), "told": [{"rule": "r", "file": "f", "column": "", "count": 1}]}
APPROVED = {"outcome": "approved", "command": "approve", "digest": "ab" * 32, "finished": ""}


@pytest.mark.parametrize(
    ("before", "now", "told"),
    [
        ([], receipt("sent"), None),
        ([], HELD, "failure"),
        ([SENT_BEFORE], HELD, "failure"),
        ([HELD], HELD, None),
        ([SENT_BEFORE, HELD], receipt("held", Exit.HELD, command="resend"), None),
        ([HELD], LOGIN, "failure"),
        ([HELD], receipt("held", Exit.HELD, night=21), "failure"),
        ([HELD, LOGIN], HELD, None),
        ([HELD, LOGIN, HELD], LOGIN, None),
        ([HELD, receipt("sent")], HELD, "failure"),
        ([HELD, APPROVED], HELD, None),
        ([HELD, APPROVED], receipt("sent"), "recovery"),
        ([HELD], receipt("sent", command="resend"), "recovery"),
        ([HELD, receipt("sent")], receipt("sent"), None),
        ([SENT_BEFORE], receipt("skipped", Exit.PAUSED), None),
        ([HELD], receipt("skipped"), None),
        ([receipt("skipped", Exit.PAUSED)], receipt("sent"), None),
        ([HELD, receipt("skipped", Exit.PAUSED)], receipt("sent"), "recovery"),
        ([SENT_BEFORE], REHEARSED, None),
        ([SENT_BEFORE], NOT_REHEARSED, "failure"),
        ([HELD], NOT_REHEARSED, "failure"),
        ([NOT_REHEARSED], NOT_REHEARSED, None),
        ([NOT_REHEARSED, SENT_BEFORE], NOT_REHEARSED, None),
        ([NOT_REHEARSED, REHEARSED], NOT_REHEARSED, "failure"),
        ([NOT_REHEARSED], REHEARSED, None),
        ([NOT_REHEARSED], HELD, "failure"),
        ([NOT_REHEARSED], receipt("sent"), None),
        ([HELD, REHEARSED], HELD, None),
        ([ALARM], receipt("sent"), "recovery"),
        ([SENT_BEFORE, ALARM, receipt("sent")], receipt("sent"), None),
        ([HELD, ALARM], HELD, None),
        ([ALARM], LOGIN, "failure"),
        ([SENT_BEFORE], BUSY, None),
        ([SENT_BEFORE, BUSY], receipt("sent"), None),
        ([HELD, BUSY], receipt("sent"), "recovery"),
        ([HELD, BUSY], HELD, None),
        ([SENT_BEFORE], NO_TURN, "failure"),
        ([SENT_BEFORE, NO_TURN], receipt("sent"), "recovery"),
        ([HELD], APPROVED, None),
        ([], FOUND, "findings"),
        ([SENT_BEFORE, FOUND], FOUND, "findings"),
        ([FOUND], {**FOUND, "told": []}, None),
        ([HELD], FOUND, "recovery"),  # which tells of them, too
        ([FOUND], HELD, "failure"),
        ([SENT_BEFORE], {**receipt("sent"), "exit_code": 14}, "unrecorded"),
    ],
)
def test_what_is_news(before: list[Any], now: Any, told: str | None) -> None:
    assert events.event(history(before), Receipt.parse(now)) == told


# ---- what arrives -------------------------------------------------------------------------------


def test_a_webhook_says_what_happened_and_what_to_do(web: Web, secrets: Path) -> None:
    assert notify(feed(webhook_url=f"{web.url}/x/{{secret}}"), "failure", RECEIPT, secrets) == []
    [(command, path, body)] = web.got
    assert (command, path) == ("POST", f"/x/{SECRET}")
    told = json.loads(body)
    same = ("command", "outcome", "exit_code", "message", "night", "deadline")
    assert {key: told.pop(key) for key in same} == {key: RECEIPT[key] for key in same}
    assert told.pop("action").startswith(
        "Look first: roster-upload diff maple-grove, on the host as root, shows who "
    )
    assert told == {
        "version": 1,
        "kind": "failure",
        "feed": "maple-grove",
        "district": GOOD["district"],
        "host": socket.gethostname(),
        "time": RECEIPT["finished"],
        "findings": [],
    }


def test_a_mail_says_who_must_act(post: Post, secrets: Path) -> None:
    assert notify(post.feed(smtp_username="roster"), "failure", RECEIPT, secrets) == []
    message = post.message
    assert message["Subject"] == f"{GOOD['district']}: tonight's roster was not delivered"
    assert message["To"] == "it@maple.example, ops@vendor.example"
    assert message["From"] == "roster@maple.example"
    assert message["Date"].datetime.tzinfo
    assert message["Message-ID"].endswith("@maple.example>")
    body = message.get_content()
    for line in (
        RECEIPT["message"],
        "Who must act: SIS administrator",
        "- users.student: 500 of 2,000 would be removed",
        f"Feed: maple-grove on {socket.gethostname()}",
        f"Night: 2026-11-20, deadline {RECEIPT['deadline']}",
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
    assert ("Next step: roster-upload check maple-grove shows all" in body) is is_alone
    assert ("roster-upload check maple-grove" in told["action"]) is is_alone


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


@pytest.mark.parametrize(
    ("code", "url", "path"),
    [
        (None, "/ping/{secret}", f"/ping/{SECRET}/start"),
        (0, "/ping/{secret}/", f"/ping/{SECRET}/0"),
        (17, "/ping/{secret}?create=1", f"/ping/{SECRET}/17?create=1"),
    ],
)
def test_a_heartbeat_carries_the_exit_code(
    web: Web, secrets: Path, code: int | None, url: str, path: str
) -> None:
    assert heartbeat.beat(feed(heartbeat_url=f"{web.url}{url}"), secrets, code) == []
    assert web.got == [("GET", path, b"")]


def test_a_feed_without_channels_tells_nobody() -> None:
    assert notify(feed(), "failure", RECEIPT, None) == []
    assert heartbeat.beat(feed(), None, 0) == []


# ---- what does not arrive -----------------------------------------------------------------------


def hushed(told: list[str]) -> str:
    """The one sentence that was told, which holds neither a secret nor an address."""
    [sentence] = told
    for word in (SECRET, "a-secret_path", PASSWORD.strip(), "://", "Error"):
        assert word not in sentence
    assert "\n" not in sentence
    return sentence


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ((404, {}), "it answered 404"),
        ((500, {}), "it answered 500"),
        ((302, {"Location": "http://127.0.0.2:1/{secret}"}), "it answered 302"),
        ((302, {"Location": "/login"}), "it answered 302"),
    ],
)
def test_a_webhook_that_does_not_take_it_is_told(
    web: Web, secrets: Path, answer: Any, told: str
) -> None:
    web.answer = answer
    url = f"{web.url}/{{secret}}"
    sentence = hushed(notify(feed(webhook_url=url), "failure", RECEIPT, secrets))
    assert sentence == f"the webhook did not work: 127.0.0.1: {told}"
    assert len(web.got) == 1


def test_a_heartbeat_is_not_led_to_another_host(web: Web, secrets: Path) -> None:
    other = Web()
    with running(other.server):
        web.answer = (302, {"Location": f"{other.url}/{SECRET}"})
        told = heartbeat.beat(feed(heartbeat_url=f"{web.url}/{{secret}}"), secrets, 0)
        assert hushed(told) == "the heartbeat did not work: 127.0.0.1: it answered 302"
        assert other.got == []


def test_a_heartbeat_is_led_to_another_place_of_its_host(web: Web, secrets: Path) -> None:
    web.moved = {f"/{SECRET}/0": f"/new/{SECRET}/0"}
    assert heartbeat.beat(feed(heartbeat_url=f"{web.url}/{{secret}}"), secrets, 0) == []
    assert [path for _, path, _ in web.got] == [f"/{SECRET}/0", f"/new/{SECRET}/0"]


@pytest.mark.parametrize("purpose", ["webhook", "heartbeat"])
@pytest.mark.parametrize("is_empty", [True, False])
def test_a_secret_that_is_not_there_is_told(
    web: Web, secrets: Path, purpose: str, is_empty: bool
) -> None:
    path = secrets / f"maple-grove_{purpose}"
    path.write_text("\n") if is_empty else path.unlink()
    with_url = feed(**{f"{purpose}_url": f"{web.url}/{{secret}}"})
    told = [
        *notify(with_url, "failure", RECEIPT, secrets),
        *heartbeat.beat(with_url, secrets, 0),
    ]
    assert f"the {purpose} did not work: its secret {purpose} is not on this host" in hushed(told)
    assert web.got == []


def test_a_mail_password_that_is_not_there_is_told(post: Post) -> None:
    told = notify(post.feed(smtp_username="roster"), "failure", RECEIPT, None)
    assert "the mail did not work: its secret smtp is not on this host" in hushed(told)
    assert post.said == []


@pytest.mark.parametrize(
    ("refused", "told"),
    [
        ({"auth": "535 no"}, "127.0.0.1: it answered 535"),
        ({"mail": "451 later"}, "127.0.0.1: it answered 451"),
        ({"rcpt": "550 nobody"}, "127.0.0.1: it refused all of the addressees"),
        ({"rcpt TO:<it@": "550 nobody"}, "127.0.0.1 refused 1 of the addressees"),
        ({"data": "554 spam"}, "127.0.0.1: it answered 554"),
        ({"auth": ""}, "127.0.0.1: it hung up"),
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
    assert "it does not offer what smtp_security" in told
    assert not any(line.startswith(("auth", "mail")) for line in post.said)


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("http://no-such-host.invalid/{secret}", "no-such-host.invalid: its name cannot be resol"),
        ("http://127.0.0.1:{closed}/{secret}", "127.0.0.1: Connection refused"),
        ("http://127.0.0.1:{smtp}/{secret}", "127.0.0.1: its answer is not HTTP"),
        ("http://127.0.0.1:{closed}/a b/{secret}", "127.0.0.1: its address is invalid"),
        ("http://me:pass@127.0.0.1:{closed}/{secret}", "its address names a user; put a secret"),
        ("https://127.0.0.1:{smtp}/{secret}", "127.0.0.1: no TLS connection comes about"),
    ],
)
def test_a_server_that_is_none_is_told(
    secrets: Path,
    closed_port: int,
    post: Post,
    url: str,
    told: str,
    capfd: pytest.CaptureFixture[str],
) -> None:
    url = url.replace("{closed}", str(closed_port)).replace("{smtp}", str(post.port))
    for sentence in (
        hushed(notify(feed(webhook_url=url), "failure", RECEIPT, secrets)),
        hushed(heartbeat.beat(feed(heartbeat_url=url), secrets, 0)),
    ):
        assert f"did not work: {told}" in sentence
    assert capfd.readouterr() == ("", "")


def certified(folder: Path, host: str) -> ssl.SSLContext:
    """A server's context for a name that nobody but `folder/server.pem` vouches for."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, host)])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    form = (serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path = folder / "server.pem"
    path.write_bytes(key.private_bytes(pem, *form) + certificate.public_bytes(pem))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return context


def test_a_certificate_that_nobody_vouches_for_is_refused(
    web: Web, secrets: Path, tmp_path: Path
) -> None:
    context = certified(tmp_path, "localhost")
    web.server.socket = context.wrap_socket(web.server.socket, server_side=True)
    port = web.server.server_port
    told = heartbeat.beat(feed(heartbeat_url=f"https://localhost:{port}/{{secret}}"), secrets, 0)
    assert "localhost: its certificate is not to be trusted" in hushed(told)
    assert web.got == []


def test_all_that_hangs_is_given_up_together(silent_port: int, secrets: Path, waits: Waits) -> None:
    """A web server and a mail server that never answer cost one limit, not two."""
    hanging = feed(
        webhook_url=f"http://127.0.0.1:{silent_port}/{{secret}}",
        mail_to=["it@maple.example"],
        mail_from="roster@maple.example",
        smtp_host="127.0.0.1",
        smtp_port=silent_port,
    )
    told = notify(hanging, "failure", RECEIPT, secrets)
    assert sum(waits.seconds) == channel.ALL_SECONDS
    assert told == [
        f"the webhook did not work: no answer of 127.0.0.1 within {channel.ALL_SECONDS} s",
        f"the mail did not work: no answer of 127.0.0.1 within {channel.ALL_SECONDS} s",
    ]


def test_each_channel_gives_up_by_itself(
    silent_port: int, secrets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heartbeat, "CHANNEL_SECONDS", 0.2)
    hanging = feed(
        webhook_url=f"http://127.0.0.1:{silent_port}/{{secret}}",
        mail_to=["it@maple.example"],
        mail_from="roster@maple.example",
        smtp_host="127.0.0.1",
        smtp_port=silent_port,
    )
    assert notify(hanging, "failure", RECEIPT, secrets) == [
        "the webhook did not work: 127.0.0.1: no answer in time",
        "the mail did not work: 127.0.0.1: no answer in time",
    ]


def test_a_server_that_drips_is_given_up(waits: Waits, secrets: Path) -> None:
    """No wait for a byte is too long, but all of them are."""
    is_over, has_dripped = threading.Event(), threading.Event()
    waits.is_over = has_dripped.is_set

    class Dripping(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with contextlib.suppress(OSError):
                for sent in itertools.count():
                    self.request.sendall(b"H")
                    if sent == 5:
                        has_dripped.set()
                    if is_over.wait(0.02):
                        return

    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Dripping)
    with running(server):
        url = f"http://127.0.0.1:{server.server_address[1]}/{{secret}}"
        told = heartbeat.beat(feed(heartbeat_url=url), secrets, 0)
        is_over.set()
    limit = channel.CHANNEL_SECONDS
    assert waits.seconds == [limit]
    assert hushed(told) == f"the heartbeat did not work: no answer of 127.0.0.1 within {limit} s"


def test_one_channel_works_while_another_hangs(silent_port: int, post: Post, waits: Waits) -> None:
    waits.is_over = lambda: waits.hanging == 1
    url = f"http://127.0.0.1:{silent_port}/"
    [told] = notify(post.feed(webhook_url=url), "failure", RECEIPT, None)
    assert told.startswith("the webhook did not work: no answer")
    assert post.mail


def test_a_name_server_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """The resolver has no timeout of its own that a socket's would end."""
    released, is_back = threading.Event(), threading.Event()

    def hang(*_: Any, **__: Any) -> Any:
        released.wait(60)
        is_back.set()
        raise socket.gaierror

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    monkeypatch.setattr(heartbeat, "CHANNEL_SECONDS", 0.2)
    told = heartbeat.beat(feed(heartbeat_url="http://beat.example/"), None, None)
    assert not is_back.is_set()
    assert told == ["the heartbeat did not work: no answer of beat.example within 0.2 s"]
    released.set()


def test_the_limits_leave_a_delivery_its_time() -> None:
    assert channel.ALL_SECONDS <= 15
    assert channel.CHANNEL_SECONDS <= 10


def test_telling_never_raises(secrets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", fail)
    told = heartbeat.beat(feed(heartbeat_url="http://127.0.0.1:1/{secret}"), secrets, 0)
    assert hushed(told) == "the heartbeat did not work: the system allows no further thread"


def test_a_receipt_that_knows_little_is_told_all_the_same(web: Web, post: Post) -> None:
    bare = {"feed": "maple-grove", "outcome": "failed", "exit_code": 199, "message": "odd"}
    assert notify(post.feed(webhook_url=web.url), "failure", bare, None) == []
    assert json.loads(web.got[0][2])["message"] == "odd"
    assert "Who must act: unknown" in post.message.get_content()


# ---- metrics ------------------------------------------------------------------------------------

SAMPLE = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)\{(.*)\} (\S+)")
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(,|$)')
ESCAPES = {'\\"': '"', "\\\\": "\\", "\\n": "\n"}
Metrics = dict[tuple[str, frozenset[tuple[str, str]]], float]


def parsed(text: str) -> Metrics:
    """The samples of a text in Prometheus' exposition format, held to all of its rules.

    Each family: HELP, then TYPE, then its samples together, none of them twice.
    """
    assert text.endswith("\n")
    samples: Metrics = {}
    families: list[str] = []
    for line in text.splitlines():
        if line.startswith("# HELP "):
            _, _, name, words = line.split(" ", 3)
            assert name not in families
            assert words
            families.append(name)
            is_typed = False
        elif line.startswith("# TYPE "):
            assert line.split(" ")[2:] == [families[-1], "gauge"]
            is_typed = True
        else:
            match = SAMPLE.fullmatch(line)
            assert match, line
            assert is_typed
            assert match[1] == families[-1]
            key = (match[1].removeprefix("roster_upload_"), labels(match[2]))
            assert key not in samples
            samples[key] = float(match[3])
    return samples


def labels(text: str) -> frozenset[tuple[str, str]]:
    found = []
    while text:
        match = LABEL.match(text)
        assert match, text
        value = re.sub(r"\\.", lambda escape: ESCAPES[escape[0]], match[2])
        found.append((match[1], value))
        text = text[match.end() :]
    assert len(dict(found)) == len(found)
    return frozenset(found)


def sample(metrics: Metrics, name: str, feed: str = "maple-grove", **more: str) -> float:
    return metrics[name, frozenset({"feed": feed, **more}.items())]


def seconds(text: str) -> float:
    return dt.datetime.fromisoformat(text).timestamp()


def test_metrics_tell_the_last_delivery_and_the_last_good_one(tmp_path: Path) -> None:
    path = tmp_path / "maple-grove.prom"
    held = {**RECEIPT, "finished": "2026-11-21T07:12:03Z", "seconds": {"guard": 0.5}}
    rehearsed = {**SENT, "command": "rehearse", "outcome": "rehearsed", "finished": "x"}
    metrics.write(path, "maple-grove", history([SENT, APPROVED, held, rehearsed]))
    got = parsed(path.read_text("utf-8"))
    assert path.stat().st_mode & 0o777 == 0o644
    assert list(tmp_path.iterdir()) == [path]
    assert sample(got, "last_run_timestamp_seconds") == seconds("2026-11-21T07:12:03Z")
    assert sample(got, "last_success_timestamp_seconds") == seconds("2026-11-20T07:12:03Z")
    assert sample(got, "last_sent_timestamp_seconds") == seconds("2026-11-20T07:12:03Z")
    assert sample(got, "exit_code") == 17
    states = {o.value: sample(got, "outcome", outcome=o) for o in OF_DELIVERIES}
    assert states == {**dict.fromkeys(map(str, OF_DELIVERIES), 0), "held": 1}
    totals = {o.value: sample(got, "deliveries", outcome=o) for o in OF_DELIVERIES}
    assert totals == {**dict.fromkeys(map(str, OF_DELIVERIES), 0), "held": 1, "sent": 1}
    assert sample(got, "package_bytes") == 1_942_113
    assert sample(got, "package_rows", file="classes") == 95
    assert sample(got, "package_records", kind="users.student") == 2001
    assert sample(got, "phase_duration_seconds", phase="guard") == 0.5
    assert sample(got, "margin_seconds") == 107 * 60 + 57


def test_metrics_hold_numbers_whole() -> None:
    big = {**SENT, "source": {"bytes": 1_999_999_999}, "finished": "2026-11-20T09:00:01Z"}
    got = parsed(metrics.exposition("maple-grove", history([big])))
    assert sample(got, "package_bytes") == 1_999_999_999
    assert sample(got, "margin_seconds") == -1
    assert sample(got, "phase_duration_seconds", phase="dns") == 0.0123456
    assert all(math.isfinite(value) for value in got.values())


def test_a_night_that_is_skipped_by_plan_is_a_success() -> None:
    skipped = {**receipt("skipped", Exit.PAUSED), "finished": "2026-11-21T07:12:03Z"}
    got = parsed(metrics.exposition("maple-grove", history([SENT, skipped])))
    assert sample(got, "last_success_timestamp_seconds") == seconds("2026-11-21T07:12:03Z")
    assert sample(got, "last_sent_timestamp_seconds") == seconds("2026-11-20T07:12:03Z")


def test_labels_are_escaped() -> None:
    odd = 'a "quoted" \\ back\\nslash\nand a line, x="y"}'
    got = parsed(metrics.exposition(odd, history([{**SENT, "rows": {odd: 7}}])))
    assert sample(got, "package_rows", feed=odd, file=odd) == 7


def test_a_feed_without_a_delivery_has_no_metrics(tmp_path: Path) -> None:
    path = tmp_path / "maple-grove.prom"
    metrics.write(path, "maple-grove", history([APPROVED]))
    assert path.read_text() == ""


def test_metrics_are_never_half_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "maple-grove.prom"
    metrics.write(path, "maple-grove", history([SENT]))
    before = path.read_bytes()

    def full(_descriptor: int, _mode: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fchmod", full)
    with pytest.raises(OSError, match="No space"):
        metrics.write(path, "maple-grove", history([SENT, {**RECEIPT}]))
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_reader_of_metrics_keeps_what_it_opened(tmp_path: Path) -> None:
    path = tmp_path / "maple-grove.prom"
    metrics.write(path, "maple-grove", history([SENT]))
    before = path.read_bytes()
    with path.open("rb") as reader:
        metrics.write(path, "maple-grove", history([SENT, RECEIPT]))
        assert reader.read() == before != path.read_bytes()


# ---- what is sent how ---------------------------------------------------------------------------


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
        assert "localhost: its certificate is not to be trusted" in hushed(told)


def test_no_proxy_of_the_environment_is_used(
    web: Web, secrets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = Web()
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, proxy.url)
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with running(proxy.server):
        assert heartbeat.beat(feed(heartbeat_url=f"{web.url}/{{secret}}"), secrets, 0) == []
    assert (len(web.got), proxy.got) == (1, [])


def test_a_secret_is_quoted_in_the_address(web: Web, secrets: Path) -> None:
    (secrets / "maple-grove_webhook").write_text(" a b?c#d&e%2f\u00e9/-_.~\r\n")
    url = f"{web.url}/x?key={{secret}}"
    assert notify(feed(webhook_url=url), "failure", RECEIPT, secrets) == []
    assert web.got[0][1] == "/x?key=%20a%20b%3Fc%23d%26e%252f%C3%A9/-_.~"


def test_a_webhook_says_that_it_is_json(secrets: Path) -> None:
    got: list[Any] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            got.append(self.headers)
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server, running(server):
        url = f"http://127.0.0.1:{server.server_port}/"
        assert notify(feed(webhook_url=url), "failure", RECEIPT, secrets) == []
    assert (got[0]["Content-Type"], got[0]["User-Agent"]) == ("application/json", "roster-upload")


def test_a_redirect_to_a_page_without_tls_is_not_followed() -> None:
    before = Request("https://alerts.example/x")
    led = channel.SameHost().redirect_request
    for there, follows in (
        ("https://alerts.example/y", True),
        ("http://alerts.example/y", False),
        ("https://alerts.example:444/y", False),
        ("https://other.example/y", False),
    ):
        assert (led(before, None, 302, "Found", {}, there) is not None) is follows


def test_a_mail_is_marked_as_sent_by_a_program(post: Post) -> None:
    assert notify(post.feed(), "failure", RECEIPT, None) == []
    assert post.message["Auto-Submitted"] == "auto-generated"
    assert f"Time: {RECEIPT['finished']}" in post.message.get_content()
    assert not any(line.startswith("auth") for line in post.said), "no login is configured"


TITLE = "\x1b]0;All good\x07\x9b31m\u2028"


def test_no_alert_holds_what_steers_a_terminal(web: Web, post: Post, secrets: Path) -> None:
    told = {**RECEIPT, "message": TITLE, "held": [TITLE], "night": TITLE}
    one = dataclasses.replace(post.feed(), webhook_url=f"{web.url}/x", mail_to=("a@maple.example",))
    assert notify(one, "failure", told, secrets) == []
    for line in post.message.get_content().replace("\r\n", "\n").split("\n"):
        assert line.isprintable()
    [(_, _, body)] = web.got
    assert json.loads(body)["message"] == r"\x1b]0;All good\x07\x9b31m\u2028"


@pytest.mark.parametrize("command", ["mail", "rcpt", "data"])
def test_the_words_of_a_mail_server_are_not_told(post: Post, command: str, secrets: Path) -> None:
    post.refused = {command: f"550 {TITLE}"}
    [told] = notify(post.feed(), "failure", RECEIPT, secrets)
    assert told.isprintable()
    assert "All good" not in told
