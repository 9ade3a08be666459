"""No channel harms a delivery: each is given up in time, and no secret is shown."""

from __future__ import annotations

import contextlib
import itertools
import socket
import socketserver
import threading
from pathlib import Path
from typing import Any

import pytest
from roster_upload.notify.channels import channel, heartbeat
from support.alert_servers import SECRET, Post, Waits, Web, certified, feed, hushed, running


@pytest.mark.parametrize("is_empty", [True, False])
def test_a_secret_that_is_not_there_is_told(web: Web, secrets: Path, is_empty: bool) -> None:
    path = secrets / "maple-grove_heartbeat"
    path.write_text("\n") if is_empty else path.unlink()
    told = heartbeat.beat(feed(heartbeat_url=f"{web.url}/{{secret}}"), secrets, 0)
    assert "the heartbeat did not work: its secret heartbeat is not on this host" in hushed(told)
    assert web.got == []


@pytest.mark.parametrize(
    ("content", "path"),
    [
        (" a b?c#d&e%2f\u00e9/-_.~\r\n", "/x/0?key=%20a%20b%3Fc%23d%26e%252f%C3%A9/-_.~"),
        (f"{SECRET}\n", f"/x/0?key={SECRET}"),
    ],
)
def test_a_secret_is_quoted_in_the_address(
    web: Web, secrets: Path, content: str, path: str
) -> None:
    (secrets / "maple-grove_heartbeat").write_text(content)
    assert heartbeat.beat(feed(heartbeat_url=f"{web.url}/x?key={{secret}}"), secrets, 0) == []
    assert web.got[0][1] == path


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("http://no-such-host.invalid/{secret}", "no-such-host.invalid: its name cannot be resol"),
        ("http://127.0.0.1:{closed}/{secret}", "127.0.0.1: Connection refused"),
        ("http://127.0.0.1:{smtp}/{secret}", "127.0.0.1: its answer is not HTTP"),
        ("http://127.0.0.1:{closed}/a b/{secret}", "127.0.0.1: its address is invalid"),
        ("http://me:pass@127.0.0.1:{closed}/{secret}", "its address names a user. Put a secret"),
        ("https://127.0.0.1:{smtp}/{secret}", "127.0.0.1: the TLS connection failed"),
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
    sentence = hushed(heartbeat.beat(feed(heartbeat_url=url), secrets, 0))
    assert f"did not work: {told}" in sentence
    assert capfd.readouterr() == ("", "")


def test_a_certificate_that_nobody_vouches_for_is_refused(
    web: Web, secrets: Path, tmp_path: Path
) -> None:
    context = certified(tmp_path, "localhost")
    web.server.socket = context.wrap_socket(web.server.socket, server_side=True)
    port = web.server.server_port
    told = heartbeat.beat(feed(heartbeat_url=f"https://localhost:{port}/{{secret}}"), secrets, 0)
    assert "localhost: its certificate is not trusted" in hushed(told)
    assert web.got == []


def test_a_channel_gives_up_by_itself(
    silent_port: int, secrets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(channel, "CHANNEL_SECONDS", 0.2)
    url = f"http://127.0.0.1:{silent_port}/{{secret}}"
    told = hushed(heartbeat.beat(feed(heartbeat_url=url), secrets, 0))
    assert told == "the heartbeat did not work: 127.0.0.1: no answer in time"


def test_a_server_that_drips_is_given_up(waits: Waits, secrets: Path) -> None:
    """No wait for a byte is too long, but all of them together are."""
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
    assert hushed(told) == f"the heartbeat did not work: no answer from 127.0.0.1 within {limit} s"


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
    assert told == ["the heartbeat did not work: no answer from beat.example within 0.2 s"]
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
