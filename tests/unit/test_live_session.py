"""The look at a host and at the live session, before anything is changed."""

from __future__ import annotations

import base64
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import jinja2
import pytest
import yaml
from ansible import context
from live_session import host_notes, host_problems, kept_packages, read_session

ROOT = Path(__file__).resolve().parents[2]
ROLE = ROOT / "roles/district_hardening"
SCRIPT = ROLE / "files/look.sh"
GOOD = """\
user maria logs in
begin
connection 10.7.0.9 50122 10.7.1.1 22
user maria
group maria
group sudo
system PRETTY_NAME="Debian GNU/Linux 13 (trixie)"
system VERSION_ID="13"
system ID=debian
has python3
has sudo
has root
has tpm
package installed sudo
folder /etc/ssh/sis-inbox
socket tcp   LISTEN 0      128       0.0.0.0:22     0.0.0.0:*    users:(("sshd",pid=1,fd=3))
end
"""
VALUES: dict[str, Any] = {
    "feeds": ["elm", "oak"],
    "check_session": True,
    "remove_used_packages": False,
    "is_ssh": True,
    "is_firewall": True,
    "is_packages": True,
    "inbound_networks": ["10.7.0.0/16", "2001:db8::/32"],
    "inbox_networks": ["203.0.113.0/28"],
    "inbox_users": [],
    "ssh_ports": [22],
    "allow_groups": ["sudo"],
    "permit_root_login": "no",
    "become_method": "sudo",
    "has_become_password": False,
}


def look(*changes: tuple[str, str]) -> dict[str, Any]:
    """Return the answer of a good host after some changes of its text."""
    text = GOOD
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    return read_session(text.replace("\n", "\r\n").splitlines())  # as a terminal ends lines


def problems(*changes: tuple[str, str], **values: Any) -> list[str]:
    return host_problems(look(*changes), VALUES | values)


def variables(found: list[str]) -> list[str]:
    """Return the names of the variables with which messages begin, without their prefix."""
    return [message.partition(":")[0].removeprefix("district_hardening_") for message in found]


def test_a_host_in_order_is_begun_without_a_note() -> None:
    session = look()
    assert host_problems(session, VALUES) == []
    assert host_notes(session, VALUES) == []
    assert (session["packages"], session["folders"]) == (["installed sudo"], ["/etc/ssh/sis-inbox"])
    assert session["release"] == "13"


@pytest.mark.parametrize(
    ("client", "values", "is_inside"),
    [
        ("198.51.100.7", {}, False),
        ("198.51.100.7", {"inbound_networks": ["0.0.0.0/0"]}, True),
        ("::ffff:10.7.0.9", {}, True),
        ("2001:db8::7", {}, True),
        ("2001:db9::7", {}, False),
        ("fe80::1%eth0", {}, False),
        ("fe80::1%eth0", {"inbound_networks": ["fe80::/10"]}, True),
        # The firewall lets an SIS's networks in, but sshd lets only its account in from there.
        ("203.0.113.7", {}, True),
        ("203.0.113.7", {"inbox_users": ["sis"]}, False),
        # sshd keeps to the networks without the firewall, too, if there are inboxes.
        ("198.51.100.7", {"is_firewall": False}, True),
        # The end of a tunnel on the host. The firewall lets it in.
        ("127.0.0.1", {}, True),
        ("::1", {}, True),
        ("127.0.0.1", {"inbox_users": ["sis"]}, False),
        ("198.51.100.7", {"is_firewall": False, "inbox_users": ["sis"]}, False),
        ("198.51.100.7", {"check_session": False}, True),
    ],
)
def test_the_clients_address_is_inside(
    client: str, values: dict[str, Any], is_inside: bool
) -> None:
    found = problems(("10.7.0.9", client), **values)
    assert variables(found) == ([] if is_inside else ["inbound_networks"])


def test_a_refused_address_comes_with_the_value_to_add() -> None:
    assert problems(("10.7.0.9", "198.51.100.7")) == [
        "district_hardening_inbound_networks: this session comes from 198.51.100.7, which is in "
        "none of the networks. Add 198.51.100.7/32, or the network that it belongs to"
    ]
    assert "Add 2001:db9::7/128" in problems(("10.7.0.9", "2001:db9::7"))[0]


@pytest.mark.parametrize(
    ("values", "is_allowed"),
    [
        ({"allow_groups": ["admins"]}, False),
        ({"allow_groups": ["admins", "s?d*"]}, True),
        ({"allow_groups": []}, True),
        ({"allow_groups": ["admins"], "inbox_users": ["maria"]}, True),
        ({"allow_groups": ["admins"], "is_ssh": False}, True),
        ({"allow_groups": ["admins"], "permit_root_login": "prohibit-password"}, False),
    ],
)
def test_the_user_is_in_a_group(values: dict[str, Any], is_allowed: bool) -> None:
    found = problems(**values)
    assert variables(found) == ([] if is_allowed else ["ssh_allow_groups"])
    if not is_allowed:
        assert "Add one of maria, sudo, or run `adduser maria admins`" in found[0]


def test_root_is_named_if_its_logins_end() -> None:
    root = [("user maria", "user root"), ("group maria", "group root"), ("group sudo\n", "")]
    assert variables(problems(*root)) == ["ssh_permit_root_login"]
    assert problems(*root, permit_root_login="prohibit-password") == []
    assert problems(*root, is_ssh=False) == []


def test_the_sessions_port_stays_open() -> None:
    other = ("10.7.1.1 22", "10.7.1.1 2222")
    assert problems(other) == [
        "district_hardening_ssh_ports: this session uses port 2222, which would be closed. Add 2222"
    ]
    assert problems(other, ssh_ports=[22, 2222]) == []
    assert problems(other, is_ssh=False, is_firewall=False) == []


def test_all_problems_are_reported_at_once_and_none_without_ssh() -> None:
    changes = [("10.7.0.9", "198.51.100.7"), ("10.7.1.1 22", "10.7.1.1 24"), ("group sudo", "")]
    assert variables(problems(*changes)) == ["inbound_networks", "ssh_allow_groups", "ssh_ports"]
    assert problems(("connection 10.7.0.9 50122 10.7.1.1 22\n", ""), *changes[2:]) == []


@pytest.mark.parametrize(
    ("name", "number", "identity", "shown"),
    [
        ("Ubuntu 24.04.1 LTS", "24.04", "ubuntu", "Ubuntu 24.04.1 LTS"),
        ("Debian GNU/Linux 11 (bullseye)", "11", "debian", "Debian GNU/Linux 11 (bullseye)"),
        ("Raspbian GNU/Linux 12 (bookworm)", "12", "raspbian", "Raspbian GNU/Linux 12"),
        ("Debian GNU/Linux trixie/sid", "", "debian", "Debian GNU/Linux trixie/sid"),
    ],
)
def test_another_system_is_the_only_problem(
    name: str, number: str, identity: str, shown: str
) -> None:
    changes = [
        ("Debian GNU/Linux 13 (trixie)", name),
        ('"13"', f'"{number}"'),
        ("ID=debian", f"ID={identity}"),
        ("10.7.0.9", "198.51.100.7"),
    ]
    (found,) = problems(*changes)
    assert found.startswith(f"the host runs {shown}")
    assert "Debian 12 or 13" in found


def test_programs_that_are_missing_are_named() -> None:
    assert problems(("has python3\n", "")) == [
        "python3 is missing on the host. Run `apt install python3` there as root"
    ]
    assert problems(("has sudo\nhas root\n", "")) == [
        "sudo is missing on the host. Run `apt install sudo && adduser maria sudo` there as root"
    ]
    for method in ("doas", "community.general.doas", "su"):
        assert problems(("has sudo\nhas root\n", ""), become_method=method) == []
    assert problems(("has sudo\nhas root\n", ""), become_method="ansible.builtin.sudo")


def test_sudo_with_a_password_needs_one(monkeypatch: pytest.MonkeyPatch) -> None:
    asks = ("has root\n", "")
    assert problems(asks) == [
        "maria cannot use sudo without a password. To go on, add --ask-become-pass to the command"
    ]
    (found,) = problems(asks, ("group sudo\n", "group staff\n"), allow_groups=["staff"])
    assert "run `adduser maria sudo` there as root and add --ask-become-pass" in found
    assert problems(asks, has_become_password=True) == []
    for options in ({"become_ask_pass": True}, {"become_method": "su"}):
        monkeypatch.setattr(context, "CLIARGS", options)
        assert problems(asks, become_method="") == []
    monkeypatch.setattr(context, "CLIARGS", {"become_method": "sudo"})
    assert len(problems(asks, become_method="")) == 1
    monkeypatch.setenv("ANSIBLE_BECOME_PASS", "x")
    assert problems(asks) == []


@pytest.mark.parametrize(
    ("mark", "reason"),
    [
        ("away/fir moved lab-02 2026-11-27", ""),
        ("away/elm moved lab-02 2026-11-27", "elm has moved to lab-02"),
        ("away/elm arriving lab-01 2026-11-27", ""),
        ("away/fir arriving lab-01 2026-11-27", "fir has come from lab-01, and this run would"),
        ("arrived/oak arrived lab-01 2026-11-27", ""),
        ("arrived/fir arrived lab-01 2026-11-27", "fir has come from lab-01, and this run would"),
        ("x", ""),
        ("", ""),
    ],
)
def test_a_run_knows_which_feeds_have_moved(mark: str, reason: str) -> None:
    """A copy of the inventory from before the move starts no second delivery, and ends none."""
    found = problems(("end\n", f"move {mark}\nend\n"))
    assert len(found) == bool(reason)
    assert reason in "".join(found)
    assert problems(("end\n", f"move {mark}\nend\n"), check_session=False) == found


def test_an_answer_that_breaks_off_is_no_answer() -> None:
    assert "incomplete" in problems(("end\n", ""))[0]
    assert "incomplete" in host_problems(read_session([]), VALUES)[0]


@pytest.mark.parametrize("line", ["connection", "connection a b c d", "system X='", "socket tcp x"])
def test_a_host_that_answers_anything_else_ends_nothing(line: str) -> None:
    hostile = ["begin", line, "user \x1b]0;x\x07", *GOOD.splitlines()[2:]]
    session = read_session(hostile)
    assert session["user"].isprintable()
    host_notes(session, VALUES)
    host_problems(session, VALUES)


SAMBA = ("end\n", "used samba smbd.service\nused samba nmbd.service\nend\n")


def test_a_package_in_use_stays_and_is_named() -> None:
    session = look(SAMBA)
    assert kept_packages(session, VALUES) == ["samba"]
    (row,) = host_notes(session, VALUES, "Oak")
    assert (row["did"], row["district"]) == ("kept", "Oak")
    assert row["note"].startswith("the package samba is in use (smbd.service, nmbd.service), so")
    assert "set district_hardening_remove_used_packages" in row["note"]
    assert kept_packages(session, VALUES | {"remove_used_packages": True}) == []
    assert host_notes(session, VALUES | {"remove_used_packages": True}) == []
    assert host_notes(session, VALUES | {"is_packages": False}) == []


SOCKETS = """\
socket tcp   LISTEN 0  50           0.0.0.0:445    0.0.0.0:*    users:(("smbd",pid=41,fd=3))
socket tcp   LISTEN 0  50              [::]:445       [::]:*    users:(("smbd",pid=41,fd=4))
socket tcp   LISTEN 0  511                *:80           *:*
socket tcp   LISTEN 0  80         127.0.0.1:5432   0.0.0.0:*    users:(("postgres",pid=7,fd=3))
socket tcp   LISTEN 0  80             [::1]:5432      [::]:*    users:(("postgres",pid=7,fd=4))
socket udp   UNCONN 0  0      127.0.0.53%lo:53     0.0.0.0:*    users:(("resolved",pid=9,fd=3))
socket udp   UNCONN 0  0       0.0.0.0%eth0:68     0.0.0.0:*    users:(("dhclient",pid=8,fd=6))
socket udp   UNCONN 0  0            0.0.0.0:123    0.0.0.0:*    users:(("ntpd",pid=6,fd=16))
end
"""


def test_services_behind_the_firewall_are_named_once() -> None:
    (row,) = host_notes(look(("end\n", SOCKETS)), VALUES)
    assert "80/tcp, 445/tcp (smbd), 123/udp (ntpd). To leave" in row["note"]
    for quiet in ("postgres", "68/udp", "53/udp", "22/tcp"):
        assert quiet not in row["note"]
    assert host_notes(look(("end\n", SOCKETS)), VALUES | {"is_firewall": False}) == []
    assert host_notes(look(("end\n", "has firewall\n" + SOCKETS)), VALUES) == []


def test_the_script_answers_without_python_and_sudo(tmp_path: Path) -> None:
    """On another system, which is refused."""
    release = tmp_path / "os-release"
    release.write_text('PRETTY_NAME="Ubuntu 24.04.1 LTS"\nVERSION_ID="24.04"\nID=ubuntu\n')
    script = SCRIPT.read_text().replace("/etc/os-release", str(release))
    for name in ("id", "tr", "sed", "grep", "sh"):
        (tmp_path / name).symlink_to(str(shutil.which(name)))
    done = subprocess.run(
        ["/bin/sh", "-c", script, "sh", "no-such-package"],
        env={"PATH": str(tmp_path), "SSH_CONNECTION": "10.7.0.9 50122 10.7.1.1 22"},
        capture_output=True,
        text=True,
        check=True,
    )
    session = read_session(done.stdout.splitlines())
    assert (session["client"], session["port"]) == ("10.7.0.9", 22)
    assert session["user"]
    assert session["groups"]
    assert {"python3", "sudo"}.isdisjoint(session["has"])
    assert host_problems(session, VALUES) == [
        "the host runs Ubuntu 24.04.1 LTS. The roles need Debian 12 or 13. Nothing was changed"
    ]
    release.write_text("ID=debian\nVERSION_ID=12\n")
    done = subprocess.run(["/bin/sh", "-c", script], capture_output=True, text=True, check=True)
    assert read_session(done.stdout.splitlines())["release"] == "12"


def test_the_script_finds_the_session_above_sudo() -> None:
    """A process above has the variable, and an account of its own."""
    inner = f"env -u SSH_CONNECTION SUDO_USER=root sh {SCRIPT}; true"
    done = subprocess.run(
        ["/bin/sh", "-c", inner],
        env={"PATH": "/usr/bin:/bin", "SSH_CONNECTION": "10.7.0.9 50122 10.7.1.1 22"},
        capture_output=True,
        text=True,
        check=True,
    )
    session = read_session(done.stdout.splitlines())
    assert (session["client"], session["user"]) == ("10.7.0.9", "root")


def test_the_command_is_one_line_for_every_login_shell() -> None:
    """A quoted text ends with the line in csh. A login shell's own files may print before."""
    environment = jinja2.Environment(autoescape=False)  # noqa: S701 - a command
    environment.filters["quote"] = shlex.quote
    environment.filters["b64encode"] = lambda text: base64.b64encode(text.encode()).decode()
    values = yaml.safe_load((ROLE / "vars/main/session.yml").read_text())
    command = environment.from_string(values["__district_hardening_look"]).render(
        role_path=ROLE,
        district_hardening_packages_removed=["no-such", "a b"],
        lookup=lambda _, path, rstrip: Path(path).read_text(),
    )
    assert command.isprintable()
    assert not set("'!") & set(command.replace("'a b'", ""))
    done = subprocess.run(
        ["/bin/sh", "-c", f"printf 'connection to maria\nend'; {command}"],
        env={"PATH": "/usr/bin:/bin", "SSH_CONNECTION": "::ffff:10.7.0.9 50122 10.7.1.1 22"},
        capture_output=True,
        text=True,
        check=True,
    )
    session = read_session(done.stdout.splitlines())
    assert (session["is_complete"], session["client"]) == (True, "10.7.0.9")
    assert done.stderr == ""


def test_the_system_is_read_from_its_second_place(tmp_path: Path) -> None:
    release = tmp_path / "os-release"
    release.write_text("PRETTY_NAME='Debian GNU/Linux 12 (bookworm)'\nID='debian'\nVERSION_ID=12\n")
    script = SCRIPT.read_text().replace("/etc/os-release", "/no/such/file")
    script = script.replace("/usr/lib/os-release", str(release))
    done = subprocess.run(["/bin/sh", "-c", script], capture_output=True, text=True, check=True)
    session = read_session(done.stdout.splitlines())
    assert (session["release"], session["system"]) == ("12", "Debian GNU/Linux 12 (bookworm)")


def test_what_comes_before_the_answer_is_no_answer() -> None:
    assert look()["user"] == "maria"
    assert "incomplete" in problems(("begin\n", ""))[0]
