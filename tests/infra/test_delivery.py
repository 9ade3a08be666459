"""Nights on real hosts: cron or a timer starts the unit, the roster arrives at the vendor."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from infra.fleet import Host, connect, new_export, receipts, remote_path, sha256, wait_for

Feed = dict[str, Any]


BACKENDS = [
    {"lab-trixie": "cron", "lab-bookworm": "timer"},
    {"lab-trixie": "timer", "lab-bookworm": "cron"},
]


def start_by_hand(feed: Feed) -> None:
    """Delivers tonight's export before its planned start."""
    done = connect(feed["host"]).run("systemctl start roster-upload@%s", feed["feed"])
    assert done.succeeded, done.stderr


def said_since(feed: Feed, moment: str, *units: str) -> str:
    """What the journal of a feed's host holds of some units since a moment."""
    words = [f"--unit={unit}" for unit in units]
    command = "journalctl --no-pager -o short-iso --since %s " + " ".join(words)
    return str(connect(feed["host"]).check_output(command, moment))


@pytest.mark.parametrize("backends", BACKENDS, ids=["cron and timer", "timer and cron"])
def test_the_planned_minute_starts_a_night(
    feeds: list[Feed],
    vendor: Host,
    plan_start: Callable[[dict[str, str]], str],
    tmp_path: Path,
    backends: dict[str, str],
) -> None:
    """One minute, three nights: a first delivery, another export after it, and nothing new.

    One host starts by cron and the other by timers, so each backend takes the other's place.
    """
    first, second, unchanged = feeds
    minute = plan_start(backends)
    # Not before: a plan that was made anew may have begun a delivery already.
    digests = {feed["feed"]: new_export(feed, tmp_path) for feed in feeds}
    before = [len(receipts(feed)) for feed in feeds]
    for feed in (second, unchanged):
        start_by_hand(feed)
    digests[second["feed"]] = new_export(second, tmp_path)
    for name, backend in backends.items():
        host = connect(name)
        assert host.file("/etc/cron.d/roster-upload").exists is (backend == "cron")
        timers = host.check_output("systemctl list-timers --all")
        assert ("roster-upload" in timers) is (backend == "timer")

    # One by hand before the planned minute, and one in it that sends.
    counts = [
        count + (feed is not first) + (feed is not unchanged)
        for feed, count in zip(feeds, before, strict=True)
    ]
    for feed, count in zip(feeds, counts, strict=True):

        def is_over(feed: Feed = feed, count: int = count) -> bool:
            if feed is unchanged:
                unit = f"roster-upload@{feed['feed']}.service"
                return "is in already" in said_since(feed, minute, unit)
            return len(receipts(feed)) >= count

        wait_for(f"the start of {feed['feed']} at {minute}", is_over, 240)
    for feed, count in zip(feeds, counts, strict=True):
        receipt = receipts(feed)[-1]
        assert (receipt["outcome"], receipt["exit_code"]) == ("sent", 0), receipt["message"]
        assert len(receipts(feed)) == count
        assert sha256(vendor, remote_path(feed)) == digests[feed["feed"]]
        folder = remote_path(feed).rpartition("/")[0]
        assert vendor.check_output("ls -A %s", folder).split("\n") == [feed["remote_name"]]
        if feed is not unchanged:
            assert receipt["in_window"] is True
            assert receipt["started"] >= minute.replace(" ", "T")
            assert receipt["source"]["sha256"] == digests[feed["feed"]]
        # It was cron that started it, not a person and not this test.
        if backends[feed["host"]] == "cron":
            command = f"systemctl start --no-block roster-upload@{feed['feed']}.service"
            journal = connect(feed["host"]).check_output(
                "journalctl --no-pager -o cat -t CRON -t cron --since %s", minute
            )
            assert command in journal


@pytest.mark.parametrize("defect", ["duplicate-sourcedid"])
def test_a_wrong_package_is_refused_and_the_vendor_keeps_yesterdays(
    feeds: list[Feed], vendor: Host, tmp_path: Path, defect: str
) -> None:
    feed = feeds[0]
    host = connect(feed["host"])
    unit = f"roster-upload@{feed['feed']}.service"
    new_export(feed, tmp_path)
    assert host.run("systemctl start %s", unit).succeeded
    kept = vendor.check_output("stat -c '%%Y %%s' %s", remote_path(feed))
    count = len(receipts(feed))
    new_export(feed, tmp_path, f"--defect={defect}")

    assert host.run("systemctl start %s", unit).failed
    receipt = receipts(feed)[-1]
    assert len(receipts(feed)) == count + 1
    assert receipt["outcome"] == "refused"
    assert str(receipt["exit_code"]) == host.check_output(
        "systemctl show -p ExecMainStatus --value %s", unit
    )
    finding = receipt["findings"][0]
    place = finding["rule"], finding["file"], finding["column"], finding["rows"]
    assert place == ("value.unique", "users.csv", "sourcedId", [5])
    journal = host.check_output("journalctl --no-pager -o cat -u %s --since -1min", unit)
    assert "users.csv, column sourcedId, row 5" in journal
    assert vendor.check_output("stat -c '%%Y %%s' %s", remote_path(feed)) == kept

    # The next good export goes through again.
    digest = new_export(feed, tmp_path)
    assert host.run("systemctl start %s", unit).succeeded
    assert sha256(vendor, remote_path(feed)) == digest


def test_status_tells_the_operator(feeds: list[Feed]) -> None:
    for feed in feeds:
        host = connect(feed["host"])
        told = json.loads(host.check_output("roster-upload status --json"))
        assert feed["feed"] in json.dumps(told)
        assert "sent" in host.check_output("roster-upload status %s", feed["feed"])


def operate(feed: Feed, command: str) -> tuple[int, str]:
    """What an operator sees of a command typed on the feed's host."""
    done = connect(feed["host"]).run(f"roster-upload {command}")
    assert "Traceback" not in done.stderr
    return done.rc, done.stdout + done.stderr


def test_a_truncated_export_is_held_until_somebody_lets_it_through(
    feeds: list[Feed], vendor: Host, tmp_path: Path
) -> None:
    for feed in (feeds[0], feeds[-1]):
        name = feed["feed"]
        good = new_export(feed, tmp_path)
        assert operate(feed, f"send {name}")[0] == 0
        truncated = new_export(feed, tmp_path, "--drop-students=150")
        code, told = operate(feed, f"send {name}")
        assert code == 17, told
        assert "150 of" in told
        assert sha256(vendor, remote_path(feed)) == good
        code, told = operate(feed, f"explain {name}")
        assert "SIS administrator" in told
        options = f"--digest {truncated[:16]} --why 'a school has closed'"
        code, told = operate(feed, f"approve {name} {options}")
        assert code == 0, told
        assert operate(feed, f"send {name}")[0] == 0
        assert sha256(vendor, remote_path(feed)) == truncated
        assert receipts(feed)[-1]["approved"]["why"] == "a school has closed"
        # And back: the package before the last, kept encrypted on the host.
        code, told = operate(feed, f"resend {name} --last-good")
        assert code == 0, told
        assert sha256(vendor, remote_path(feed)) == good


def test_what_else_an_operator_can_do(feeds: list[Feed], vendor: Host, tmp_path: Path) -> None:
    for feed in feeds:
        name = feed["feed"]
        new_export(feed, tmp_path)
        there = vendor.check_output("stat -c %%Y%%s%%i %s", remote_path(feed))
        code, told = operate(feed, f"rehearse {name}")
        assert code == 0, told
        assert "nothing was sent" in told
        code, told = operate(feed, f"probe {name}")
        assert code == 0, told
        assert "posix-rename" in told
        assert vendor.check_output("stat -c %%Y%%s%%i %s", remote_path(feed)) == there
        assert operate(feed, f"send {name}")[0] == 0
        code, told = operate(feed, f"watch {name}")
        assert code == 0, told
        code, told = operate(feed, f"history {name}")
        assert "rehearsed" in told
        metrics = connect(feed["host"]).file(f"/var/cache/roster-upload/{name}.prom")
        assert metrics.mode == 0o644
        assert f'roster_upload_last_success_timestamp_seconds{{feed="{name}"}}' in (
            metrics.content_string
        )
