"""Jinja2 filters of shares: the units that mount the exports of `smb://` sources."""

from __future__ import annotations

import posixpath
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleFilterError

# A role that is installed elsewhere finds the control node's Python by PYTHONPATH.
sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "scripts"))

UNITS = "/etc/systemd/system"
WANTS = f"{UNITS}/multi-user.target.wants"
OWN = r"srv-roster\x2dsource-*"  # a glob of the names of these units
LOGIN = "roster-share@.service"
# Read-only, and for the feed's account alone. SMB 3 or newer, never 1 or 2. The program waits until
# the export is stable, so the host caches no size. A server that is silent for 30 s is down.
OPTIONS = (
    "ro,nosuid,nodev,noexec,vers=3,soft,echo_interval=10,actimeo=0,nohandlecache,iocharset=utf8,"
    "forceuid,forcegid,file_mode=0440,dir_mode=0550"
)


def share_mounts(
    feeds: Sequence[Mapping[str, Any]], accounts: Mapping[str, str]
) -> list[dict[str, Any]]:
    """Return the mounts of a host's feeds whose export is on a share.

    `accounts` maps a feed to its account. `unit` is the name of the mount's units, `what`, `where`
    and `options` are as in systemd.mount(5), and `login` tells whether it needs a password.
    """
    try:
        from roster_fleet import sources  # noqa: PLC0415 - a filter without it must load
    except ModuleNotFoundError:
        raise AnsibleFilterError(
            "the control node's sources were not found. They are in the folder scripts of the "
            "checkout, beside roles. If the roles are installed elsewhere, set "
            "PYTHONPATH=CHECKOUT/scripts"
        ) from None
    found = []
    for feed in feeds:
        if share := sources.share_of(feed):
            name = feed["feed"]
            where = f"{sources.MOUNTS}/{name}"
            tree = posixpath.join(share.share, share.folder).rstrip("/")
            options = [OPTIONS, f"uid={accounts[name]}", f"gid={accounts[name]}"]
            options += [f"port={share.port}"] if share.port != sources.PORTS[sources.SMB] else []
            # A guest has no key for encryption.
            options += [f"username={share.user}", "seal"] if share.user else ["guest"]
            options += [f"domain={share.domain}"] if share.domain else []
            found.append(
                {
                    "feed": name,
                    "unit": unit_name(where),
                    "where": where,
                    "what": _literal(f"//{share.host}/{tree}"),
                    "options": _literal(",".join(options)),
                    "login": bool(share.user),
                }
            )
    return found


def unit_name(path: str) -> str:
    """Return the name of a path's units without its suffix, as `systemd-escape --path`."""
    plain = re.compile(r"[A-Za-z0-9:_.]")
    escaped = "".join(
        "-" if char == "/" else char if plain.match(char) else f"\\x{ord(char):02x}"
        for char in path.strip("/")
    )
    return re.sub(r"^\.", r"\\x2e", escaped)


def share_units(feeds: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the units of the shares of some feeds, those that lead to a mount first."""
    mounts = share_mounts(feeds, {feed["feed"]: "" for feed in feeds})
    return [f"{mount['unit']}.{kind}" for mount in mounts for kind in ("automount", "mount")]


def share_files(
    mounts: Sequence[Mapping[str, Any]],
    login: str,
    mount_texts: Sequence[str],
    automount_texts: Sequence[str],
) -> list[dict[str, Any]]:
    """Return the shares' units for `file_set`, which removes those of former shares.

    `login` is the text of the unit that holds a share's password.
    """
    files: list[dict[str, Any]] = [
        {"path": UNITS, "state": "directory", "exclusive": OWN},
        {"path": WANTS, "state": "directory", "exclusive": OWN},
    ]
    is_needed = any(mount["login"] for mount in mounts)
    files.append(
        {"path": f"{UNITS}/{LOGIN}", "content": login}
        if is_needed
        else {"path": f"{UNITS}/{LOGIN}", "state": "absent"}
    )
    for mount, text, automount in zip(mounts, mount_texts, automount_texts, strict=True):
        path = f"{UNITS}/{mount['unit']}"
        link = f"{WANTS}/{mount['unit']}.automount"
        files += [
            {"path": f"{path}.mount", "content": text},
            {"path": f"{path}.automount", "content": automount},
            {"path": link, "state": "link", "target": f"{path}.automount"},
        ]
    return files


def changed_shares(paths: Sequence[str]) -> list[str]:
    """Return the shares, by their units' name, whose units are among changed paths."""
    names = [posixpath.basename(path) for path in paths]
    own = OWN.removesuffix("*")
    return list(
        dict.fromkeys(posixpath.splitext(name)[0] for name in names if name.startswith(own))
    )


def _literal(text: str) -> str:
    """Return a text as the value of a unit's setting: a percent sign starts a specifier."""
    return text.replace("%", "%%")


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Any]:
        """Return the filters by name."""
        return {
            "share_mounts": share_mounts,
            "share_units": share_units,
            "share_files": share_files,
            "changed_shares": changed_shares,
        }
