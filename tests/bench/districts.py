"""Measure what reads an inventory of thousands: its list, all checks, and onboarding.

    make bench                                                    all benches
    PYTHONPATH=scripts:tests python -m bench.districts [--districts N]

No host is reached. Each run is measured beside `ansible-inventory --list` of the same inventory.
MB is the memory of all processes of a run at its peak. The exit code is 1 if a limit is exceeded.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import threading
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ansible.parsing.vault import VaultSecret
from bench.cost import ROOT, Cost, run
from roster_fleet import vault

DISTRICTS = 5_000
EXAMPLE = ROOT / "inventories" / "example"
KEY = b"this key opens the example only; replace it in your copy"
RESOLVE = """
import pathlib, sys
from ansible.plugins.loader import init_plugin_loader
from roster_fleet import inventory
init_plugin_loader()
found = inventory.read(pathlib.Path(sys.argv[1]), [])
assert all(host.feeds and not host.problem for host in found.values())
"""
LIST = "ansible-inventory --list"
# For 5,000 districts: seconds, seconds of CPU as a ratio to the list, and MB.
LIMITS = {
    LIST: (20, 1, 1000),
    "site.yml --tags validate": (60, 16, 1000),
    "all resolved, as onboarding does": (20, 2, 1000),
}
SAMPLE = 0.25  # seconds between two looks at the memory


@dataclass(frozen=True)
class Measured:
    """The cost of a run, and the peak of its memory in MB."""

    cost: Cost
    memory: float


def write(folder: Path, districts: int) -> Path:
    """Write an inventory of thousands, one district a host, as onboarding does.

    Each has a vault file of its own, since equal ones would be decrypted once.
    """
    shutil.copytree(EXAMPLE / "group_vars", folder / "group_vars")
    keys = vault.Vault([("example", VaultSecret(KEY))])
    names = [f"district-{n:04}" for n in range(districts)]
    for number, name in enumerate(names):
        home = folder / "host_vars" / name
        home.mkdir(parents=True)
        (home / "main.yml").write_text(
            f"---\nansible_host: {name}.example.org\ndistrict_name: District {number}\n"
            f'district_site_code: "{number:07}"\nroster_upload_feed: {name}\n'
            f"roster_upload_username: rosters@{name}.example\n"
        )
        entry = {"secret": f"secret of {name}", "since": "2026-08-31"}
        sealed = keys.encrypt(vault.render(entry), "example")
        (home / f"{name}{vault.SUFFIX}").write_bytes(sealed)
    hosts = "".join(f"        {name}:\n" for name in names)
    (folder / "hosts.yml").write_text(
        f"---\nall:\n  children:\n    district_hosts:\n      hosts:\n{hosts}"
    )
    return folder


def memory_below(parent: int) -> int:
    """Return the kilobytes that the descendants of a process use. Shared pages count once."""
    found = 0
    with suppress(OSError):
        for child in Path(f"/proc/{parent}/task/{parent}/children").read_text().split():
            for line in Path(f"/proc/{child}/smaps_rollup").read_text().splitlines():
                found += int(line.split()[1]) if line.startswith("Pss:") else 0
            found += memory_below(int(child))
    return found


def measure(*command: str) -> Measured:
    """Return the cost and the memory of a run."""
    peak, over = [0], threading.Event()

    def look() -> None:
        while not over.wait(SAMPLE):
            peak.append(memory_below(os.getpid()))

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        cost, _ = run(*command)
    finally:
        over.set()
        watcher.join()
    return Measured(cost, max(peak) / 1000)


def main() -> int:
    """Run the bench. Return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--districts", type=int, default=DISTRICTS)
    given = parser.parse_args()
    os.environ["PATH"] = f"{ROOT / '.venv' / 'bin'}:{os.environ['PATH']}"

    print(f"{given.districts:,} districts, {os.cpu_count()} cores")
    print(
        f"{'':<33} {'wall s':>7} {'limit':>5} {'CPU s':>7} {'to list':>7} {'limit':>5} "
        f"{'MB':>5} {'limit':>5}"
    )
    good, base = True, 0.0
    with tempfile.TemporaryDirectory() as folder:
        inventory = str(write(Path(folder) / "example", given.districts))
        site = ["ansible-playbook", "playbooks/site.yml", "-i", inventory, "--tags", "validate"]
        commands = (
            ["ansible-inventory", "-i", inventory, "--list"],
            site,
            [sys.executable, "-c", RESOLVE, inventory],
        )
        for (name, limits), command in zip(LIMITS.items(), commands, strict=True):
            found = measure(*command)
            base = base or found.cost.cpu
            figures = (found.cost.wall, found.cost.cpu / base, found.memory)
            is_over = any(figure > limit for figure, limit in zip(figures, limits, strict=True))
            good = good and not is_over
            print(
                f"{name:<33} {figures[0]:>7.1f} {limits[0]:>5} {found.cost.cpu:>7.1f} "
                f"{figures[1]:>7.2f} {limits[1]:>5} {figures[2]:>5.0f} {limits[2]:>5} "
                f"{'OVER' if is_over else ''}"
            )
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
