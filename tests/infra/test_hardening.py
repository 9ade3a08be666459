"""Each control of the hardening works. The README's table of controls names these tests."""

from __future__ import annotations

import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.lab_hosts import ROOT, Host

LAB_KEY = ROOT / ".lab" / "id_ed25519"


def name_of(host: Host) -> str:
    return str(host.backend.get_hostname())


def refused(host: Host, command: str, *words: str) -> str:
    """Run a command that must fail. Return its output."""
    done = host.run(command, *words)
    assert done.rc != 0, f"{command} succeeded"
    return str(done.stdout + done.stderr)


# ---- accounts ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def person(host: Host) -> Iterator[str]:
    """Yield an account with a password. Remove it after the host's tests."""
    name = "probe-" + uuid.uuid4().hex[:8]
    host.check_output("useradd --create-home --shell /bin/bash %s", name)
    host.check_output("echo %s:%s | chpasswd -c YESCRYPT", name, "a First-rate 7 Pass of phrases")
    yield name
    host.run("loginctl kill-user %s; pkill -KILL -u %s; userdel --remove %s", name, name, name)


PAM = """
import ctypes, sys
pam = ctypes.CDLL("libpam.so.0")
libc = ctypes.CDLL(None)
libc.strdup.restype = ctypes.c_void_p
libc.calloc.restype = ctypes.c_void_p
class Response(ctypes.Structure):
    _fields_ = [("text", ctypes.c_void_p), ("code", ctypes.c_int)]
Answer = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int, ctypes.c_void_p,
                          ctypes.POINTER(ctypes.POINTER(Response)), ctypes.c_void_p)
class Conversation(ctypes.Structure):
    _fields_ = [("answer", Answer), ("data", ctypes.c_void_p)]
def answer(count, asked, responses, data):
    given = ctypes.cast(libc.calloc(count, ctypes.sizeof(Response)), ctypes.POINTER(Response))
    for n in range(count):
        given[n].text = libc.strdup(sys.argv[2].encode())
    responses[0] = given
    return 0
callback = Answer(answer)
handle = ctypes.c_void_p()
pam.pam_start(b"login", sys.argv[1].encode(), ctypes.byref(Conversation(callback, None)),
              ctypes.byref(handle))
print("accepted" if pam.pam_authenticate(handle, 0) == 0 else "refused")
"""


def test_weak_passwords_are_refused_and_guessing_locks_an_account(host: Host, person: str) -> None:
    right = "a First-rate 7 Pass of phrases"

    def log_in(password: str) -> str:
        return str(host.check_output("python3 -c %s %s %s", PAM, person, password))

    assert log_in(right) == "accepted"
    assert [log_in("wrong") for _ in range(3)] == ["refused"] * 3
    assert log_in(right) == "refused"
    assert "V" in host.check_output("faillock --user %s", person)
    host.check_output("faillock --user %s --reset", person)
    assert log_in(right) == "accepted"
    assert "pam_pwquality.so" in host.check_output("cat /etc/pam.d/common-password")
    # As root's passwd(1) does, with the rules enforced for root as well.
    change = "printf 'Summer2026\\nSummer2026\\n' | passwd %s"
    assert "BAD PASSWORD" in refused(host, change, person)


def test_new_files_are_closed_to_others_and_idle_shells_end(host: Host, person: str) -> None:
    said = host.check_output(
        "su --login %s --command 'umask; echo $TMOUT; echo $TMPDIR; touch f; stat -c %%a f'", person
    )
    umask, idle, temporary, mode = said.split()
    assert umask in {"0027", "0007"}  # with a group of its own, an owner may share its rights
    assert idle == "900"
    assert temporary.startswith("/tmp/user/")  # noqa: S108 - made by PAM
    assert mode in {"640", "660"}
    assert host.check_output("stat -c %%a /home/%s", person) == "700"
    assert "$y$" in host.check_output("getent shadow %s", person)


def test_sudo_logs_and_keeps_to_a_terminal_of_its_own(host: Host) -> None:
    mark = uuid.uuid4().hex
    host.check_output("sudo true %s", mark)
    assert mark in host.check_output("cat /var/log/sudo.log")
    settings = host.check_output("sudo -l")
    for setting in ("use_pty", "ignore_dot", "timestamp_timeout=5", "passwd_tries=3"):
        assert setting in settings
    assert host.run("logrotate --debug /etc/logrotate.d/district-sudo").succeeded


def test_only_administrators_may_use_su(host: Host, person: str) -> None:
    said = refused(host, "su %s --command 'echo x | su --command id root'", person)
    assert "Permission denied" in said
    assert host.run("su %s --command true", person).succeeded  # root may


def test_a_banner_greets_before_the_login(host: Host) -> None:
    asked = subprocess.run(
        [
            "ssh",
            "-F",
            ROOT / ".lab" / "ssh_config",
            "-o",
            "ControlPath=none",
            name_of(host),
            "true",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "Authorized users only" in asked.stderr
    assert "Authorized users only" in host.file("/etc/issue").content_string


def test_only_root_plans_jobs(host: Host, person: str) -> None:
    assert host.run("crontab -l -u root").stderr.strip() in {"", "no crontab for root"}
    said = refused(host, "su %s --command 'echo | crontab -'", person)
    assert "not allowed" in said


# ---- the kernel and the file system --------------------------------------------------------


def test_no_process_leaves_a_core(host: Host, person: str) -> None:
    said = host.check_output("su --login %s --command 'ulimit -c; ulimit -H -c'", person)
    assert said.split() == ["0", "0"]
    shown = host.check_output("systemd-analyze cat-config systemd/coredump.conf")
    assert "Storage=none" in shown


def test_nothing_runs_from_where_everybody_may_write(host: Host) -> None:
    for folder in ("/tmp", "/var/tmp", "/dev/shm"):  # noqa: S108 - the folders under test
        options = host.check_output("findmnt --noheadings --output OPTIONS --target %s", folder)
        assert {"nosuid", "nodev", "noexec"} <= set(options.split(",")), folder
        program = f"{folder}/probe"
        host.check_output("cp /bin/true %s && chmod 755 %s", program, program)
        try:
            assert "denied" in refused(host, "%s", program)
        finally:
            host.check_output("rm %s", program)


def test_processes_of_others_are_invisible(host: Host) -> None:
    seen = host.check_output("sudo -u nobody ps -e -o user=").split()
    assert set(seen) == {"nobody"}
    assert "sshd" in host.check_output("ps -e -o comm=")
    assert host.run("systemctl is-active systemd-logind.service").stdout.strip() != "failed"


def settings_of(text: str) -> dict[str, str]:
    """Return the kernel settings of a configuration, of which the last one of a name counts."""
    lines = (line.partition("=") for line in text.splitlines() if not line.startswith(("#", ";")))
    return {key.strip().lstrip("-"): value.strip() for key, is_set, value in lines if is_set}


def test_kernel_settings_are_written_and_the_networks_own_hold(host: Host) -> None:
    assert host.sysctl("net.ipv4.conf.all.accept_redirects") == 0
    for interface in ("all", "eth0"):
        assert host.sysctl(f"net.ipv4.conf.{interface}.rp_filter") == 1
        assert host.sysctl(f"net.ipv6.conf.{interface}.accept_redirects") == 0
    assert host.sysctl("net.ipv4.tcp_rfc1337") == 1
    written = host.file("/etc/sysctl.d/60-district-kernel.conf").content_string
    wanted = settings_of(written)
    assert wanted["kernel.kptr_restrict"] == "2"
    # In a container they are the machine's, and may be unset.
    settings = {key: Path("/proc/sys", *key.split(".")) for key in wanted}
    # Some are visible only in the machine's first network namespace.
    machine = {
        key: path.read_text().strip()
        for key, path in settings.items()
        if path.exists() and host.file(str(path)).exists
    }
    assert machine
    assert {key: host.check_output("sysctl -n %s", key) for key in machine} == machine


def test_no_file_of_a_package_is_read_later_with_another_kernel_setting(host: Host) -> None:
    ours = host.check_output("cat /etc/sysctl.d/60-district-*.conf")
    last = host.check_output("systemd-analyze cat-config sysctl.d")
    assert settings_of(ours).items() <= settings_of(last).items()


def test_kernel_modules_without_a_use_cannot_be_loaded(host: Host) -> None:
    shown = host.check_output("modprobe --showconfig")
    for module in ("usb_storage", "dccp", "cramfs", "firewire_core"):
        assert f"install {module} /bin/false" in shown
        assert f"blacklist {module}" in shown


def test_the_programs_apparmor_profile_compiles(host: Host) -> None:
    compiled = host.run(
        "apparmor_parser --skip-kernel-load --skip-cache --debug /etc/apparmor.d/roster-upload"
    )
    assert compiled.succeeded, compiled.stderr
    unit = host.check_output("systemctl cat roster-upload@.service")
    assert "AppArmorProfile=-roster-upload" in unit


def test_what_matters_is_audited(host: Host) -> None:
    assert host.run("augenrules --check").succeeded
    rules = host.check_output("cat /etc/audit/rules.d/60-district.rules")
    for watched in ("/etc/roster-upload/credentials", "/etc/sudoers.d/", "/etc/nftables.conf"):
        assert f"-w {watched} -p wa" in rules
        assert host.file(watched).exists, watched
    assert "dir=/var/lib/roster-upload" in rules
    assert "\n-e 1\n" in rules
    journal = host.check_output("systemd-analyze cat-config systemd/journald.conf")
    assert "\nAudit=\n" in journal  # no start of the journal switches auditing off
    assert_not_in_containers(host, "auditd.service")


def test_a_login_is_recorded_where_it_is_audited(host: Host) -> None:
    """Debian 13 has databases of wtmpdb and lastlog2 beside the files of Debian 12."""
    since = host.check_output("date --iso-8601=ns")
    words = ["-F", str(ROOT / ".lab" / "ssh_config"), "-o", "ControlPath=none", "-tt"]
    subprocess.run(["ssh", *words, name_of(host), "true"], capture_output=True, check=True)
    names = "-name '*wtmp*' -o -name '*lastlog*' -o -name '*utmp*'"
    # A database's journal vanishes meanwhile.
    folders = "/var/log /var/lib /run -ignore_readdir_race"
    search = f"find {folders} -type f \\( {names} \\) -newermt %s"
    recorded = host.check_output(search, since).split()
    databases = {"/var/log/wtmp.db", "/var/lib/lastlog/lastlog2.db"}
    is_new = host.system_info.release.startswith("13")
    assert set(recorded) >= (databases if is_new else {"/var/log/wtmp", "/var/log/lastlog"})
    rules = host.check_output("cat /etc/audit/rules.d/60-district.rules")
    watched = [line.split()[1] for line in rules.splitlines() if line.startswith("-w ")]
    watched = [path.replace("/var/run/", "/run/") for path in watched]
    assert [path for path in recorded if not any(map(path.startswith, watched))] == []
    for program in ("last", "lastlog2" if is_new else "lastlog"):
        assert "deploy" in host.check_output(program)


def assert_not_in_containers(host: Host, unit: str) -> None:
    """Assert that a unit is enabled, and that a container does not start it."""
    assert host.run("systemctl is-enabled %s", unit).stdout.strip() == "enabled"
    host.check_output("systemctl start %s", unit)
    shown = host.check_output("systemctl show -p ActiveState,ConditionResult %s", unit)
    assert shown.split() == ["ActiveState=inactive", "ConditionResult=no"]


def test_the_clock_is_kept_but_never_from_within_a_container(host: Host) -> None:
    assert_not_in_containers(host, "chrony.service")
    assert host.run("chronyd -p -f /etc/chrony/chrony.conf").succeeded
    settings = host.check_output("chronyd -p -f /etc/chrony/chrony.conf")
    assert "makestep 1 3" in settings
    assert "port 0" in settings


# ---- what is kept and watched --------------------------------------------------------------


def test_the_journal_is_kept_and_bounded(host: Host) -> None:
    shown = host.check_output("systemd-analyze cat-config systemd/journald.conf")
    for setting in ("Storage=persistent", "SystemMaxUse=1G", "MaxRetentionSec=400day"):
        assert f"\n{setting}" in shown
    assert host.run("ls /var/log/journal/*/system.journal").succeeded


def test_a_file_changed_behind_ansibles_back_is_found(host: Host) -> None:
    # The run that provisioned the host has created it.
    assert host.file("/var/lib/aide/district.db").size > 10_000
    check = "systemctl start district-integrity.service"
    shown = "journalctl --no-pager -o cat -u district-integrity.service --since @%s"
    host.check_output("systemctl start district-integrity-accept.service")
    since = host.check_output("date +%s")
    host.check_output("echo '# probe' >> /etc/hosts.allow; echo '# probe' >> /usr/sbin/nologin.x")
    host.check_output("cp -p /usr/bin/wall /root/wall && echo x >> /usr/bin/wall")
    try:
        assert host.run(check).rc != 0
        said = host.check_output(shown, since)
        assert "/etc/hosts.allow" in said
        assert "/usr/bin/wall" in said
        # Accepted changes are reported as well, so nothing stays unseen.
        accepted = host.check_output("district-integrity accept")
        assert "/etc/hosts.allow" in accepted
    finally:
        host.check_output("sed -i '/# probe/d' /etc/hosts.allow; rm -f /usr/sbin/nologin.x")
        host.check_output("mv /root/wall /usr/bin/wall; systemctl reset-failed")
        host.check_output("systemctl start district-integrity-accept.service")
    assert host.run(check).succeeded, host.check_output(shown, since)
    assert host.run("systemctl is-active district-integrity.timer").stdout.strip() == "active"


def test_packages_without_a_use_are_gone(host: Host) -> None:
    installed = set(host.check_output("dpkg-query -W -f '${Package}\\n'").split())
    assert not installed & {"telnet", "rsh-client", "ftp", "avahi-daemon", "exim4-base", "xinetd"}


def test_ssh_and_cron_are_less_exposed_than_debian_has_them(host: Host) -> None:
    for unit in ("ctrl-alt-del.target", "debug-shell.service"):
        assert host.run("systemctl is-enabled %s", unit).stdout.strip() == "masked"
    for unit in ("ssh.service", "cron.service"):
        shown = host.check_output("systemctl show -p LockPersonality,RestrictRealtime %s", unit)
        assert shown.split() == ["LockPersonality=yes", "RestrictRealtime=yes"]


def test_folders_and_files_of_the_administrator_are_closed(host: Host) -> None:
    modes = {"/etc/crontab": 0o600, "/etc/ssh/sshd_config": 0o600, "/etc/sudoers.d": 0o750}
    modes |= {f"/etc/cron.{each}": 0o700 for each in ("d", "hourly", "daily", "weekly", "monthly")}
    assert {path: host.file(path).mode for path in modes} == modes
