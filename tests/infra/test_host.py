"""The hardened host: SSH, firewall, updates, the program's user and sandbox, UTC."""

from __future__ import annotations

import json
import re
import socket
import subprocess
from pathlib import Path
from typing import Any

from support.lab_hosts import ROOT, Host, ansible, connect
from support.measure import install

PROBE = """
import socket, sys
name, port, kind = sys.argv[1:]
try:
    where = socket.getaddrinfo(name, int(port), type=getattr(socket, kind))[0]
    with socket.socket(*where[:2]) as probe:
        probe.settimeout(4)
        probe.connect(where[4])
        probe.send(b"x")
    print("open")
except OSError as error:
    print("closed", type(error).__name__)
"""


def probe(host: Host, user: str, name: str, port: int, kind: str = "SOCK_STREAM") -> str:
    """Return whether a user of the host can send to a port: `open` or `closed …`."""
    command = "sudo -u %s python3 -c %s %s %s %s"
    return str(host.check_output(command, user, PROBE, name, str(port), kind))


def feed_account(host: Host) -> str:
    """Return the account of a host's first feed."""
    return f"rf-{host.check_output('basename -s .toml /etc/roster-upload/*.toml').split()[0]}"


def test_ssh_takes_keys_only_and_modern_algorithms(host: Host) -> None:
    settings = dict(
        line.split(" ", 1) for line in host.check_output("sshd -T").splitlines() if " " in line
    )
    assert settings["passwordauthentication"] == "no"
    assert settings["kbdinteractiveauthentication"] == "no"
    assert settings["permitrootlogin"] == "no"
    exchanges = settings["kexalgorithms"].split(",")
    assert exchanges[0].startswith(("mlkem768", "sntrup761"))
    assert exchanges[-2:] == ["curve25519-sha256", "curve25519-sha256@libssh.org"]
    for weak in ("cbc", "sha1", "md5", "nistp", "group14", "umac-64"):
        for kind in ("ciphers", "macs", "kexalgorithms", "hostkeyalgorithms"):
            assert weak not in settings[kind]


def test_ssh_refuses_a_password(host: Host) -> None:
    name = host.backend.get_hostname()
    options = "-oBatchMode=yes -oControlPath=none -oPubkeyAuthentication=no"
    tried = subprocess.run(
        ["ssh", "-F", ROOT / ".lab" / "ssh_config", *options.split(), name, "true"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert tried.returncode == 255
    assert "Permission denied (publickey)" in tried.stderr


def test_only_ssh_can_be_reached_from_outside(host: Host) -> None:
    """Another machine scans all ports, while an additional service listens."""
    other = connect("lab-sftp")
    install(other, "nmap")
    address = host.check_output("hostname -I").split()[0]
    unit = "probe-listener"
    listen = "systemd-run --quiet --collect --unit=%s python3 -m http.server 8099"
    host.check_output(listen, unit)
    try:
        assert host.run("sleep 1; ss -tln | grep -q :8099").succeeded, "the listener is not up"
        scan = "nmap -n -Pn -sS -p- --min-rate 8000 --max-retries 2 -oG - %s"
        seen = other.check_output(scan, address)
    finally:
        host.run("systemctl stop %s", unit)
    assert re.findall(r"(\d+)/open/", seen) == ["22", "2222"], seen  # the inboxes' own


def test_only_the_program_reaches_the_vendor_and_nothing_else_goes_out(host: Host) -> None:
    account = feed_account(host)
    assert probe(host, account, "sftp.lab.test", 22) == "open"
    assert probe(host, "nobody", "sftp.lab.test", 22).startswith("closed")
    other = "lab-bookworm" if host.backend.get_hostname() == "lab-trixie" else "lab-trixie"
    for user in (account, "root"):
        assert probe(host, user, other, 22).startswith("closed")
        # Neither a foreign name server nor any other datagram.
        assert probe(host, user, other, 53, "SOCK_DGRAM").startswith("closed")
    resolver = host.check_output("awk '/^nameserver/ {print $2; exit}' /etc/resolv.conf")
    assert probe(host, "nobody", resolver, 53, "SOCK_DGRAM") == "open"
    assert probe(host, "nobody", resolver, 54, "SOCK_DGRAM").startswith("closed")


def rules(host: Host, *, within: str = "") -> list[str]:
    """Return the rules for outbound traffic, of the host or within a command's namespace."""
    listed = host.check_output(f"{within} nft --stateless list chain inet district_host output")
    return [line.strip() for line in listed.splitlines()]


def test_time_belongs_to_chrony(host: Host) -> None:
    other = "lab-bookworm" if host.backend.get_hostname() == "lab-trixie" else "lab-trixie"
    address = connect(other).check_output("hostname -I").split()[0]
    assert probe(host, "_chrony", address, 123, "SOCK_DGRAM") == "open"
    assert probe(host, "_chrony", address, 124, "SOCK_DGRAM").startswith("closed")
    assert probe(host, "_chrony", address, 123).startswith("closed")
    for user in ("root", "nobody", feed_account(host)):
        assert probe(host, user, address, 123, "SOCK_DGRAM").startswith("closed"), user


HARDENING = ROOT / "roles/district_hardening"
FIREWALL = f"{{{{ lookup('template', '{HARDENING}/templates/etc/nftables.conf.j2') }}}}"
VARIABLES = ["defaults/main.yml", "vars/main/base.yml"]


def test_named_time_servers_are_the_only_ones(host: Host, tmp_path: Path) -> None:
    """The firewall for named servers is loaded into its own namespace, beside the host's."""
    made = "/root/probe.nft"
    play = {
        "hosts": host.backend.get_hostname(),
        "become": True,
        "gather_facts": False,
        "roles": ["roster_common"],
        "vars_files": [str(HARDENING / path) for path in VARIABLES],
        "tasks": [{"file_set": {"files": [{"path": made, "content": FIREWALL}]}}],
    }
    path = tmp_path / "probe.yml"
    path.write_text(json.dumps([play]))
    servers = json.dumps({"district_hardening_ntp_servers": ["192.0.2.123"]})
    done = ansible("ansible-playbook", str(path), "-i", "inventories/lab", "-e", servers)
    assert done.returncode == 0, done.stdout + done.stderr
    kept = host.file("/etc/district-firewall.json").content_string
    try:
        found = rules(host, within=f"unshare --net sh -c 'nft -f {made} && exec \"$@\"' -")
        chrony = host.check_output("id -u _chrony")
        assert [rule for rule in found if "@time" in rule or "123" in rule] == [
            f"meta skuid {chrony} ip daddr . udp dport @time4 accept",
            f"meta skuid {chrony} ip6 daddr . udp dport @time6 accept",
        ]
        named = json.dumps({**json.loads(kept), "time": ["192.0.2.123:123", "2001:db8::1:123"]})
        host.check_output("printf %%s %s > /etc/district-firewall.json", named)
        host.check_output("systemctl start district-firewall-refresh.service")
        elements = "nft list set inet district_host %s"
        assert "{ 192.0.2.123 . 123 }" in host.check_output(elements, "time4")
        assert "{ 2001:db8::1 . 123 }" in host.check_output(elements, "time6")
    finally:
        host.check_output("printf %%s %s > /etc/district-firewall.json; rm -f %s", kept, made)
        host.check_output("systemctl start district-firewall-refresh.service")


def test_many_feeds_may_begin_at_once(host: Host) -> None:
    """Each unit of a feed first has the firewall's names resolved."""
    starts = "for _ in 1 2 3 4 5 6 7; do systemctl start district-firewall-refresh.service; done"
    host.check_output(f"set -e; {starts}")


def test_only_apt_reaches_the_mirrors(host: Host) -> None:
    """A mirror's network also hosts many other sites. Other accounts cannot reach them."""
    elements = json.loads(host.check_output("nft -j list set inet district_host mirrors4"))
    address, port = elements["nftables"][-1]["set"]["elem"][0]["concat"]
    for user in ("root", "_apt"):
        assert probe(host, user, address, port) == "open", user
    for user in ("nobody", "_chrony", feed_account(host)):
        assert probe(host, user, address, port).startswith("closed"), user


ECHO = """
import socket, sys
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM, socket.getprotobyname("icmp")) as echo:
    echo.settimeout(4)
    echo.connect((sys.argv[1], 0))
    echo.send(bytes([8, 0, 0, 0, 0, 1, 0, 1]) + b"what leaves the host")
    echo.recv(100)
"""


def test_only_root_sends_echoes(host: Host) -> None:
    gateway = host.check_output("ip route show default").split()[2]
    # As systemd configures it on a machine: every account may open a socket for them.
    setting = "/proc/sys/net/ipv4/ping_group_range"
    kept = host.file(setting).content_string
    host.check_output("echo '0 2147483647' > %s", setting)
    try:
        assert host.run("python3 -c %s %s", ECHO, gateway).succeeded
        for user in ("nobody", "_chrony", feed_account(host)):
            assert host.run("sudo -u %s python3 -c %s %s", user, ECHO, gateway).rc != 0, user
    finally:
        host.check_output("echo %s > %s", kept, setting)


SOMEBODYS = ("meta skuid ", "meta skgid ")  # the feeds' accounts are those of one group
# The kernel's own, answers, privileged ports, resolvers, and the operator's list.
EVERYBODYS = ("oif ", "ct state ", "tcp sport ", "icmpv6 ", "udp sport 68 ", "udp sport 546 ")
NAMED = ("@outbound4 accept", "@outbound6 accept")


def test_each_way_out_belongs_to_somebody(host: Host) -> None:
    out = [rule for rule in rules(host) if rule.endswith(" accept")]
    free = [r for r in out if not r.startswith(EVERYBODYS + SOMEBODYS) and not r.endswith(NAMED)]
    assert not free
    assert len(out) > len(EVERYBODYS)
    assert not [rule for rule in out if "echo" in rule and "skuid 0 " not in rule]


def test_packages_still_come(host: Host) -> None:
    assert host.run("apt-get update --error-on=any").succeeded


def test_firewall_comes_back_whole_after_a_reload(host: Host) -> None:
    elements = host.check_output("nft -j list set inet district_host program4")
    assert '"elem"' in elements
    assert host.run("systemctl restart nftables.service").succeeded
    again = json.loads(host.check_output("nft -j list set inet district_host program4"))
    assert again["nftables"][-1]["set"]["elem"]
    assert host.run("systemctl is-enabled nftables.service").stdout.strip() == "enabled"


def test_updates_come_by_themselves_outside_the_delivery_window(host: Host) -> None:
    config = host.check_output("apt-config dump")
    assert 'APT::Periodic::Unattended-Upgrade "1";' in config
    assert 'Unattended-Upgrade::Automatic-Reboot-Time "12:00";' in config
    timer = host.check_output("systemctl show -p TimersCalendar apt-daily-upgrade.timer")
    assert timer.count("OnCalendar=") == 1
    assert "10:00:00 UTC" in timer
    assert host.run("unattended-upgrade --dry-run").succeeded


def test_the_host_runs_in_utc(host: Host) -> None:
    assert host.check_output("readlink /etc/localtime") == "/usr/share/zoneinfo/Etc/UTC"
    assert host.check_output("date +%Z") == "UTC"


def test_a_feed_has_an_account_of_its_own_that_cannot_log_in(host: Host) -> None:
    user = host.user(feed_account(host))
    assert user.group == "roster-upload"
    assert user.name in user.groups
    assert user.shell == "/usr/sbin/nologin"
    assert user.uid < 1000
    assert not user.password.startswith("$")


def test_credentials_are_sealed(host: Host, secrets: list[str]) -> None:
    files = host.check_output("find /etc/roster-upload/credentials -type f").split()
    assert files
    for path in files:
        kept: Any = host.file(path)
        assert (kept.user, kept.mode) == ("root", 0o600)
        assert not any(secret in kept.content_string for secret in secrets)


def test_bash_completes_feeds_for_anybody_and_the_manual_is_there(host: Host) -> None:
    share = "/usr/local/share"
    line = (
        f". {share}/bash-completion/completions/roster-upload; COMP_WORDS=(roster-upload send ''); "
        "COMP_CWORD=2; _roster_upload; echo ${COMPREPLY[*]}"
    )
    feeds = host.check_output("basename -s .toml /etc/roster-upload/*.toml").split()
    offered = host.check_output("runuser -u nobody -- bash -c %s", line).split()
    assert sorted(offered) == sorted(feeds)
    assert host.file(f"{share}/man/man8/roster-upload.8").contains("ROSTER")


# Runs in place of the program, in the real unit. It may write to any writable place, except for the
# sandbox. Only a read-only file system counts as a refusal, since a missing right would be another.
PROBE_UNIT = """[Service]
ExecStart=
ExecStart=/bin/sh -c 'id -un; ls $CREDENTIALS_DIRECTORY; touch /var/lib/sandbox-probe/x; \\
    touch /home/x; touch $STATE_DIRECTORY/probe && rm $STATE_DIRECTORY/probe && echo state is open'
"""


def test_the_units_sandbox_is_tight_and_holds(host: Host) -> None:
    feed = host.check_output("basename -s .toml /etc/roster-upload/*.toml").split()[0]
    unit = f"roster-upload@{feed}.service"
    told = host.run("systemd-analyze security --no-pager %s", unit).stdout
    level = re.search(r"Overall exposure level for \S+: ([0-9.]+)", told)
    assert level, told
    assert float(level[1]) <= 1.2, told

    folder = f"/run/systemd/system/{unit}.d"
    since = host.check_output("date +%s")
    host.check_output("install -d -m 0777 /var/lib/sandbox-probe && install -d %s", folder)
    try:
        host.check_output("printf %%s %s > %s/probe.conf", PROBE_UNIT, folder)
        host.check_output("systemctl daemon-reload")
        host.run("systemctl start %s", unit)
        said = host.check_output("journalctl --no-pager -o cat -u %s --since @%s", unit, since)
    finally:
        host.run("rm -rf %s /var/lib/sandbox-probe; systemctl daemon-reload", folder)
    lines = said.splitlines()
    assert f"rf-{feed}" in lines
    assert f"{feed}_current" in lines
    assert re.search("/var/lib/sandbox-probe/x.*Read-only file system", said), said
    assert re.search("/home/x.*(Read-only file system|Permission denied)", said), said
    assert "state is open" in lines


def test_the_lab_is_not_the_machine(host: Host) -> None:
    assert host.check_output("hostname") != socket.gethostname()


def test_a_lab_host_cannot_set_the_machines_clock(host: Host) -> None:
    now = 'date --set "@$(date +%s)"'
    assert "Operation not permitted" in host.run(now).stderr
    shell = [ROOT / "scripts/lab", "sh", host.backend.get_hostname(), "sh", "-c", now]
    tried = subprocess.run(shell, capture_output=True, text=True, check=False)
    assert "Operation not permitted" in tried.stderr
