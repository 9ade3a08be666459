"""Measure the cost of a run of Ansible on the control node."""

from __future__ import annotations

import math
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LAB = "inventories/lab"


@dataclass(frozen=True)
class Cost:
    """Seconds of one run: wall time, and the control node's processor time (user + system)."""

    wall: float
    cpu: float

    def to(self, other: Cost) -> Cost:
        """Return the ratios to another run's cost."""
        return Cost(self.wall / other.wall, self.cpu / other.cpu)

    def exceeds(self, most: Cost) -> bool:
        """Return whether a part of it is greater."""
        return self.wall > most.wall or self.cpu > most.cpu


NO_LIMIT = Cost(math.inf, math.inf)
# What a run of site.yml without changes may cost, as ratios to the yardstick over as many hosts.
NO_CHANGE = {1: Cost(wall=0.5, cpu=1.0), 20: Cost(wall=math.inf, cpu=1.2)}
YARDSTICK = str(ROOT / "tests" / "bench" / "yardstick.yml")


def run(*command: str, environment: dict[str, str] | None = None) -> tuple[Cost, str]:
    """Run a command in the project. Return its cost and its output."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.monotonic()
    done = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, **(environment or {})},
        capture_output=True,
        text=True,
        check=False,
    )
    wall = time.monotonic() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode != 0:
        sys.exit(f"bench: {' '.join(command)} failed\n{done.stdout[-3000:]}{done.stderr[-2000:]}")
    cpu = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    return Cost(wall, cpu), done.stdout


def play(
    playbook: str,
    hosts: Sequence[str],
    *arguments: str,
    inventory: str = LAB,
    environment: dict[str, str] | None = None,
) -> tuple[Cost, list[str]]:
    """Run a playbook on hosts. Return its cost and the hosts' lines of the recap."""
    limit = ["-i", inventory, "--limit", ",".join(hosts)]
    cost, told = run("ansible-playbook", playbook, *limit, *arguments, environment=environment)
    recap = told.rpartition("PLAY RECAP")[2].splitlines()
    return cost, [line for line in recap if line.split(" ")[0] in hosts]


def unchanged(recap: Sequence[str]) -> None:
    """End the bench if a run has changed something."""
    if wrong := [line for line in recap if "changed=0 " not in line]:
        sys.exit(f"bench: a run that should change nothing did: {wrong[0]}")


def median(costs: Sequence[Cost]) -> Cost:
    """Return the medians of wall and processor time."""
    return Cost(statistics.median(c.wall for c in costs), statistics.median(c.cpu for c in costs))


def alternate(runs: Mapping[str, Callable[[], Cost]], rounds: int) -> dict[str, Cost]:
    """Return the median cost of each run. They alternate, so a slow minute slows all of them."""
    costs: dict[str, list[Cost]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, each in runs.items():
            costs[name].append(each())
    return {name: median(found) for name, found in costs.items()}


def shown(most: float) -> str:
    """Return a limit, or nothing for none."""
    return "" if most == math.inf else f"<= {most:g}"
