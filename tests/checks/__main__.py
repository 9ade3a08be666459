"""Run all checks in parallel, each part in its own lab and copy of the checkout.

    python -m checks                  everything: what `make test` runs
    python -m checks lint unit fleet  these parts

A part's output is in build/checks/PART.log. A table at the end shows where the time went.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import functools
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, NoReturn
from xml.etree import ElementTree as ET

import yaml
from checks import other_python
from lab import disks, settings
from support.machine import clock, machine

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "build" / "checks"
CHECKOUT = FOLDER / "checkout"  # as it was when the checks started
CORES = len(os.sched_getaffinity(0))
# Parallel parts: those that mostly wait, and patient ones, which use the remaining processors.
JOBS = {False: 2 * CORES + 2, True: 1}
NICENESS = 10  # patient ones
SLOWEST_FILES = 12
LOG_LINES = 120  # of a failed part
NEWS_SECONDS = 60
UNUSED_SECONDS = 3600  # of kept disks, after which other checks cannot still run from them
CLOCK_SECONDS = 5  # the machine's time service may correct its clock by this much meanwhile


@dataclass(frozen=True)
class Part:
    """A command and its requirements. `default` leaves provisioned hosts."""

    name: str
    command: Sequence[str]
    needs: Sequence[str] = ()
    in_copy: bool = True
    is_patient: bool = False  # nothing waits for it
    missing: Callable[[], str] = str  # returns why it cannot run here, or nothing


def whole(name: str, *options: str, **more: Any) -> Part:
    """Return a Molecule scenario with all its steps, in its own lab."""
    molecule = ["molecule", "test", "--scenario-name", name]
    return Part(name, ["scripts/lab", *options, "run", "--", *molecule], **more)


def tested(name: str, *options: str, **more: Any) -> Part:
    """Return the tests of a scenario. Its other steps have nothing to do, but for the lab's start.

    The plays that only start the lab and wait for the tests are expensive.
    """
    tests = pytest("-vv", *tests_of(name))
    return Part(name, ["scripts/lab", *options, "run", "--", *tests], **more)


def verified(name: str, *options: str) -> Part:
    """Return the tests of a scenario whose lab starts provisioned."""
    return tested(name, "--provisioned", *options, needs=["provisioned"])


def tests_of(scenario: str) -> list[str]:
    """Return the test files of a scenario."""
    described = yaml.safe_load((ROOT / "molecule" / scenario / "molecule.yml").read_text())
    words: str = described["ansible"]["env"]["SCENARIO_TESTS"]
    return words.split()


def pytest(*words: str) -> list[str]:
    """Return the tests of this Python."""
    return [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *words]


# In the order in which they start, as far as their requirements are met: the longest first.
PARTS = [
    whole("default"),
    verified("delivery"),  # mostly waits for its minutes
    verified("rotation", "--only=lab-trixie,lab-sftp"),
    verified("safety"),
    verified("fleet", "--only=lab-sftp"),
    verified("hostile"),  # mostly waits for its hosts
    Part(
        "integration",
        ["scripts/lab", "--only=none", "run", "--", *pytest("-m", "lab", "tests/integration")],
    ),
    verified("measured"),
    tested("lifecycle", "--only=lab-sftp"),
    Part(
        "other-python",
        [sys.executable, "tests/checks/other_python.py"],
        ["provisioned"],
        missing=other_python.missing,
    ),
    verified("newcomer", "--only=lab-trixie,lab-sftp"),
    Part("lint", ["make", "--no-print-directory", "lint"], in_copy=False, is_patient=True),
    Part(
        "unit",
        pytest("-n", "2", "--dist", "worksteal", "-m", "not lab"),
        in_copy=False,
        is_patient=True,
    ),
]


@dataclass(frozen=True)
class Case:
    """A finished test."""

    file: str
    name: str
    seconds: float
    outcome: str  # passed, failed or skipped
    reason: str = ""  # the first line of the failure


@dataclass
class Run:
    """A running or finished part."""

    part: Part
    process: subprocess.Popen[bytes]
    started: float
    code: int | None = None
    wall: float = 0  # seconds
    cpu: float = 0  # seconds, of the control node's processes and their children
    containers: float = 0  # seconds of CPU time, of its lab's containers
    cases: list[Case] = field(default_factory=list)

    def count(self, outcome: str) -> int:
        """Return the number of tests with this result. A failed part without one counts as one."""
        found = sum(case.outcome == outcome for case in self.cases)
        return 1 if outcome == "failed" and self.code and not found else found


@functools.cache
def provisioned() -> Path:
    """Return where the provisioned hosts' disks are kept.

    Later checks of the same day and of the same sources, also in another checkout, start from them.
    """
    day = time.strftime("%Y-%m-%d", time.gmtime())
    return settings.CACHE / f"provisioned-{disks.digest()[:12]}-{day}"


def mark_used() -> None:
    """Mark this run's disks as used, if they are there."""
    with contextlib.suppress(FileNotFoundError):
        os.utime(provisioned())


def remove_unused() -> None:
    """Remove the disks that no checks have used for a while."""
    mark_used()
    for path in settings.CACHE.glob("provisioned-*"):
        if path.is_dir() and time.time() - path.stat().st_mtime > UNUSED_SECONDS:
            shutil.rmtree(path)


def log_of(name: str) -> Path:
    """Return the file of a part's output."""
    return FOLDER / f"{name}.log"


def report_of(name: str) -> Path:
    """Return the file of a part's test results."""
    return FOLDER / f"{name}.xml"


def copy_checkout(folder: Path) -> None:
    """Copy all tracked and untracked files except ignored ones. It is its own checkout."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    for name in filter(None, listed.stdout.split("\0")):
        source = ROOT / name
        if source.is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, folder / name)
    subprocess.run(["git", "init", "--quiet", folder], check=True)


def start(part: Part) -> Run:
    """Start a part. Its processes end with this one."""
    folder = ROOT
    if part.in_copy:
        folder = FOLDER / part.name
        shutil.copytree(CHECKOUT, folder, symlinks=True)
    patience = ["nice", f"--adjustment={NICENESS}"] if part.is_patient else []
    environment = {**os.environ}
    if part.in_copy:
        environment["LAB_PROVISIONED"] = str(provisioned())
    environment.pop("PYTHONPATH", None)  # this program's own
    # Hundreds of processes start, and each would compile the program and the tests again.
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    environment["PYTEST_ADDOPTS"] = f"--junitxml={report_of(part.name)}"
    with log_of(part.name).open("wb") as log:
        process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "TERM", *patience, *part.command],
            cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            start_new_session=True,
        )  # fmt: skip
    print(f"{part.name} begins", flush=True)
    return Run(part, process, time.monotonic())


def collect(run: Run) -> bool:
    """Record the end of a part. Return whether it has ended."""
    pid, status, used = os.wait4(run.process.pid, os.WNOHANG)
    if not pid:
        return False
    run.code = run.process.returncode = os.waitstatus_to_exitcode(status)
    run.wall = time.monotonic() - run.started
    run.cpu = used.ru_utime + used.ru_stime
    run.containers = cpu_of_containers(log_of(run.part.name).read_text(errors="replace"))
    run.cases = cases(report_of(run.part.name))
    told = "passed" if run.code == 0 else f"FAILED (exit code {run.code})"
    print(f"{run.part.name} {told} after {run.wall:.0f} s", flush=True)
    if run.code:
        lines = log_of(run.part.name).read_text(errors="replace").splitlines()
        print("\n".join(f"  {run.part.name} | {line}" for line in lines[-LOG_LINES:]), flush=True)
    elif run.part.in_copy:
        shutil.rmtree(FOLDER / run.part.name)
    return True


def cpu_of_containers(log: str) -> float:
    """Return the seconds of CPU time that labs report in a part's log."""
    return sum(map(float, re.findall(r"lab: the containers used ([\d.]+) s of CPU time", log)))


def cases(report: Path) -> list[Case]:
    """Return the tests of a report."""
    if not report.exists():
        return []
    found = []
    for case in ET.parse(report).getroot().iter("testcase"):  # noqa: S314 - pytest's own
        tags = {child.tag: child.get("message", "") for child in case}
        failed = [message for tag, message in tags.items() if tag in ("failure", "error")]
        outcome = "failed" if failed else "skipped" if "skipped" in tags else "passed"
        reason = failed[0].partition("\n")[0] if failed else ""
        file = case.get("classname", "").replace(".", "/")
        found.append(Case(file, case.get("name", ""), float(case.get("time", 0)), outcome, reason))
    return found


def run_all(parts: Sequence[Part]) -> list[Run]:
    """Run parts in parallel, as far as their requirements are met. Return the finished ones."""
    waiting, running, ended = list(parts), list[Run](), list[Run]()
    chosen = {part.name for part in parts}
    news = time.monotonic()
    try:
        while waiting or running:
            for part in list(waiting):
                same = sum(run.part.is_patient == part.is_patient for run in running)
                if same < JOBS[part.is_patient] and is_ready(part, chosen):
                    waiting.remove(part)
                    running.append(start(part))
            done = [run for run in running if collect(run)]
            ended += done
            running = [run for run in running if run not in done]
            if not running and waiting and not any(is_ready(p, chosen) for p in waiting):
                break  # their requirements have failed
            if time.monotonic() - news > NEWS_SECONDS:
                news = time.monotonic()
                if any(run.part.in_copy for run in running):
                    mark_used()
                print("running: " + ", ".join(run.part.name for run in running), flush=True)
            time.sleep(0.1)
    finally:
        stop(running)
    return ended


def is_ready(part: Part, chosen: Iterable[str]) -> bool:
    """Return whether a part's requirements are met. Without `default` it provisions itself."""
    if "provisioned" not in part.needs or "default" not in chosen:
        return True
    return (provisioned() / "digest").exists()


def stop(running: Sequence[Run]) -> None:
    """Stop parts, which remove their labs, and wait for them."""
    for run in running:
        run.process.terminate()
    for run in running:
        run.process.wait()


def table(runs: Sequence[Run], wall: float) -> str:
    """Return where the time went: by part, and by the slowest files."""
    heads = ("wall s", "CPU s", "in labs", "passed", "failed", "skipped")
    lines = [f"{'part':<14}" + "".join(f"{head:>8}" for head in heads)]
    for run in sorted(runs, key=lambda run: -run.wall):
        counts = "".join(f"{run.count(each):>8}" for each in ("passed", "failed", "skipped"))
        lines.append(
            f"{run.part.name:<14}{run.wall:>8.0f}{run.cpu:>8.0f}{run.containers:>8.0f}{counts}"
        )
    cpu, containers = sum(run.cpu for run in runs), sum(run.containers for run in runs)
    lines.append(f"{'all':<14}{wall:>8.0f}{cpu:>8.0f}{containers:>8.0f}")
    files: dict[tuple[str, str], float] = {}
    for run in runs:
        for case in run.cases:
            key = (run.part.name, case.file)
            files[key] = files.get(key, 0) + case.seconds
    lines += ["", f"{'seconds':>8}  file"]
    slowest = sorted(files.items(), key=lambda item: -item[1])[:SLOWEST_FILES]
    lines += [f"{seconds:>8.0f}  {file} ({part})" for (part, file), seconds in slowest]
    return "\n".join(lines)


def failures(runs: Sequence[Run]) -> list[str]:
    """Return the failures, one a line. They are the last lines, which a long log keeps."""
    lines = []
    for run in runs:
        failed = [case for case in run.cases if case.outcome == "failed"]
        lines += [f"{run.part.name}: {each.file}::{each.name}: {each.reason}" for each in failed]
        if run.code and not failed:
            lines.append(f"{run.part.name}: exit code {run.code}; see {log_of(run.part.name)}")
    return lines


def busy_seconds(stat: str, cores: Iterable[int]) -> float:
    """Return the seconds of work of some processors, from the text of /proc/stat."""
    ticks = 0
    for line in stat.splitlines():
        name, *columns = line.split()
        if name in {f"cpu{core}" for core in cores}:
            user, nice, system, _, _, irq, softirq, steal, *_ = map(int, columns)
            ticks += user + nice + system + irq + softirq + steal
    return ticks / os.sysconf("SC_CLK_TCK")


def busy() -> float:
    """Return the seconds that this process's processors have worked, for whomever."""
    return busy_seconds(Path("/proc/stat").read_text(), os.sched_getaffinity(0))


def used() -> float:
    """Return the CPU seconds of this process and its children. Containers are not among these."""
    spent = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(each.ru_utime + each.ru_stime for each in spent)


def wall_alone(wall: float, worked: float, ours: float) -> float:
    """Return the duration without the time that others took from these processors.

    `worked` are the processors' seconds of work meanwhile, `ours` those for this run.
    """
    return wall - max(worked - ours, 0) / CORES


def interrupt(number: int, _frame: object) -> NoReturn:
    """Turn a signal into an exception, so that the labs are removed in this case, too."""
    sys.exit(128 + number)


def arguments() -> argparse.Namespace:
    """Read the command line: the parts, by default all, and the limit."""
    parser = argparse.ArgumentParser(
        prog="checks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = [part.name for part in PARTS]
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(names))
    parser.add_argument(
        "--minutes",
        type=float,
        metavar="N",
        help="fail if it takes longer, without the CPU time of other programs",
    )
    given = parser.parse_args()
    if unknown := set(given.parts) - set(names):
        parser.error(f"no part {', '.join(sorted(unknown))}; there are {', '.join(names)}")
    return given


def prepare() -> IO[str]:
    """Make an empty folder for this run, with a copy of the checkout. Return its lock."""
    FOLDER.parent.mkdir(exist_ok=True)
    lock = FOLDER.with_suffix(".lock").open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        sys.exit("checks: they run already in this checkout")
    if FOLDER.exists():
        shutil.rmtree(FOLDER)
    FOLDER.mkdir()
    copy_checkout(CHECKOUT)
    return lock


def make_images() -> None:
    """Install the labs' requirements and make their base images, once for all parts."""
    subprocess.run(["scripts/lab", "images"], cwd=ROOT, check=True)


def main() -> int:
    """Run the parts of the command line. Return the exit code."""
    given = arguments()
    wanted = [part for part in PARTS if not given.parts or part.name in given.parts]
    skipped = {part.name: reason for part in wanted if (reason := part.missing())}
    chosen = [part for part in wanted if part.name not in skipped]
    has_labs = any(part.in_copy for part in chosen)
    signal.signal(signal.SIGTERM, interrupt)
    lock = prepare()
    started, busy_before = time.monotonic(), busy()
    if has_labs:
        make_images()
        remove_unused()
    before, clock_before = machine() if has_labs else {}, clock()
    runs = run_all(chosen)
    wall = time.monotonic() - started
    ours = used() + sum(run.containers for run in runs)
    alone = wall_alone(wall, busy() - busy_before, ours)
    print("\n" + table(runs, wall))
    print(f"\n{wall:.0f} s, or {alone:.0f} s without the CPU time of other programs")

    counts = {
        outcome: sum(run.count(outcome) for run in runs)
        for outcome in ("passed", "failed", "skipped")
    }
    begun = {run.part.name for run in runs}
    troubles = [
        f"{part.name} did not begin because default, which provisions its hosts, failed"
        for part in chosen
        if part.name not in begun
    ]
    after = machine() if has_labs else {}
    changed = [what for what in before if after[what] != before[what]]
    if abs(clock() - clock_before) > CLOCK_SECONDS:
        changed.append("clock")
    troubles += [f"the machine's own {what} changed: a test reached it" for what in changed]
    if given.minutes is not None and alone > 60 * given.minutes:
        troubles.append(f"over the limit of {given.minutes:g} minutes: the table has the slowest")
    counts["failed"] += len(troubles)
    counts["skipped"] += len(skipped)
    print(
        "\n".join(
            [
                "",
                *failures(runs),
                *troubles,
                *(f"{name}: skipped, since {reason}" for name, reason in skipped.items()),
                ", ".join(f"{n} {outcome}" for outcome, n in counts.items()),
            ]
        )
    )
    lock.close()
    return 1 if counts["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
