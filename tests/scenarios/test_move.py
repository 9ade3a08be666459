"""A feed moves from a host with Debian 12 to one with Debian 13, and its chain goes on.

The tests are the steps of one move, in this order.
"""

from __future__ import annotations

import base64
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from roster_fleet import vault as vaults
from scenarios.conftest import Played, ansible, row
from scenarios.test_rotation import env
from support import lab_fleet
from support import lab_vendor as vendor
from support.lab_hosts import ROOT, Host, connect, new_export, remote_path, sha256

OLD, NEW, FEED, USER = "lab-bookworm", "lab-trixie", "birch-hill", "rosters@birch-hill.example"
SOURCE = f"/srv/roster-upload/{FEED}/OneRoster.zip"
REMOTE = {"username": USER, "remote_dir": "imagine/0023456-birchhill/product"}
UNTIL_OLD_STOPS = "shared | move_feed | End the deliveries of the old host"
UNTIL_NEW_STARTS = "shared | move_feed | Start the deliveries of the new host"
# What the last move provisions anyway.
QUICKLY = ("--skip-tags", "district_hardening,sis_inbox")


class Move:
    """The inventory of a move, its hosts, and what must not be seen."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.old, self.new = connect(OLD), connect(NEW)
        entry = vaults.parse(lab_fleet.keys().read(self.vault_at(OLD))[1], self.vault_at(OLD))
        self.password = entry["secret"]
        path = f"/etc/roster-upload/credentials/{FEED}/state"
        words = f"systemd-creds decrypt --name={FEED}_state {path} - | base64 -w0"
        key = base64.b64decode(self.old.check_output(words))
        self.secrets = [self.password.encode(), key, base64.b64encode(key), key.hex().encode()]
        self.told = b""

    def vault_at(self, host: str) -> Path:
        return vaults.path_of(self.folder / "host_vars" / host, FEED)

    def play(self, playbook: str, limit: str, *words: str, **more: str) -> Played:
        path = f"playbooks/{playbook}.yml"
        place = ["-i", str(self.folder), "--limit", limit]
        done = ansible("ansible-playbook", path, *place, *words, **{**env(), **more})
        self.told += (done.stdout + done.stderr).encode()
        return done

    def move(self, *words: str, **more: str) -> Played:
        given = ["-e", f"move_to={NEW}", "-e", f"roster_feed={FEED}", "-vv"]
        return self.play("move", f"{OLD},{NEW}", *given, *words, **more)

    def export(self, host: str, tmp_path: Path, *options: str) -> str:
        """Let the SIS write another export on a host. Return its SHA-256."""
        return new_export({"feed": FEED, "host": host, "source": SOURCE}, tmp_path, *options)

    def send(self, host: Host) -> int:
        return int(host.run("roster-upload send %s", FEED).rc)

    def lines(self, host: Host) -> list[dict[str, Any]]:
        ledger = host.file(f"/var/lib/roster-upload/{FEED}/receipts.jsonl")
        return [json.loads(line) for line in ledger.content_string.splitlines()]

    def at_vendor(self) -> str:
        return sha256(vendor.host(), remote_path({**REMOTE, "remote_name": "OneRoster.zip"}))


@pytest.fixture(scope="module")
def moving() -> Iterator[Move]:
    folder = ROOT / "build" / "lab"  # whose name is the vault id
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(ROOT / "inventories" / "lab", folder)
    lab_fleet.keep_quiet(folder)
    yield Move(folder)
    shutil.rmtree(folder)


def test_death_before_the_end_leaves_the_old_host_delivering(moving: Move, tmp_path: Path) -> None:
    sent = moving.export(OLD, tmp_path)
    assert moving.send(moving.old) == 0
    done = moving.move(*QUICKLY, BREAK_AT=UNTIL_OLD_STOPS, BREAK_WHEN="before")
    assert done.returncode == -9, done.stdout + done.stderr
    # The new host has everything, and does not start.
    assert moving.lines(moving.new) == moving.lines(moving.old)
    started = moving.new.run("roster-upload send %s", FEED)
    assert started.rc == 14
    assert "Assertion failed" in started.stderr
    assert moving.at_vendor() == sent
    sent = moving.export(OLD, tmp_path)
    assert moving.send(moving.old) == 0
    assert moving.at_vendor() == sent
    # The inventory does not name it there yet.
    done = moving.play("site", NEW)
    assert done.returncode != 0
    assert f"{FEED} has come from {OLD}, and this run would remove it" in done.stdout


def test_a_failure_empties_the_new_host(moving: Move) -> None:
    """The vendor refuses the login, as where it knows the old host's address only."""
    vendor.take(USER, "another password")
    try:
        done = moving.move(*QUICKLY)
    finally:
        vendor.take(USER, moving.password)
    assert done.returncode != 0
    assert f"{OLD} goes on delivering" in done.stdout
    assert moving.new.run("find / -xdev -name '*birch-hill*' -path '*roster*'").stdout.split() == [
        f"/srv/roster-upload/{FEED}"
    ]
    assert moving.old.run("roster-upload login %s", FEED).rc == 0


def test_death_between_the_hosts_is_finished_by_the_same_command(
    moving: Move, tmp_path: Path
) -> None:
    checked = moving.move("--check", *QUICKLY)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "would be moved" in row(checked.stdout, FEED, f"{NEW} would deliver it")
    assert not moving.new.file("/var/lib/roster-move/away/birch-hill").exists
    done = moving.move(*QUICKLY, BREAK_AT=UNTIL_NEW_STARTS, BREAK_WHEN="before")
    assert done.returncode == -9, done.stdout + done.stderr
    for host in (moving.old, moving.new):
        assert moving.send(host) == 14
    done = moving.play("site", OLD)
    assert done.returncode != 0
    assert f"{FEED} has moved to {NEW}" in done.stdout
    done = moving.move()
    assert done.returncode == 0, done.stdout + done.stderr
    told = row(done.stdout, FEED, "moved")
    assert f"Have its export written to {SOURCE} on {NEW}" in told
    assert "have moved in the inventory" in told


def test_the_next_night_goes_on_where_the_old_host_ended(moving: Move, tmp_path: Path) -> None:
    before = moving.lines(moving.new)
    moving.export(NEW, tmp_path, "--drop-students=150")
    assert moving.send(moving.new) == 17  # the guard compares with the old host's last roster
    sent = moving.export(NEW, tmp_path)
    assert moving.send(moving.new) == 0
    assert moving.at_vendor() == sent
    lines = moving.lines(moving.new)
    assert lines[: len(before)] == before
    sent_before, sent_now = (
        {line["run"] for line in known if line["outcome"] == "sent"} for known in (before, lines)
    )
    assert sent_before
    assert len(sent_now - sent_before) == 1
    shown = moving.new.check_output("roster-upload history %s", FEED)
    assert "broken" not in shown
    assert shown.count("sent") >= 3
    # A package that the old host has stored, by the key that has moved with it.
    assert moving.new.run("roster-upload resend %s", FEED).rc == 0
    assert moving.old.run("find /etc /var/lib /srv -path '*birch-hill*' -type f").stdout == (
        "/var/lib/roster-move/away/birch-hill\n"
    )


def test_nothing_secret_was_on_the_control_node(moving: Move) -> None:
    files = [path for path in (ROOT / "build").rglob("*") if path.is_file()]
    assert not [path for path in files if path.suffix == ".age"]
    for secret in moving.secrets:
        assert secret not in moving.told
        assert not [path for path in files if secret in path.read_bytes()]


def test_the_inventory_follows(moving: Move) -> None:
    assert not moving.vault_at(OLD).exists()
    assert moving.vault_at(NEW).exists()
    done = moving.play("site", f"{OLD},{NEW}", *QUICKLY)
    assert done.returncode == 0, done.stdout + done.stderr
    assert moving.send(moving.new) == 0
    done = moving.play("verify", f"{OLD},{NEW}", "-e", f"roster_feed={FEED}")
    assert row(done.stdout, FEED, NEW)
