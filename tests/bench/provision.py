"""Measure a run of `site.yml` in the lab beside a yardstick and other tools, as ratios.

    make bench                                                    all benches
    PYTHONPATH=tests scripts/lab run -- python -m bench.provision [--rounds N]

First it provisions. Then the run without changes, the yardstick and pyinfra alternate. At the end
dev-sec hardens the same host, and its runs without changes alternate with the yardstick.

The yardstick is a play of small single tasks on the same container over the same connection. It
shows the cost of one task here. The limits are the project's own, as ratios to the yardstick, so
they hold on a slow machine, too. A run over a limit is marked and ends with exit code 1.
"""

from __future__ import annotations

import argparse
import functools
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from bench import others
from bench.cost import NO_CHANGE, NO_LIMIT, ROOT, YARDSTICK, Cost, alternate, play, shown, unchanged

HOST = "lab-trixie"
SITE = "playbooks/site.yml"
OURS, SMALL = "site.yml, no change", "yardstick, 34 small tasks"


def site() -> Cost:
    """Run site.yml, which changes nothing. Return the cost."""
    cost, recap = play(SITE, [HOST])
    unchanged(recap)
    return cost


def yardstick() -> Cost:
    """Return the cost of the yardstick."""
    return play(YARDSTICK, [HOST])[0]


def report(name: str, cost: Cost, small: Cost, most: Cost = NO_LIMIT) -> bool:
    """Print a line of the table. Return whether the cost is within the limits."""
    ratio = cost.to(small)
    is_over = ratio.exceeds(most)
    print(
        f"{name:<34} {cost.wall:>7.1f} {ratio.wall:>7.2f} {shown(most.wall):<7} "
        f"{cost.cpu:>7.1f} {ratio.cpu:>7.2f} {shown(most.cpu):<7} {'OVER' if is_over else ''}"
    )
    return not is_over


def harden_as_devsec(rounds: int) -> None:
    """Print the lines of dev-sec's hardening, or why it is not measured."""
    if not others.DEVSEC.exists():
        print("dev-sec: not measured, since its collection is not in build/bench/collections")
        return
    others.devsec(HOST, is_first=True)
    name = "dev-sec, os and ssh, no change"
    runs: dict[str, Callable[[], Cost]] = {
        name: functools.partial(others.devsec, HOST),
        SMALL: yardstick,
    }
    costs = alternate(runs, rounds)
    report(name, costs[name], costs[SMALL])


def main() -> int:
    """Run the bench. Return the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    os.environ["PATH"] = f"{ROOT / '.venv' / 'bin'}:{os.environ['PATH']}"

    others.install_pyinfra()
    others.mark(HOST)
    first, _ = play(SITE, [HOST])
    with tempfile.TemporaryDirectory() as folder:
        files = others.take_files(HOST, Path(folder))
        bring = functools.partial(others.pyinfra, HOST, Path(folder))
        brought = f"pyinfra, {files} files, no change"
        costs = alternate({OURS: site, SMALL: yardstick, brought: bring}, rounds)
    small = costs[SMALL]

    print(f"medians of {rounds} rounds; ratios to the yardstick")
    print(f"{'run':<34} {'wall s':>7} {'ratio':>7} {'limit':<7} {'CPU s':>7} {'ratio':>7} limit")
    report("site.yml, first, with packages", first, small)
    good = report(OURS, costs[OURS], small, NO_CHANGE[1])
    report(SMALL, small, small)
    report(brought, costs[brought], small)
    harden_as_devsec(rounds)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
