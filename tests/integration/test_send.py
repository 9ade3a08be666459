"""`send` against a server that can misbehave: what the operator sees, what the vendor has then."""

from __future__ import annotations

import dataclasses
import datetime as dt
import fcntl
import hashlib
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import rosters
from integration.district import USER, District
from integration.vendor import Vendor, serving
from roster_upload import config
from roster_upload.exits import Exit, Failure
from roster_upload.sftp import Delivery, Facts, deliver, offered_key_types

PASSWORD = ' it\'s {{ 7 * 7 }} 100% "safe" \\ größe '
OLD = b"yesterday's roster"


@pytest.fixture
def vendor(tmp_path: Path) -> Iterator[Vendor]:
    """A server that holds yesterday's file."""
    with serving(Vendor(tmp_path / "vendor", PASSWORD)) as server:
        (server.folder / "OneRoster.zip").write_bytes(OLD)
        yield server


@pytest.fixture
def district(tmp_path: Path, vendor: Vendor) -> District:
    """A district whose feed goes to that server."""
    return District(tmp_path / "district", vendor, PASSWORD.encode())


def test_a_roster_arrives_and_is_recorded(district: District, vendor: Vendor) -> None:
    code, told = district.send()
    assert code == Exit.OK, told
    assert district.is_delivered
    receipt = district.last
    assert receipt["outcome"] == "sent"
    assert receipt["source"]["sha256"] == hashlib.sha256(district.export.read_bytes()).hexdigest()
    arrived = (vendor.folder / "OneRoster.zip").stat().st_size
    assert receipt["remote"]["bytes"] == receipt["source"]["bytes"] == arrived
    assert receipt["remote"]["method"] == "posix-rename"
    assert receipt["remote"]["host_key"].startswith("SHA256:")
    assert receipt["rows"]["demographics"] == 2000
    phases = {
        "snapshot",
        "validate",
        "dns",
        "tcp",
        "kex",
        "auth",
        "open",
        "write",
        "rename",
        "verify",
    }
    assert phases <= set(receipt["seconds"])
    assert vendor.logins == [USER]
    assert "setstat" not in vendor.requests
    assert "open with attributes" not in vendor.requests


def test_no_row_of_the_roster_is_in_the_receipt(district: District) -> None:
    district.send()
    text = (district.state / "receipts.jsonl").read_text()
    for word in (*rosters.GIVEN, *rosters.FAMILY, "invented.example", "Invented School"):
        assert word not in text


def test_a_second_start_in_the_same_night_does_nothing(district: District, vendor: Vendor) -> None:
    district.open_window()
    assert district.send()[0] == Exit.OK
    assert district.last["in_window"] is True
    assert 28 <= district.last["minutes_to_deadline"] <= 30
    out, _ = district.start().communicate(timeout=60)
    assert "is in already" in out
    assert (len(district.receipts), len(vendor.logins)) == (1, 1)
    district.export.write_bytes(rosters.build(students=2000, seed=2))
    assert district.send()[0] == Exit.OK
    assert (len(district.receipts), len(vendor.logins)) == (2, 2)
    assert district.is_delivered


def test_outside_the_window_it_is_sent_and_flagged(district: District) -> None:
    now = dt.datetime.now(dt.UTC)
    later = [now + dt.timedelta(hours=h) for h in (2, 4)]
    district.configure(window_start=f"{later[0]:%H:%M}", deadline=f"{later[1]:%H:%M}")
    for count in (1, 2):
        code, told = district.send()
        assert code == Exit.OK
        assert "outside the nightly window" in told
        assert district.last["in_window"] is False
        assert len(district.receipts) == count


Faults = dict[str, Any]


@pytest.mark.parametrize(
    ("faults", "code", "told"),
    [
        ({"refuse_write": 1}, Exit.TRANSFER, "refused"),
        ({"refuse_write": 3}, Exit.TRANSFER, "refused"),
        ({"disk_full_at": 2}, Exit.TRANSFER, "the server refused"),
        ({"refuse_close": True}, Exit.TRANSFER, "could not be kept"),
        ({"cut_at_write": 1}, Exit.TRANSFER, "the connection broke"),
        ({"cut_at_write": 3}, Exit.TRANSFER, "the connection broke"),
        ({"append": True}, Exit.VERIFY, "bytes on the server"),
        ({"closed_folder": True}, Exit.REMOTE_PATH, "closed to"),
        ({"refuse_posix_rename": True, "refuse_rename": True}, Exit.TRANSFER, "no renaming here"),
    ],
)
def test_a_fault_leaves_yesterdays_roster_whole(
    district: District, vendor: Vendor, faults: Faults, code: Exit, told: str
) -> None:
    for name, value in faults.items():
        setattr(vendor, name, value)
    result, said = district.send()
    assert result == code, said
    assert told in said
    assert len(said.strip().splitlines()) == 1
    assert (vendor.folder / "OneRoster.zip").read_bytes() == OLD
    assert district.last["outcome"] == "failed"
    if "cut_at_write" not in faults:  # the connection lives, so nothing is left behind
        assert [path.name for path in vendor.folder.iterdir()] == ["OneRoster.zip"]
    # The next run, on a server in order, delivers and leaves nothing of the broken one.
    for name in faults:
        setattr(vendor, name, type(faults[name])())
    assert district.send()[0] == Exit.OK
    assert district.is_delivered


@pytest.mark.parametrize(
    ("faults", "method"),
    [
        ({"refuse_posix_rename": True}, "rename"),
        ({"refuse_posix_rename": True, "rename_will_not_replace": True}, "aside"),
    ],
)
def test_each_way_of_renaming(
    district: District, vendor: Vendor, faults: Faults, method: str
) -> None:
    for name, value in faults.items():
        setattr(vendor, name, value)
    code, told = district.send()
    assert code == Exit.OK, told
    assert district.last["remote"]["method"] == method
    assert district.is_delivered


def test_a_connection_cut_while_renaming_claims_nothing(district: District, vendor: Vendor) -> None:
    vendor.cut_at_rename = True
    code, told = district.send()
    assert code == Exit.TRANSFER
    assert "is not known" in told
    assert district.is_delivered


def test_a_file_that_shrinks_in_its_place_is_noticed(district: District, vendor: Vendor) -> None:
    vendor.shorten_at_rename = True
    code, told = district.send()
    assert code == Exit.VERIFY
    assert "has 100 bytes on the server" in told


def test_a_server_that_hides_sizes_is_believed_its_answers(
    district: District, vendor: Vendor
) -> None:
    vendor.hide_sizes = True
    code, told = district.send()
    assert code == Exit.OK, told
    assert district.last["remote"]["bytes"] is None
    assert district.is_delivered


def test_a_file_left_aside_by_a_broken_run_comes_back(district: District, vendor: Vendor) -> None:
    """The server refuses to replace a file, and the run before ended between its two renamings."""
    aside = Delivery(None, config.load(district.config_file), Facts()).aside  # type: ignore[arg-type]
    (vendor.folder / "OneRoster.zip").rename(vendor.root / aside)
    vendor.refuse_write = 1
    assert district.send()[0] == Exit.TRANSFER
    held = {path.name: path.read_bytes() for path in vendor.folder.iterdir()}
    assert held == {"OneRoster.zip": OLD}


@pytest.mark.parametrize("says", [b"", b"SSH-2.0-Silent\r\n", b"HTTP/1.1 400 Bad Request\r\n\r\n"])
def test_a_server_that_answers_no_more_is_left(
    district: District, monkeypatch: pytest.MonkeyPatch, says: bytes
) -> None:
    monkeypatch.setattr("roster_upload.sftp.CONNECT_SECONDS", 0.5)
    feed = config.load(district.config_file)
    with socket.create_server(("127.0.0.1", 0)) as server:
        feed = dataclasses.replace(feed, remote_port=server.getsockname()[1])
        answering = threading.Thread(target=_say, args=(server, says))
        answering.start()
        with pytest.raises(Failure) as failed:
            deliver(feed, b"secret", district.export, 1, Facts())
        answering.join(10)
    assert failed.value.code == Exit.NETWORK
    assert "127.0.0.1" in failed.value.message


def _say(server: socket.socket, words: bytes) -> None:
    connection, _ = server.accept()
    with connection:
        connection.sendall(words)
        while connection.recv(4096):
            pass


@pytest.mark.parametrize("secret", [b"", b"gr\xf6\xdfe"])
def test_a_password_that_is_no_text_is_told(
    district: District, vendor: Vendor, secret: bytes
) -> None:
    district.credential.write_bytes(secret)
    code, told = district.send()
    assert code == Exit.CREDENTIAL
    assert "empty, or no text" in told
    assert vendor.logins == []


def test_a_refused_login_is_tried_once(district: District, vendor: Vendor) -> None:
    district.credential.write_bytes(PASSWORD.strip().encode())
    code, told = district.send()
    assert code == Exit.LOGIN
    assert "was refused" in told
    assert vendor.logins == [USER]
    assert (vendor.folder / "OneRoster.zip").read_bytes() == OLD


def test_a_single_prompt_takes_the_password(district: District, vendor: Vendor) -> None:
    vendor.only_interactive = True
    code, told = district.send()
    assert code == Exit.OK, told
    assert vendor.logins == [USER]


def test_a_second_prompt_stops(district: District, vendor: Vendor) -> None:
    vendor.only_interactive = True
    vendor.prompts = ["Password: ", "Code: "]
    code, told = district.send()
    assert code == Exit.LOGIN
    assert "Code:" in told
    assert vendor.logins == []


def other_key(folder: Path) -> str:
    path = folder / "other"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path], check=True)
    return " ".join(path.with_suffix(".pub").read_text().split()[:2])


def test_an_unknown_host_key_gets_nothing(
    district: District, vendor: Vendor, tmp_path: Path
) -> None:
    district.configure(host_keys=[other_key(tmp_path)])
    code, told = district.send()
    assert code == Exit.HOST_KEY
    assert told.count("SHA256:") == 2
    assert vendor.logins == []


def test_the_next_host_key_may_be_pinned_beside_the_present(
    district: District, vendor: Vendor, tmp_path: Path
) -> None:
    district.configure(host_keys=[other_key(tmp_path), vendor.host_key])
    assert district.send()[0] == Exit.OK


def test_a_missing_folder_is_told(district: District, vendor: Vendor) -> None:
    district.configure(remote_dir="imagine/0123456-Maple Grove/other")
    code, told = district.send()
    assert code == Exit.REMOTE_PATH
    assert "does not exist" in told


def test_an_unreachable_server_is_told(district: District) -> None:
    district.configure(remote_port=1)
    code, told = district.send()
    assert code == Exit.NETWORK
    assert "127.0.0.1" in told


def test_a_server_that_is_none_is_told(district: District) -> None:
    district.configure(remote_host="no-such-host.invalid")
    code, told = district.send()
    assert code == Exit.NETWORK
    assert "could not be resolved" in told


def _missing(district: District) -> None:
    district.export.unlink()


def _a_pipe(district: District) -> None:
    district.export.unlink()
    os.mkfifo(district.export)


def _no_secret(district: District) -> None:
    district.credential.unlink()


def _wrong_config(district: District) -> None:
    district.configure(remote_dir="somewhere")


def _refused(district: District) -> None:
    district.export.write_bytes(rosters.build(defect="role"))


@pytest.mark.parametrize(
    ("spoil", "code", "outcome"),
    [
        (_missing, Exit.SOURCE, "failed"),
        (_a_pipe, Exit.SOURCE, "failed"),
        (_no_secret, Exit.CREDENTIAL, "failed"),
        (_wrong_config, Exit.CONFIG, "failed"),
        (_refused, Exit.REFUSED, "refused"),
    ],
)
def test_what_stops_before_the_network(
    district: District,
    vendor: Vendor,
    spoil: Callable[[District], None],
    code: Exit,
    outcome: str,
) -> None:
    spoil(district)
    result, told = district.send()
    assert result == code, told
    assert district.last["outcome"] == outcome
    assert district.last["message"] in told
    assert (vendor.logins, vendor.requests) == ([], [])
    if code is Exit.REFUSED:
        assert district.last["findings"][0]["rule"] == "value.enum"
        assert "row 20" in told


def test_two_deliveries_of_one_feed_do_not_meet(district: District, vendor: Vendor) -> None:
    district.state.mkdir(parents=True)
    with (district.state / "lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        code, told = district.send()
    assert code == Exit.BUSY
    assert "under way" in told
    assert vendor.logins == []


def test_a_signal_ends_in_good_order(district: District, vendor: Vendor) -> None:
    district.export.write_bytes(rosters.build(students=20_000))
    vendor.seconds_a_write = 0.1  # so that the signal meets it at work
    process = district.start()
    end = time.monotonic() + 40
    while vendor.writes < 3 and time.monotonic() < end:
        time.sleep(0.001)
    process.send_signal(signal.SIGTERM)
    _, told = process.communicate(timeout=30)
    assert process.returncode == Exit.STOPPED, told
    assert district.last["exit_code"] == Exit.STOPPED
    assert (vendor.folder / "OneRoster.zip").read_bytes() == OLD
    vendor.seconds_a_write = 0
    assert district.send()[0] == Exit.OK
    assert district.is_delivered


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa", "rsa"])
def test_a_private_key_logs_in(
    district: District, vendor: Vendor, tmp_path: Path, kind: str
) -> None:
    path = tmp_path / "client"
    subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", "", "-f", path], check=True)
    vendor.client_key = path.with_suffix(".pub").read_text()
    district.configure(auth="key")
    district.credential.write_bytes(path.read_bytes())
    code, told = district.send()
    assert code == Exit.OK, told
    assert district.is_delivered


def test_a_secret_that_is_no_key_is_told(district: District, vendor: Vendor) -> None:
    district.configure(auth="key")
    code, told = district.send()
    assert code == Exit.CREDENTIAL
    assert "private key" in told


def test_a_password_where_a_key_is_asked_for_is_told(district: District, vendor: Vendor) -> None:
    vendor.client_key = "ssh-ed25519 AAAA"
    code, told = district.send()
    assert code == Exit.LOGIN
    assert "publickey" in told


def test_the_pinned_key_types_are_what_is_asked_for() -> None:
    pins = (config.HostKey("ssh-rsa", b""), config.HostKey("ssh-ed25519", b""))
    assert offered_key_types(pins) == ["rsa-sha2-512", "rsa-sha2-256", "ssh-ed25519"]
