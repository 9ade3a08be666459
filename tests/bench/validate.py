"""Measure validation and guard beside a bare pass of `csv.reader`, and DuckDB, in one run.

    make bench                                                    all benches
    PYTHONPATH=scripts:tests python -m bench.validate [--users N...] [--rounds N]

Each measurement is a process of its own. The limits are the project's own (README.md beside this
file). An exceeded limit is marked and ends with exit code 1.
"""

from __future__ import annotations

import argparse
import base64
import csv
import datetime as dt
import io
import json
import os
import platform
import random
import re
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path

from support import rosters

SIZES = [10_000, 60_000, 600_000]
ENROLLMENTS_EACH = 7
STUDENTS_OF_A_SCHOOL = 600
ID_LENGTH = 14
OURS, REFERENCE = "roster-upload", "csv.reader"
LARGE, LARGE_RATIO, LARGE_MB = 600_000, 2.5, 512.0
SMALL, SMALL_SECONDS = 10_000, 0.6
KEY = bytes(32)
NIGHT = dt.date(2026, 11, 1)
FEED = {
    "feed": "bench",
    "district": "Bench",
    "format": "oneroster-1.1",
    "source": "/srv/OneRoster.zip",
    "remote_host": "sftp.example.org",
    "remote_dir": "imagine/0123456-Bench/product",
    "username": "bench",
    "host_keys": [
        "ssh-ed25519 " + base64.b64encode(b"\0\0\0\x0bssh-ed25519\0\0\0 " + bytes(32)).decode()
    ],
}
# File: its reference columns, each with the file that it refers to. OneRoster allows several orgs
# for a user, in one value.
REFERENCES = {
    "enrollments": {
        "userSourcedId": "users",
        "classSourcedId": "classes",
        "schoolSourcedId": "orgs",
    },
    "classes": {"courseSourcedId": "courses", "schoolSourcedId": "orgs"},
    "demographics": {"sourcedId": "users"},
    "users": {"orgSourcedIds": "orgs"},
}


@dataclass(frozen=True)
class Cost:
    """The cost of one measurement, and the number of rows, 0 if unknown."""

    seconds: float
    megabytes: float
    rows: int


# ---- the contenders: each gets ready to work on a package, or a folder with its files ------------

Work = Callable[[], int]


def bare_pass(package: Path, _folder: Path) -> Work:
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


def validation(package: Path, folder: Path) -> Work:
    """Check all rules, and the guard against an identical accepted package."""
    from roster_upload import config  # noqa: PLC0415 - for this process only
    from roster_upload.guard import guard  # noqa: PLC0415
    from roster_upload.guard.baseline import Baseline  # noqa: PLC0415
    from roster_upload.validation.check import check  # noqa: PLC0415

    feed, before = config.parse(FEED), folder / "accepted.npz"

    def work() -> int:
        report = check(package, key=KEY, night=NIGHT)
        old = Baseline.load(before, KEY) if before.exists() else None
        verdict = guard.judge(feed, old, report.baseline, NIGHT)
        if list(report.findings) or verdict.reasons:
            sys.exit("bench: something was found in a good package")
        if old is None:
            report.baseline.save(before, KEY)
        return 0

    return work


def database(_package: Path, folder: Path) -> Work:
    """Check only the references, on the unpacked files."""
    import duckdb  # noqa: PLC0415 - for this process only

    def rows(file: str) -> str:
        return f"read_csv('{folder}/{file}.csv', header = true, delim = ',', all_varchar = true)"

    def ids(file: str) -> str:
        return f"CREATE TABLE {file} AS SELECT sourcedId FROM {rows(file)}"  # noqa: S608 - all ours

    def missing(file: str, columns: dict[str, str]) -> str:
        values = ", ".join(f"unnest(string_split({name}, ',')) AS {name}" for name in columns)
        joins = [
            f"LEFT JOIN {to} AS {name}_to ON {name}_to.sourcedId = given.{name}"
            for name, to in columns.items()
        ]
        nowhere = " OR ".join(f"{name}_to.sourcedId IS NULL" for name in columns)
        given = f"(SELECT {values} FROM {rows(file)}) AS given"  # noqa: S608
        return f"SELECT count(*) FROM {given} {' '.join(joins)} WHERE {nowhere}"  # noqa: S608

    def work() -> int:
        connection = duckdb.connect()
        for file in sorted({to for columns in REFERENCES.values() for to in columns.values()}):
            connection.execute(ids(file))
        for file, columns in REFERENCES.items():
            if connection.execute(missing(file, columns)).fetchone() != (0,):
                sys.exit(f"bench: DuckDB misses references of {file}.csv")
        return 0

    return work


CONTENDERS: dict[str, Callable[[Path, Path], Work]] = {
    REFERENCE: bare_pass,
    OURS: validation,
    "DuckDB, references only": database,
}


def peak() -> float:
    """Return the peak memory of this process, in MB.

    ru_maxrss would include the memory of the parent process.
    """
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return int(found[1]) * 1024 / 1e6 if found else 0.0


def measure_here(name: str, package: Path) -> None:
    """Do a contender's work and print its cost."""
    work = CONTENDERS[name](package, package.parent)
    start = time.monotonic()
    rows = work()
    print(json.dumps(asdict(Cost(time.monotonic() - start, peak(), rows))))


# ---- taking turns --------------------------------------------------------------------------------


def run(*words: str | Path) -> str:
    """Run a command with this Python and return its output. End the bench if it fails."""
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"bench: {done.stdout}{done.stderr}")
    return done.stdout


def measure(name: str, package: Path) -> Cost:
    """Return the cost of a contender's process."""
    told = run("-m", "bench.validate", f"--measure={name}", package)
    return Cost(**json.loads(told))


def start_and_check(program: Path, package: Path) -> float:
    """Return the seconds of `roster-upload check`, from its start to its end, as on a host."""
    start = time.monotonic()
    run("-I", program, "check", "--file", package)
    return time.monotonic() - start


@dataclass(frozen=True)
class Result:
    """The medians for a package of a size."""

    users: int
    costs: dict[str, Cost]
    command: float  # seconds of the command line, its start included
    csv_mb: float
    zip_mb: float

    @property
    def rows(self) -> int:
        return self.costs[REFERENCE].rows

    def ratio(self, name: str) -> float:
        """Return a contender's time as a multiple of the bare pass's."""
        return self.costs[name].seconds / self.costs[REFERENCE].seconds


def median(costs: Sequence[Cost]) -> Cost:
    """Return the medians of time and memory."""
    return Cost(
        statistics.median(cost.seconds for cost in costs),
        statistics.median(cost.megabytes for cost in costs),
        costs[0].rows,
    )


def measure_size(users: int, rounds: int, program: Path, folder: Path) -> Result:
    """Make a package of a size and let all contenders work on it, `rounds` times."""
    package = folder / "OneRoster.zip"
    students = round(users * rosters.CLASS_SIZE / (rosters.CLASS_SIZE + 1))
    rosters.write(
        package,
        students=students,
        schools=max(3, users // STUDENTS_OF_A_SCHOOL),
        enrollments_each=ENROLLMENTS_EACH,
        id_length=ID_LENGTH,
    )
    with zipfile.ZipFile(package) as archive:
        archive.extractall(folder)
        size = sum(member.file_size for member in archive.infolist())
    costs: dict[str, list[Cost]] = {name: [] for name in CONTENDERS}
    commands = []
    measure(OURS, package)  # leaves the guard's baseline
    for _ in range(rounds):
        for name in random.sample(list(CONTENDERS), len(CONTENDERS)):
            costs[name].append(measure(name, package))
        commands.append(start_and_check(program, package))
    return Result(
        users,
        {name: median(taken) for name, taken in costs.items()},
        statistics.median(commands),
        size / 1e6,
        package.stat().st_size / 1e6,
    )


def report(result: Result) -> bool:
    """Print the table of a size. Return whether all limits are kept."""
    print(
        f"\n{result.users:,} users, {ENROLLMENTS_EACH} enrollments each: {result.rows:,} rows, "
        f"{result.csv_mb:.0f} MB of CSV, {result.zip_mb:.0f} MB of zip"
    )
    print(f"{'contender':<28} {'seconds':>8} {'to csv':>7} {'µs a row':>9} {'MB':>6}  limit")
    is_good = True
    for name, cost in result.costs.items():
        limit = ""
        if name == OURS and result.users == LARGE:
            is_kept = result.ratio(name) <= LARGE_RATIO and cost.megabytes <= LARGE_MB
            limit = f"{LARGE_RATIO:g} times, {LARGE_MB:g} MB{'' if is_kept else ' OVER'}"
            is_good = is_kept
        each = cost.seconds / result.rows * 1e6
        print(
            f"{name:<28} {cost.seconds:>8.2f} {result.ratio(name):>7.2f} {each:>9.2f} "
            f"{cost.megabytes:>6.0f}  {limit}"
        )
    limit = ""
    if result.users == SMALL:
        is_kept = result.command <= SMALL_SECONDS
        limit = f"{SMALL_SECONDS:g} s{'' if is_kept else ' OVER'}"
        is_good = is_kept
    print(f"{'roster-upload check, started':<28} {result.command:>8.2f} {'':>24}  {limit}")
    return is_good


def report_growth(results: Sequence[Result]) -> None:
    """Print the growth of time and memory with the number of rows."""
    for less, more in pairwise(results):
        times = more.rows / less.rows
        print(f"\nfrom {less.users:,} to {more.users:,} users: {times:.1f} times the rows")
        for name in CONTENDERS:
            old, new = less.costs[name], more.costs[name]
            bytes_a_row = (new.megabytes - old.megabytes) * 1e6 / (more.rows - less.rows)
            print(
                f"{name:<28} {new.seconds / old.seconds:.1f} times the time, "
                f"{round(bytes_a_row)} bytes more for each row more"
            )


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
        measure_here(given.measure, given.package)
        return 0
    from unit.test_program import build  # noqa: PLC0415 - the contenders do without Ansible

    machine = f"Python {platform.python_version()}, {os.cpu_count()} cores"
    print(f"{machine}, medians of {given.rounds} rounds")
    results = []
    with tempfile.TemporaryDirectory() as home:
        program = Path(home, "roster-upload")
        program.write_bytes(build())
        for users in given.users:
            with tempfile.TemporaryDirectory(dir=home) as folder:
                results.append(measure_size(users, given.rounds, program, Path(folder)))
    good = [report(result) for result in results]
    report_growth(results)
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
