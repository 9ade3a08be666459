"""Jinja2 filters that judge a host and the live session before the first change."""

from __future__ import annotations

import fnmatch
import ipaddress
import os
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ansible import context

PREFIX = "district_hardening_"
RELEASES = ("12", "13")  # of Debian
LONGEST = 100  # characters of a text from the host
MOST_SERVICES = 20
LOOPBACK = ("127.0.0.0/8", "::1/128")  # also a tunnel's end on the host
PASSWORDS = ("ANSIBLE_BECOME_PASS", "ANSIBLE_SUDO_PASS")  # of Ansible's plugin for sudo
# Ports on which a client waits for answers, which the firewall lets in.
CLIENTS = {("udp", 68), ("udp", 546)}
# `ss` shows its own address and, for root, the programs: users:(("sshd",pid=1,fd=3)).
SOCKET = re.compile(r'(tcp|udp) +\S+ +\d+ +\d+ +(\S+):(\d+) +\S+(?: +users:\(\("([^"]*)".*)?')
Session = dict[str, Any]


def read_session(lines: Sequence[str]) -> Session:
    """Return what `files/look.sh` has printed. Its lines are `WORD VALUE...`.

    The answer comes from the host. A compromised one can print anything. What is before `begin` is
    of the login shell, such as a banner.
    """
    found: dict[str, list[str]] = {}
    texts = [line.strip() for line in lines]
    begun = max((at for at, text in enumerate(texts) if text == "begin"), default=len(texts))
    for text in texts[begun:]:
        word, _, value = text.partition(" ")
        found.setdefault(word, []).append(value)
    client, port = _connection(_first(found, "connection"))
    system = _system(found.get("system", []))
    return {
        "is_complete": "end" in found,
        "client": client,
        "port": port,
        "user": _shown(_first(found, "user")),
        "groups": [_shown(name) for name in found.get("group", []) if name],
        "system": _shown(system.get("PRETTY_NAME") or system.get("ID", "")),
        "release": system.get("VERSION_ID", "") if system.get("ID") == "debian" else "",
        "has": found.get("has", []),
        "packages": found.get("package", []),
        "folders": found.get("folder", []),
        "used": _used(found.get("used", [])),
        "moves": _moves(found.get("move", [])),
        "services": _services(found.get("socket", [])),
    }


def _first(found: Mapping[str, list[str]], word: str) -> str:
    return found.get(word, [""])[0]


def _shown(text: str) -> str:
    """Return a text of the host, bounded, without characters that control a terminal."""
    return "".join(c if c.isprintable() else "?" for c in text[:LONGEST])


def _connection(text: str) -> tuple[str, int]:
    """Return the client's address and the server's port of `SSH_CONNECTION`, or "" and 0."""
    try:
        client, _, _, port = text.split()
        address = ipaddress.ip_address(client.partition("%")[0])
        return str(getattr(address, "ipv4_mapped", None) or address), int(port)
    except ValueError:
        return "", 0


def _system(lines: Sequence[str]) -> dict[str, str]:
    """Return the values of os-release(5)."""
    values = {}
    for line in lines:
        name, _, value = line.partition("=")
        try:
            values[name] = "".join(shlex.split(value))
        except ValueError:
            continue
    return values


def _used(lines: Sequence[str]) -> dict[str, list[str]]:
    """Return the running services of each package that the role would remove."""
    used: dict[str, list[str]] = {}
    for line in lines:
        package, _, unit = line.partition(" ")
        used.setdefault(_shown(package), []).append(_shown(unit))
    return used


def _moves(lines: Sequence[str]) -> list[dict[str, str]]:
    """Return the marks of move.yml: `feed`, `state` and the `other` host."""
    found = []
    for line in lines:
        path, state, other = (*map(_shown, line.split(" ")[:3]), "", "")[:3]
        found.append({"feed": path.rpartition("/")[2], "state": state, "other": other})
    return found


def _services(lines: Sequence[str]) -> list[dict[str, Any]]:
    """Return the sockets that listen for other machines, as program, protocol and port."""
    found = {}
    for line in lines:
        if matched := SOCKET.fullmatch(line.strip()):
            protocol, address, port, program = matched.groups()
            if _is_local(address) or (protocol, int(port)) in CLIENTS:
                continue
            found[protocol, int(port)] = _shown(program or "")
    return [
        {"protocol": protocol, "port": port, "program": program}
        for (protocol, port), program in sorted(found.items())
    ]


def _is_local(address: str) -> bool:
    host, _, device = address.strip("[]").partition("%")
    try:
        return device == "lo" or ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:  # such as *
        return False


def host_problems(session: Session, values: Mapping[str, Any]) -> list[str]:
    """Return a message for each reason not to begin on a host.

    `values` is that of vars/main/session.yml. A system of another kind is the only problem, since
    nothing else counts then.
    """
    if not session["is_complete"]:
        return ["the host's answer to the first look is incomplete. Log in and run a command there"]
    if session["release"] not in RELEASES:
        name = session["system"] or "a system without /etc/os-release"
        return [f"the host runs {name}. The roles need Debian 12 or 13. Nothing was changed"]
    return [
        *_program_problems(session, values),
        *_move_problems(session, values["feeds"]),
        *(_session_problems(session, values) if values["check_session"] else []),
    ]


def _program_problems(session: Session, values: Mapping[str, Any]) -> Iterator[str]:
    user = session["user"]
    if "python3" not in session["has"]:
        yield "python3 is missing on the host. Run `apt install python3` there as root"
    if "root" in session["has"] or not _is_sudo(values["become_method"]):
        return
    if "sudo" not in session["has"]:
        yield (
            "sudo is missing on the host. Run "
            f"`apt install sudo && adduser {user} sudo` there as root"
        )
    elif not (values["has_become_password"] or is_password_asked()):
        advice = "add --ask-become-pass to the command"
        if "sudo" not in session["groups"]:
            advice = f"run `adduser {user} sudo` there as root and {advice}"
        yield f"{user} cannot use sudo without a password. To go on, {advice}"


def _move_problems(session: Session, feeds: Sequence[str]) -> Iterator[str]:
    """Yield why the run's feeds are not those of the host: a move has changed them."""
    for move in session["moves"]:
        feed, other, is_listed = move["feed"], move["other"], move["feed"] in feeds
        if move["state"] == "moved" and is_listed:
            yield (
                f"{feed} has moved to {other}. Update this copy of the inventory: git pull. If the "
                f"inventory has it here still, move its entry and {feed}.vault to host_vars/{other}"
            )
        elif move["state"] in ("arriving", "arrived") and not is_listed:
            yield (
                f"{feed} has come from {other}, and this run would remove it. Update this copy of "
                "the inventory: git pull. If move.yml was interrupted, run it again. Then move "
                f"the entry of {feed} and {feed}.vault from host_vars/{other} to this host"
            )


def _is_sudo(method: str) -> bool:
    """Return whether sudo changes the account: by the inventory, command line or ansible.cfg."""
    chosen = method or context.CLIARGS.get("become_method") or "sudo"
    return str(chosen).rpartition(".")[2] == "sudo"


def is_password_asked() -> bool:
    """Return whether the command line, the environment or ansible.cfg brings sudo's password."""
    options = context.CLIARGS
    if options.get("become_ask_pass") or options.get("become_password_file"):
        return True
    return any(os.environ.get(name) for name in PASSWORDS)


def _session_problems(session: Session, values: Mapping[str, Any]) -> Iterator[str]:
    """Yield what would end a session like this one. Without SSH there is none."""
    if not session["client"]:
        return
    ssh, firewall = values["is_ssh"], values["is_firewall"]
    client, port, user = session["client"], session["port"], session["user"]
    networks = _networks(values)
    if networks is not None and not _is_inside(client, networks):
        length = ipaddress.ip_address(client).max_prefixlen
        yield (
            f"{PREFIX}inbound_networks: this session comes from {client}, which is in none of the "
            f"networks. Add {client}/{length}, or the network that it belongs to"
        )
    if ssh and user == "root" and values["permit_root_login"] == "no":
        yield (
            f"{PREFIX}ssh_permit_root_login: this session's user is root, who could not log in "
            "again. Log in as a user in the group sudo, or set prohibit-password"
        )
    elif ssh and not _is_allowed(session["groups"], values):
        allowed = ", ".join(values["allow_groups"])
        yield (
            f"{PREFIX}ssh_allow_groups: this session's user {user} is in none of the groups "
            f"({allowed}). Add one of {', '.join(session['groups']) or user}, or run "
            f"`adduser {user} {values['allow_groups'][0]}` on the host as root"
        )
    if (ssh or firewall) and port not in map(int, values["ssh_ports"]):
        yield f"{PREFIX}ssh_ports: this session uses port {port}, which would be closed. Add {port}"


def _networks(values: Mapping[str, Any]) -> list[str] | None:
    """Return the networks from which an administrator may log in, or None if any are."""
    if values["inbox_users"]:  # sshd lets in only an SIS from elsewhere
        return list(values["inbound_networks"])
    if values["is_firewall"]:
        return [*values["inbound_networks"], *values["inbox_networks"], *LOOPBACK]
    return None


def _is_inside(client: str, networks: Sequence[str]) -> bool:
    address = ipaddress.ip_address(client)
    return any(address in ipaddress.ip_network(network, strict=False) for network in networks)


def _is_allowed(groups: Sequence[str], values: Mapping[str, Any]) -> bool:
    """Return whether an account with these groups can log in under AllowGroups."""
    if not values["allow_groups"]:
        return True
    own = ["root"] if values["permit_root_login"] != "no" else []
    allowed = [*values["allow_groups"], *values["inbox_users"], *own]
    return any(fnmatch.fnmatchcase(group, name) for group in groups for name in allowed)


def kept_packages(session: Session, values: Mapping[str, Any]) -> list[str]:
    """Return the packages that stay, since others use them."""
    return [] if values["remove_used_packages"] else sorted(session["used"])


def host_notes(session: Session, values: Mapping[str, Any], district: str = "") -> list[Any]:
    """Return rows of the closing table about services of others."""
    notes = []
    for package in kept_packages(session, values) if values["is_packages"] else []:
        units = ", ".join(session["used"][package][:MOST_SERVICES])
        note = (
            f"the package {package} is in use ({units}), so it stays. To remove it, set "
            f"{PREFIX}remove_used_packages. To keep it without this note, take it out of "
            f"{PREFIX}packages_removed"
        )
        notes.append({"district": district, "did": "kept", "note": note})
    ports = {int(port) for port in values["ssh_ports"]}
    closed = [s for s in session["services"] if s["protocol"] == "udp" or s["port"] not in ports]
    # The firewall of an earlier run has closed them already.
    if values["is_firewall"] and closed and "firewall" not in session["has"]:
        names = ", ".join(_service(one) for one in closed[:MOST_SERVICES])
        note = (
            f"the firewall closes ports on which services listen: {names}. To leave them open, "
            f"set {PREFIX}firewall_enabled to false"
        )
        notes.append({"district": district, "did": "ports closed", "note": note})
    return notes


def _service(service: Mapping[str, Any]) -> str:
    name = f" ({service['program']})" if service["program"] else ""
    return f"{service['port']}/{service['protocol']}{name}"


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Any]:
        """Return the filters by name."""
        return {
            "read_session": read_session,
            "host_problems": host_problems,
            "host_notes": host_notes,
            "kept_packages": kept_packages,
        }
