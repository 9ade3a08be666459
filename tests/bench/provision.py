"""Measures a run of `site.yml` in the lab beside a yardstick, and prints both and their ratio.

    make bench                                                    all benches
    PYTHONPATH=tests scripts/lab run -- python -m bench.provision [--rounds N]

First it provisions, then the no-change run and the yardstick take turns.

The yardstick is a play of small single tasks on the same container over the same connection: what
one task costs here. The limits are the project's own (README.md beside this file); a run over one
is said so and ends with exit code 1.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HOST = "lab-trixie"
YARDSTICK = ROOT / "tests" / "bench" / "yardstick.yml"
SITE = ["playbooks/site.yml"]
LIMITS = {"first provision": (90.0, None), "no change": (12.0, 4.0)}


@dataclass(frozen=True)
class Cost:
    """Seconds of one run: on the wall, and of the control node's processors (user + system)."""

    wall: float
    cpu: float


def play(*arguments: str) -> tuple[Cost, str]:
    """Runs a playbook on the bench's host; returns its cost and its recap."""
    command = ["ansible-playbook", *arguments, "-i", "inventories/lab", "--limit", HOST]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.monotonic()
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    wall = time.monotonic() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode != 0:
        sys.exit(f"bench: {' '.join(command)} failed\n{done.stdout[-3000:]}{done.stderr[-2000:]}")
    cpu = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    recap = next(line for line in done.stdout.splitlines() if line.startswith(HOST + " "))
    return Cost(wall, cpu), recap


def median(costs: list[Cost]) -> Cost:
    """The medians of wall and processor time."""
    return Cost(statistics.median(c.wall for c in costs), statistics.median(c.cpu for c in costs))


def report(name: str, cost: Cost) -> bool:
    """Prints a line of the table; returns whether the cost is within the limits."""
    wall, cpu = LIMITS.get(name, (None, None))
    good = (wall is None or cost.wall <= wall) and (cpu is None or cost.cpu <= cpu)
    limit = f"{wall or '-'} / {cpu or '-'}"
    print(f"{name:<18} {cost.wall:>8.1f} {cost.cpu:>8.1f}   {limit:<12} {'' if good else 'OVER'}")
    return good


def main() -> int:
    """Runs the bench; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    os.environ["PATH"] = f"{ROOT / '.venv' / 'bin'}:{os.environ['PATH']}"

    first, _ = play(*SITE)
    unchanged, yardstick = [], []
    for _ in range(rounds):
        cost, recap = play(*SITE)
        if "changed=0 " not in recap:
            sys.exit(f"bench: the second run changed something: {recap}")
        unchanged.append(cost)
        yardstick.append(play(str(YARDSTICK))[0])

    print(f"{'run':<18} {'wall s':>8} {'cpu s':>8}   limit")
    good = [
        report("first provision", first),
        report("no change", median(unchanged)),
        report("yardstick", median(yardstick)),
    ]
    ours, small = median(unchanged), median(yardstick)
    print(
        f"\nno change / yardstick of 34 small tasks: {ours.wall / small.wall:.2f} of its wall "
        f"time, {ours.cpu / small.cpu:.2f} of its CPU ({rounds} rounds, medians)"
    )
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
