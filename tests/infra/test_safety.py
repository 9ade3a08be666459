"""Wrong settings, switches and restarts lock nobody out and lose nothing."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.lab_hosts import ROOT, Host, ansible, connect, new_export, receipts, site, wait_for

HOST = "lab-trixie"
ROLLBACK_SECONDS = 12  # nothing here is to pass its probation
UNSEEN = {"district_hardening_check_session": False}  # otherwise the run refuses before it begins


@pytest.fixture
def one() -> Host:
    """Return the host on which things go wrong."""
    return connect(HOST)


def try_site(**values: Any) -> str:
    """Run `site.yml` on the host with wrong values. Return its output."""
    extra = json.dumps({"district_hardening_rollback_seconds": ROLLBACK_SECONDS, **values})
    command = [
        "ansible-playbook",
        "playbooks/site.yml",
        "-i",
        "inventories/lab",
        "--limit",
        HOST,
        "-e",
        extra,
    ]
    done = ansible(*command)
    assert done.returncode != 0, done.stdout
    return " ".join((done.stdout + done.stderr).split())


def log_in(host: str = HOST) -> bool:
    """Return whether a new connection is accepted."""
    config = ROOT / ".lab" / "ssh_config"
    options = ["-o", "ControlPath=none", "-o", "BatchMode=yes", "-o", "ConnectTimeout=5"]
    command = ["ssh", "-F", str(config), *options, host, "sudo true"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def fingerprint(host: Host) -> str:
    """Return the host's hardened state: files, owners, modes, links, rules in force."""
    return str(
        host.check_output(
            "find /etc /usr/local/sbin /srv -xdev ! -path '/etc/ssh/ssh_host*' "
            "! -name '*.cache' ! -path '/etc/apt/*' ! -name '*-' "
            "! -name apt-listchanges.timer "  # which disables itself at the next full hour
            "-printf '%p %M %u %g %l\\n' | sort; "
            "find /etc/ssh /etc/pam.d /etc/security /etc/systemd /etc/sudoers.d /etc/login.defs "
            "/etc/sysctl.d /etc/nftables.conf /etc/issue* -type f ! -name 'ssh_host*' "
            "-exec sha256sum {} + | sort; "
            # Addresses come and go.
            "nft --stateless list table inet district_host | tr -s ' \\t\\n' ' ' "
            "| sed 's/ elements = {[^}]*}//g'; sshd -T; "
            "findmnt --noheadings --output TARGET,OPTIONS /tmp /proc; dpkg-divert --list | sort"
        )
    )


def note_of(output: str) -> str:
    """Return the closing table of a run, from its title on."""
    return output.rpartition("site: results")[2]


def test_settings_that_would_end_this_session_are_refused_before_anything_is_changed(
    one: Host,
) -> None:
    before = fingerprint(one)
    ssh = {"ssh_ports": [2022], "ssh_allow_groups": ["games"]}
    values = {"inbound_networks": ["192.0.2.0/24"], **ssh}
    said = try_site(**{f"district_hardening_{name}": value for name, value in values.items()})
    assert "PLAY [Make each host deliver its rosters]" not in said
    for name in values:
        assert f"district_hardening_{name}: this session" in said
    assert "district_hardening_inbound_networks: this session comes from" in note_of(said)
    assert fingerprint(one) == before


def test_another_system_is_refused_before_anything_is_changed(one: Host) -> None:
    before = fingerprint(one)
    name = 'PRETTY_NAME="Ubuntu 24.04.1 LTS"\nVERSION_ID="24.04"\nID=ubuntu\n'
    one.check_output("printf %s > /run/os-release", name)
    one.check_output(
        "chmod 644 /run/os-release && mount --bind /run/os-release /usr/lib/os-release"
    )
    try:
        said = try_site()
    finally:
        one.check_output("umount /usr/lib/os-release")
    assert "the host runs Ubuntu 24.04.1 LTS. The roles need Debian 12 or 13" in note_of(said)
    assert fingerprint(one) == before


FEED = "alder-valley"
SECRETS = f"/etc/roster-upload/credentials/{FEED}"
UNCONFIRMED = {"path": "/etc/none", "archive": None, "sha256": None, "diverted": False}
# What somebody or something does to a host behind Ansible's back, by what the comparison names.
DRIFT = {
    "/etc/cron.d/roster-upload": "echo '# more' >> /etc/cron.d/roster-upload",
    "/etc/sis-inbox.json": "rm /etc/sis-inbox.json",
    "/etc/aide/aide.conf": "chmod 0644 /etc/aide/aide.conf",
    "/usr/local/bin/roster-upload": "chown nobody /usr/local/bin/roster-upload",
    "/etc/roster-upload/credentials": "chgrp games /etc/roster-upload/credentials",
    "/etc/systemd/system/debug-shell.service": "rm /etc/systemd/system/debug-shell.service",
    "/etc/localtime": "ln -sfn /usr/share/zoneinfo/Asia/Tokyo /etc/localtime",
    "/etc/roster-upload/stale.toml": "touch /etc/roster-upload/stale.toml",
    "/etc/systemd/system/roster-upload@stale.timer": (
        "touch /etc/systemd/system/roster-upload@stale.timer"
    ),
    f"rf-{FEED}": f"usermod --shell /bin/bash --groups games rf-{FEED}",
    f"{FEED}_state": f"chmod 0640 {SECRETS}/state",
    f"{FEED}_current": (
        f"echo x | systemd-creds encrypt --name={FEED}_current - {SECRETS}/current"
        f" && touch -d 2020-01-01 {SECRETS}/current"
    ),
    f"{FEED}_webhook": f"touch {SECRETS}/webhook",
    "/var/lib/district-hardening/undo": (
        "mkdir -p /var/lib/district-hardening/undo && echo "
        f"'{json.dumps({'changes': [UNCONFIRMED], 'commands': []})}' "
        "> /var/lib/district-hardening/undo/index.json"
    ),
}


def test_each_kind_of_drift_is_seen_and_mended(one: Host) -> None:
    """A host on which nothing differs runs no task of a role. So no difference may be missed."""
    look = (
        f"getent passwd rf-{FEED}; id -Gn rf-{FEED}; find /etc/roster-upload -printf '%p %M %u\\n'"
    )
    before = fingerprint(one), one.check_output(look)
    for damage in DRIFT.values():
        one.check_output(damage)
    said = site("--limit", HOST, "-v")
    seen = said[said.index("differs:") : said.index("session:")]
    assert [name for name in DRIFT if f"- {name}\n" not in seen] == []
    assert (fingerprint(one), one.check_output(look)) == before
    assert not one.file("/var/lib/district-hardening/undo").exists
    again = site("--limit", HOST)
    assert "changed=0" in again
    assert "TASK [district_hardening : Write" not in again


def test_networks_that_leave_the_operator_out_are_taken_back(one: Host) -> None:
    before = fingerprint(one)
    said = try_site(**UNSEEN, district_hardening_inbound_networks=["192.0.2.0/24"])
    assert "All of them were rolled back" in note_of(said)
    assert "no login succeeded (look at district_hardening_inbound_networks" in note_of(said)
    assert log_in()
    assert fingerprint(one) == before


def test_a_broken_ssh_setting_is_refused_before_anything_is_written(one: Host) -> None:
    before = fingerprint(one)
    said = try_site(**UNSEEN, district_hardening_ssh_allow_groups=["deploy\nNonsense yes"])
    assert "00-district-hardening.conf: refused by" in said
    assert "Bad configuration option: Nonsense" in said
    assert "nothing was written" in said
    assert fingerprint(one) == before


def test_a_group_that_nobody_is_in_is_taken_back(one: Host) -> None:
    before = fingerprint(one)
    said = try_site(**UNSEEN, district_hardening_ssh_allow_groups=["games"])
    assert "no login succeeded" in said
    assert log_in()
    assert fingerprint(one) == before


def test_another_drop_in_that_sshd_refuses_stops_all_at_once(one: Host) -> None:
    """A change is not activated if the whole configuration, not only ours, is invalid."""
    one.check_output("echo Nonsense yes > /etc/ssh/sshd_config.d/50-admin.conf")
    try:
        before = fingerprint(one)
        said = try_site(
            district_hardening_banner="Another banner", district_hardening_banners_enabled=False
        )
        # No login is awaited.
        assert "could not be put into force" in said
        assert "no login succeeded" not in said
        assert "Bad configuration option: Nonsense" in said
        assert "All of them were rolled back" in said
        assert fingerprint(one) == before
    finally:
        one.check_output("rm /etc/ssh/sshd_config.d/50-admin.conf")
    assert log_in()


def harden_alone(folder: Path, *arguments: str, **values: Any) -> str:
    """Run a play of the role alone. Return its output."""
    role = {
        "role": "district_hardening",
        "district_hardening_inbox_users": (
            "{{ sis_inbox_accounts | inboxes_on_ssh_port | map(attribute='user') }}"
        ),
    }
    play = {"hosts": HOST, "become": True, "gather_facts": False, "roles": [role]}
    path = folder / "alone.yml"
    path.write_text(json.dumps([play]))
    extra = json.dumps({"district_hardening_rollback_seconds": ROLLBACK_SECONDS, **values})
    done = ansible("ansible-playbook", str(path), "-i", "inventories/lab", "-e", extra, *arguments)
    return f"exit {done.returncode}: {done.stdout}{done.stderr}"


def test_a_tag_brings_one_control_into_force_alone(one: Host, tmp_path: Path) -> None:
    before = fingerprint(one)
    off = {"district_hardening_su_enabled": False, "district_hardening_banner": "Another banner"}
    assert harden_alone(tmp_path, "--tags", "su", **off).startswith("exit 0")
    assert "\nauth required pam_wheel.so" not in one.file("/etc/pam.d/su").content_string
    assert "Another banner" not in one.file("/etc/issue.net").content_string
    # All but the named one, which stays as it is.
    output = harden_alone(tmp_path, "--tags", "su,banners", "--skip-tags", "banners")
    assert output.startswith("exit 0"), output
    assert fingerprint(one) == before
    # A change of one control is confirmed or rolled back like all others.
    wrong = {**UNSEEN, "district_hardening_ssh_allow_groups": ["games"]}
    output = harden_alone(tmp_path, "--tags", "ssh", **wrong)
    assert "All of them were rolled back" in " ".join(output.split())
    assert fingerprint(one) == before


def test_a_package_whose_service_runs_stays_unless_it_is_asked_for(
    one: Host, tmp_path: Path
) -> None:
    values: dict[str, Any] = {"district_hardening_packages_removed": ["cron"]}
    arguments = ("--check", "--tags", "packages")
    output = " ".join(harden_alone(tmp_path, *arguments, **values).split())
    assert "the package cron is in use (cron.service), so it stays" in output
    assert "Remove packages that the host does not need" not in output
    values["district_hardening_remove_used_packages"] = True
    output = " ".join(harden_alone(tmp_path, *arguments, **values).split())
    assert "is in use" not in output
    assert "Remove packages that the host does not need] *" in output
    assert one.package("cron").is_installed


def switches() -> list[str]:
    """Return the switches of all controls and of the inboxes."""
    roles = ("district_hardening", "sis_inbox")
    files = [ROOT / f"roles/{role}/defaults/main.yml" for role in roles]
    lines = [line for file in files for line in file.read_text().splitlines()]
    return [line.split(":")[0] for line in lines if line.endswith("_enabled: true")]


def test_controls_switched_off_and_on_again_leave_the_same_host(one: Host) -> None:
    before = fingerprint(one)
    off = json.dumps(dict.fromkeys(switches(), False))
    site("--limit", HOST, "-e", off)
    shown = one.check_output("dpkg-divert --list '/etc/*'")
    assert ".distrib" not in shown
    assert "passwordauthentication yes" in one.check_output("sshd -T")
    assert one.run("nft list table inet district_host").rc != 0
    assert "noexec" not in one.check_output("findmnt --noheadings --output OPTIONS /tmp")
    assert "hidepid" not in one.check_output("findmnt --noheadings --output OPTIONS /proc")
    assert one.run("pgrep chronyd").rc != 0  # a container would set the machine's clock
    assert "pam_faillock" not in one.check_output("cat /etc/pam.d/common-auth")
    changed = one.run(
        "dpkg --verify login openssh-server libpam-modules base-files util-linux"
    ).stdout
    assert not [line for line in changed.splitlines() if " c " in line], changed

    # A first run that locks the operator out is rolled back completely, with its mounts. What
    # others have loaded into the firewall stays.
    bare, mounts = fingerprint(one), "/usr/local/sbin/district-mounts"
    one.check_output(f"mv {mounts} /root/mounts; nft add table inet somebody_elses")
    said = try_site(**UNSEEN, district_hardening_inbound_networks=["192.0.2.0/24"])
    # The unit that a handler starts is gone again. The closing table shows the cause.
    assert "All of them were rolled back" in note_of(said)
    assert "no login succeeded" in note_of(said)
    assert "Could not find the requested service" not in said
    assert "noexec" not in one.check_output("findmnt --noheadings --output OPTIONS /tmp")
    assert one.run("test -e %s", mounts).rc != 0
    assert one.run("nft list table inet district_host").rc != 0
    one.check_output(f"mv /root/mounts {mounts}; nft delete table inet somebody_elses")
    assert "changed=0" in site("--limit", HOST, "-e", off)
    assert fingerprint(one) == bare

    site("--limit", HOST)
    assert fingerprint(one) == before


@pytest.fixture(params=["lab-trixie", "lab-bookworm"])
def each(request: pytest.FixtureRequest) -> Host:
    """Return each host in turn."""
    return connect(request.param)


@pytest.fixture
def restart(each: Host) -> Iterator[Callable[[], Host]]:
    """Restart a host as a reboot does: all processes and mounts are new, and the disk stays."""
    name = each.backend.get_hostname()

    def run() -> Host:
        host = connect(name)
        address = host.check_output("cat /sys/class/net/eth0/address")
        subprocess.run([ROOT / "scripts/lab", "restart", name], check=True)
        # Neighbours would send to a former one for a while, which a reboot does not cause.
        assert host.check_output("cat /sys/class/net/eth0/address") == address
        return host

    yield run
    assert log_in(name)


def test_a_restart_keeps_everything_and_a_delivery_follows(
    restart: Callable[[], Host], feeds: list[dict[str, Any]], tmp_path: Path
) -> None:
    host = restart()
    name = host.backend.get_hostname()
    assert host.check_output("systemctl is-system-running --wait || true").strip() == "running"
    assert '"elem"' in host.check_output("nft -j list set inet district_host program4")
    assert "noexec" in host.check_output("findmnt --noheadings --output OPTIONS --target /tmp")
    assert "hidepid" in host.check_output("findmnt --noheadings --output OPTIONS /proc")
    assert host.run("systemctl is-active cron.service").stdout.strip() == "active"
    feed = next(f for f in feeds if f["host"] == name)
    count = len(receipts(feed))
    new_export(feed, tmp_path)
    host.run("systemctl start roster-upload@%s", feed["feed"])
    made = receipts(feed)[count:]
    assert [receipt["outcome"] for receipt in made] == ["sent"], made
    assert "changed=0" in site("--limit", name)


def half_a_run(host: Host, folder: Path, **options: str) -> None:
    """The control node dies after it has written, before anything is confirmed."""
    drop_in = "/etc/ssh/sshd_config.d/00-district-hardening.conf"
    pam = "/usr/share/pam-configs/district-faillock"
    update = "DEBIAN_FRONTEND=noninteractive pam-auth-update --package"
    half = {
        "rollback_folder": "/var/lib/district-hardening/undo",
        "files": [
            {"path": drop_in, "content": "AllowUsers nobody\n", "mode": "0600"},
            {"path": "/etc/sudoers.d/district-hardening", "state": "absent"},
            {"path": pam, "state": "absent", "on_change": [update]},
        ],
        **options,
    }
    play = {"become": True, "gather_facts": False, "roles": ["roster_common"]}
    tasks = [{"file_set": half}, {"ansible.builtin.shell": update}]
    path = folder / "half.yml"
    path.write_text(json.dumps([{**play, "hosts": host.backend.get_hostname(), "tasks": tasks}]))
    done = ansible("ansible-playbook", str(path), "-i", "inventories/lab")
    assert done.returncode == 0, done.stdout + done.stderr


def test_unconfirmed_changes_are_rolled_back_in_time(one: Host, tmp_path: Path) -> None:
    before = fingerprint(one)
    base = yaml.safe_load((ROOT / "roles/roster_common/vars/main.yml").read_text())
    command = base["roster_common_rollback_timer"].replace("{seconds}", "15")
    half_a_run(one, tmp_path, rollback_timer=command)
    assert fingerprint(one) != before
    kept = "/var/lib/district-hardening/undo"
    wait_for("the host to roll back", lambda: one.run("test -e %s", kept).rc != 0, 60)
    assert fingerprint(one) == before


def test_unconfirmed_changes_are_rolled_back_at_boot(
    each: Host, restart: Callable[[], Host], tmp_path: Path
) -> None:
    name = each.backend.get_hostname()
    before = fingerprint(each)
    half_a_run(each, tmp_path)
    assert fingerprint(each) != before
    host = restart()
    wait_for("a log-in", lambda: log_in(name), 60)
    assert fingerprint(host) == before
    assert host.run("test -e /var/lib/district-hardening/undo").rc != 0


def let_nobody_in(host: Host, folder: Path) -> None:
    """A run whose firewall and SSH let nobody in, and which ends before anything is confirmed."""
    drop_in = "/etc/ssh/sshd_config.d/00-district-hardening.conf"
    closed = host.file("/etc/nftables.conf").content_string.replace(
        "policy drop;", "policy drop; tcp dport 22 drop;", 1
    )
    assert "tcp dport 22 drop" in closed
    load = "systemctl reload-or-restart nftables.service"
    reload = "systemctl reload ssh.service"
    files = [
        {"path": "/etc/nftables.conf", "content": closed, "mode": "0755", "on_change": [load]},
        {"path": drop_in, "content": "AllowUsers nobody\n", "mode": "0600", "on_change": [reload]},
        {"path": "/etc/issue.net", "content": "Another banner\n"},
    ]
    half = {"rollback_folder": "/var/lib/district-hardening/undo", "files": files}
    play = {"become": True, "gather_facts": False, "roles": ["roster_common"]}
    path = folder / "closed.yml"
    tasks = [{"file_set": half}]
    path.write_text(json.dumps([{**play, "hosts": HOST, "tasks": tasks}]))
    done = ansible("ansible-playbook", str(path), "-i", "inventories/lab")
    assert done.returncode == 0, done.stdout + done.stderr


CLOSE = "nft -f /etc/nftables.conf && systemctl reload ssh.service"
ROLL_BACK = (
    "systemd-run --quiet --unit=district-rollback-soon --on-active=1 "
    "--timer-property=AccuracySec=1s /bin/sh -c /usr/local/sbin/district-rollback"
)


@pytest.mark.parametrize(
    ("damaged", "kind"), [("[01].tar", "truncate -s 0"), ("index.json", "truncate -s 9")]
)
def test_a_roll_back_with_damaged_files_still_lets_the_operator_in(
    one: Host, tmp_path: Path, damaged: str, kind: str
) -> None:
    """A power cut damages the saved files of the firewall and of SSH, or their list."""
    before = fingerprint(one)
    let_nobody_in(one, tmp_path)
    # In one step: nobody can log in until the roll-back has started.
    command = f"{kind} /var/lib/district-hardening/undo/{damaged} && {CLOSE} && {ROLL_BACK}"
    one.check_output(command)
    wait_for("a log-in", log_in, 60)
    wait_for(
        "the roll-back to end",
        lambda: one.run("systemctl is-failed district-rollback-soon.service").succeeded,
        30,
    )
    assert "district-rollback-soon.service" in one.check_output("systemctl --failed --no-legend")
    told = one.check_output("journalctl -o cat --no-pager -u district-rollback-soon -n 60")
    assert "NOT rolled back" in told
    is_known = damaged != "index.json"
    assert ("Another banner" in one.file("/etc/issue.net").content_string) is not is_known
    assert one.run("test -d /var/lib/district-hardening/undo.failed").succeeded
    # This holds after a restart, too, and the next run repairs everything.
    one.check_output("systemctl reload-or-restart nftables.service; systemctl restart ssh.service")
    assert log_in()
    assert "passwordauthentication no" in one.check_output("sshd -T")
    site("--limit", HOST)
    assert fingerprint(one) == before
    assert one.run("systemctl is-failed district-rollback-soon.service").rc != 0
    assert one.run("ls /var/lib/district-hardening/undo* /var/lib/district-firewall/opened.nft").rc
