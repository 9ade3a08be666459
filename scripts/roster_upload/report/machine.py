"""The machine's part of a report: clock, disk, failed units."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from roster_upload.host.schedule import output


def machine(state: Path) -> dict[str, Any]:
    """Return a host's clock, free bytes on the disk of `state`, and failed units."""
    # A container has the clock of its machine.
    is_container = output("systemd-detect-virt", "--container") not in ("", "none")
    synced = "" if is_container else output(
        "timedatectl", "show", "-p", "NTPSynchronized", "--value"
    )  # fmt: skip
    units = output("systemctl", "list-units", "--failed", "--plain", "--no-legend", "--full")
    failed = [line.split()[0] for line in units.splitlines() if line]
    nearest = next(folder for folder in (state, *state.parents) if folder.exists())
    disk = os.statvfs(nearest)
    return {
        "clock_synced": {"yes": True, "no": False}.get(synced),
        # The receipts say more about the deliveries' own units.
        "failed_units": [unit for unit in failed if not unit.startswith("roster-")],
        "free_bytes": disk.f_bavail * disk.f_frsize,
    }
