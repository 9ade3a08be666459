"""Measure `site.yml` over many lab hosts, and estimate from it.

    make bench                                                    all benches
    PYTHONPATH=scripts:tests scripts/lab run -- python -m bench.fleet [--hosts N] [--rounds N]

The runs change nothing, as a nightly run over a fleet. Each size is measured beside the yardstick
of `bench.provision` over as many hosts. The exit code is 1 if a limit is exceeded.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys

from bench.cost import ROOT, Cost, median, play, run, unchanged
from support import lab_fleet

SITE = "playbooks/site.yml"
YARDSTICK = str(ROOT / "tests" / "bench" / "yardstick.yml")
AT_ONCE = ["-e", '{"site_batches": ["100%"]}']
CPU_A_HOST = 3.0  # seconds of the control node's processors, at most
FLEET, CORES = 10_000, 8  # for the estimate: hosts, and cores of each slice's node


def sizes(hosts: int) -> list[int]:
    """Return 1, 5, 10, 20 and so on, up to the number of hosts."""
    return [n for n in (1, 5, 10, 20, 40) if n <= hosts]


def measure(hosts: list[str], inventory: str, rounds: int) -> tuple[Cost, Cost]:
    """Return the medians of a run without changes, and of the yardstick, over hosts at once."""
    site, yardstick = [], []
    words = [*AT_ONCE, "--forks", str(len(hosts))]
    for _ in range(rounds):
        cost, recap = play(SITE, hosts, *words, inventory=inventory)
        unchanged(recap)
        site.append(cost)
        yardstick.append(play(YARDSTICK, hosts, "--forks", str(len(hosts)), inventory=inventory)[0])
    return median(site), median(yardstick)


def curve(hosts: list[str], inventory: str, rounds: int) -> bool:
    """Print the table of fleet sizes and the estimate. Return whether it is within the limit."""
    print(f"{'hosts':>5} {'wall s':>8} {'a host':>8} {'CPU s':>8} {'a host':>8} {'yardsticks':>10}")
    per_host = 0.0
    for count in sizes(len(hosts)):
        site, yardstick = measure(hosts[:count], inventory, rounds)
        per_host = site.cpu / count
        print(
            f"{count:>5} {site.wall:>8.1f} {site.wall / count:>8.2f} {site.cpu:>8.1f} "
            f"{per_host:>8.2f} {site.cpu / yardstick.cpu:>10.2f}"
        )
    good = per_host <= CPU_A_HOST
    print(f"limit {CPU_A_HOST} s of CPU a host {'' if good else 'OVER'}")
    for slices in (1, 4, 10):
        minutes = FLEET * per_host / (slices * CORES) / 60
        print(f"{FLEET:,} hosts over {slices} slices of {CORES} cores: {minutes:.0f} min, by CPU")
    return good


def main() -> int:
    """Run the bench. Return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hosts", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=2)
    given = parser.parse_args()
    os.environ["PATH"] = f"{ROOT / '.venv' / 'bin'}:{os.environ['PATH']}"

    names = [f"lab-{n:02}" for n in range(1, given.hosts + 1)]
    lab = str(ROOT / "scripts" / "lab")
    subprocess.run([lab, "add", *names], check=True)
    try:
        inventory = str(lab_fleet.write("bench-fleet", names))
        first, _ = run("ansible-playbook", "molecule/default/prepare.yml", "-i", inventory)
        first, _ = play(SITE, names, *AT_ONCE, inventory=inventory)
        print(f"{given.hosts} fresh hosts provisioned in {first.wall:.0f} s\n")
        is_cheap = curve(names, inventory, given.rounds)
    finally:
        subprocess.run([lab, "remove", *names], check=True)
    return 0 if is_cheap else 1


if __name__ == "__main__":
    sys.exit(main())
