"""Alerts: an event reaches every channel, and holds nothing that harms."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from roster_upload.notify import notifier
from roster_upload.notify.channels import heartbeat
from roster_upload.spec import checks
from support.alert_servers import RECEIPT, SECRET, TITLE, Post, Web, feed, hushed, notify
from unit.test_config import GOOD


def seal(secrets: Path, *urls: object) -> None:
    (secrets / "maple-grove_alerts").write_text(json.dumps(urls))


def test_the_feed_s_and_the_vault_s_addresses_get_an_event(
    web: Web, post: Post, secrets: Path
) -> None:
    seal(secrets, f"{web.json_url}/{SECRET}", post.url())
    assert notify(feed(alert_urls=[f"{web.json_url}/open"]), "failure", RECEIPT, secrets) == []
    assert sorted(path for _, path, _ in web.got) == [f"/{SECRET}", "/open"]
    assert post.message["Subject"] == f"{GOOD['district']}: tonight's roster was not delivered"
    told = json.loads(web.got[0][2])
    assert (told["title"], told["type"]) == (post.message["Subject"], "failure")
    assert (told["kind"], told["exit_code"]) == ("failure", RECEIPT["exit_code"])


@pytest.mark.parametrize("content", ["", "no JSON", '{"a": 1}', "[1]", "\x00"])
def test_unreadable_addresses_of_the_vault_are_reported(
    web: Web, secrets: Path, content: str
) -> None:
    (secrets / "maple-grove_alerts").write_text(content)
    told = hushed(notify(feed(alert_urls=[web.json_url]), "failure", RECEIPT, secrets))
    assert told == "the alerts' addresses of alerts.vault cannot be read on this host. Run site.yml"
    assert web.got, "the others get it all the same"
    with pytest.raises(ValueError, match=r"alerts\.vault"):
        notifier.test(feed(), secrets)


@pytest.mark.parametrize(
    "url",
    ["json://[hush", "json://u:hush\u2100@host/", "json://u:hu[sh]@host", "https://[hush", "[hush"],
)
def test_an_address_that_cannot_be_parsed_keeps_its_secret_and_harms_no_other(
    web: Web, secrets: Path, url: str
) -> None:
    seal(secrets, url, web.json_url)
    (told,) = notify(feed(), "failure", RECEIPT, secrets)
    assert ("hu" in told, "percent-encoded" in told or "Apprise URL" in told) == (False, True)
    assert web.got
    with pytest.raises(ValueError, match=r"percent-encoded|Apprise URL") as refused:
        checks.alert_url(url)
    assert "hu" not in str(refused.value)


def test_a_feed_without_channels_notifies_nobody(secrets: Path) -> None:
    for folder in (None, secrets):
        assert notify(feed(), "failure", RECEIPT, folder) == []
        assert notifier.test(feed(), folder) == []
    assert heartbeat.beat(feed(), None, 0) == []


def test_a_failure_is_the_text_of_its_channel(web: Web, secrets: Path) -> None:
    web.answer = (403, {})
    seal(secrets, f"{web.json_url}/{SECRET}")
    told = hushed(notify(feed(), "failure", RECEIPT, secrets))
    assert told == "the alert to json did not work: HTTP 403 from 127.0.0.1"


def test_a_test_reaches_every_channel(web: Web, post: Post, secrets: Path) -> None:
    seal(secrets, post.url())
    sent = notifier.test(feed(alert_urls=[web.json_url]), secrets)
    assert [(one.name, one.trouble) for one in sent] == [("json", ""), ("mailto", "")]
    told = json.loads(web.got[0][2])
    assert (told["kind"], told["type"], told["feed"]) == ("test", "info", "maple-grove")
    assert post.message["Subject"].endswith(": test of the alerts")
    assert "No action is needed." in post.message.get_content()


def test_no_alert_holds_what_steers_a_terminal(web: Web, post: Post) -> None:
    told = {**RECEIPT, "message": TITLE, "held": [TITLE], "night": TITLE}
    made = feed(alert_urls=[web.json_url, post.url()])
    assert notify(made, "failure", told, None) == []
    for line in post.message.get_content().replace("\r\n", "\n").split("\n"):
        assert line.isprintable()
    [(_, _, body)] = web.got
    assert json.loads(body)["reason"] == r"\x1b]0;All good\x07\x9b31m\u2028"
    assert json.loads(body)["message"].replace("\n", "").isprintable()
