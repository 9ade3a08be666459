"""Measure a run of `site.yml` in the lab beside a yardstick, and print both and their ratio.

    make bench                                                    all benches
    PYTHONPATH=tests scripts/lab run -- python -m bench.provision [--rounds N]

First it provisions. Then the run without changes and the yardstick alternate.

The yardstick is a play of small single tasks on the same container over the same connection. It
shows the cost of one task here. The limits are the project's own (README.md beside this file). A
run over a limit is marked and ends with exit code 1.
"""

from __future__ import annotations

import argparse
import os
import sys

from bench.cost import ROOT, Cost, median, play, unchanged

HOST = "lab-trixie"
YARDSTICK = str(ROOT / "tests" / "bench" / "yardstick.yml")
SITE = "playbooks/site.yml"
LIMITS = {"first provision": (90.0, None), "no change": (12.0, 4.0)}


def report(name: str, cost: Cost) -> bool:
    """Print a line of the table. Return whether the cost is within the limits."""
    wall, cpu = LIMITS.get(name, (None, None))
    good = (wall is None or cost.wall <= wall) and (cpu is None or cost.cpu <= cpu)
    limit = f"{wall or '-'} / {cpu or '-'}"
    print(f"{name:<18} {cost.wall:>8.1f} {cost.cpu:>8.1f}   {limit:<12} {'' if good else 'OVER'}")
    return good


def main() -> int:
    """Run the bench. Return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    os.environ["PATH"] = f"{ROOT / '.venv' / 'bin'}:{os.environ['PATH']}"

    first, _ = play(SITE, [HOST])
    again, yardstick = [], []
    for _ in range(rounds):
        cost, recap = play(SITE, [HOST])
        unchanged(recap)
        again.append(cost)
        yardstick.append(play(YARDSTICK, [HOST])[0])

    print(f"{'run':<18} {'wall s':>8} {'cpu s':>8}   limit")
    good = [
        report("first provision", first),
        report("no change", median(again)),
        report("yardstick", median(yardstick)),
    ]
    ours, small = median(again), median(yardstick)
    print(
        f"\nno change / yardstick of 34 small tasks: {ours.wall / small.wall:.2f} of its wall "
        f"time, {ours.cpu / small.cpu:.2f} of its CPU ({rounds} rounds, medians)"
    )
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
