"""The watch in an Ansible run: what its memory says after each way in which it can end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from roster_fleet.outputs import Outputs
from roster_fleet.report import parsed, stamp
from roster_fleet.status import rows as status
from roster_fleet.status.rows import Host, Row
from roster_fleet.watch import notifying
from roster_fleet.watch import state as memory
from roster_fleet.watch.fleet import Fleet
from roster_upload.notify.channels import heartbeat
from support import fleets
from support.fleets import NOW

AT = stamp(NOW)


class Channels:
    """Channels whose URLs are given."""

    def __init__(self, *urls: str) -> None:
        self.urls, self.troubles = urls, list[str]()
        self.sealed: dict[str, str] = {}

    def of(self, host: str, feed: str = "") -> tuple[str, ...]:
        return self.urls

    safely_of = of
    files = ("/group_vars/all/alerts.vault",)

    def of_files(self, paths: tuple[str, ...]) -> list[str]:
        return [f"json://of{path}" for path in paths]

    def secrets(self, host: str) -> dict[str, str]:
        return self.sealed


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Record the titles of alerts. Those to `json://broken` do not work."""
    titles: list[str] = []

    def send(urls: Any, made: Any, _: Any) -> list[str]:
        titles.append(made.title)
        return [f"the alert to {url} did not work" for url in urls if url == "json://broken"]

    monkeypatch.setattr(notifying, "_deliver", send)
    return titles


def rows(*fates: str) -> list[Row]:
    hosts = []
    for number, fate in enumerate(fates):
        feed = fleets.feed(20 + number, 40, fate)
        report = parsed(fleets.report([feed]))
        hosts.append(Host(f"host-{number}", report, AT, planned=[feed["feed"]]))
    return status.build_rows(hosts, "inventories/mine")


def fleet(folder: Path, channels: Channels, *asked: str) -> Fleet:
    return Fleet(asked or ("host-0", "host-1"), channels, Outputs(folder, "mine"), folder / "page")  # type: ignore[arg-type]


def test_a_run_that_worked_is_remembered(tmp_path: Path, sent: list[str]) -> None:
    own = fleet(tmp_path, Channels("json://a"))
    memory.save(own.own.folder, memory.State(failed="2026-11-24", troubles=("old",)))
    assert own.watch(rows("held", "sent"), AT) == []
    state = memory.load(own.own.folder)
    assert (state.ran, state.failed, state.troubles) == (AT, "", ())
    assert state.files == Channels.files
    assert list(state.told) == ["host-0/feed-0020"]
    assert sent == ["mine: 1 district red"]


def test_a_host_outside_the_run_is_not_told(tmp_path: Path, sent: list[str]) -> None:
    assert fleet(tmp_path, Channels("json://a"), "host-1").watch(rows("held", "sent"), AT) == []
    assert sent == []


def test_a_broken_channel_is_a_run_that_did_not_work(tmp_path: Path, sent: list[str]) -> None:
    own = fleet(tmp_path, Channels("json://broken"))
    troubles = own.watch(rows("held", "sent"), AT)
    state = memory.load(own.own.folder)
    assert (state.ran, state.told, list(state.troubles)) == ("", {}, troubles)
    assert troubles == ["the alert to json://broken did not work"]


def test_an_inventory_without_channels_fails_also_if_all_is_green(
    tmp_path: Path, sent: list[str]
) -> None:
    own = fleet(tmp_path, Channels())
    [trouble] = own.watch(rows("sent", "sent"), AT)
    assert trouble.startswith("no alert channel: no host of the inventory has one")
    assert own.watch(rows("held", "sent"), AT) == [trouble]
    assert memory.load(own.own.folder).ran == ""


def test_a_file_that_does_not_open_is_a_failure(tmp_path: Path, sent: list[str]) -> None:
    channels = Channels("json://a")
    channels.troubles.append("alerts.vault does not open")
    own = fleet(tmp_path, channels)
    assert own.watch(rows("held", "sent"), AT) == ["alerts.vault does not open"]
    assert sent == ["mine: 1 district red"]
    assert memory.load(own.own.folder).ran == ""


@pytest.mark.parametrize(
    ("url", "called"),
    [
        ("https://beat.example/watch", "https://beat.example/watch"),
        ("https://beat.example/{secret}/watch", "https://beat.example/a%20key/watch"),
    ],
)
def test_the_heartbeat_follows_a_run_that_worked(
    url: str, called: str, tmp_path: Path, sent: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[tuple[str, str, str]] = []

    def call(address: Callable[[], str], host: str, end: str) -> list[str]:
        calls.append((address(), host, end))
        return []

    monkeypatch.setattr(heartbeat, "call", call)
    channels = Channels("json://a")
    channels.sealed = {"heartbeat": "a key"}
    own = replace(fleet(tmp_path, channels), heartbeat=url)
    assert own.watch(rows("held", "sent"), AT) == []
    assert calls == [(called, "beat.example", "0")]
    channels.troubles.append("alerts.vault does not open")
    own.watch(rows("held", "sent"), AT)
    assert len(calls) == 1  # its absence is the alarm


def test_a_heartbeat_that_cannot_be_called_is_a_failure(tmp_path: Path, sent: list[str]) -> None:
    for address, named in (
        ("https://b.example/{secret}", "Write heartbeat into alerts.vault"),
        ("file:///etc/passwd", "roster_status_heartbeat_url must be an address"),
    ):
        own = replace(fleet(tmp_path, Channels("json://a")), heartbeat=address)
        [trouble] = own.watch(rows("sent", "sent"), AT)
        assert named in trouble
        assert memory.load(own.own.folder).ran == ""


def test_a_failure_is_told_once_a_day(tmp_path: Path, sent: list[str]) -> None:
    own = fleet(tmp_path, Channels("json://a"))
    assert own.report_failure("2026-11-24") == []
    assert own.report_failure("2026-11-24") == []
    assert sent == ["mine: the watch failed"]
    assert own.report_failure("2026-11-25") == []
    assert len(sent) == 2


def test_an_inventory_that_cannot_be_read_has_the_files_of_the_last_run(
    tmp_path: Path, sent: list[str]
) -> None:
    own = fleet(tmp_path, Channels())
    memory.save(own.own.folder, memory.State(files=("/alerts.vault",)))
    assert own.report_failure("2026-11-24") == []
    assert sent == ["mine: the watch failed"]


def test_a_failure_that_no_channel_took_is_told_again(tmp_path: Path, sent: list[str]) -> None:
    own = fleet(tmp_path, Channels("json://broken"))
    assert own.report_failure("2026-11-24") == ["the alert to json://broken did not work"]
    assert own.report_failure("2026-11-24") == ["the alert to json://broken did not work"]
    assert len(sent) == 2
    none = fleet(tmp_path, Channels())
    assert none.report_failure("2026-11-24") == [
        notifying.NO_CHANNEL.format(titles=notifying.NO_CHANNEL_AT_ALL)
    ]
    assert memory.load(none.own.folder).failed == ""
