"""Two operators rotate one feed at once: the host only ever switches to a tried credential."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from scenarios.conftest import Played
from scenarios.test_rotation import (
    CREDENTIALS,
    FEED,
    HOST,
    KNOWN,
    USER,
    District,
    assert_silent,
    env,
    invented,
)
from support import lab_fleet, waiting
from support import lab_vendor as vendor
from support.lab_hosts import ROOT

TRIED = "rotate_feed | Try it against the real server"
LOCK = f"/run/roster-rotation/{FEED}"
PENDING = f"/etc/roster-upload/pending/{FEED}/pending"


def clone(name: str) -> District:
    """Return an operator's own clone of the lab's inventory."""
    folder = ROOT / "build" / name
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(ROOT / "inventories" / "lab", folder)
    lab_fleet.keep_quiet(folder)
    return District(folder)


@pytest.fixture(scope="module")
def operators() -> Iterator[tuple[District, District]]:
    """Return two operators with their own clones."""
    alice, bob = clone("alice"), clone("bob")
    KNOWN.append(alice.entry()["secret"])
    vendor.allow_second()
    vendor.take(USER, KNOWN[-1])
    alice.host.check_output("rm -f %s", LOCK)
    if alice.host.run("roster-upload login %s", FEED).rc:  # another test has rotated it
        alice.host.check_output("find /etc/roster-upload/*/%s/ -type f ! -name state -delete", FEED)
        assert alice.play("site").returncode == 0
    yield alice, bob
    for one in (alice, bob):
        shutil.rmtree(one.folder)


@pytest.fixture
def pair(operators: tuple[District, District]) -> tuple[District, District, str]:
    """Both know the current password. The vendor accepts it, and a new one of Alice's."""
    alice, bob = operators
    old, new = alice.entry()["secret"], invented()
    known = {key: value for key, value in alice.entry().items() if key != "next"}
    alice.vault.write(alice.path, {**known, "next": new}, "lab")
    bob.vault.write(bob.path, known, "lab")
    vendor.take(USER, old, second=new)
    return alice, bob, new


@contextmanager
def stopped_behind_the_try(one: District, folder: Path) -> Iterator[list[str]]:
    """Stop an operator's run once the vendor has accepted, and finish it after the block.

    The list then holds the run's exit code and output.
    """
    reached, go_on = folder / "reached", folder / "go-on"
    more = {"BREAK_AT": TRIED, "BREAK_WHEN": "after", "REACHED": str(reached), "GO_ON": str(go_on)}
    command = [
        str(Path(sys.executable).with_name("ansible-playbook")), "playbooks/rotate_credentials.yml",
        "-i", str(one.folder), "--limit", HOST, "-e", f"roster_feed={FEED}",
    ]  # fmt: skip
    output, told = folder / "output", [""]
    with output.open("w") as out, subprocess.Popen(
        command, cwd=ROOT, env={**env(), **more}, stdin=subprocess.DEVNULL, stdout=out, stderr=out
    ) as run:  # fmt: skip
        try:
            waiting.until(lambda: reached.exists() or run.poll() is not None, "the try")
            assert reached.exists(), output.read_text()
            yield told
        finally:
            go_on.touch()
    told[0] = f"exit code {run.returncode}: {' '.join(output.read_text().split())}"
    assert_silent(output.read_text())


def flat(done: Played) -> str:
    return " ".join(done.stdout.split())


def test_two_operators_one_after_the_other(
    pair: tuple[District, District, str], tmp_path: Path
) -> None:
    alice, bob, new = pair
    with stopped_behind_the_try(alice, tmp_path) as run:
        bob.put(next=invented())
        second = bob.rotate()
        assert second.returncode != 0
        assert f"{FEED} is being rotated by" in flat(second)
        # The same is true of site.yml, with a vault file that was changed by hand.
        bob.vault.write(bob.path, {"secret": KNOWN[-1], "since": "2099-01-01"}, "lab")
        brought = bob.play("site", *CREDENTIALS)
        assert brought.returncode != 0
        assert f"{FEED} is being rotated by" in flat(brought)
    assert run[0].startswith("exit code 0:"), run
    assert alice.entry()["secret"] == new
    vendor.take(USER, new)
    alice.assert_works()


def test_what_was_put_there_behind_the_try_is_not_switched_to(
    pair: tuple[District, District, str], tmp_path: Path
) -> None:
    """As by a run of an older release, which has no lock."""
    alice, _, _ = pair
    with stopped_behind_the_try(alice, tmp_path) as run:
        alice.host.check_output(
            "printf other | systemd-creds encrypt --name=%s_pending - %s", FEED, PENDING
        )
    assert "is not the tested credential" in run[0]
    alice.assert_works()
    assert "next" in alice.entry()


def test_a_vault_file_that_changes_meanwhile_is_not_overwritten(
    pair: tuple[District, District, str], tmp_path: Path
) -> None:
    alice, _, _ = pair
    other = invented()
    with stopped_behind_the_try(alice, tmp_path) as run:
        alice.put(next=other)
    assert "was changed during this run" in run[0]
    assert alice.entry()["next"] == other
    alice.assert_works()


def test_the_lock_of_a_killed_run_ends_with_it(pair: tuple[District, District, str]) -> None:
    alice, bob, new = pair
    killed = alice.rotate(BREAK_AT=TRIED, BREAK_WHEN="after")
    assert killed.returncode == -9
    assert alice.host.file(LOCK).exists
    bob.put(next=new)
    done = bob.rotate()
    assert done.returncode == 0, done.stdout
    assert not bob.host.file(LOCK).exists
    vendor.take(USER, new)
    bob.assert_works()


def test_no_other_setting_shows_a_password(
    pair: tuple[District, District, str], tmp_path: Path
) -> None:
    """All at once. Those that would show one are refused (`test_no_secret_is_opened_...`)."""
    alice, _, new = pair
    log, dump = tmp_path / "log", tmp_path / "dump"
    done = alice.rotate(
        "-vvvvvv",
        "--diff",
        ANSIBLE_DISPLAY_ARGS_TO_STDOUT="1",
        ANSIBLE_LOG_PATH=str(log),
        ANSIBLE_LOG_VERBOSITY="6",
        ANSIBLE_NO_LOG="0",
        ANSIBLE_NO_TARGET_SYSLOG="0",
        ANSIBLE_ENABLE_TASK_DEBUGGER="1",
        ANSIBLE_SHOW_CUSTOM_STATS="1",
        PYTHONVERBOSE="1",
        ANSIBLE_CALLBACKS_ENABLED="fleet_report,dump_all",
        DUMP=str(dump),
    )
    assert done.returncode == 0, done.stdout
    for shown in (log.read_text(), dump.read_text()):
        assert "Switch the host" in shown
        assert_silent(shown)
    assert_silent(alice.host.check_output("journalctl --no-pager --since=-10min"))
    vendor.take(USER, new)


def test_skipping_the_checks_is_no_way_around(
    pair: tuple[District, District, str], tmp_path: Path
) -> None:
    """The task that brings secrets checks by itself, even if they come from elsewhere."""
    alice, _, _ = pair
    elsewhere = tmp_path / "secrets.json"
    secrets = {"roster_credentials_secrets": {FEED: {"secret": KNOWN[0], "since": "2026-11-01"}}}
    elsewhere.write_text(json.dumps(secrets))
    words = ["--skip-tags", "validate", "-e", f"@{elsewhere}"]
    done = alice.play("site", *words, ANSIBLE_KEEP_REMOTE_FILES="1")
    assert done.returncode != 0
    assert "Unset ANSIBLE_KEEP_REMOTE_FILES" in flat(done)
    alice.assert_works()
