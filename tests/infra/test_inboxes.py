"""The inboxes on provisioned hosts: an SIS brings its export, and can do nothing else."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from support import rosters
from support.lab_hosts import (
    DISTRICT_HOSTS,
    Host,
    ansible,
    connect,
    receipts,
    remote_path,
    sha256,
    site,
    wait_for,
)
from support.sis import EXCHANGE, PORT, Sis, password_of

AERIES = "sis-aeries"  # an SIS that has a password only
FAILLOCK = "/etc/security/sis-inbox-faillock.conf"
PUBLIC_KEY = (
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHPnYyg29wp+52NcQKVv+8V0+4pa5RjDmFa8hpvjb9rX"  # invented
)


def name_of(host: Host) -> str:
    """Return a host's name in the lab."""
    return str(host.backend.get_hostname())


def refused(host: Host, command: str, *words: str) -> str:
    """Run a command that must fail. Return its output."""
    done = host.run(command, *words)
    assert done.rc != 0, f"{command} succeeded"
    return str(done.stdout + done.stderr)


@pytest.fixture
def sis(host: Host) -> Sis:
    return Sis(host)


def test_an_sis_can_put_its_export_into_its_inbox_and_nothing_else(
    host: Host, sis: Sis, feeds: list[dict[str, Any]], vendor: Host, tmp_path: Path
) -> None:
    feed = next(f for f in feeds if f["host"] == name_of(host) and "sis-inbox" in f["source"])
    export = tmp_path / "OneRoster.zip"
    rosters.main([str(export), f"--district={feed['feed']}", f"--revision={time.time_ns()}"])
    done = sis.sftp("-rm OneRoster.zip", f"put {export} OneRoster.zip")
    assert done.returncode == 0, done.stderr
    kept = host.file(feed["source"])
    assert (kept.user, kept.group, kept.mode) == ("sis-lab", "sis-lab", 0o640)

    assert host.run("systemctl start roster-upload@%s", feed["feed"]).succeeded
    assert receipts(feed)[-1]["outcome"] == "sent"
    assert sha256(vendor, remote_path(feed)) == sha256(host, feed["source"])

    for outside in ("ls /etc", "get /etc/passwd", "put /etc/hostname /x", "mkdir /y"):
        assert sis.sftp(outside).returncode != 0, outside
    # The program would follow a link, which may lead into the inbox of another SIS.
    link = "ln -s /srv/sis-inbox/other/incoming/OneRoster.zip x"
    assert "Permission denied" in sis.sftp(link).stderr
    assert "does not support" in sis.sftp("ln OneRoster.zip x").stderr
    assert sis.ssh("id").returncode != 0
    assert "uid=" not in sis.ssh("id").stdout
    assert sis.ssh("-N", "-o", "ExitOnForwardFailure=yes", "-R", "0:127.0.0.1:22").returncode != 0
    # Nobody else on the host reads it.
    assert "denied" in refused(host, "sudo -u nobody cat %s", feed["source"])
    assert "sftp" not in host.run("getent passwd sis-lab").stdout
    assert host.check_output("getent passwd sis-lab").endswith("nologin")


@pytest.fixture
def forgiven(host: Host) -> Iterator[None]:
    """Forget the refused logins of a test: its account's, and on Debian 13 its address's."""
    yield
    host.check_output("faillock --user %s --reset", AERIES)
    host.check_output("systemctl restart sis-inbox-ssh.service")


@pytest.mark.usefixtures("forgiven")
def test_an_sis_logs_in_by_password_in_its_networks_at_its_port(host: Host, tmp_path: Path) -> None:
    password = password_of(AERIES)
    aeries = Sis(host, AERIES, password=password)
    export = tmp_path / "OneRoster.zip"
    export.write_bytes(b"x")
    for method in ("password", "keyboard-interactive"):
        done = Sis(host, AERIES, PORT, password, method).sftp(f"put {export} OneRoster.zip")
        assert done.returncode == 0, (method, done.stderr)
    kept = host.file(f"/srv/sis-inbox/{AERIES}/incoming/OneRoster.zip")
    assert (kept.user, kept.group, kept.mode) == (AERIES, AERIES, 0o640)
    for outside in ("ls /etc", "get /etc/passwd", "put /etc/hostname /x", "ln -s /etc x"):
        assert aeries.sftp(outside).returncode != 0, outside
    assert "uid=" not in aeries.ssh("id").stdout
    assert aeries.ssh("-N", "-oExitOnForwardFailure=yes", "-R", "0:127.0.0.1:22").returncode != 0

    # The administrators' server takes no password, and this server no administrator.
    assert not Sis(host, AERIES, port=22, password=password).is_let_in()
    assert not Sis(host, "deploy").is_let_in()
    # From elsewhere the right password is refused, and wrong ones lock nobody. The host gets the
    # password through the inbox, since arguments are logged there.
    known = tmp_path / "password"
    known.write_text(password)
    assert aeries.sftp(f"put {known} password").returncode == 0
    there = f"/srv/sis-inbox/{AERIES}/incoming/password"
    ask = (
        f"printf '#!/bin/sh\\ncat {there}' > /root/ask; chmod 0700 /root/ask; "
        "for n in 1 2 3 4 5 6; do SSH_ASKPASS=/root/ask SSH_ASKPASS_REQUIRE=force "
        "ssh -oStrictHostKeyChecking=no -oUserKnownHostsFile=/dev/null -oNumberOfPasswordPrompts=1 "
        f"-oKexAlgorithms={EXCHANGE} "
        f"-p {PORT} {AERIES}@127.0.0.1 2>&1; done; rm /root/ask"
    )
    assert host.run(ask).stdout.count("Permission denied") >= 1
    assert "RHOST" not in host.check_output("faillock --user %s", AERIES)
    assert aeries.is_let_in()

    # The host has a hash of it, and nothing else.
    assert host.check_output("getent shadow %s", AERIES).split(":")[1].startswith("$2b$11$")
    assert host.check_output("getent shadow sis-lab").split(":")[1] == "!"
    found = "grep --recursive --fixed-strings --files-with-matches --file %s /etc /run /var/log"
    assert host.run(found, there).stdout == ""
    host.check_output("rm %s", there)


@pytest.mark.usefixtures("forgiven")
def test_refused_passwords_lock_an_account_for_a_while(host: Host, sis: Sis) -> None:
    host.check_output(
        "sed -i.kept 's/^deny.*/deny = 2/; s/^unlock.*/unlock_time = 8/' %s", FAILLOCK
    )
    try:
        wrong = Sis(host, AERIES, password="no such password")
        right = Sis(host, AERIES, password=password_of(AERIES))
        assert not wrong.is_let_in()
        assert right.is_let_in()  # which forgives the first one
        assert not wrong.is_let_in()
        assert not wrong.is_let_in()
        assert not right.is_let_in()
        assert sis.is_let_in()
        wait_for("the end of the lock", right.is_let_in, 30)
    finally:
        host.check_output("mv %s.kept %s", FAILLOCK, FAILLOCK)
    assert host.run("systemctl is-active sis-inbox-ssh").succeeded


@pytest.mark.usefixtures("forgiven")
def test_nobody_learns_which_accounts_exist(host: Host) -> None:
    """Neither by the ways to log in, nor by the time that a refused password takes."""
    for user in (AERIES, "sis-lab", "sis-nobody"):
        said = Sis(host, user).ssh("-v", "-oPubkeyAuthentication=no").stderr
        assert "can continue: publickey,password,keyboard-interactive" in said, user
    for user in (AERIES, "sis-nobody"):
        start = time.monotonic()
        assert not Sis(host, user, password="no such password").is_let_in()
        assert time.monotonic() - start > 1.4, user


def is_so(host: Host, command: str, *words: str) -> bool:
    """Return whether a command succeeds."""
    return bool(host.run(command, *words).succeeded)


SLOTS = "/usr/local/sbin/sis-inbox-slots"


def test_an_account_has_a_few_connections_and_leaves_room_for_others(host: Host, sis: Sis) -> None:
    other = Sis(host, "sis-other")
    host.check_output("sed -i.kept 's/^most=.*/most=2/' %s", SLOTS)
    held = []
    try:
        for count in ("1", "2"):
            words = ["ssh", "-N", *other.options, other.name]
            none = subprocess.DEVNULL
            held.append(subprocess.Popen(words, stdin=none, stdout=none, stderr=none))
            ask = "ls /run/sis-inbox-slots/sis-other | grep -c . | grep -x %s"
            wait_for("the connection", partial(is_so, host, ask, count), 30)
        assert not other.is_let_in()
        assert sis.is_let_in()
        held.pop().kill()
        wait_for("a free one", other.is_let_in, 30)
    finally:
        for one in held:
            one.kill()
        host.check_output("mv %s.kept %s", SLOTS, SLOTS)


FILL = """
import ipaddress, subprocess
first = int(ipaddress.ip_address("172.16.0.0"))
addresses = (str(ipaddress.ip_address(first + number)) for number in range(65535))
text = "add element inet district_host inbox4 { " + ", ".join(addresses) + " }"
subprocess.run(["nft", "-f", "-"], input=text, text=True, check=True)
"""


def test_who_comes_from_all_addresses_keeps_nobody_out(host: Host, sis: Sis) -> None:
    """A network may be the whole internet, and a sender can write any address as its own."""
    flush = "nft flush set inet district_host inbox4"
    host.check_output(flush)
    host.check_output("python3 -c %s", FILL)
    try:
        assert sis.is_let_in()
    finally:
        host.check_output(flush)


FLOOD = f"""
import pathlib, socket, sys, time
sockets = [socket.create_connection((sys.argv[1], {PORT}), 5) for _ in range(14)]
answers = [one.recv(100) for one in sockets]
pathlib.Path("/run/flood").write_text(str(sum(text.startswith(b"SSH-2.0") for text in answers)))
time.sleep(60)
"""


def test_who_opens_many_connections_keeps_nobody_out(host: Host, sis: Sis, vendor: Host) -> None:
    command = "systemd-run --quiet --collect --unit=test-flood python3 -c %s %s"
    vendor.check_output(command, FLOOD, sis.address)
    try:
        wait_for("the flood", lambda: vendor.file("/run/flood").exists, 30)
        assert vendor.file("/run/flood").content_string == "10"
        assert sis.is_let_in()
    finally:
        vendor.check_output("systemctl stop test-flood; rm -f /run/flood")


def test_an_sis_with_a_key_may_use_the_ssh_port_until_it_is_told_the_new_one(host: Host) -> None:
    assert Sis(host, port=22).is_let_in()
    ask = "sshd -T -C user=%s,host=h,addr=10.1.2.3 | grep -i -E '^(allowgroups|chroot)'"
    assert AERIES not in host.check_output(ask, AERIES)
    # Also on a host whose SSH server takes passwords.
    assert host.check_output("sshd -T | grep ^denyusers") == f"denyusers {AERIES}"
    # With false, site.yml takes the account from both.
    words = ["--check", "--diff", "--limit", name_of(host), "--tags", "sis_inbox,ssh"]
    extra = json.dumps({"sis_inbox_also_on_ssh_port": False})
    done = ansible(
        "ansible-playbook", "playbooks/site.yml", "-i", "inventories/lab", *words, "-e", extra
    )
    assert "-AllowGroups deploy sis-lab sis-other" in done.stdout
    assert "+AllowGroups deploy\n" in done.stdout
    assert "01-sis-inbox.conf" in done.stdout


def test_a_port_of_another_program_is_refused_and_rolled_back(host: Host, sis: Sis) -> None:
    state = "cat /etc/ssh/sis-inbox/sshd_config"
    before = host.check_output(state)
    host.check_output("systemd-run --quiet --collect --unit=test-port python3 -m http.server 2299")
    try:
        words = ["--tags", "sis_inbox", "--limit", name_of(host), "-e", "sis_inbox_port=2299"]
        done = ansible("ansible-playbook", "playbooks/site.yml", "-i", "inventories/lab", *words)
    finally:
        host.check_output("systemctl stop test-port")
    assert done.returncode != 0
    said = " ".join(done.stdout.split())
    assert "another program listens at sis_inbox_port 2299" in said
    assert "All of them were rolled back" in said
    assert host.check_output(state) == before
    assert sis.is_let_in()


@pytest.fixture
def small_inbox(host: Host) -> Iterator[None]:
    """An inbox that may hold 1 MB, until the test ends."""
    host.check_output("cp -p /etc/sis-inbox.json /root/kept.json")
    host.check_output("sed -i '/max_bytes/s/[0-9]\\+/1000000/' /etc/sis-inbox.json")
    yield
    host.check_output("mv /root/kept.json /etc/sis-inbox.json")
    host.check_output("rm -f /srv/sis-inbox/sis-lab/incoming/big && sis-inbox")


@pytest.mark.usefixtures("small_inbox")
def test_a_full_inbox_is_closed_until_there_is_room(host: Host, sis: Sis, tmp_path: Path) -> None:
    big = tmp_path / "big"
    big.write_bytes(b"x" * 2_000_000)
    assert sis.sftp(f"put {big} big").returncode == 0
    assert host.run("systemctl start sis-inbox.service").succeeded
    assert "denied" in sis.sftp(f"put {big} more").stderr
    host.check_output("rm /srv/sis-inbox/sis-lab/incoming/big")
    assert host.run("systemctl start sis-inbox.service").succeeded
    small = tmp_path / "small"
    small.write_bytes(b"x")
    assert sis.sftp(f"put {small} small", "rm small").returncode == 0
    said = host.check_output("journalctl --no-pager -o cat -u sis-inbox.service -n 20")
    assert "closed, it holds 2" in said
    assert "open again" in said
    assert host.run("systemctl is-active sis-inbox.timer").stdout.strip() == "active"


# The host's own count of its inboxes, each minute, would open this one.
HOLD = """
folder=/run/systemd/system/sis-inbox.service.d
install -d $folder
printf '[Service]\\nExecStart=\\nExecStart=/bin/true\\n' > $folder/hold.conf
systemctl daemon-reload
"""
LET_GO = "rm -r /run/systemd/system/sis-inbox.service.d && systemctl daemon-reload"


def test_a_closed_inbox_stays_closed_over_a_run() -> None:
    """The host closes it and opens it. A run of the playbook is not what makes room."""
    link, closed = "/run/sis-inbox/sis-lab", "/etc/ssh/sis-inbox/sis-lab"
    hosts = [connect(name) for name in DISTRICT_HOSTS]
    for host in hosts:
        host.check_output(HOLD)
        host.check_output("ln -sfn %s %s", closed, link)
    try:
        assert site().count("changed=0 ") == len(hosts)
        assert [host.file(link).linked_to for host in hosts] == [closed] * len(hosts)
    finally:
        for host in hosts:
            host.check_output(LET_GO)
            host.check_output("systemctl start sis-inbox.service")


def test_no_file_in_an_inbox_is_larger_than_all_may_be(
    host: Host, sis: Sis, tmp_path: Path
) -> None:
    path = "/etc/security/limits.d/60-sis-inbox.conf"
    big = tmp_path / "big"
    big.write_bytes(b"x" * 2_000_000)
    assert "sis-lab - fsize 3906250" in host.file(path).content_string
    host.check_output("sed -i.kept 's/fsize 3906250/fsize 1000/' %s", path)
    try:
        assert sis.sftp(f"put {big} big").returncode != 0
        assert sis.sftp("rm big").returncode == 0
    finally:
        host.check_output("mv %s.kept %s", path, path)


def test_from_other_networks_only_an_sis_may_log_in(host: Host) -> None:
    ask = "sshd -T -C user=%s,host=h,addr=%s"
    assert "allowusers" not in host.check_output(ask, "deploy", "10.1.2.3")
    assert "allowusers sis-lab" in host.check_output(ask, "deploy", "198.51.100.7")


def test_the_role_runs_alone(host: Host, tmp_path: Path) -> None:
    """Without the variables of another role it finds the host as it should be."""
    play = {"hosts": name_of(host), "become": True, "gather_facts": False, "roles": ["sis_inbox"]}
    path = tmp_path / "alone.yml"
    path.write_text(json.dumps([play]))
    done = ansible("ansible-playbook", str(path), "-i", "inventories/lab")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "changed=0 " in done.stdout


def test_the_roles_tag_runs_it_and_no_other_role() -> None:
    said = site("--tags", "sis_inbox", "--limit", "lab-trixie")
    assert "Write the files of the inboxes" in said
    assert "Write the schedule" not in said
    assert "changed=0 " in said


def test_a_change_that_sshd_refuses_is_rolled_back(host: Host, sis: Sis) -> None:
    state = "cat /etc/sis-inbox.json /etc/ssh/sshd_config.d/01-*; ls -l /etc/ssh/sis-inbox"
    account = {"user": "sis-lab", "networks": ["10.0.0.0/8"], "authorized_keys": [PUBLIC_KEY]}
    extra = json.dumps({"sis_inbox_accounts": [account]})
    before = host.check_output(state)
    host.check_output("echo Nonsense yes > /etc/ssh/sshd_config.d/50-admin.conf")
    try:
        words = ["--tags", "sis_inbox", "--limit", name_of(host), "-e", extra]
        done = ansible("ansible-playbook", "playbooks/site.yml", "-i", "inventories/lab", *words)
    finally:
        host.check_output("rm /etc/ssh/sshd_config.d/50-admin.conf")
    assert done.returncode != 0
    said = " ".join(done.stdout.split())
    assert "could not be put into force" in said
    assert "All of them were rolled back" in said
    assert host.check_output(state) == before
    assert host.run("systemctl start sis-inbox.service").succeeded
    assert sis.sftp("ls").returncode == 0
