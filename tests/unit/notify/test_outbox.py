"""Notices of the watcher and the alarm wait in memory, and each is sent once."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from roster_upload import config
from roster_upload.notify import notifier, outbox
from roster_upload.records.receipt import Outcome, Receipt
from unit.test_config import GOOD

FEED = config.parse(GOOD)
Sent = list[tuple[str, str, Path | None]]


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> Sent:
    """Return what people were notified of: kind, message, the folder of the secrets."""
    found: Sent = []

    def notify(_feed: Any, kind: str, receipt: Receipt, secrets: Path | None) -> list[str]:
        found.append((kind, receipt.message, secrets))
        return ["the webhook did not work"]

    monkeypatch.setattr(notifier, "notify", notify)
    return found


def notice(message: str) -> Receipt:
    return Receipt(
        run="1", feed="a", district="A", command="watch", outcome=Outcome.FAILED, message=message
    )


def test_notices_wait_in_their_order_for_the_secrets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sent: Sent, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(tmp_path))
    for number in range(11):
        outbox.post(FEED, "deadline", notice(str(number)))
    assert sent == []
    outbox.send_all(FEED, tmp_path)
    assert sent == [("deadline", str(number), tmp_path) for number in range(11)]
    assert "the webhook did not work" in capsys.readouterr().err
    outbox.send_all(FEED, tmp_path)
    assert len(sent) == 11


def test_without_a_folder_people_are_notified_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sent: Sent
) -> None:
    monkeypatch.delenv("RUNTIME_DIRECTORY", raising=False)
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    outbox.post(FEED, "failure", notice("at once"))
    assert sent == [("failure", "at once", None)]
    assert outbox.waiting() == []
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(tmp_path / "none"))
    outbox.post(FEED, "failure", notice("without room"))
    assert sent[-1][1] == "without room"


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        '{"kind": "failure"}',
        '{"kind": "other", "receipt": {}}',
        '{"kind": [], "receipt": {}}',
    ],
)
def test_an_unusable_notice_is_removed(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sent: Sent
) -> None:
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(tmp_path))
    outbox.post(FEED, "failure", notice("good"))
    (tmp_path / outbox.FOLDER / "000000.json").write_text(text)
    outbox.send_all(FEED, None)
    assert [message for _, message, _ in sent] == ["good"]
    assert list((tmp_path / outbox.FOLDER).iterdir()) == []


def test_nothing_in_the_folder_keeps_systemd_busy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sent: Sent
) -> None:
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(tmp_path))
    outbox.post(FEED, "failure", notice("good"))
    place, other = tmp_path / outbox.FOLDER, tmp_path / "other"
    other.mkdir()
    (other / "file").touch()
    (place / "0.json" / "deeper").mkdir(parents=True)
    os.mkfifo(place / "1.json")
    (place / "2.json").symlink_to(other)
    (place / "3.json").symlink_to(place / "000001.json")
    (place / "4.json").write_bytes(b" " * outbox.LONGEST_BYTES + b"{}")
    (place / "5\n.txt").touch()
    (place / ".000002.json.x").touch()  # another unit is writing it
    outbox.send_all(FEED, None)
    assert [message for _, message, _ in sent] == ["good"]
    assert [path.name for path in place.iterdir()] == [".000002.json.x"]
    assert (other / "file").exists()
