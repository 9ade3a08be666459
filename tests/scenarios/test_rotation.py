"""Passwords and keys change on real hosts. If a run breaks off, the night still goes well."""

from __future__ import annotations

import json
import os
import pty
import re
import secrets
import shutil
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.parsing.vault import VaultSecret
from roster_fleet import vault as vaults
from scenarios.conftest import Played, ansible, environment, plain, row
from support import lab_fleet
from support import lab_vendor as vendor
from support.lab_hosts import ROOT, connect, new_export, wait_for

HOST, FEED, USER = "lab-trixie", "alder-valley", "rosters@alder-valley.example"
CALLBACKS = ROOT / "tests" / "scenarios" / "callbacks"
# All that a credential and its server concern. The rest of the host stays as it is.
CREDENTIALS = ("--tags", "roster_upload,roster_credentials,firewall")


class District:
    """Return a copy of the lab's inventory that a rotation may change, and its host."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        key = (folder / "vault-key.txt").read_text().rstrip("\n").encode()
        self.vault = vaults.Vault([("lab", VaultSecret(key))])
        self.path = vaults.path_of(folder / "host_vars" / HOST, FEED)
        self.host = connect(HOST)

    def entry(self) -> vaults.Entry:
        return vaults.parse(self.vault.read(self.path)[1], self.path)

    def put(self, **values: Any) -> None:
        """Change the content of the vault file."""
        self.vault.write(self.path, {**self.entry(), **values}, "lab")

    def play(self, playbook: str, *arguments: str, **more: str) -> Played:
        path = f"playbooks/{playbook}.yml"
        words = ["-i", str(self.folder), "--limit", HOST, *arguments]
        return ansible("ansible-playbook", path, *words, **{**env(), **more})

    def rotate(self, *arguments: str, **more: str) -> Played:
        done = self.play("rotate_credentials", "-e", f"roster_feed={FEED}", *arguments, **more)
        assert_silent(done.stdout + done.stderr)
        return done

    def slot(self, name: str, prefix: str = "") -> bool:
        """Return whether a slot is filled."""
        folder = "credentials" if name == "current" else name
        return bool(self.host.file(f"/etc/roster-upload/{folder}/{FEED}/{prefix}{name}").exists)

    def assert_works(self, option: str = "") -> None:
        """Log in as the night does, with the current credential."""
        done = self.host.run(f"roster-upload login {option} %s", FEED)
        assert done.rc == 0, done.stdout + done.stderr


def env() -> dict[str, str]:
    """Return an operator's environment, and the callback that breaks runs."""
    return {
        **environment(),
        "ANSIBLE_CALLBACK_PLUGINS": f"{CALLBACKS}:{ROOT}/roles/roster_common/callback_plugins",
        "ANSIBLE_CALLBACKS_ENABLED": "fleet_report,break_at",
    }


KNOWN: list[str] = []  # every password that was ever used here


def invented() -> str:
    """Return a new password that careless tools break."""
    KNOWN.append(f" {{{{ {secrets.token_hex(6)} }}}}%d'\"\\n$HOME ß ")
    return KNOWN[-1]


def assert_silent(told: str) -> None:
    """Assert that Ansible's output shows no password."""
    for secret in KNOWN:
        assert secret not in told
        assert secret.strip() not in told


@pytest.fixture(scope="module")
def district() -> Iterator[District]:
    folder = ROOT / "build" / "lab"  # whose name is the vault id
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(ROOT / "inventories" / "lab", folder)
    lab_fleet.keep_quiet(folder)
    one = District(folder)
    KNOWN.append(one.entry()["secret"])
    vendor.allow_second()
    # Remains of any former run.
    vendor.take(USER, KNOWN[0])
    one.host.check_output("find /etc/roster-upload/*/%s/ -type f ! -name state -delete", FEED)
    assert one.play("site").returncode == 0
    yield one
    shutil.rmtree(folder)


def test_nothing_due_is_the_report_of_ages(district: District) -> None:
    done = district.rotate()
    assert done.returncode == 0, done.stdout
    assert re.search(r"Alder Valley .* not due +\d+ of 365 days old", done.stdout)
    done = district.rotate("-e", "roster_credentials_maximum_days=1")
    assert "of 1 days old: rotate it" in done.stdout
    assert "changed=0" in done.stdout


def test_a_refused_password_changes_nothing(district: District) -> None:
    old = district.entry()["secret"]
    district.put(next=invented())
    before = district.path.read_bytes()
    done = district.rotate()
    assert done.returncode != 0
    assert "the old credential stays in use" in done.stdout
    assert "was refused" in done.stdout
    assert "reset through the link" in done.stdout
    assert district.path.read_bytes() == before
    assert not district.slot("pending")
    assert not district.slot("previous")
    district.assert_works()
    district.vault.write(district.path, {"secret": old}, "lab")


def test_check_says_what_would_be(district: District) -> None:
    new = invented()
    district.put(next=new)
    before = district.path.read_bytes()
    done = district.rotate("--check", "--diff")
    assert done.returncode == 0, done.stdout
    assert "would be tried and switched" in done.stdout
    assert district.path.read_bytes() == before
    assert not district.slot("pending")


def test_a_new_password_is_tried_then_switched(district: District, tmp_path: Path) -> None:
    old, new = district.entry()["secret"], district.entry()["next"]
    vendor.take(USER, old, second=new)
    done = district.rotate("-vvv")
    assert done.returncode == 0, done.stdout
    assert "rotated" in done.stdout
    assert district.entry()["secret"] == new
    assert district.entry()["since"] == time.strftime("%Y-%m-%d", time.gmtime())
    assert "next" not in district.entry()
    assert district.slot("previous")
    assert not district.slot("pending")
    vendor.take(USER, new)
    district.assert_works()
    # site.yml has nothing to change, and another rotation has nothing to do.
    assert re.search(r"changed=0 .*failed=0", district.play("site").stdout)
    assert "not due" in district.rotate().stdout
    # The former one goes with the next accepted delivery, by itself.
    source = "/srv/sis-inbox/sis-lab/incoming/OneRoster.zip"
    new_export({"host": HOST, "feed": FEED, "source": source}, tmp_path)
    assert district.host.run("roster-upload send %s", FEED).rc == 0
    wait_for("the former credential to go", lambda: not district.slot("previous"), 20)
    district.assert_works()


def type_at_the_prompt(district: District, new: str) -> str:
    """Rotate with typed input. Return the terminal's output."""
    command = [
        str(Path(sys.executable).with_name("ansible-playbook")), "playbooks/rotate_credentials.yml",
        "-i", str(district.folder), "--limit", HOST, "-e", f"roster_feed={FEED}",
    ]  # fmt: skip
    controller, terminal = pty.openpty()
    with subprocess.Popen(
        command, cwd=ROOT, env=env(), stdin=terminal, stdout=terminal, stderr=terminal,
        start_new_session=True,
    ) as running:  # fmt: skip
        os.close(terminal)
        told = b""
        while b"in its vault file" not in told:
            told += os.read(controller, 4096)
        while termios.tcgetattr(controller)[3] & termios.ECHO:  # it hides the input
            time.sleep(0.01)
        os.write(controller, new.encode() + b"\n")
        try:
            while data := os.read(controller, 4096):
                told += data
        except OSError:  # the other side is closed
            pass
    os.close(controller)
    shown = told.decode("utf-8", "replace")
    assert running.returncode == 0, shown
    assert_silent(shown)
    return shown


def test_a_password_typed_at_the_prompt(district: District) -> None:
    old, new = district.entry()["secret"], invented()
    vendor.take(USER, old, second=new)
    assert "rotated" in type_at_the_prompt(district, new)
    assert district.entry()["secret"] == new
    # One that is already in use is nothing new.
    shown = " ".join(plain(type_at_the_prompt(district, new)).split())
    assert "not due" in shown
    assert "is in use already" in shown
    assert district.entry()["secret"] == new


# The next run takes over the lock of a killed run.
HARMLESS = {"assert", "fail", "include_tasks", "rotation_lock", "set_fact", "set_stats"}


def changes_something(task: dict[str, Any]) -> bool:
    """Return whether a task may change the host or the vault file."""
    modules = {key.removeprefix("ansible.builtin.") for key in task}
    return not modules & HARMLESS and not task.get("check_mode")


def changes() -> list[str]:
    """Return the tasks after which a killed rotation leaves a changed state, in their order."""
    tasks: list[dict[str, Any]] = []
    for name in ("rotate", "rotate_feed"):
        path = ROOT / "roles" / "roster_credentials" / "tasks" / f"{name}.yml"
        for task in yaml.safe_load(path.read_text()):
            tasks += task.get("block", [task])
    return [task["name"] for task in tasks if changes_something(task)]


def test_a_rotation_can_break_off_at_each_change() -> None:
    assert [task.removeprefix("rotate_feed | ") for task in changes()] == [
        "Put the new credential into the pending slot",
        "Try it against the real server",
        "Save the new credential in the vault file before the switch",
        "Switch the host",
        "Switch the vault file",
        "Empty the pending slot",
    ]


def test_runs_that_are_killed_leave_what_works(district: District) -> None:
    """The same command is killed at each change in turn. Each time it goes on, and at last ends."""
    old, new = district.entry()["secret"], invented()
    vendor.take(USER, old, second=new)
    district.put(next=new)
    for task in changes():
        done = district.rotate(BREAK_AT=task, BREAK_WHEN="after")
        assert done.returncode == -9, f"{task}: {done.stdout}"
        # The night would go well, with either one. The vault opens and hides everything.
        district.assert_works()
        entry = district.entry()
        assert new in (entry.get("next"), entry["secret"]), task
        for path in district.path.parent.iterdir():
            assert new.encode() not in path.read_bytes(), task
        # site.yml does not undo what is half done.
        if task == "rotate_feed | Switch the host":
            assert district.play("site", *CREDENTIALS).returncode == 0
            vendor.take(USER, new)
            district.assert_works()
    done = district.rotate()
    assert done.returncode == 0, done.stdout
    assert district.entry()["secret"] == new
    assert "next" not in district.entry()
    assert not district.slot("pending")
    district.assert_works()


def test_a_failure_behind_the_switch_puts_the_old_one_back(district: District) -> None:
    old, new = district.entry()["secret"], invented()
    vendor.take(USER, old, second=new)
    district.put(next=new)
    good = district.path.read_bytes()
    done = district.rotate(
        BREAK_AT="rotate_feed | Switch the host", BREAK_WHEN="after", SPOIL=str(district.path)
    )
    assert done.returncode != 0
    assert "the old credential stays in use. Switch the vault file" in done.stdout
    assert "is unencrypted" in done.stdout
    vendor.take(USER, old)
    district.assert_works()
    district.path.write_bytes(good)
    vendor.take(USER, old, second=new)
    assert district.rotate().returncode == 0
    vendor.take(USER, new)
    district.assert_works()


def test_a_new_password_for_several_feeds_is_refused(district: District) -> None:
    words = [
        "playbooks/rotate_credentials.yml",
        "-i",
        str(district.folder),
        "-e",
        "rotate_new_password=x",
    ]
    done = ansible("ansible-playbook", *words)
    assert done.returncode != 0
    assert "Name one: --limit HOST -e roster_feed=FEED" in " ".join(done.stdout.split())
    district.assert_works()


def public_key(told: str) -> str:
    """Return the public key in a closing table."""
    found = re.search(r"ssh-ed25519 [A-Za-z0-9+/=]{68}$", told, re.MULTILINE)
    assert found, told
    return found[0]


def test_an_old_clone_does_not_undo_a_rotation(district: District) -> None:
    known = district.entry()
    try:
        district.vault.write(district.path, {"secret": KNOWN[0], "since": "2026-11-01"}, "lab")
        done = district.play("site")
        assert done.returncode != 0
        assert_silent(done.stdout + done.stderr)
        assert "git pull" in row(done.stdout, HOST)
        district.assert_works()
    finally:
        district.vault.write(district.path, known, "lab")


def test_secrets_from_elsewhere_are_rotated_there(district: District) -> None:
    elsewhere = json.dumps({"roster_credentials_secrets": {FEED: {"secret": "x"}}})
    done = district.rotate("-e", elsewhere)
    assert done.returncode != 0
    assert "takes the secrets from elsewhere" in done.stdout


@pytest.fixture
def by_key(district: District) -> Iterator[Path]:
    """The district logs in with a key, as its variables say, and then with its password again."""
    main = district.folder / "host_vars" / HOST / "main.yml"
    text, password = main.read_text(), district.entry()["secret"]
    main.write_text(text + "roster_upload_auth: key\n")
    yield main
    main.write_text(text)
    vendor.take(USER, password)
    vendor.take_keys(USER)
    district.vault.write(district.path, {"next": password}, "lab")
    assert district.rotate().returncode == 0
    assert district.entry()["secret"] == password
    district.assert_works()


def test_from_a_password_to_a_key_and_on_to_another(district: District, by_key: Path) -> None:
    """And, by the fixture, back to the password."""
    make = ("-e", "rotate_key_action=generate")
    attempt = ("-e", "rotate_key_action=activate")
    done = district.play("site")
    assert done.returncode != 0
    assert "is key, but its vault file holds" in done.stdout

    # The password stays in use until the vendor has the key.
    district.path.unlink()
    assert "logs in with its password until" in row(
        district.play("site", *CREDENTIALS).stdout, HOST
    )
    district.assert_works()
    first = public_key(district.rotate(*make).stdout)
    assert district.play("site", *CREDENTIALS).returncode == 0
    district.assert_works()
    vendor.take_keys(USER, first)
    done = district.rotate(*attempt)
    assert done.returncode == 0, done.stdout
    assert "rotated" in row(done.stdout, HOST)
    vendor.take(USER, invented())
    district.assert_works()
    assert "changed=0" in district.play("site").stdout

    # The same command again has nothing to do.
    assert re.search(r"not due +0 of 365 days old", row(district.rotate(*attempt).stdout, HOST))
    done = district.rotate("-e", "rotate_key_action=true")
    assert done.returncode != 0
    assert "generate, activate, discard" in done.stdout
    district.put(next=invented())
    done = district.rotate()
    assert done.returncode != 0
    assert "whose roster_upload_auth is key" in done.stdout
    district.vault.write(district.path, {"since": "2026-11-01"}, "lab")

    # A key that the vendor has not added yet is only reported, unless it is requested.
    second = public_key(district.rotate(*make).stdout)
    assert second != first
    done = district.rotate()
    assert done.returncode == 0, done.stdout
    assert second in row(done.stdout, HOST, "is pending")
    done = district.rotate(*attempt)
    assert done.returncode != 0
    assert "the old credential stays in use" in done.stdout
    assert second in row(done.stdout, HOST)
    assert district.slot("pending")
    district.assert_works()
    vendor.take_keys(USER, first, second)
    done = district.rotate(*attempt)
    assert done.returncode == 0, done.stdout
    vendor.take_keys(USER, second)
    district.assert_works()

    # A key that will never be added is discarded.
    assert district.rotate(*make).returncode == 0
    done = district.rotate("-e", "rotate_key_action=discard")
    assert "discarded" in row(done.stdout, HOST)
    assert not district.slot("pending")
    district.assert_works()


# ---- the login at the SIS's server -------------------------------------------------------------

SIS = "sis-out"  # its account, on the real sshd that is also the vendor's
OUT = {"host": vendor.NAME, "feed": FEED, "source": f"/srv/sftp/{SIS}/out/OneRoster.zip"}
URL = f"sftp://{SIS}@sftp.lab.test/out/OneRoster*.zip"


@pytest.fixture
def fetched(district: District, tmp_path: Path) -> str:
    """The district's export is on the server of its SIS. Return the password there."""
    password = invented()
    vendor.add_account(SIS, "out")
    vendor.take(SIS, password)
    new_export(OUT, tmp_path)
    main = district.folder / "host_vars" / HOST / "main.yml"
    lines = [line for line in main.read_text().splitlines() if "roster_upload_source" not in line]
    lines += [
        f"roster_upload_source: {URL}",
        "roster_upload_source_after: remove",
        'roster_upload_source_host_keys: "{{ roster_upload_host_keys }}"',
    ]
    main.write_text("\n".join(lines) + "\n")
    district.put(source={"secret": password, "since": "2026-11-01"})
    done = district.play("site", *CREDENTIALS)
    assert done.returncode == 0, done.stdout
    assert_silent(done.stdout + done.stderr)
    return password


def test_the_password_of_the_siss_server_is_rotated(district: District, fetched: str) -> None:
    old, new, login = fetched, invented(), ("-e", "rotate_credential=source")
    district.assert_works("--source")
    of_vendor, has_previous = district.entry()["secret"], district.slot("previous")

    # It is tried at the server of the SIS, which refuses it.
    district.put(source={"secret": old, "since": "2026-11-01", "next": new})
    before = district.path.read_bytes()
    done = district.rotate(*login)
    assert done.returncode != 0
    assert "the old credential stays in use. Try it against the real server" in done.stdout
    assert district.path.read_bytes() == before
    assert not district.slot("pending", "source_")
    district.assert_works("--source")

    vendor.take(SIS, old, second=new)
    done = district.rotate(*login)
    assert done.returncode == 0, done.stdout
    assert "rotated" in row(done.stdout, HOST)
    today = time.strftime("%Y-%m-%d", time.gmtime())
    assert district.entry()["source"] == {"secret": new, "since": today}
    assert district.entry()["secret"] == of_vendor
    vendor.take(SIS, new)
    district.assert_works("--source")
    assert district.slot("previous", "source_")
    assert district.slot("previous") == has_previous  # the vendor's

    # The next accepted delivery takes the former password and the SIS's file away.
    assert district.host.run("roster-upload send %s", FEED).rc == 0
    wait_for("the former password to go", lambda: not district.slot("previous", "source_"), 20)
    assert not vendor.host().file(OUT["source"]).exists
