"""Alerts by Apprise: what services get, what is refused, and no address in any text."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest
import urllib3
from roster_upload.notify.channels import apprise, apprise_network, channel
from support.alert_servers import SECRET, TITLE, Post, Waits, Web, certified, hushed

HTTPS = 443
SLACK = "T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ"
TEAMS = "643e69f83c8944438d68119179a10a64/KODuebWbDGYFr0z0eu-6Rj8aUKz7108W3wrNJZxFE5A"
# It logs in at one server, and sends by another.
AZURE = "azure://a@b.example/tenant/aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee/hush/c@b.example"
AZURE_SERVERS = ["login.microsoftonline.com:443", "graph.microsoft.com:443"]
TEXT = "The roster was not delivered.\n\nNext step: look <here> & *there*."


@pytest.fixture
def posted(web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Web:
    """The server, which stands in for the hosts of the services."""
    former = urllib3.util.connection.create_connection
    certificate = certified(tmp_path, "hooks.slack.com", "prod-1.logic.azure.com")
    web.server.socket = certificate.wrap_socket(web.server.socket, server_side=True)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "server.pem"))

    def connect(address: tuple[str, int], *given: Any, **options: Any) -> Any:
        assert address[1] == HTTPS
        return former(("127.0.0.1", web.server.server_port), *given, **options)

    monkeypatch.setattr(urllib3.util.connection, "create_connection", connect)
    return web


def test_slack_gets_its_json(posted: Web) -> None:
    posted.content = b"ok"
    assert apprise.send([f"slack://{SLACK}/#rosters"], "Maple Grove", TEXT) == []
    [(command, path, body)] = posted.got
    assert (command, path) == ("POST", f"/services/{SLACK}")
    assert posted.headers[0]["Host"] == "hooks.slack.com"
    told = json.loads(body)
    assert (told["channel"], told["username"]) == ("#rosters", "roster-upload")
    [attachment] = told["attachments"]
    assert attachment["title"] == "Maple Grove"
    assert "Next step: look &lt;here&gt; &amp; *there*." in attachment["text"]
    assert told["mrkdwn"] is False
    assert "icon_url" not in told


def test_debian_12_s_apprise_takes_slack_s_answer_for_an_error(
    posted: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It posts the message, and compares the answer's bytes with a text."""
    former = apprise._notify
    monkeypatch.setattr(apprise, "_notify", lambda *given: former(*given) and False)
    posted.content = b"ok"
    assert apprise.send([f"slack://{SLACK}/#one/#two"], "t", "b") == []
    assert len(posted.got) == 2
    posted.content = b"no_service"
    assert len(apprise.send([f"slack://{SLACK}/#one"], "t", "b")) == 1


def test_an_error_in_a_good_answer_is_reported(posted: Web) -> None:
    posted.content = b"no_service"
    told = hushed(apprise.send([f"slack://{SLACK}/#rosters"], "t", "b"))
    assert told == "the alert to slack did not work: hooks.slack.com reports an error"


def test_a_services_own_address_is_called_by_its_server(posted: Web) -> None:
    posted.content = b"ok"
    teams = f"https://prod-1.logic.azure.com:443/workflows/{TEAMS.partition('/')[0]}/x?sig=hush"
    urls = [f"https://hooks.slack.com/services/{SLACK}", teams, "ntfy://a", "ntfy://b"]
    names = ["hooks.slack.com", "prod-1.logic.azure.com", "ntfy (3)", "ntfy (4)"]
    assert apprise.channel_names(urls) == names
    assert [one.name for one in apprise.deliver(urls[:1], "t", "b")] == names[:1]
    assert len(posted.got) == 1


def test_teams_gets_its_card(posted: Web) -> None:
    url = f"workflows://prod-1.logic.azure.com:443/{TEAMS}"
    assert apprise.send([url], "Maple Grove", TEXT) == []
    assert posted.headers[0]["Host"].startswith("prod-1.logic.azure.com")
    [attachment] = json.loads(posted.got[0][2])["attachments"]
    assert attachment["contentType"] == "application/vnd.microsoft.card.adaptive"
    texts = [block.get("text") for block in attachment["content"]["body"]]
    assert "Maple Grove" in texts
    assert any("delivered.\n\nNext step: " in str(text) for text in texts)


def test_an_own_ntfy_server_gets_the_alert(web: Web) -> None:
    url = f"{web.url.replace('http', 'ntfy')}/rosters?mode=private"
    assert apprise.send([url], "Maple Grove", TEXT) == []
    told = json.loads(web.got[0][2])
    assert (told["topic"], told["title"], told["message"]) == ("rosters", "Maple Grove", TEXT)


def test_programs_get_values_beside_the_text(web: Web) -> None:
    values = {"exit_code": 0, "night": None, "findings": [{"rule": "x"}], "title": "no"}
    assert (
        apprise.send([f"{web.json_url}/x/{SECRET}"], "Maple Grove", TEXT, "failure", values) == []
    )
    [(command, path, body)] = web.got
    assert (command, path) == ("POST", f"/x/{SECRET}")
    told = json.loads(body)
    assert (told["type"], told["title"], told["message"]) == ("failure", "Maple Grove", TEXT)
    assert (told["exit_code"], told["night"], told["findings"]) == (0, None, [{"rule": "x"}])
    sent = web.headers[0]
    assert (sent["Content-Type"], sent["User-Agent"]) == ("application/json", "roster-upload")


@pytest.mark.parametrize("kind", ["info", "success", "warning", "failure"])
def test_each_kind_reaches_the_service(web: Web, kind: str) -> None:
    assert apprise.send([web.json_url], "t", "b", kind) == []
    assert json.loads(web.got[0][2])["type"] == kind


def test_a_mail_is_plain_text_of_a_program(post: Post) -> None:
    assert apprise.send([post.url()], "Maple Grove: not delivered", TEXT) == []
    message = post.message
    assert message["Subject"] == "Maple Grove: not delivered"
    assert message["From"].addresses[0].addr_spec == "roster@maple.example"
    assert message["Auto-Submitted"] == "auto-generated"
    assert message.get_content_type() == "text/plain"
    assert message.get_content().splitlines() == TEXT.splitlines()
    assert [line for line in post.said if line.startswith("rcpt")] == [
        "rcpt TO:<it@maple.example>",
        "rcpt TO:<ops@vendor.example>",
    ]
    assert not any(line.startswith(("auth", "STARTTLS")) for line in post.said)


def test_all_channels_get_it_and_only_failures_are_returned(
    web: Web, post: Post, closed_port: int
) -> None:
    urls = [web.json_url, f"json://127.0.0.1:{closed_port}/{SECRET}", post.url()]
    told = apprise.send(urls, "t", "b")
    assert hushed(told) == "the alert to json (2) did not work: 127.0.0.1: Connection refused"
    assert web.got
    assert post.mail


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ((404, {}), "HTTP 404 from 127.0.0.1"),
        ((500, {}), "HTTP 500 from 127.0.0.1"),
        ((302, {"Location": "http://127.0.0.2:1/{secret}"}), "HTTP 302 from 127.0.0.1"),
        ((307, {"Location": "/login"}), "HTTP 307 from 127.0.0.1"),
    ],
)
def test_a_refused_alert_is_reported(
    web: Web, answer: Any, told: str, capfd: pytest.CaptureFixture[str]
) -> None:
    web.answer = answer
    sentence = hushed(apprise.send([f"{web.json_url}/{SECRET}"], "t", "b"))
    assert sentence == f"the alert to json did not work: {told}"
    assert len(web.got) == 1, "no redirect is followed"
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("json://no-such-host.invalid/{secret}", "no-such-host.invalid: its name cannot be res"),
        ("json://127.0.0.1:{closed}/{secret}", "127.0.0.1: Connection refused"),
        ("json://127.0.0.1:{smtp}/{secret}", "127.0.0.1: its answer is not HTTP"),
        ("jsons://127.0.0.1:{smtp}/{secret}", "127.0.0.1: the TLS connection failed"),
        ("mailto://127.0.0.1:{closed}?from=a@b.example", "127.0.0.1: Connection refused"),
        ("mailtos://me:{password}@127.0.0.1:{smtp}?from=a@b.example", "lacks the encryption"),
    ],
)
def test_an_unreachable_server_is_reported(
    closed_port: int, post: Post, url: str, told: str, capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    url = url.replace("{closed}", str(closed_port)).replace("{smtp}", str(post.port))
    url = url.replace("{secret}", SECRET).replace("{password}", "a-secret_path")
    with caplog.at_level(logging.DEBUG):
        assert told in hushed(apprise.send([url], "t", "b"))
    assert capfd.readouterr() == ("", "")
    assert "a-secret_path" not in caplog.text


@pytest.mark.parametrize(
    ("refused", "told"),
    [
        ({"auth": "535 no"}, "127.0.0.1: it answered 535"),
        ({"mail": "451 later"}, "127.0.0.1: it answered 451"),
        ({"rcpt": "550 nobody"}, "127.0.0.1: it refused all recipients"),
        ({"rcpt TO:<it@": "550 nobody"}, "127.0.0.1: it refused all recipients"),
        ({"data": f"554 {TITLE}"}, "127.0.0.1: it answered 554"),
        ({"auth": ""}, "127.0.0.1: it closed the connection"),
    ],
)
def test_a_refused_mail_is_reported(
    post: Post, refused: dict[str, str], told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trust(post, tmp_path, monkeypatch)
    post.refused = refused
    url = post.url("mailtos", "me:its%20own%2Fpass%40word@", "localhost")
    told = told.replace("127.0.0.1", "localhost")
    assert hushed(apprise.send([url], "t", "b")) == f"the alert to mailtos did not work: {told}"


def test_a_mail_that_one_recipient_refuses_is_reported(post: Post) -> None:
    """Apprise sends copies in the same conversation."""
    post.refused = {"rcpt TO:<cc@": "550 nobody"}
    told = apprise.send([f"{post.url()}&cc=cc@maple.example"], "t", "b")
    assert hushed(told) == "the alert to mailto did not work: 127.0.0.1 refused 1 of the recipients"


def trust(post: Post, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a mail server offer STARTTLS with a trusted certificate."""
    post.tls = certified(folder, "localhost")
    monkeypatch.setenv("SSL_CERT_FILE", str(folder / "server.pem"))


def test_hanging_servers_are_given_up_together(silent_port: int, web: Web, waits: Waits) -> None:
    waits.is_over = lambda: waits.hanging == 2 and bool(web.got)
    hanging = (f"json://127.0.0.1:{silent_port}/", f"mailto://127.0.0.1:{silent_port}?from=a@b.cd")
    told = apprise.send([*hanging, f"{web.json_url}/x"], "t", "b")
    assert sum(waits.seconds) == channel.ALL_SECONDS
    late = f"did not work: no answer within {channel.ALL_SECONDS} s"
    assert told == [f"the alert to json (1) {late}", f"the alert to mailto {late}"]


def test_a_host_without_apprise_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise ImportError(SECRET)

    monkeypatch.setattr(apprise, "load", fail)
    assert "Apprise cannot be loaded" in apprise.send(["ntfy://rosters"], "t", "b")[0]


def test_results_name_each_channel_and_its_time(web: Web, closed_port: int) -> None:
    sent = apprise.deliver([web.json_url, f"json://127.0.0.1:{closed_port}"], "t", "b")
    assert [one.name for one in sent] == ["json (1)", "json (2)"]
    assert [bool(one.trouble) for one in sent] == [False, True]
    assert all(0 < one.seconds < channel.ALL_SECONDS for one in sent)


@pytest.mark.parametrize(
    ("url", "servers"),
    [
        (f"slack://{SLACK}", ["hooks.slack.com:443"]),
        (f"https://hooks.slack.com/services/{SLACK}", ["hooks.slack.com:443"]),
        (f"workflows://prod-1.logic.azure.com:443/{TEAMS}", ["prod-1.logic.azure.com:443"]),
        ("gchat://workspace/key/token", ["chat.googleapis.com:443"]),
        ("ntfy://rosters", ["ntfy.sh:443"]),
        ("ntfys://me:pw@ntfy.example.org:8443/rosters", ["ntfy.example.org:8443"]),
        ("mailto://mail.maple.example?from=a@b.example", ["mail.maple.example:25"]),
        ("mailtos://me:pw@gmail.com", ["smtp.gmail.com:587"]),
        ("mailtos://me:pw@maple.example?smtp=mail.maple.example", ["mail.maple.example:587"]),
        ("json://alerts.example.org/x", ["alerts.example.org:80"]),
        ("jsons://alerts.example.org/x", ["alerts.example.org:443"]),
        ("json://[::1]:8080/x", ["::1:8080"]),
        (AZURE, AZURE_SERVERS),
    ],
)
def test_the_servers_of_a_channel_are_known_without_a_call(url: str, servers: list[str]) -> None:
    assert apprise.destinations(url) == servers


def test_a_plugin_that_accepts_no_pretended_answer_names_its_servers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(apprise_network, "PRETENDED", (b"no",))
    assert apprise.destinations(AZURE) == AZURE_SERVERS


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("nonsense://hush", "nonsense://: Apprise 1.9.3 does not know this address"),
        ("https://alerts.example/hush", "https://: Apprise 1.9.3 does not know this address"),
        ("slack://hush", "slack://: Apprise 1.9.3 does not know this address or misses a part"),
        ("syslog://hush", "syslog:// is not allowed"),
        ("rsyslog://hush", "rsyslog:// is not allowed"),
        ("dbus://", "dbus:// is not allowed"),
        ("windows://hush", "windows:// is not allowed"),
        ("file:///hush", "file:// is not allowed"),
        ("ntfys://ntfy.example:70000/hush", "ntfys://: its port is wrong"),
        ("ntfys://ntfy.example:0/hush", "Use 1 to 65535"),
        ("mailto://me:hush@maple.example", "mailto:// would send the password unencrypted"),
        ("mailtos://me:hush@maple.example?mode=insecure", "would send the password unencrypted"),
        ("mailtos://me:hush@maple.example?mode=ssl", "mailtos://: name the port"),
        ("mmosts://maple.example/hush", "mmosts://: name the port"),
        ("jsons://a.example/hush?verify=no", "verify=no is not allowed"),
        ("fcm://project/hush?keyfile=/etc/passwd", "the parameter keyfile is not allowed"),
        ("msteams://hush?template=/etc/passwd", "the parameter template is not allowed"),
    ],
)
def test_an_unusable_address_is_refused_without_its_secret(
    url: str, told: str, capfd: pytest.CaptureFixture[str]
) -> None:
    text = apprise.problem(url)
    assert told in text
    assert "hush" not in text
    assert told in apprise.send([url], "t", "b")[0]
    assert capfd.readouterr() == ("", "")


def test_good_addresses_have_no_problem() -> None:
    assert [apprise.problem(url) for url in ("ntfy://rosters", f"slack://{SLACK}")] == ["", ""]
