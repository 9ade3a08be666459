"""The closing text: what to type into an SIS, so that its export reaches the host."""

from __future__ import annotations

from itertools import zip_longest
from pathlib import Path

from roster_fleet import inventory
from roster_fleet.onboard import inbox, inbox_secrets, source_keys
from roster_fleet.onboard.districts import KEY, District
from roster_fleet.onboard.passwords import feed_of, shell_path

SSH_PORT = 22


def lines(district: District, host: inventory.Host, folder: Path) -> list[str]:
    """Return the lines about a district's SIS, none if there is nothing to do there."""
    feed = feed_of(host, district)
    source, name = str(feed.get("source", "")), district.district
    address = host.address or district.host
    if district.inbox_user:
        values = _inbox(district, host, folder, address, source)
        rows = [_row(label, value) for label, value in values]
        rows += _fingerprints(address, host.ssh_port)
        return [f"Type this into the SIS of {name}. It uploads by SFTP:", *rows, ""]
    if url := source_keys.fetched(source):
        found = [f"Let the SIS's server {url.host} accept SFTP logins from {address}."]
        if feed.get("source_auth") == KEY:
            found += ["The host makes its own key. site.yml shows the public one. Store it there."]
        return [*found, ""]
    if source_keys.shared(source):
        return []
    return [f"Let the SIS of {name} write its export on {district.host}:", f"  {source}", ""]


def _inbox(
    district: District, host: inventory.Host, folder: Path, address: str, source: str
) -> list[tuple[str, str]]:
    """Return the labels and settings for an SIS that uploads to its inbox."""
    secrets = shell_path(inbox_secrets.path_of(folder, district.host))
    login = (
        ("Password", f"ansible-vault view {secrets}")
        if district.has_inbox_password
        else ("Login", "with its private key, no password")
    )
    return [
        ("Host", address),
        ("Port", str(host.inbox_port)),
        ("User", district.inbox_user),
        login,
        ("Path", f"/incoming/{source.rpartition('/')[2]}"),
    ]


def _fingerprints(address: str, port: int) -> list[str]:
    """Return the lines with the fingerprints of a host's keys, and how to read the missing ones.

    The client of an SIS chooses the kind.
    """
    found = inbox.fingerprints(address, port)
    values = [f"{kind:<7}  {digest}" for kind, digest in found.items()]
    login = address if port == SSH_PORT else f"-p {port} {address}"
    read = []
    if missing := [kind for kind in inbox.KINDS if kind not in found]:
        values.append(f"unknown here: {', '.join(missing)}. Read them on the host:")
        read = [f"  ssh {login} 'cat /etc/ssh/ssh_host_*.pub' | ssh-keygen -lf -"]
    return [_row(label, value) for label, value in zip_longest(["Fingerprints"], values)] + read


def _row(label: str | None, value: str) -> str:
    """Return a line of the table."""
    return f"  {label or '':<12}  {value}"
