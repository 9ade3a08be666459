"""The heartbeat carries the exit code, and follows no redirect elsewhere."""

from __future__ import annotations

from pathlib import Path
from urllib.request import Request

import pytest
from roster_upload.notify.channels import channel, heartbeat
from support.alert_servers import (
    SECRET,
    Web,
    feed,
    hushed,
    running,
)


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
