"""The steps between an export and its transfer, and their messages: guard, calendar, retries, …"""

from __future__ import annotations

import datetime as dt
import json
import os
import shutil
import signal
import subprocess
import threading
import time
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from roster_upload.cli import parser as cli
from roster_upload.exits import Exit
from roster_upload.records.package_store import PackageStore
from support import rosters, waiting
from support.district import FEED, District
from support.vendor import OLD, Vendor


def at_vendor(vendor: Vendor) -> bytes:
    [path] = vendor.folder.iterdir()
    return path.read_bytes()


def days(first: int, last: int) -> str:
    """Return a span of days around tomorrow, to which the next deadline may belong."""
    today = dt.datetime.now(dt.UTC).date()
    return f"{today + dt.timedelta(days=first)}..{today + dt.timedelta(days=last)} a reason"


# ---- guard --------------------------------------------------------------------------------------


def test_a_truncated_export_is_held_and_approved_once(district: District, vendor: Vendor) -> None:
    assert district.send()[0] == Exit.OK
    good = at_vendor(vendor)
    district.export.write_bytes(rosters.build(students=2000, drop_students=500))
    code, told = district.send()
    assert code == Exit.HELD
    receipt = district.last
    assert receipt["outcome"] == "held"
    assert receipt["changes"]["users.student"]["removed"] == 500
    assert "users.student: 500 of 2,000 would be removed (25.0 %, the limit is 10 %)" in told
    digest = receipt["source"]["sha256"]
    assert f"approve {FEED} --digest {digest[:16]}" in told
    assert at_vendor(vendor) == good
    assert len(vendor.logins) == 1

    # A wrong digest, or one that is too short, is no approval.
    for wrong in ("0" * 64, digest[:8]):
        code, told = district.run("approve", FEED, "--digest", wrong, "--reason", "x")
        assert code == Exit.USAGE
        assert digest in told
    code, told = district.run(
        "approve", FEED, "--digest", digest[:16], "--reason", "a school closed"
    )
    assert code == Exit.OK, told
    assert "a school closed: systemctl start" in district.run("status", FEED)[1]
    # It is for exactly this file, and not for another one.
    kept = district.export.read_bytes()
    district.export.write_bytes(rosters.build(students=2000, drop_students=600))
    assert district.send()[0] == Exit.HELD
    district.export.write_bytes(kept)
    code, told = district.send()
    assert code == Exit.OK, told
    assert district.last["approved"]["why"] == "a school closed"
    assert district.last["held"]
    assert at_vendor(vendor) == kept

    # Once: after another delivery it is held again.
    district.export.write_bytes(rosters.build(students=2000, drop_students=550))
    assert district.send()[0] == Exit.OK
    district.export.write_bytes(rosters.build(students=2000))
    assert district.send()[0] == Exit.OK
    district.export.write_bytes(kept)
    assert district.send()[0] == Exit.HELD
    assert "a school closed" in district.run("history", FEED, "--json")[1]


def test_a_missing_baseline_is_held(district: District, vendor: Vendor) -> None:
    assert district.send()[0] == Exit.OK
    for path in district.state.glob("accepted-*"):
        path.unlink()
    code, told = district.send()
    assert code == Exit.HELD
    assert "baseline of an earlier package" in told
    digest = district.last["source"]["sha256"]
    district.run("approve", FEED, "--digest", digest, "--reason", "the disk was lost")
    assert district.send()[0] == Exit.OK
    assert district.send()[0] == Exit.OK


def test_another_key_of_the_state_is_held(district: District) -> None:
    assert district.send()[0] == Exit.OK
    (district.credential.parent / f"{FEED}_state").write_bytes(b"o" * 32)
    code, told = district.send()
    assert code == Exit.HELD
    assert "another key" in told


def test_a_first_delivery_that_is_too_small_is_held(district: District, vendor: Vendor) -> None:
    district.export.write_bytes(rosters.build(students=5))
    code, told = district.send()
    assert code == Exit.HELD
    assert "guard_minimum" in told
    assert at_vendor(vendor) == OLD


def test_an_expected_change_passes_in_its_window_only(district: District) -> None:
    assert district.send()[0] == Exit.OK
    district.export.write_bytes(rosters.build(students=2000, drop_students=1000))
    district.configure(expected_changes=[days(-9, -3)], guard_minimum={})
    assert district.send()[0] == Exit.HELD
    district.configure(expected_changes=[days(0, 2)], guard_minimum={})
    code, told = district.send()
    assert code == Exit.OK, told
    assert "a reason" in district.last["expected_change"]


def test_nothing_of_the_roster_is_kept_in_the_clear(district: District) -> None:
    district.send()
    district.export.write_bytes(rosters.build(students=100))
    district.send()
    district.run("history", FEED)
    words = [word.encode() for word in (*rosters.GIVEN, *rosters.FAMILY, "invented.example")]
    files = [path for path in district.state.rglob("*") if path.is_file()]
    assert any("packages" in str(path) for path in files)
    for path in files:
        content = path.read_bytes()
        assert not [word for word in words if word in content], path
        assert b"1-s17" not in content, path


# ---- settle and calendar ------------------------------------------------------------------------


def test_a_growing_export_is_waited_for(district: District, vendor: Vendor) -> None:
    district.configure(quiet_seconds=2)
    whole = district.export.read_bytes()
    is_waited_for = threading.Event()

    def grow() -> None:
        with district.export.open("wb", buffering=0) as out:
            for start in range(0, len(whole) - 10, 10):  # until it is waited for, however late
                out.write(whole[start : start + 10])
                if is_waited_for.wait(0.02):
                    break
            out.write(whole[start + 10 :])

    writer = threading.Thread(target=grow)
    writer.start()
    process = district.start()
    assert process.stderr
    lines = iter(process.stderr.readline, "")  # a slow machine's progress may come first
    is_said = any("has been quiet for 2 s" in line for line in lines)
    is_waited_for.set()
    writer.join()
    _, told = process.communicate(timeout=waiting.HANG_SECONDS)
    assert is_said, told
    assert process.returncode == Exit.OK, told
    assert district.is_delivered
    assert district.last["seconds"]["settle"] >= 2


def test_an_export_that_never_settles_is_not_sent(district: District, vendor: Vendor) -> None:
    district.configure(quiet_seconds=3600, settle_minutes=0)
    code, told = district.send()
    assert code == Exit.GROWING
    assert "still being written" in told
    assert at_vendor(vendor) == OLD


def test_an_old_export_is_stale(district: District, vendor: Vendor) -> None:
    two_days_ago = time.time() - 48 * 3600
    os.utime(district.export, (two_days_ago, two_days_ago))
    code, told = district.send()
    assert code == Exit.STALE
    assert "48 h ago. The limit is 36 h" in told
    assert district.last["outcome"] == "stale"
    assert at_vendor(vendor) == OLD
    district.configure(maximum_age_hours=72)
    assert district.send()[0] == Exit.OK


def test_an_unchanged_export_is_sent_or_skipped(district: District, vendor: Vendor) -> None:
    assert district.send()[0] == Exit.OK
    assert district.send()[0] == Exit.OK
    assert len(vendor.logins) == 2
    district.configure(unchanged="skip")
    code, told = district.send()
    assert code == Exit.OK
    assert "already has this export" in told
    assert district.last["outcome"] == "skipped"
    assert len(vendor.logins) == 2


def test_nothing_is_sent_on_a_blackout_date(district: District, vendor: Vendor) -> None:
    district.configure(blackouts=[days(0, 1)])
    code, told = district.send()
    assert code == Exit.PAUSED
    assert "a reason" in told
    assert district.last["outcome"] == "skipped"
    assert district.send()[0] == Exit.PAUSED
    assert len(district.receipts) == 1, "once a night is enough"
    assert (at_vendor(vendor), vendor.logins) == (OLD, [])
    assert district.run("watch", FEED)[0] == Exit.OK
    # So are the nights after the vendor's reset, until its end is set. Minima measure the next one.
    reset = {"reset_date": days(-1, -1)[:10], "guard_minimum": {"users.student": 20}}
    district.configure(**reset)
    code, told = district.send()
    assert code == Exit.PAUSED
    assert "Set roster_upload_reset_resume_date to the first night" in told
    assert "Set roster_upload_guard_minimum for enrollments.student" in told
    assert district.run("watch", FEED)[0] == Exit.OK
    assert (at_vendor(vendor), vendor.logins) == (OLD, [])
    district.configure(**reset, reset_resume_date=days(0, 0)[:10])
    code, told = district.send()
    assert code == Exit.HELD
    assert "no number of your own for enrollments.student" in told
    minima = {"users.student": 20, "enrollments.student": 20}
    district.configure(**{**reset, "guard_minimum": minima}, reset_resume_date=days(0, 0)[:10])
    assert district.send()[0] == Exit.OK
    assert district.last["reset"] == reset["reset_date"]


# ---- formats ------------------------------------------------------------------------------------


def unpack(district: District) -> Path:
    folder = district.folder / "export"
    with zipfile.ZipFile(district.export) as package:
        package.extractall(folder)
    return folder


def test_a_folder_is_packed_the_same_each_time(district: District, vendor: Vendor) -> None:
    folder = unpack(district)
    (folder / "notes.txt").write_text("not for the vendor")
    district.configure(source=str(folder))
    code, told = district.send()
    assert code == Exit.OK, told
    first = at_vendor(vendor)
    with zipfile.ZipFile(vendor.folder / "OneRoster.zip") as arrived:
        assert "notes.txt" not in arrived.namelist()
        for name in arrived.namelist():
            assert arrived.read(name) == (folder / name).read_bytes()
    for path in sorted(folder.iterdir(), reverse=True):
        os.utime(path)
    assert district.send()[0] == Exit.OK
    assert at_vendor(vendor) == first


def test_the_newest_match_of_a_pattern_is_taken(district: District, vendor: Vendor) -> None:
    for day, revision in (("0102", 1), ("0104", 2), ("0103", 3)):
        path = district.folder / f"export-{day}.zip"
        path.write_bytes(rosters.build(students=300, revision=revision))
        os.utime(path, (time.time() - 3600 + int(day), time.time() - 3600 + int(day)))
    district.configure(source=str(district.folder / "export-*.zip"))
    assert district.send()[0] == Exit.OK
    assert at_vendor(vendor) == rosters.build(students=300, revision=2)
    assert district.last["source"]["path"].endswith("export-0104.zip")


def test_an_opaque_file_has_rules_of_size_only(district: District, vendor: Vendor) -> None:
    export = district.folder / "export.xml"
    export.write_bytes(b"<roster>" + b"x" * 1000)
    opaque: dict[str, Any] = {
        "format": "other", "source": str(export), "remote_name": "roster.xml",
        "minimum_bytes": 500, "guard_minimum": {},
    }  # fmt: skip
    district.configure(**opaque)
    (vendor.folder / "OneRoster.zip").unlink()
    code, told = district.send()
    assert code == Exit.OK, told
    assert at_vendor(vendor) == export.read_bytes()
    export.write_bytes(b"<roster>" + b"x" * 600)
    code, told = district.send()
    assert code == Exit.HELD
    assert "the file's size in bytes: 400 of 1,008 would be removed" in told
    export.write_bytes(b"<roster>")
    code, told = district.send()
    assert code == Exit.REFUSED
    assert "file.too-small" in told


# ---- retries, repetition, rehearsal -------------------------------------------------------------


def test_a_broken_transfer_is_tried_again(district: District, vendor: Vendor) -> None:
    district.configure(attempts=3, retry_seconds=0)
    vendor.cut_at, vendor.at_write, vendor.cut_once = "write", 2, True
    code, told = district.send()
    assert code == Exit.OK, told
    assert "attempt 1 of 3" in told
    assert district.last["attempts"] == 2
    assert district.is_delivered


def test_it_gives_up_after_its_attempts(district: District, vendor: Vendor) -> None:
    district.configure(attempts=3, retry_seconds=0, remote_port=1)
    code, told = district.send()
    assert code == Exit.NETWORK
    assert told.count("try ") == 2
    assert len(district.receipts) == 1
    assert district.last["attempts"] == 3


def test_a_refused_login_is_not_tried_again(district: District, vendor: Vendor) -> None:
    district.configure(attempts=3, retry_seconds=0)
    district.credential.write_bytes(b"wrong")
    assert district.send()[0] == Exit.LOGIN
    assert len(vendor.logins) == 1
    assert district.last["attempts"] == 1


def test_the_last_good_package_comes_back(district: District, vendor: Vendor) -> None:
    first = district.export.read_bytes()
    assert district.send()[0] == Exit.OK
    district.export.write_bytes(rosters.build(students=2000, drop_students=10))
    assert district.send()[0] == Exit.OK
    bad = at_vendor(vendor)
    assert bad != first
    code, told = district.run("resend", FEED, "--last-good")
    assert code == Exit.OK, told
    assert at_vendor(vendor) == first
    assert district.last["command"] == "resend"
    digest = district.receipts[1]["source"]["sha256"]
    assert district.run("resend", FEED, "--digest", digest[:16])[0] == Exit.OK
    assert at_vendor(vendor) == bad
    code, told = district.run("resend", FEED, "--digest", "0" * 20)
    assert code == Exit.SOURCE
    assert "no stored package" in told
    assert not list((district.folder / "tmp").iterdir())


def test_a_rehearsal_does_all_but_the_sending(district: District, vendor: Vendor) -> None:
    code, told = district.run("rehearse", FEED)
    assert code == Exit.OK, told
    assert district.last["outcome"] == "rehearsed"
    assert (at_vendor(vendor), len(vendor.logins)) == (OLD, 1)
    assert list(vendor.held) == ["OneRoster.zip"], "the first one has learned the server's ways"
    vendor.requests.clear()
    assert district.run("rehearse", FEED)[0] == Exit.OK
    assert "write" not in vendor.requests, "and the others do not write"
    # A held export can be approved in the afternoon.
    assert district.send()[0] == Exit.OK
    district.export.write_bytes(rosters.build(students=2000, drop_students=1000))
    assert district.run("rehearse", FEED)[0] == Exit.HELD
    digest = district.last["source"]["sha256"]
    assert district.run("approve", FEED, "--digest", digest, "--reason", "right")[0] == Exit.OK
    assert district.send()[0] == Exit.OK
    district.credential.write_bytes(b"wrong")
    assert district.run("rehearse", FEED)[0] == Exit.LOGIN


def test_a_probe_is_remembered_and_compared(district: District, vendor: Vendor) -> None:
    code, told = district.run("probe", FEED)
    assert code == Exit.OK, told
    assert "posix-rename" in told
    assert at_vendor(vendor) == OLD
    profile = district.state / "server.json"
    learned = json.loads(profile.read_text())
    profile.write_text(json.dumps({**learned, "server": "SSH-2.0-Other", "sizes": False}))
    code, told = district.send()
    assert code == Exit.OK, told
    changed = district.last["remote"]["server_changed"]
    assert any("the server's version was SSH-2.0-Other" in word for word in changed)
    assert "The server has changed" in told
    assert json.loads(profile.read_text())["server"] == learned["server"]
    assert district.send()[0] == Exit.OK
    assert "server_changed" not in district.last["remote"]


# ---- watcher, alerts, views ---------------------------------------------------------------------


class Listener:
    """Start a server of alerts that keeps its requests."""

    def __init__(self) -> None:
        self.got: list[tuple[str, str, str]] = []
        listener = self

        class Handler(BaseHTTPRequestHandler):
            def _take(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                listener.got.append((self.command, self.path, body.decode()))
                self.send_response(200)
                self.end_headers()

            do_GET = do_POST = _take  # noqa: N815 - as the base class asks

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def alerts(self) -> list[dict[str, Any]]:
        return [json.loads(body) for command, _, body in self.got if command == "POST"]


@pytest.fixture
def listener() -> Iterator[Listener]:
    made = Listener()
    yield made
    made.server.shutdown()
    made.server.server_close()


def test_failure_and_recovery_are_told(
    district: District, vendor: Vendor, listener: Listener
) -> None:
    url = f"{listener.url.replace('http', 'json')}/a-secret-path"
    (district.credential.parent / f"{FEED}_alerts").write_text(json.dumps([url]))
    district.configure(heartbeat_url=f"{listener.url}/beat")
    kept = district.export.read_bytes()
    district.export.unlink()
    assert district.send()[0] == Exit.SOURCE
    assert district.send()[0] == Exit.SOURCE  # the same failure, reported already
    district.export.write_bytes(kept)
    assert district.send()[0] == Exit.OK
    assert district.send()[0] == Exit.OK
    assert [alert["kind"] for alert in listener.alerts] == ["failure", "recovery"]
    failure = listener.alerts[0]
    assert (failure["exit_code"], failure["district"]) == (Exit.SOURCE, "Maple Grove")
    assert "there is no export" in failure["reason"]
    assert all(path == "/a-secret-path" for way, path, _ in listener.got if way == "POST")
    beats = [path for way, path, _ in listener.got if way == "GET"]
    assert beats == ["/beat/start", "/beat/5"] * 2 + ["/beat/start", "/beat/0"] * 2
    assert "a-secret-path" not in (district.state / "receipts.jsonl").read_text()


def test_alerts_that_do_not_work_do_no_harm(district: District) -> None:
    district.configure(
        alert_urls=["json://no-such-host.invalid/", "mailto://127.0.0.1:1?from=a@maple.example"],
        heartbeat_url="http://127.0.0.1:1/",
    )
    (district.credential.parent / f"{FEED}_alerts").write_text("no JSON")
    code, told = district.send()
    assert code == Exit.OK
    assert "the heartbeat did not work" in told
    district.export.unlink()
    code, told = district.send()
    assert code == Exit.SOURCE
    assert "the alert to mailto did not work: 127.0.0.1: Connection refused" in told
    assert "the alert to json did not work: no-such-host.invalid: its name cannot" in told
    assert "the alerts' addresses of alerts.vault cannot be read on this host" in told


def test_the_alerts_are_tested_channel_by_channel(district: District, listener: Listener) -> None:
    district.configure()
    code, told = district.run("notify-test", FEED)
    assert code == Exit.CONFIG
    assert "has no alert channel" in told
    good = listener.url.replace("http", "json")
    district.configure(alert_urls=[good])
    code, told = district.run("notify-test", FEED)
    assert (code, listener.alerts[-1]["kind"]) == (Exit.OK, "test")
    assert told.startswith("json: accepted (0.")
    (district.credential.parent / f"{FEED}_alerts").write_text('["json://127.0.0.1:1/hush"]')
    code, told = district.run("notify-test", FEED)
    assert code == Exit.ALERTS
    assert "json (1): accepted (" in told
    assert "json (2): 127.0.0.1: Connection refused (" in told
    assert "hush" not in told
    (district.credential.parent / f"{FEED}_alerts").write_text("no JSON")
    assert district.run("notify-test", FEED)[0] == Exit.CREDENTIAL


def test_the_watcher_notices_silence(district: District, listener: Listener) -> None:
    district.configure(alert_urls=[listener.url.replace("http", "json")])
    district.open_window()
    district.configure_more(alert_urls=[listener.url.replace("http", "json")])
    code, told = district.run("watch", FEED)
    assert code == Exit.MISSED
    assert "No try was made tonight" in told
    assert listener.alerts[-1]["kind"] == "deadline"
    kept = district.export.read_bytes()
    district.export.unlink()
    district.send()
    code, told = district.run("watch", FEED)
    assert code == Exit.MISSED
    assert "there is no export" in told
    district.export.write_bytes(kept)
    assert district.send()[0] == Exit.OK
    code, told = district.run("watch", FEED)
    assert code == Exit.OK
    assert "in order" in told


def test_what_was_sent_by_day_is_not_tonights(district: District) -> None:
    district.move_window(opens=60, closes=90)
    assert district.send()[0] == Exit.OK
    district.open_window()
    assert district.last["night"]
    code, told = district.run("watch", FEED)
    assert code == Exit.MISSED
    assert "No try was made tonight" in told


def test_a_person_is_told_what_happened(district: District, vendor: Vendor) -> None:
    district.open_window()
    code, told = district.send()
    assert code == Exit.OK
    assert "min early: 2,000 students (+2,000 −0)" in told
    district.export.write_bytes(rosters.build(students=2000, drop_students=500))
    district.send()
    code, told = district.run("status")
    assert code == Exit.OK
    assert "the vendor has the roster of" in told
    assert "next step" in told
    code, told = district.run("explain", FEED)
    assert code == Exit.OK
    assert "SIS administrator" in told
    assert "users.student: 500 of 2,000 would be removed" in told
    assert "roster-upload approve maple-grove" in told
    assert "Hello," in told
    code, told = district.run("history", FEED)
    assert code == Exit.OK
    assert "held" in told
    assert "+0 −500" in told
    for command in (["status"], ["history", FEED], ["explain", FEED], ["explain", "9"]):
        assert json.loads(district.run(*command, "--json")[1])
    assert district.run("explain", "200")[0] == Exit.USAGE


def test_a_host_that_can_write_nothing_is_not_silent(
    district: District, vendor: Vendor, listener: Listener
) -> None:
    """A full or broken disk: the receipt is lost, and yet somebody is notified."""
    district.configure(alert_urls=[listener.url.replace("http", "json")])
    (district.state / "receipts.jsonl").mkdir(parents=True)
    for command, code, kind in (
        ("send", Exit.LOCAL, "failure"),
        ("watch", Exit.MISSED, "deadline"),
    ):
        result, told = district.run(command, FEED)
        assert result == code, told
        assert "receipts.jsonl" in told
        assert listener.alerts[-1]["kind"] == kind
    assert at_vendor(vendor) == OLD


def test_no_room_for_the_state_stops_before_the_network(district: District, vendor: Vendor) -> None:
    (district.state / "accepted-0.npz").mkdir(parents=True)
    code, told = district.send()
    assert code == Exit.LOCAL
    assert "nothing was sent" in told
    assert (at_vendor(vendor), vendor.logins) == (OLD, [])


def test_a_signal_behind_the_delivery_does_not_undo_it(
    district: District, vendor: Vendor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file has arrived, and its package is being stored: it is recorded as sent."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT,
                                                              signal.SIGHUP)}  # fmt: skip
    monkeypatch.setattr(PackageStore, "add", lambda *_: os.kill(os.getpid(), signal.SIGTERM))
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(district.credential.parent))
    options = [
        f"--config-dir={district.config_file.parent}",
        f"--state-dir={district.state.parent}",
    ]
    try:
        assert cli.main([*options, "send", FEED]) == Exit.OK
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    assert district.last["outcome"] == "sent"
    assert district.is_delivered


def test_a_folder_without_an_export_is_told(district: District, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    code, told = district.run("check", "--file", str(tmp_path / "empty"))
    assert code == Exit.SOURCE
    assert "there is no CSV file" in told
    assert district.run("check", "--file", str(unpack(district)))[0] == Exit.OK


def test_many_feeds_take_turns(district: District, vendor: Vendor, tmp_path: Path) -> None:
    """Two feeds of a host with one transfer slot: one after the other."""
    district.configure(parallel=1)
    vendor.gate = threading.Event()
    other = district.config_file.with_name("oak-county.toml")
    text = district.config_file.read_text().replace(FEED, "oak-county")
    other.write_text(text + 'remote_name = "Other.zip"\n')
    for slot in ("current", "state"):
        folder = district.credential.parent
        shutil.copy(folder / f"{FEED}_{slot}", folder / f"oak-county_{slot}")
    runs = [district.start("send", name) for name in (FEED, "oak-county")]
    told: list[str] = []

    def listen(run: subprocess.Popen[str], gate: threading.Event) -> None:
        assert run.stderr
        for line in run.stderr:
            told.append(line)
            if "waiting for other feeds" in line:
                gate.set()

    listening = [threading.Thread(target=listen, args=(run, vendor.gate)) for run in runs]
    for thread in listening:
        thread.start()
    for thread in listening:
        thread.join(waiting.HANG_SECONDS)
    for run in runs:
        run.communicate(timeout=waiting.HANG_SECONDS)
    assert [run.returncode for run in runs] == [0, 0], told
    assert sum("waiting for other feeds" in line for line in told) == 1
    names = sorted(path.name for path in vendor.folder.iterdir())
    assert names == ["OneRoster.zip", "Other.zip"]
    assert vendor.most_connected == 1
