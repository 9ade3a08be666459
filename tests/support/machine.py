"""The machine that runs the tests, which they must leave as it is."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

CHANGE_BY_THEMSELVES = (
    {"random", "ns_last_pid", "nr", "nf_conntrack_count", "sched_domain"}
    | {f"{kind}-{what}" for kind in ("file", "inode", "aio") for what in ("nr", "state")}
    | {"dentry-state", "syncs"}
)


def kernel_settings() -> dict[str, bytes]:
    """The machine's settings below /proc/sys that stay as they are unless somebody sets them."""
    found = {}
    for top in ("dev", "fs", "kernel", "net", "vm"):
        for folder, folders, names in os.walk(f"/proc/sys/{top}"):
            folders[:] = [name for name in folders if name not in CHANGE_BY_THEMSELVES]
            for name in set(names) - CHANGE_BY_THEMSELVES:
                path = Path(folder, name)
                try:
                    found[str(path)] = path.read_bytes()
                except OSError:
                    continue
    return found


def users() -> str:
    """The machine's accounts and groups."""
    return Path("/etc/passwd").read_text() + Path("/etc/group").read_text()


def told(*command: str) -> str:
    """What a command says that succeeds."""
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def firewall() -> str:
    """The machine's own rules."""
    return told("nft", "--stateless", "list", "ruleset")


def clock() -> float:
    """The wall clock's distance from one that nobody can set, in seconds."""
    return time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)


def machine() -> dict[str, object]:
    """What a lab must not touch: settings, firewall, mounts, network, users."""
    return {
        "settings": kernel_settings(),
        "firewall": firewall(),
        "mounts": Path("/proc/mounts").read_text(),
        "network": told("ip", "-brief", "address") + told("ip", "route"),
        "users": users(),
    }
