"""The inbox by which a district's SIS brings its export: an account of the role `sis_inbox`."""

from __future__ import annotations

import re
import subprocess
from itertools import pairwise
from typing import Any

from ansible.plugins.loader import filter_loader
from roster_upload.terminal.printable import printable

from roster_fleet import inbox_passwords, roles

FOLDER = "/srv/sis-inbox"  # the role's default
FILE = "OneRoster.zip"
VARIABLE = "sis_inbox_accounts"
# An account to which a part that is to be checked is added.
SOUND = {"user": "sis", "networks": ["192.0.2.0/24"], "authorized_keys": ["ssh-ed25519 AAAAC3Nz"]}
# The kinds of host keys that the inboxes' SSH server offers. Its sshd_config has them, too.
KINDS = ("ED25519", "ECDSA", "RSA")
FINGERPRINT = re.compile(r" (?P<kind>[A-Z0-9]+) (?P<digest>SHA256:[A-Za-z0-9+/]{43})\b")


def user_problem(user: str) -> str | None:
    """Return why a name cannot be the account of an SIS, or None."""
    if user in ("root", "admin") or user.startswith("rf-"):
        return f"{user!r} is the name of another account. Take one such as sis-maple"
    return _problem(user=user)


def password_problem(password: str, user: str = "sis") -> str | None:
    """Return why a text cannot be the password of an account, or None. It is not shown."""
    found = "; ".join(inbox_passwords.weaknesses(user, password))
    return f"is too weak: {found}. {inbox_passwords.RULE}. Or leave it empty" if found else None


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
    account = SOUND | part
    filter_loader.add_directory(str(roles.ROLES / "roster_common" / "filter_plugins"))
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


def account(user: str, networks: str, key: str) -> dict[str, Any]:
    """Return an item of `sis_inbox_accounts`. Without a key the SIS logs in by password."""
    login: dict[str, Any] = {"authorized_keys": [key]} if key else {"password": True}
    return {"user": user, "networks": networks_of(networks), **login}


def fingerprints(host: str, port: int) -> dict[str, str]:
    """Return the fingerprints of a host's keys in the operator's known_hosts, by kind.

    Each key of a kind counts. Revoked keys and those of authorities do not.
    """
    name = host if port == 22 else f"[{host}]:{port}"
    command = ["ssh-keygen", "-l", "-F", name]
    try:
        done = subprocess.run(command, capture_output=True, check=False, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return {}
    lines = [printable(line, 1000) for line in done.stdout.split(b"\n")]
    found: dict[str, str] = {}
    for head, line in pairwise(lines):
        key = FINGERPRINT.search(line)
        if key and not head.endswith((" REVOKED", " CA")):
            found.setdefault(key["kind"], key["digest"])
    return {kind: found[kind] for kind in KINDS if kind in found}
