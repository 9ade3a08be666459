"""The inboxes on provisioned hosts: an SIS brings its export, and can do nothing else."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support import rosters
from support.lab_hosts import (
    DISTRICT_HOSTS,
    ROOT,
    Host,
    ansible,
    connect,
    receipts,
    remote_path,
    sha256,
    site,
)

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


class Sis:
    """An SIS: a client of its inbox that has a key and nothing else."""

    def __init__(self, host: Host) -> None:
        address = ["-F", str(ROOT / ".lab" / "ssh_config"), "-o", "ControlPath=none"]
        self.options = [*address, "-o", "User=sis-lab", "-o", "BatchMode=yes"]
        self.name = name_of(host)

    def sftp(self, *commands: str) -> subprocess.CompletedProcess[str]:
        """One session with the given commands. It ends at the first that is refused."""
        return subprocess.run(
            ["sftp", "-q", "-b", "-", *self.options, self.name],
            input="\n".join(commands) + "\n",
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def ssh(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["ssh", *self.options, self.name, *words],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )


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
def small_inbox(host: Host) -> Iterator[None]:
    """An inbox that may hold 1 MB, until the test ends."""
    host.check_output("cp -p /etc/sis-inbox.json /root/kept.json")
    host.check_output("sed -i 's/[0-9]\\{4,\\}/1000000/' /etc/sis-inbox.json")
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
