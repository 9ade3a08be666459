"""The inbox by which a district's SIS brings its export: an account of the role `sis_inbox`."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping, Sequence
from typing import Any

from ansible.plugins.loader import filter_loader
from roster_upload.terminal.printable import printable

from roster_fleet import inventory

FOLDER = "/srv/sis-inbox"  # the role's default
FILE = "OneRoster.zip"
VARIABLE = "sis_inbox_accounts"
FINGERPRINT = re.compile(r"SHA256:[A-Za-z0-9+/]{43}")


def user_problem(user: str) -> str | None:
    """Return why a name cannot be the account of an SIS, or None."""
    if user in ("root", "admin") or user.startswith("rf-"):
        return f"{user!r} is the name of another account. Take one such as sis-maple"
    return _problem(user=user)


def key_problem(key: str) -> str | None:
    """Return why a text is not a public key, or None."""
    return _problem(authorized_keys=[key])


def networks_problem(networks: str) -> str | None:
    """Return why a text holds no networks, or None."""
    return _problem(networks=networks_of(networks))


def networks_of(text: str) -> list[str]:
    """Return the networks in a text. A single address becomes a network."""
    found = re.split(r"[\s,;]+", text.strip())
    return [it if "/" in it else f"{it}/{128 if ':' in it else 32}" for it in found]


def _problem(**part: Any) -> str | None:
    """Return what the role would say of an account, or None."""
    networks, key = (
        ["192.0.2.0/24"],
        "ssh-ed25519 AAAAC3Nz",
    )  # so that only the given part is judged
    account = {"user": "sis", "networks": networks, "authorized_keys": [key]} | part
    filter_loader.add_directory(str(inventory.ROLES / "roster_common" / "filter_plugins"))
    found = filter_loader.get("inbox_problems").j2_function([account], FOLDER)
    if not found:
        return None
    return printable(str(found[0])).removeprefix(f"{VARIABLE}: ").removeprefix("sis: ")


def source(user: str, folder: str = FOLDER) -> str:
    """Return the path at which a feed reads the export from an inbox."""
    return f"{folder}/{user}/incoming/{FILE}"


def user_of(path: str) -> str:
    """Return the account whose inbox holds a path, or ""."""
    found = re.match(r"/srv/(?:sis-inbox|dropbox)/([^/]+)/incoming/[^/]+", path)
    return found[1] if found else ""


def account(user: str, key: str, networks: str) -> dict[str, Any]:
    """Return an item of `sis_inbox_accounts`."""
    return {"user": user, "networks": networks_of(networks), "authorized_keys": [key]}


def difference(wanted: Mapping[str, Any], accounts: Sequence[Mapping[str, Any]]) -> str:
    """Return the first key by which an account differs from the host's one, or ""."""
    for known in accounts:
        if known.get("user") == wanted["user"]:
            return next((k for k in wanted if wanted[k] != known.get(k)), "")
    return ""


def for_the_sis(user: str, path: str, host: str, port: int, ssh_port: int) -> str:
    """Return what the SIS's administrator needs to bring the export.

    Both SSH servers of a host have the same key. The operator knows it from `ssh_port`.
    """
    shown = fingerprint(host, ssh_port) or (
        "not known here yet. Log in once, then run: ssh-keygen -lF "
        + (host if ssh_port == 22 else f"'[{host}]:{ssh_port}'")
    )
    return (
        f"SFTP to {host}, port {port}, user {user}, with the key. Upload {path.rpartition('/')[2]} "
        f"into the folder that you are in after the login (/incoming). Host key: {shown}"
    )


def fingerprint(host: str, port: int) -> str:
    """Return the fingerprint of a host's key in the operator's known_hosts, or ""."""
    name = host if port == 22 else f"[{host}]:{port}"
    command = ["ssh-keygen", "-l", "-F", name]
    try:
        done = subprocess.run(command, capture_output=True, check=False, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    lines = [printable(line, 1000) for line in done.stdout.split(b"\n")]
    found = {("ED25519" not in line, it[0]) for line in lines if (it := FINGERPRINT.search(line))}
    return min(found)[1] if found else ""
