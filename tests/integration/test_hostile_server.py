"""A hostile server: its texts cannot control a terminal, and nothing of it is endless."""

from __future__ import annotations

import contextlib
import json
import socket
import struct
import threading
import urllib.parse
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import paramiko
import pytest
from paramiko.common import (
    AUTH_FAILED,
    AUTH_PARTIALLY_SUCCESSFUL,
    AUTH_SUCCESSFUL,
    MSG_CHANNEL_OPEN,
    OPEN_SUCCEEDED,
    cMSG_CHANNEL_EXTENDED_DATA,
    cMSG_CHANNEL_OPEN_FAILURE,
    cMSG_EXT_INFO,
    cMSG_USERAUTH_FAILURE,
    cMSG_USERAUTH_INFO_REQUEST,
)
from paramiko.message import Message
from paramiko.server import InteractiveQuery
from roster_upload.exits import Exit
from roster_upload.terminal.printable import printable
from roster_upload.transfer import listing, messages
from support import waiting
from support.alert_servers import Post, Web, running
from support.district import FEED, District
from support.vendor import LISTED_AT_ONCE, Vendor, attempt

TITLE = "\x1b]0;All districts delivered\x07\x1b[2J\x9b31m\u202e\u2028"
KEY = paramiko.ECDSAKey.generate()
OK, REFUSED = struct.pack(">I", messages.OK), struct.pack(">I", messages.FAILURE)


def text(words: str | bytes) -> bytes:
    """Return a text as SSH sends it."""
    data = words.encode() if isinstance(words, str) else words
    return struct.pack(">I", len(data)) + data


def send(transport: Any, message: Message) -> None:
    """Send a packet, whether or not the protocol allows it."""
    transport._send_message(message)


@dataclass
class Hostile(paramiko.ServerInterface):
    """A server whose texts an attacker has chosen."""

    before: bytes = b""  # instead of a handshake
    version: str = ""
    kex: str = ""  # the only algorithm that is offered
    methods: str = "password"
    login: int = AUTH_SUCCESSFUL
    question: tuple[str, str] = ("", "")  # an instruction, and a prompt
    refuses_channel: bool = False
    info: bytes = b""  # a packet after the login's request
    sftp: Callable[[paramiko.Channel], None] | None = None
    port: int = 0
    over: threading.Event = field(default_factory=threading.Event)

    def get_allowed_auths(self, username: str) -> str:
        return self.methods

    def get_banner(self) -> Any:
        return TITLE, "en"

    def check_auth_password(self, username: str, password: str) -> int:
        if self.info:
            send(self.transport, Message(self.info))
        return self.login

    def check_auth_interactive(self, username: str, submethods: str) -> Any:
        instruction, prompt = self.question
        return InteractiveQuery(TITLE, instruction, (prompt, False))

    def check_channel_request(self, kind: str, chanid: int) -> int:
        return OPEN_SUCCEEDED

    def check_channel_subsystem_request(self, channel: paramiko.Channel, name: str) -> bool:
        assert self.sftp
        threading.Thread(target=self._talk, args=(self.sftp, channel), daemon=True).start()
        return True

    @staticmethod
    def _talk(sftp: Callable[[paramiko.Channel], None], channel: paramiko.Channel) -> None:
        with contextlib.suppress(OSError, EOFError, paramiko.SSHException):
            sftp(channel)

    def serve(self, connection: socket.socket) -> None:
        """Serve one connection to its end."""
        connection.sendall(self.before)
        with contextlib.closing(paramiko.Transport(connection)) as transport:
            self.transport = transport
            transport.add_server_key(KEY)
            transport.local_version = self.version or transport.local_version
            if self.kex:
                transport._preferred_kex = (self.kex,)  # type: ignore[attr-defined]
            if self.refuses_channel:
                handlers: Any = transport._handler_table  # type: ignore[attr-defined]
                transport._handler_table = {  # type: ignore[attr-defined]
                    **handlers, MSG_CHANNEL_OPEN: self._refuse,
                }  # fmt: skip
            with contextlib.suppress(paramiko.SSHException, EOFError, OSError):
                transport.start_server(threading.Event(), self)
            self.over.wait(waiting.HANG_SECONDS)

    def _refuse(self, *arguments: Message) -> None:
        asked = arguments[-1]  # paramiko of Debian 12 passes the transport, too
        asked.get_text()
        answer = Message()
        answer.add_byte(cMSG_CHANNEL_OPEN_FAILURE)
        answer.add_int(asked.get_int())
        answer.add_int(1)
        answer.add_string(TITLE)
        answer.add_string("en")
        send(self.transport, answer)


@contextlib.contextmanager
def serving(hostile: Hostile) -> Iterator[Hostile]:
    """Serve all connections on a free loopback port until the end."""
    threads: list[threading.Thread] = []

    def take() -> None:
        while not hostile.over.is_set():
            connection, _ = server.accept()
            one = threading.Thread(target=hostile.serve, args=(connection,), daemon=True)
            one.start()
            threads.append(one)

    with socket.create_server(("127.0.0.1", 0)) as server:
        hostile.port = server.getsockname()[1]
        accepting = threading.Thread(target=take, daemon=True)
        accepting.start()
        try:
            yield hostile
        finally:
            hostile.over.set()
            with socket.create_connection(("127.0.0.1", hostile.port)):
                accepting.join(waiting.HANG_SECONDS)
            for thread in threads:
                thread.join(waiting.HANG_SECONDS)


@pytest.fixture
def web() -> Iterator[Web]:
    """Start the district's alerts and heartbeat, whose answers are hostile, too."""
    made = Web()
    made.answer = 500, {"Location": TITLE.encode().decode("latin-1").replace("\x0a", "")}
    with running(made.server):
        yield made


@pytest.fixture
def post() -> Iterator[Post]:
    """Start the district's mail server."""
    made = Post()
    with running(made.server):
        yield made


def texts(value: Any) -> Iterator[str]:
    """Yield all texts of a JSON value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for one in value.items() if isinstance(value, dict) else value:
            yield from texts(list(one) if isinstance(one, tuple) else one)


def assert_all_printable(district: District, web: Web, post: Post, told: str) -> None:
    """Assert that nothing a run has left contains a terminal's control character."""
    views = [district.run(view, FEED)[1] for view in ("status", "history", "explain")]
    for line in [line for shown in (told, *views) for line in shown.split("\n")]:
        assert line.isprintable(), line
    for one in texts(district.receipts):
        assert one.isprintable(), one
    for _, path, body in web.got:
        assert urllib.parse.unquote(path).isprintable()
        for one in texts(json.loads(body)) if body else ():
            assert one.replace("\n", "").isprintable(), one
    message = post.message
    for header, value in message.items():
        assert (header + str(value)).isprintable()
    for line in message.get_content().replace("\r\n", "\n").split("\n"):
        assert line.isprintable(), line


def send_to(
    hostile: Hostile, district: District, web: Web, post: Post, **changes: Any
) -> tuple[int, str]:
    """Send to a server, with all alerts. Check everything that the run has left."""
    with serving(hostile):
        district.configure(
            remote_port=hostile.port,
            host_keys=[f"{KEY.get_name()} {KEY.get_base64()}"],
            alert_urls=[f"{web.json_url}/alert", post.url()],
            heartbeat_url=f"{web.url}/ping",
            **changes,
        )
        code, told = district.send()
    assert "the alert to json did not work: HTTP 500 from 127.0.0.1" in told
    assert_all_printable(district, web, post, told)
    return code, told


# ---- a hostile SFTP ------------------------------------------------------------------------------


def requests(channel: paramiko.Channel) -> Iterator[tuple[int, bytes, bytes]]:
    """Yield the requests on a channel: their kinds, their numbers and the rest."""
    data = b""
    while True:
        while len(data) < 4 or len(data) < 4 + int.from_bytes(data[:4], "big"):
            piece = channel.recv(65536)
            if not piece:
                return
            data += piece
        length = int.from_bytes(data[:4], "big")
        yield data[4], data[5:9], data[9 : 4 + length]
        data = data[4 + length :]


def say(channel: paramiko.Channel, kind: int, body: bytes) -> None:
    channel.sendall(struct.pack(">IB", len(body) + 1, kind) + body)


def greet(channel: paramiko.Channel) -> Iterator[tuple[int, bytes, bytes]]:
    """Answer the greeting, and yield the requests that follow."""
    asked = requests(channel)
    next(asked)
    extensions = b"".join(text(f"{TITLE}{number}") + text(TITLE) for number in range(1000))
    say(channel, messages.VERSION, struct.pack(">I", 3) + extensions)
    return asked


def refuses_all(channel: paramiko.Channel) -> None:
    for _, number, _ in greet(channel):
        say(channel, messages.STATUS, number + REFUSED + text(TITLE * 2000) + text(""))


def answers_amiss(channel: paramiko.Channel) -> None:
    for _, number, _ in greet(channel):
        say(channel, messages.HANDLE, number + b"\xff" * 4)


def floods(channel: paramiko.Channel) -> None:
    """Send more than the client has offered space for, without waiting."""
    asked = greet(channel)
    next(asked)
    transport = channel.get_transport()
    while True:
        data = Message()
        data.add_byte(cMSG_CHANNEL_EXTENDED_DATA)
        data.add_int(channel.remote_chanid)
        data.add_int(1)  # the error output, which nobody reads
        data.add_string(bytes(32000))
        send(transport, data)


def info_request(count: int) -> bytes:
    return cMSG_USERAUTH_INFO_REQUEST + text("") * 3 + struct.pack(">I", count)


def asking(words: str) -> Hostile:
    """Return a server that takes no password and asks for something."""
    question = TITLE, TITLE + words
    return Hostile(methods="keyboard-interactive", login=AUTH_FAILED, question=question)


@pytest.mark.parametrize(
    ("hostile", "code", "told"),
    [
        (Hostile(before=TITLE.encode() + b"\r\n", login=AUTH_FAILED), Exit.LOGIN, "was refused"),
        (Hostile(before=TITLE.encode() + b"\r\n", kex=TITLE), Exit.NEGOTIATION, "in common"),
        (Hostile(version=f"SSH-2.0-{TITLE}", login=AUTH_FAILED), Exit.LOGIN, "was refused"),
        (Hostile(kex=TITLE), Exit.NEGOTIATION, "no algorithm in common"),
        (Hostile(methods=TITLE, login=AUTH_FAILED), Exit.LOGIN, "the server accepts "),
        (
            Hostile(methods=TITLE, login=AUTH_PARTIALLY_SUCCESSFUL),
            Exit.SECOND_FACTOR,
            "asks for more",
        ),
        (asking("code"), Exit.SECOND_FACTOR, "asks for more than the password"),
        (asking("new password"), Exit.PASSWORD_EXPIRED, "asks for a new password"),
        (Hostile(info=info_request(0xFFFF_FFFF)), Exit.LOGIN, "was ended by the server"),
        (
            Hostile(info=cMSG_USERAUTH_FAILURE + text(b"\xff") + b"\0"),
            Exit.LOGIN,
            "not as an SSH server",
        ),
        (Hostile(info=cMSG_EXT_INFO + b"\xff" * 4), Exit.LOGIN, "was ended by the server"),
        (Hostile(refuses_channel=True), Exit.PERMISSION, "opened no SFTP session"),
        (Hostile(sftp=refuses_all), Exit.TRANSFER, "the server refused"),
        (Hostile(sftp=answers_amiss), Exit.TRANSFER, "broke the protocol"),
        (Hostile(sftp=floods), Exit.TRANSFER, "more than the window"),
    ],
)
def test_a_hostile_server_steers_no_terminal(
    district: District, web: Web, post: Post, hostile: Hostile, code: Exit | None, told: str
) -> None:
    found, said = send_to(hostile, district, web, post)
    if code:
        assert found == code, said
        assert told in said
    if hostile.sftp:  # its banner comes with the login
        assert district.last["remote"]["banner"] == printable(TITLE.strip())
    assert len(said) < 8000


# ---- listings without an end, and files with names of their own ----------------------------------


def test_a_listing_without_an_end_costs_no_delivery(district: District, vendor: Vendor) -> None:
    vendor.lists_without_end = True
    code, told = attempt(district, learns=True)
    assert code == Exit.OK, told
    assert vendor.held["OneRoster.zip"] == district.export.read_bytes()
    assert vendor.requests.count("readdir") < 2 * listing.MOST_NAMES / LISTED_AT_ONCE + 10


def test_a_hostile_export_steers_no_terminal(district: District, web: Web, post: Post) -> None:
    """Its own name, the names in it, a header and a value."""
    district.export.unlink()
    name = f"{TITLE}.zip".replace("/", "")
    files = {f"{TITLE}.csv": b"x", "users.csv": f"sourcedId,{TITLE}\n{TITLE},1\n".encode()}
    with zipfile.ZipFile(district.export.with_name(name), "w") as package:
        for member, data in files.items():
            package.writestr(member, data)
    source = str(district.folder / "*.zip")
    code, told = send_to(Hostile(), district, web, post, source=source)
    assert code == Exit.REFUSED, told
    lines = district.run("check", FEED)[1].split("\n")
    assert [line for line in lines if not line.isprintable()] == []
    other = district.export.with_name(f"{TITLE}2.zip".replace("/", ""))
    other.write_bytes(b"x")
    for command in (["check", FEED], ["check", "--file", str(other)]):
        lines = district.run(*command)[1].split("\n")
        assert [line for line in lines if not line.isprintable()] == []


def test_a_login_that_was_learned_gives_way_to_the_servers(
    district: District, vendor: Vendor
) -> None:
    vendor.only_interactive = True
    assert district.send()[0] == Exit.OK
    assert district.run("rehearse", FEED)[0] == Exit.OK
    vendor.only_interactive = False
    vendor.connections = 0
    for connections in (3, 4):  # it is tested again at once
        code, told = district.run("rehearse", FEED)
        assert code == Exit.OK, told
        assert district.last["remote"]["login"] == "password"
        assert vendor.connections == connections
