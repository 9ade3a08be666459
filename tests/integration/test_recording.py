"""A delivery and its record, if the run, the disk or the clock fails, over a real connection."""

from __future__ import annotations

import json
import os
import signal
import threading
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from roster_upload.cli import parser as cli
from roster_upload.exits import Exit
from roster_upload.guard.baseline import Baseline
from roster_upload.host import stop
from roster_upload.transfer.profile import Profile
from support import rosters, waiting
from support.district import FEED, District
from support.vendor import OLD, Vendor

FEW = rosters.build(students=30)


def kill(district: District, vendor: Vendor) -> None:
    """Send, and kill the run during its transfer."""
    vendor.gate = threading.Event()
    process = district.start()
    try:
        waiting.until(lambda: vendor.writes, "the transfer")
        told = district.run("status", FEED)[1]
        assert "under way" in told
        assert "was killed" not in told
    finally:
        process.kill()
        process.communicate(timeout=waiting.HANG_SECONDS)
        vendor.gate.set()
        vendor.gate = None
    for left in (district.folder / "tmp").iterdir():  # systemd deletes a private /tmp
        for path in left.iterdir():
            path.unlink()
        left.rmdir()


def test_a_killed_run_is_told_by_everything(district: District, vendor: Vendor) -> None:
    district.open_window()
    kill(district, vendor)
    for command in (["status"], ["history", FEED], ["explain", FEED]):
        assert "was killed before its end" in district.run(*command)[1], command
    assert (
        json.loads(district.run("status", FEED, "--json")[1])["feeds"][0]["last"]["exit_code"] == 30
    )
    code, told = district.run("watch", FEED)
    assert code == Exit.MISSED
    assert "The last try: the run of" in told
    assert "may hold its file" in told
    code, told = district.send()
    assert code == Exit.OK, told
    assert district.is_delivered
    assert [r["outcome"] for r in district.receipts] == ["failed", "failed", "sent"]
    assert district.run("watch", FEED)[0] == Exit.OK


def test_the_next_run_tells_of_a_killed_one_where_no_watcher_did(
    district: District, vendor: Vendor
) -> None:
    kill(district, vendor)
    code, told = district.send()
    assert code == Exit.OK
    assert "was killed before its end" in told
    assert [r["exit_code"] for r in district.receipts] == [Exit.KILLED, Exit.OK]


def test_the_guard_knows_what_a_killed_run_may_have_sent(
    district: District, vendor: Vendor
) -> None:
    kill(district, vendor)
    district.export.write_bytes(FEW)
    code, told = district.send()
    assert code == Exit.HELD, "a first delivery that may have arrived is none any more"
    assert "would be removed" in told
    assert vendor.held["OneRoster.zip"] == OLD


LATIN_1 = os.fsdecode(b"Gr\xfc\xdfe.zip")


def test_an_export_whose_name_is_not_utf_8_is_delivered(district: District, vendor: Vendor) -> None:
    content = district.export.read_bytes()
    district.export.unlink()
    export = district.folder / LATIN_1
    export.write_bytes(content)
    district.configure(source=str(district.folder / "*.zip"))
    for command in (["check", FEED], ["check", "--file", str(export)], ["rehearse", FEED]):
        code, told = district.run(*command)
        assert code == Exit.OK, told
    assert district.send()[0] == Exit.OK
    assert vendor.held == {"OneRoster.zip": content}
    assert district.last["source"]["path"].endswith("/Gr\\xfc\\xdfe.zip")
    export.write_bytes(FEW)
    assert district.send()[0] == Exit.HELD, "the delivery was recorded"
    for command in (["status"], ["history", FEED], ["explain", FEED], ["watch", FEED]):
        assert district.run(*command)[0] in (Exit.OK, Exit.MISSED), command
    export.write_bytes(b"no zip")
    assert district.send()[0] == Exit.REFUSED
    export.unlink()
    export.mkdir()
    assert district.send()[0] == Exit.SOURCE


def test_a_file_in_a_folder_whose_name_is_not_utf_8_is_packed(
    district: District, vendor: Vendor
) -> None:
    folder = district.folder / os.fsdecode(b"\xe9t\xe9")
    with zipfile.ZipFile(district.export) as package:
        package.extractall(folder)
    (folder / os.fsdecode(b"l\xe9gende.csv")).write_text("a,b\r\n")
    district.configure(source=str(district.folder / "?t?"))
    code, told = district.send()
    assert code == Exit.OK, told
    assert district.last["outcome"] == "sent"


@pytest.mark.parametrize(
    "lose",
    [
        Path.unlink,
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"\0" * path.stat().st_size),
        lambda path: path.write_bytes(path.read_bytes().replace(b"sent", b"\0\0\n\0")),
        lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    ],
    ids=["removed", "empty", "NUL", "damaged", "cut"],
)
def test_receipts_that_are_lost_are_no_first_delivery(
    district: District, vendor: Vendor, lose: Callable[[Path], None]
) -> None:
    sent = district.export.read_bytes()
    assert district.send()[0] == Exit.OK
    lose(district.state / "receipts.jsonl")
    assert "no delivery yet" not in district.run("status", FEED)[1]
    district.export.write_bytes(FEW)
    for _ in range(2):
        assert district.run("send", FEED)[0] == Exit.HELD
    assert vendor.held == {"OneRoster.zip": sent}
    for command in (["status"], ["history", FEED], ["explain", FEED]):
        assert district.run(*command)[0] == Exit.OK, command
    digest = district.last["source"]["sha256"]
    assert district.run("approve", FEED, "--digest", digest, "--reason", "so")[0] == Exit.OK
    assert district.run("send", FEED)[0] == Exit.OK
    assert district.is_delivered


def test_a_probe_before_the_first_delivery_is_no_trace_of_one(district: District) -> None:
    assert district.run("probe", FEED)[0] == Exit.OK
    assert district.receipts == []
    assert "no delivery yet" in district.run("status", FEED)[1]
    assert district.send()[0] == Exit.OK


def test_what_is_kept_outlives_a_power_cut(
    district: District, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The baseline and its name are on the disk before the receipt that refers to them."""
    calls: list[str] = []

    def fsync(descriptor: int) -> None:
        calls.append(Path(f"/proc/self/fd/{descriptor}").readlink().name)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(district.credential.parent))
    options = [f"--config-dir={district.config_file.parent}"]
    options += [f"--state-dir={district.state.parent}"]
    before = {number: signal.getsignal(number) for number in stop.SIGNALS}
    try:
        assert cli.main([*options, "send", FEED]) == Exit.OK
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    [baseline] = [n for n, name in enumerate(calls) if name.startswith(".accepted-")]
    begun = [n for n, name in enumerate(calls) if name == "receipts.jsonl"]
    assert calls[baseline + 1] == FEED, "its new name"
    assert baseline < begun[1] < begun[2]
    for name in (".server.json.", ".delivered.json."):
        assert any(call.startswith(name) for call in calls), name
    assert any(call.endswith(".package") or ".package." in call for call in calls)
    assert isinstance(Profile.from_json((district.state / "server.json").read_text()), Profile)
    assert next(district.state.glob("accepted-*")).stat().st_mode & 0o777 == 0o600
    [path] = district.state.glob("accepted-*")
    assert Baseline.load(path, b"k" * 32).rows["demographics"] == 2000
