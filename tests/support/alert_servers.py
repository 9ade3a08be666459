"""Servers that alerts talk to, feeds that use them, and receipts to notify of."""

from __future__ import annotations

import contextlib
import datetime as dt
import email
import email.message
import email.policy
import http.server
import socket
import socketserver
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from roster_upload import config
from roster_upload.config import Feed
from roster_upload.exits import Exit
from roster_upload.notify import notifier
from roster_upload.records.receipt import Receipt
from unit.test_config import GOOD

from support import waiting

SECRET = "T0/a-secret_path"
PASSWORD = "its own/pass@word"
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
    """Return a feed with changes to a good configuration."""
    return config.parse({**GOOD, **changes})


def notify(feed: Feed, kind: str, receipt: dict[str, Any], secrets: Path | None) -> list[str]:
    """Notify of a receipt."""
    return notifier.notify(feed, kind, Receipt.parse(receipt), secrets)


class Web:
    """A web server that keeps its requests, and answers as `answer` and `moved` say."""

    def __init__(self) -> None:
        self.got: list[tuple[str, str, bytes]] = []
        self.headers: list[dict[str, str]] = []
        self.answer: tuple[int, dict[str, str]] = (200, {})
        self.content = b""
        self.moved: dict[str, str] = {}  # from a path to another address
        web = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def _take(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                web.got.append((self.command, self.path, body))
                code, headers = web.answer
                if there := web.moved.get(self.path):
                    code, headers = 302, {"Location": there}
                web.headers.append(dict(self.headers))
                self.send_response(code)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()
                with contextlib.suppress(OSError):
                    self.wfile.write(web.content)

            do_GET = do_POST = _take  # noqa: N815 - names of the library

            def log_message(self, *_: object) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.json_url = self.url.replace("http", "json")


@contextlib.contextmanager
def running(server: socketserver.BaseServer) -> Iterator[None]:
    """Serve in a thread until the end."""
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class Post:
    """A mail server that keeps its conversation and the mail.

    `refused` answers some commands, by hanging up if the answer is empty. With `tls` it offers
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

    def url(self, scheme: str = "mailto", login: str = "", host: str = "127.0.0.1") -> str:
        """Return the address of a channel that mails through this server."""
        mail = "from=roster@maple.example&to=it@maple.example,ops@vendor.example"
        return f"{scheme}://{login}{host}:{self.port}?{mail}&smtp={host}"

    @property
    def message(self) -> email.message.EmailMessage:
        """Return the mail that arrived."""
        message = email.message_from_bytes(self.mail, policy=email.policy.default)
        assert isinstance(message, email.message.EmailMessage)
        return message


class Waits:
    """The waits for channels and their limits, by a clock that moves only with them."""

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


def receipt(outcome: str, code: Exit = Exit.OK, night: int = 20, command: str = "send") -> Any:
    return {
        **RECEIPT,
        "outcome": outcome,
        "exit_code": int(code),
        "night": f"2026-11-{night}",
        "command": command,
    }


HELD = receipt("held", Exit.HELD)
APPROVED = {"outcome": "approved", "command": "approve", "digest": "ab" * 32, "finished": ""}


def hushed(told: list[str]) -> str:
    """Return the only message, which holds neither a secret nor an address."""
    [sentence] = told
    for word in (SECRET, "a-secret_path", PASSWORD, "://", "Error"):
        assert word not in sentence
    assert "\n" not in sentence
    return sentence


def certified(folder: Path, host: str, *others: str) -> ssl.SSLContext:
    """Return a server's context for names that only `folder/server.pem` certifies."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, host)])
    names = [x509.DNSName(one) for one in (host, *others)]
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    form = (serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path = folder / "server.pem"
    path.write_bytes(key.private_bytes(pem, *form) + certificate.public_bytes(pem))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return context


TITLE = "\x1b]0;All good\x07\x9b31m\u2028"
