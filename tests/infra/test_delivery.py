"""Nights on real hosts: cron or a timer starts the unit, and the roster arrives at the vendor."""

from __future__ import annotations

import csv
import datetime as dt
import json
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.lab_hosts import (
    Host,
    connect,
    new_export,
    put_export,
    receipts,
    remote_path,
    sha256,
    site,
    wait_for,
)

Feed = dict[str, Any]


BACKENDS = [
    {"lab-trixie": "cron", "lab-bookworm": "timer"},
    {"lab-trixie": "timer", "lab-bookworm": "cron"},
]


UNCOUNTED = "/run/systemd/system/roster-upload@.service.d"


@pytest.fixture
def uncounted_starts(feeds: list[Feed]) -> Iterator[None]:
    """Let a test start its feeds more often than systemd allows in ten seconds."""
    hosts = [connect(name) for name in sorted({feed["host"] for feed in feeds})]
    for host in hosts:
        limit = "[Unit]\nStartLimitIntervalSec=0\n"
        host.check_output("mkdir %s && printf %s > %s/limit.conf", UNCOUNTED, limit, UNCOUNTED)
        host.check_output("systemctl daemon-reload")
    yield
    for host in hosts:
        host.check_output("rm -r %s && systemctl daemon-reload", UNCOUNTED)


def start_by_hand(feed: Feed) -> None:
    """Deliver tonight's export before its planned start."""
    done = connect(feed["host"]).run("systemctl start roster-upload@%s", feed["feed"])
    assert done.succeeded, done.stderr


def said_since(feed: Feed, moment: str, *units: str) -> str:
    """Return the journal of some units of a feed's host since a time."""
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
    """One minute, three nights: a first delivery, another export after it, and no change.

    One host starts by cron and the other by timers, so each backend replaces the other.
    """
    first, second, unchanged = feeds
    minute = plan_start(backends)
    # Not earlier: a repeated plan may have started a delivery already.
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

    # A manual one before the planned minute, and one in it that sends.
    counts = [
        count + (feed is not first) + (feed is not unchanged)
        for feed, count in zip(feeds, before, strict=True)
    ]
    for feed, count in zip(feeds, counts, strict=True):

        def is_over(feed: Feed = feed, count: int = count) -> bool:
            if f"{dt.datetime.now(dt.UTC):%Y-%m-%d %H:%M:%S}" < minute:
                return False  # each look costs the host as much as a small command
            if feed is unchanged:
                unit = f"roster-upload@{feed['feed']}.service"
                return "already has tonight's" in said_since(feed, minute, unit)
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
        # Cron has started it, not a person and not this test.
        if backends[feed["host"]] == "cron":
            command = f"systemctl start --no-block roster-upload@{feed['feed']}.service"
            journal = connect(feed["host"]).check_output(
                "journalctl --no-pager -o cat -t CRON -t cron --since %s", minute
            )
            assert command in journal


@pytest.mark.usefixtures("uncounted_starts")
def test_a_wrong_package_is_refused_and_the_vendor_keeps_yesterdays(
    feeds: list[Feed], vendor: Host, tmp_path: Path
) -> None:
    feed = feeds[0]
    host = connect(feed["host"])
    unit = f"roster-upload@{feed['feed']}.service"
    new_export(feed, tmp_path)
    assert host.run("systemctl start %s", unit).succeeded
    kept = vendor.check_output("stat -c '%%Y %%s' %s", remote_path(feed))
    count = len(receipts(feed))
    new_export(feed, tmp_path, "--defect=ragged")

    assert host.run("systemctl start %s", unit).failed
    receipt = receipts(feed)[-1]
    assert len(receipts(feed)) == count + 1
    assert receipt["outcome"] == "refused"
    assert str(receipt["exit_code"]) == host.check_output(
        "systemctl show -p ExecMainStatus --value %s", unit
    )
    finding = receipt["findings"][0]
    place = finding["rule"], finding["file"], finding["rows"]
    assert place == ("csv.row-width", "orgs.csv", [3])
    journal = host.check_output("journalctl --no-pager -o cat -u %s --since -1min", unit)
    assert "orgs.csv, row 3" in journal
    assert vendor.check_output("stat -c '%%Y %%s' %s", remote_path(feed)) == kept

    # The next good export is sent again.
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
    """The output of a command on the feed's host, as an operator sees it."""
    done = connect(feed["host"]).run(f"roster-upload {command}")
    assert "Traceback" not in done.stderr
    return done.rc, done.stdout + done.stderr


@pytest.mark.usefixtures("uncounted_starts")
def test_a_few_faulty_rows_are_sent_and_told_once(
    feeds: list[Feed], vendor: Host, tmp_path: Path
) -> None:
    """A person with one name, and an enrollment in an unknown class, do not stop a district."""
    faults = [
        ("value.required", "users.csv", "familyName", [30]),
        ("reference.missing", "enrollments.csv", "classSourcedId", [30]),
    ]
    options = ["--defect=required-empty", "--defect=unknown-class"]
    for feed in (feeds[0], feeds[-1]):
        name = feed["feed"]
        was_told = any(receipt.get("told") for receipt in receipts(feed))  # by this test, before
        for expected in ([] if was_told else faults, []):
            digest = new_export(feed, tmp_path, *options)
            code, told = operate(feed, f"send {name}")
            assert code == 0, told
            assert ". 2 faulty rows" in told
            assert sha256(vendor, remote_path(feed)) == digest
            receipt = receipts(feed)[-1]
            assert receipt["faulty_rows"] == {"users": 1, "enrollments": 1}
            found = [f for f in receipt["findings"] if f["severity"] == "fault"]
            assert [(f["rule"], f["file"], f["column"], f["rows"]) for f in found] == faults
            keys = [(f["rule"], f["file"], f["column"]) for f in receipt["told"]]
            assert keys == [fault[:3] for fault in expected]
        code, told = operate(feed, f"status {name}")
        assert "amber" in told
        assert f"roster-upload check {name} to see all" in told


def student_of(package: Path) -> tuple[str, str]:
    """Return the sourcedId and the name of a package's last student."""
    with zipfile.ZipFile(package) as archive:
        users = archive.read("users.csv").decode().splitlines()
    *_, student = csv.DictReader(users)
    return student["sourcedId"], f"{student['givenName']} {student['familyName']}"


def assert_root_alone_is_shown(feed: Feed, person: tuple[str, str], since: str) -> None:
    """A diff shows a person's name on root's terminal, and writes it nowhere."""
    name, host = feed["feed"], connect(feed["host"])
    # `script` gives its command a terminal.
    shown = host.run("COLUMNS=200 script -qec %s /dev/null", f"roster-upload diff {name}")
    assert shown.rc == 0, shown.stdout
    assert [line for line in shown.stdout.splitlines() if all(word in line for word in person)]
    code, told = operate(feed, f"diff {name}")
    assert code == 2, told
    assert "only to a terminal" in told
    said = said_since(feed, since, f"roster-diff@{name}", f"roster-upload@{name}")
    assert "guard holds the export" in said
    assert f"roster-diff@{name}" in said
    for word in person:
        assert word not in told
        assert word not in said
        kept = host.run("grep -rle %s /run/roster-upload /var/lib/roster-upload", word)
        assert (kept.rc, kept.stdout) == (1, "")


@pytest.mark.usefixtures("uncounted_starts")
def test_an_export_is_held_until_somebody_lets_this_very_file_through(
    feeds: list[Feed], vendor: Host, tmp_path: Path
) -> None:
    for feed in (feeds[0], feeds[-1]):
        name = feed["feed"]
        good = new_export(feed, tmp_path)
        assert operate(feed, f"send {name}")[0] == 0
        since = connect(feed["host"]).check_output("date '+%Y-%m-%d %H:%M:%S'")
        disabled = new_export(feed, tmp_path, "--disabled")
        package = tmp_path / f"{name}.zip"
        code, told = operate(feed, f"send {name}")
        assert code == 17, told
        assert f"roster-upload diff {name}" in told
        assert_root_alone_is_shown(feed, student_of(package), since)
        options = f"--digest {disabled[:16]} --reason 'the summer break'"
        code, told = operate(feed, f"approve {name} {options}")
        assert code == 0, told
        # Another file is held as always.
        new_export(feed, tmp_path / "truncated", "--drop-students=150")
        code, told = operate(feed, f"send {name}")
        assert code == 17, told
        assert "150 of" in told
        assert sha256(vendor, remote_path(feed)) == good
        code, told = operate(feed, f"explain {name}")
        assert "SIS administrator" in told
        put_export(feed, package)
        assert operate(feed, f"send {name}")[0] == 0
        assert sha256(vendor, remote_path(feed)) == disabled
        assert receipts(feed)[-1]["approved"]["why"] == "the summer break"
        # Back again: the package before the last, stored encrypted on the host.
        code, told = operate(feed, f"resend {name} --last-good")
        assert code == 0, told
        assert sha256(vendor, remote_path(feed)) == good


@pytest.mark.usefixtures("uncounted_starts")
def test_what_else_an_operator_can_do(feeds: list[Feed], vendor: Host, tmp_path: Path) -> None:
    for feed in (feeds[0], feeds[-1]):
        name = feed["feed"]
        new_export(feed, tmp_path)
        there = vendor.check_output("stat -c %%Y%%s%%i %s", remote_path(feed))
        code, told = operate(feed, f"verify {name} --without-login")
        assert code == 0, told
        assert f"{name}  open" in told
        code, told = operate(feed, f"rehearse {name}")
        assert code == 0, told
        assert "this export can be delivered tonight. Nothing was sent" in told
        code, told = operate(feed, f"verify {name} --without-login")
        assert code == 0, told
        assert "this export was rehearsed" in told
        code, told = operate(feed, f"probe {name}")
        assert code == 0, told
        assert "posix-rename" in told
        assert vendor.check_output("stat -c %%Y%%s%%i %s", remote_path(feed)) == there
        assert operate(feed, f"send {name}")[0] == 0
        code, told = operate(feed, f"watch {name}")
        assert code == 0, told
        code, told = operate(feed, f"history {name}")
        assert "rehearsed" in told
        metrics = connect(feed["host"]).file(f"/var/cache/roster-upload/{name}/{name}.prom")
        assert metrics.mode == 0o644
        assert f'roster_upload_last_success_timestamp_seconds{{feed="{name}"}}' in (
            metrics.content_string
        )


HOST_KEY = "/var/lib/systemd/credential.secret"
LOCKED = f"this host cannot open its secrets: its key {HOST_KEY} was replaced"


def exit_code(host: Host, unit: str) -> str:
    return str(host.check_output("systemctl show --property=ExecMainStatus --value %s", unit))


def assert_said(feed: Feed) -> None:
    """Check that the alarm has reported the locked secrets everywhere, and once."""
    host, name = connect(feed["host"]), feed["feed"]
    wait_for(f"the alarm of {name}", lambda: receipts(feed)[-1]["exit_code"] == 6, 60)
    unit = f"roster-notify@{name}"
    wait_for("the unit with the addresses", lambda: exit_code(host, unit) == "243", 60)
    assert receipts(feed)[-1]["message"].startswith(LOCKED)
    assert sum(r["exit_code"] == 6 for r in receipts(feed)) == 1
    assert LOCKED in host.check_output(f"journalctl -p crit -o cat -u roster-alarm@{name}")
    metrics = host.file(f"/var/cache/roster-upload/{name}/{name}.prom").content_string
    assert f'roster_upload_exit_code{{feed="{name}"}} 6' in metrics


def test_a_host_that_cannot_open_its_secrets_says_so_and_is_mended(
    feeds: list[Feed], tmp_path: Path
) -> None:
    """Its key is another one, as after a restore of its disk. So the program cannot start."""
    for feed in feeds:
        if not any(r["outcome"] == "sent" for r in receipts(feed)):
            assert operate(feed, f"send {feed['feed']}")[0] == 0
    # Once a host: an alarm of its other feed may be reading the key meanwhile.
    for each in sorted({feed["host"] for feed in feeds}):
        connect(each).check_output(f"rm {HOST_KEY} && systemd-creds setup")
    for feed in feeds:
        host, name = connect(feed["host"]), feed["feed"]
        assert host.run("systemctl start roster-upload@%s", name).failed
        host.run("systemctl start roster-watch@%s", name)
        assert exit_code(host, f"roster-watch@{name}") in ("0", "28")  # it needs no secret
    for feed in feeds:
        assert_said(feed)
    # The host makes new keys of its own only if you say so. Then the guard holds.
    site("--tags", "roster_credentials", "-e", "roster_credentials_replace_lost=true")
    for feed in feeds:
        name, digest = feed["feed"], new_export(feed, tmp_path)
        code, told = operate(feed, f"send {name}")
        assert code == 17, told
        assert "written with another key" in told
        code, told = operate(feed, f"approve {name} --digest {digest[:16]} --reason 'a new disk'")
        assert code == 0, told
        assert operate(feed, f"send {name}")[0] == 0
        assert "breaks" not in receipts(feed)[-1]["checked"], "a new key is no alarm"
