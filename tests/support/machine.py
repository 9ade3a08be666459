"""Look at the machine that runs the tests, which they must not change."""

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
    """Return the machine's settings below /proc/sys that change only if somebody sets them."""
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
    """Return the machine's accounts and groups."""
    return Path("/etc/passwd").read_text() + Path("/etc/group").read_text()


def told(*command: str) -> str:
    """Return the output of a command that must succeed."""
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def firewall() -> str:
    """Return the machine's own firewall rules."""
    return told("nft", "--stateless", "list", "ruleset")


def clock() -> float:
    """Return the wall clock's distance, in seconds, from a clock that nobody can set."""
    return time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)


def machine() -> dict[str, object]:
    """Return everything that a lab must not touch: settings, firewall, mounts, network, users."""
    return {
        "settings": kernel_settings(),
        "firewall": firewall(),
        "mounts": Path("/proc/mounts").read_text(),
        "network": told("ip", "-brief", "address") + told("ip", "route"),
        "users": users(),
    }
