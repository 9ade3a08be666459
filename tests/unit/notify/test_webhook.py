"""The webhook says what happened and what to do."""

from __future__ import annotations

import http.server
import json
import socket
from pathlib import Path
from typing import Any

import pytest
from support.alert_servers import (
    RECEIPT,
    SECRET,
    Web,
    feed,
    hushed,
    notify,
    running,
)
from unit.test_config import GOOD


def test_a_webhook_says_what_happened_and_what_to_do(web: Web, secrets: Path) -> None:
    assert notify(feed(webhook_url=f"{web.url}/x/{{secret}}"), "failure", RECEIPT, secrets) == []
    [(command, path, body)] = web.got
    assert (command, path) == ("POST", f"/x/{SECRET}")
    told = json.loads(body)
    same = ("command", "outcome", "exit_code", "message", "night", "deadline")
    assert {key: told.pop(key) for key in same} == {key: RECEIPT[key] for key in same}
    assert told.pop("action").startswith("Look first: roster-upload diff maple-grove ")
    assert told == {
        "version": 1,
        "kind": "failure",
        "feed": "maple-grove",
        "district": GOOD["district"],
        "host": socket.gethostname(),
        "time": RECEIPT["finished"],
        "findings": [],
    }


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
