"""The network of Apprise's plugins is verified and bounded, in a conversation only."""

from __future__ import annotations

import smtplib
from pathlib import Path

import pytest
import requests
from roster_upload.notify.channels import apprise, apprise_network
from support.alert_servers import SECRET, Post, Web, certified, hushed, running


@pytest.mark.parametrize("mode", ["ssl", "starttls"])
@pytest.mark.parametrize(
    ("host", "is_trusted", "arrives"),
    [("localhost", True, True), ("localhost", False, False), ("mail.example", True, False)],
)
def test_a_mail_goes_to_a_server_that_proves_its_name(
    post: Post, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str, host: str,
    is_trusted: bool, arrives: bool,
) -> None:  # fmt: skip
    post.tls = certified(tmp_path, host)
    if is_trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "server.pem"))
    if mode == "ssl":
        post.server.socket = post.tls.wrap_socket(post.server.socket, server_side=True)
    told = apprise.send([f"{post.url('mailtos', 'me:pw@', 'localhost')}&mode={mode}"], "t", "b")
    assert bool(post.mail) is any(line.startswith("auth") for line in post.said) is arrives
    if arrives:
        assert told == []
    else:
        assert "localhost: its certificate is not trusted" in hushed(told)


@pytest.mark.parametrize("is_trusted", [True, False])
def test_a_web_server_proves_its_name(
    web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_trusted: bool
) -> None:
    context = certified(tmp_path, "localhost")
    web.server.socket = context.wrap_socket(web.server.socket, server_side=True)
    if is_trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "server.pem"))
    told = apprise.send([f"jsons://localhost:{web.server.server_port}/{SECRET}"], "t", "b")
    assert bool(web.got) is is_trusted is not bool(told)
    if told:
        assert "localhost: its certificate is not trusted" in hushed(told)


def test_an_endless_answer_is_cut(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apprise_network, "LONGEST_ANSWER", 10)
    web.answer = (200, {"X-Long": "y", "Content-Length": "1000000000000"})
    web.content = b"x" * 100_000
    assert apprise.send([web.json_url], "t", "b") == []


def test_no_proxy_of_the_environment_is_used(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    proxy = Web()
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, proxy.url)
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with running(proxy.server):
        assert apprise.send([web.json_url], "t", "b") == []
    assert (len(web.got), proxy.got) == (1, [])


def test_a_pretended_conversation_sends_nothing(web: Web, post: Post) -> None:
    apprise.load()
    with apprise_network.conversation(b"ok") as heard:
        assert requests.post(f"{web.url}/x", timeout=1).content == b"ok"
        requests.get(f"{web.url}/x", timeout=1)
        mailer = apprise_network.PlainMailer("127.0.0.1", post.port)
        mailer.starttls()
        mailer.login("me", SECRET)
        assert mailer.sendmail("a@b.example", ["c@d.example"], "text") == {}
        mailer.quit()
    assert heard.servers == [f"127.0.0.1:{web.server.server_port}", f"127.0.0.1:{post.port}"]
    assert (web.got, post.said) == ([], [])


def test_others_use_requests_as_before(web: Web) -> None:
    apprise.load()
    web.moved = {"/x": "/y"}
    assert requests.get(f"{web.url}/x", timeout=5).status_code == requests.codes.ok
    assert [path for _, path, _ in web.got] == ["/x", "/y"]


def test_a_plugin_of_another_protocol_is_not_guarded() -> None:
    library = apprise.load()
    kinds = {
        url: type(library.Apprise.instantiate(url))
        for url in ("json://a.example", "mailto://a.example?from=a@b.example", "syslog://")
    }
    assert [apprise_network.is_guarded(kind) for kind in kinds.values()] == [True, True, False]
    assert not apprise_network.is_guarded(smtplib.SMTP)
