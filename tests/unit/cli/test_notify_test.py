"""`notify-test` shows the result of each channel, and exits by it."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest
from roster_upload import config
from roster_upload.cli import notify_test
from roster_upload.exits import Exit, Failure
from roster_upload.notify import notifier
from roster_upload.notify.channels.apprise import Sent
from support.alert_servers import feed

GOOD, BAD = Sent("slack", 0.31, ""), Sent("mailto", 10.04, "127.0.0.1: no answer in time")


@pytest.mark.parametrize(
    ("sent", "code", "lines"),
    [
        ([GOOD], Exit.OK, ["slack: accepted (0.3 s)"]),
        (
            [GOOD, BAD],
            Exit.ALERTS,
            ["slack: accepted (0.3 s)", "mailto: 127.0.0.1: no answer in time (10.0 s)"],
        ),
    ],
)
def test_each_channel_has_a_line(
    sent: list[Sent],
    code: Exit,
    lines: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert notify(monkeypatch, sent) == code
    assert capsys.readouterr().out.splitlines() == lines


def notify(monkeypatch: pytest.MonkeyPatch, sent: list[Sent]) -> int:
    monkeypatch.setattr(config, "load", lambda _path: feed())
    monkeypatch.setattr(notifier, "test", lambda *_: sent)
    monkeypatch.setattr(notify_test, "config_file", lambda _given: Path("/nonexistent"))
    return notify_test.notify_test(argparse.Namespace())


def test_a_feed_without_channels_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Failure, match=r"no alert channel.*roster_upload_alert_urls") as failed:
        notify(monkeypatch, [])
    assert failed.value.code == Exit.CONFIG
