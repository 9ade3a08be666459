"""Measure the steps from the export to the package beside a bare pass of `csv.reader`.

    PYTHONPATH=scripts:tests python -m bench.package [--users N...] [--rounds N]

Each measurement is a process of its own. The export has LF line ends, active rows and more schools
than the feed asks for, so each step has work to do. The exit code is 1 if a limit is exceeded.
"""

from __future__ import annotations

import argparse
import csv
import datetime as dt
import io
import json
import os
import platform
import random
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from bench.validate import ENROLLMENTS_EACH, ID_LENGTH, STUDENTS_OF_A_SCHOOL, Cost, median, peak
from support import packages, rosters

SIZES = [60_000, 600_000]
# Validation of the result takes 1.7 times, and both together at most 4.
LARGE, LARGE_RATIO, LARGE_MB = 600_000, 2.3, 400.0
OURS, REFERENCE = "scope and repairs", "csv.reader"
REPAIRS = (
    "booleans",
    "edge-blanks",
    "list-blanks",
    "byte-order-mark",
    "folder",
    "file-names",
    "blank-lines",
    "line-ends",
    "bulk-status",
)
LEFT_OUT = 20  # one school of so many


def invented(users: int) -> rosters.District:
    """Return a district with so many users."""
    return rosters.District(
        students=round(users * rosters.CLASS_SIZE / (rosters.CLASS_SIZE + 1)),
        schools=max(3, users // STUDENTS_OF_A_SCHOOL),
        enrollments_each=ENROLLMENTS_EACH,
        id_length=ID_LENGTH,
    )


def write(path: Path, district: rosters.District) -> None:
    """Write an export as an SIS may write it."""
    with zipfile.ZipFile(path, "w") as out:
        for file, rows in district.tables():
            with (
                out.open(rosters.member(f"{file}.csv"), "w") as content,
                io.TextIOWrapper(content, "utf-8", newline="") as text,
            ):
                end = "\n" if file == "demographics" else "\r\n"
                csv.writer(text, lineterminator=end).writerows(marked(file, rows))


def marked(file: str, rows: Iterator[rosters.Row]) -> Iterator[rosters.Row]:
    """Yield rows. Rows of classes get a status that the step has to empty."""
    yield next(rows)
    for row in rows:
        if file == "classes":
            row[1:3] = ["active", rosters.MODIFIED]
        yield row


Work = Callable[[], int]


def bare_pass(package: Path, _schools: tuple[str, ...]) -> Work:
    """Read every row of every member, and do nothing with it."""

    def work() -> int:
        count = 0
        with zipfile.ZipFile(package) as archive:
            for name in archive.namelist():
                with archive.open(name) as member:
                    for _ in csv.reader(io.TextIOWrapper(member, "utf-8", newline="")):
                        count += 1
        return count

    return work


def steps(package: Path, schools: tuple[str, ...]) -> Work:
    """Make the package of a feed with a scope and all repairs."""
    from roster_upload.package.build import build  # noqa: PLC0415 - for this process only

    scope = packages.Scope(schools=schools, enrolled_only=True, blank=("users.email",))
    feed = packages.Feed(scope, REPAIRS)
    out = package.with_name("package.zip")
    out.unlink(missing_ok=True)

    def work() -> int:
        night = dt.date(2026, 11, 1)
        built = build(feed, package, out, check=lambda _: packages.Checked(), night=night)
        if not built or built.unscoped or not built.steps["scope"]["users"]:
            sys.exit("bench: the package is not in scope")
        return 0

    return work


CONTENDERS: dict[str, Callable[[Path, tuple[str, ...]], Work]] = {
    REFERENCE: bare_pass,
    OURS: steps,
}


def measure_here(name: str, package: Path, users: int) -> None:
    """Do a contender's work and print its cost."""
    district = invented(users)
    kept = range(max(1, district.schools // LEFT_OUT), district.schools)
    work = CONTENDERS[name](package, tuple(district.id(f"school-{s}") for s in kept))
    start = time.monotonic()
    rows = work()
    print(json.dumps(asdict(Cost(time.monotonic() - start, peak(), rows))))


def measure(name: str, package: Path, users: int) -> Cost:
    """Return the cost of a contender's process."""
    words = ["-m", "bench.package", f"--measure={name}", f"--users={users}", str(package)]
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"bench: {done.stdout}{done.stderr}")
    return Cost(**json.loads(done.stdout))


def report(users: int, costs: Mapping[str, Sequence[Cost]]) -> bool:
    """Print the table of a size. Return whether all limits are kept."""
    medians = {name: median(taken) for name, taken in costs.items()}
    bare, ours = medians[REFERENCE], medians[OURS]
    ratio = statistics.median(
        one.seconds / other.seconds
        for one, other in zip(costs[OURS], costs[REFERENCE], strict=True)
    )
    is_good = users != LARGE or (ratio <= LARGE_RATIO and ours.megabytes <= LARGE_MB)
    limit = f"{LARGE_RATIO:g} times, {LARGE_MB:g} MB" if users == LARGE else ""
    print(f"\n{users:,} users, {bare.rows:,} rows")
    print(f"{'contender':<20} {'seconds':>8} {'to csv':>7} {'MB':>6}  limit")
    print(f"{REFERENCE:<20} {bare.seconds:>8.2f} {1:>7.2f} {bare.megabytes:>6.0f}")
    print(
        f"{OURS:<20} {ours.seconds:>8.2f} {ratio:>7.2f} {ours.megabytes:>6.0f}  "
        f"{limit}{'' if is_good else ' OVER'}"
    )
    return is_good


def main() -> int:
    """Measure. Return the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--users", type=int, nargs="+", default=SIZES)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--measure", choices=CONTENDERS, help=argparse.SUPPRESS)
    parser.add_argument("package", type=Path, nargs="?", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.measure:
        measure_here(given.measure, given.package, given.users[0])
        return 0
    machine = f"Python {platform.python_version()}, {os.cpu_count()} cores"
    print(f"{machine}, medians of {given.rounds} rounds")
    is_good = True
    for users in given.users:
        with tempfile.TemporaryDirectory() as folder:
            export = Path(folder, "OneRoster.zip")
            write(export, invented(users))
            costs: dict[str, list[Cost]] = {name: [] for name in CONTENDERS}
            for _ in range(given.rounds):
                for name in random.sample(list(CONTENDERS), len(CONTENDERS)):
                    costs[name].append(measure(name, export, users))
            is_good = report(users, costs) and is_good
    return 0 if is_good else 1


if __name__ == "__main__":
    sys.exit(main())
