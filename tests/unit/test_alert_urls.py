"""Inventory and vault: a wrong URL is named without its secret, and servers follow the URLs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from ansible.errors import AnsibleFilterError

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "roles/roster_common/filter_plugins"))

import alert_urls
from alert_urls import (
    alert_destinations,
    alert_url_problems,
    feed_alert_problems,
    feed_alert_urls,
)

SLACK = "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ"
TEAMS = "workflows://prod-1.logic.azure.com:443/643e69f83c8944438d68119179a10a64/KODuebWbDGYFr0z"


def test_a_wrong_url_is_named_by_its_position() -> None:
    urls = ["ntfy://rosters", "nonsense://hush", "mailto://me:hush@maple.example"]
    found = alert_url_problems(urls, "/x/alerts.vault: urls")
    assert [text.partition("://")[0] for text in found] == [
        "/x/alerts.vault: urls: entry 2: nonsense",
        "/x/alerts.vault: urls: entry 3: mailto",
    ]
    assert "hush" not in "".join(found)


def test_a_feed_s_wrong_url_is_named_by_feed_and_variable() -> None:
    feeds: list[dict[str, Any]] = [
        {"feed": "elm", "alert_urls": ["ntfy://rosters", "slack://hush", 5]},
        {"feed": "oak"},
    ]
    [text] = feed_alert_problems(feeds)
    assert text.startswith("elm: roster_upload_alert_urls: entry 2: slack://: Apprise ")
    assert "hush" not in text


@pytest.mark.parametrize(
    ("url", "release", "is_known"),
    [(TEAMS, "12", False), (TEAMS, "13", True), (TEAMS, "", True), (SLACK, "12", True)],
)
def test_a_service_that_debian_12_lacks_is_refused_there(
    url: str, release: str, is_known: bool
) -> None:
    found = alert_url_problems([url], release=release)
    assert ("Apprise of Debian 12 does not know this service" not in "".join(found)) is is_known


def test_the_servers_follow_the_urls() -> None:
    feeds = [{"alert_urls": [SLACK, "ntfy://a"]}, {"alert_urls": ["ntfy://a", "nonsense://x"]}, {}]
    urls = feed_alert_urls(feeds)
    assert urls == [SLACK, "ntfy://a", "nonsense://x"]
    assert alert_destinations([*urls, "ntfy://b"]) == ["hooks.slack.com:443", "ntfy.sh:443"]


def test_without_urls_nothing_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "apprise", None)
    assert (alert_url_problems([]), alert_destinations([]), feed_alert_problems([{}])) == (
        [],
        [],
        [],
    )
    for call in (alert_url_problems, alert_destinations):
        with pytest.raises(AnsibleFilterError, match="need Apprise on the control node"):
            call(["ntfy://rosters"])
    assert set(alert_urls.FilterModule().filters()) >= {"alert_destinations", "alert_url_problems"}
