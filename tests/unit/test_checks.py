"""`make test` runs every part and test once, in parallel, and reports them in one table."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from checks import __main__ as checks
from lab import disks, settings

ROOT = Path(__file__).resolve().parents[2]
PASSES = "print('fine')"
REPORT = """\
<testsuites><testsuite>
<testcase classname="tests.unit.test_a" name="one" time="1.5"/>
<testcase classname="tests.unit.test_a" name="two" time="0.5">
<failure message="assert 1 == 2&#10;more"/>
</testcase>
<testcase classname="tests.unit.test_b" name="three" time="3"><skipped/></testcase>
</testsuite></testsuites>
"""


@pytest.fixture
def runner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Return the runner with a folder of its own, whose copies of the checkout are empty."""
    for name in ("FOLDER", "CHECKOUT"):
        monkeypatch.setattr(checks, name, tmp_path / name.lower())
    monkeypatch.setattr(checks, "provisioned", lambda: tmp_path / "provisioned")
    monkeypatch.setattr(settings, "CACHE", tmp_path / "cache")  # whose unused disks it removes
    checks.FOLDER.mkdir()
    checks.CHECKOUT.mkdir()
    return checks


def part(name: str, program: str, **values: Any) -> checks.Part:
    return checks.Part(name, [sys.executable, "-c", program], **values)


def test_every_scenario_and_every_test_of_a_host_is_run() -> None:
    scenarios = {path.parent.name for path in ROOT.glob("molecule/*/molecule.yml")}
    assert scenarios <= {each.name for each in checks.PARTS}
    listed: list[str] = []
    for name in scenarios:
        listed += checks.tests_of(name)
    there = [
        str(path.relative_to(ROOT))
        for folder in ("infra", "scenarios")
        for path in (ROOT / "tests" / folder).glob("test_*.py")
    ]
    assert sorted(listed) == sorted(there)


def test_parts_run_side_by_side_and_are_counted(
    runner: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two parts that wait for each other end only if both run."""
    meet = "import pathlib, time\n{mine}.touch()\nwhile not {other}.exists(): time.sleep(0.01)"
    one, other = (f"pathlib.Path({str(runner.FOLDER / name)!r})" for name in ("one", "other"))
    parts = [
        part("first", meet.format(mine=one, other=other)),
        part("second", meet.format(mine=other, other=one), in_copy=False),
        part("bad", "print('the reason'); raise SystemExit(3)"),
    ]
    runs = {run.part.name: run for run in runner.run_all(parts)}
    assert {name: run.code for name, run in runs.items()} == {"first": 0, "second": 0, "bad": 3}
    assert runs["bad"].count("failed") == 1
    assert runs["first"].count("failed") == 0
    shown = capsys.readouterr().out
    assert "bad FAILED (exit code 3)" in shown
    assert "bad | the reason" in shown
    assert (runner.FOLDER / "bad").exists()  # to look at
    assert not (runner.FOLDER / "first").exists()


def test_a_part_keeps_the_bytecode_of_what_it_imports(
    runner: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    program = "import sys; raise SystemExit(sys.dont_write_bytecode)"
    assert [run.code for run in runner.run_all([part("unit", program)])] == [0]


def test_provisioned_hosts_are_waited_for(runner: ModuleType) -> None:
    keep = f"import pathlib; p = pathlib.Path({str(runner.provisioned())!r}); p.mkdir(); "
    keep += "(p / 'digest').touch()"
    kept = str(runner.provisioned())
    needs = f"import pathlib; raise SystemExit(not pathlib.Path({kept!r}).exists())"
    parts = [part("fleet", needs, needs=["provisioned"]), part("default", keep)]
    assert [run.code for run in runner.run_all(parts)] == [0, 0]


def test_what_needs_provisioned_hosts_does_not_begin_without(runner: ModuleType) -> None:
    parts = [part("fleet", PASSES, needs=["provisioned"]), part("default", "raise SystemExit(1)")]
    assert [run.part.name for run in runner.run_all(parts)] == ["default"]
    # Without the part that makes them, a lab makes its own.
    assert [run.code for run in runner.run_all(parts[:1])] == [0]


MADE = [("a", 0), ("a", 86399), ("b", 0), ("a", 86400)]  # digest of the sources, time


def test_disks_are_kept_for_a_day_and_for_what_made_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = [(64 * digest, time.gmtime(second)) for digest, second in MADE]
    monkeypatch.setattr(disks, "digest", lambda: made[0][0])
    monkeypatch.setattr(time, "gmtime", lambda: made[0][1])
    found = set()
    while made:
        found.add(checks.provisioned.__wrapped__().name)
        made.pop(0)
    assert sorted(found) == [
        "provisioned-aaaaaaaaaaaa-1970-01-01",
        "provisioned-aaaaaaaaaaaa-1970-01-02",
        "provisioned-bbbbbbbbbbbb-1970-01-01",
    ]


def test_disks_that_no_checks_use_are_removed(
    runner: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings, "CACHE", tmp_path)
    monkeypatch.setattr(checks, "provisioned", lambda: tmp_path / "provisioned-own")
    runner.remove_unused()  # as at the first run
    for name in ("provisioned-own", "provisioned-recent", "provisioned-old", "trixie-1"):
        (tmp_path / name).mkdir()
        if name != "provisioned-recent":
            os.utime(tmp_path / name, (0, 0))
    runner.remove_unused()
    left = {path.name for path in tmp_path.iterdir()}
    assert {"provisioned-own", "provisioned-recent", "trixie-1"} <= left
    assert "provisioned-old" not in left
    assert (tmp_path / "provisioned-own").stat().st_mtime > 0


def test_a_report_is_counted_by_file(runner: ModuleType) -> None:
    runner.report_of("unit").write_text(REPORT)
    process = subprocess.Popen(["true"])
    process.wait()
    run = runner.Run(
        part("unit", PASSES), process, 0, 1, 9, 4, 7, runner.cases(runner.report_of("unit"))
    )
    assert [run.count(each) for each in ("passed", "failed", "skipped")] == [1, 1, 1]
    lines = runner.table([run], 9).splitlines()
    assert lines[1].split() == ["unit", "9", "4", "7", "1", "1", "1"]
    assert lines[2].split() == ["all", "9", "4", "7"]
    assert [line.split()[:2] for line in lines[-2:]] == [
        ["3", "tests/unit/test_b"],
        ["2", "tests/unit/test_a"],
    ]
    assert runner.failures([run]) == ["unit: tests/unit/test_a::two: assert 1 == 2"]


def test_a_part_that_fails_without_a_test_is_named(runner: ModuleType) -> None:
    [run] = runner.run_all([part("lint", "raise SystemExit(2)")])
    assert runner.failures([run]) == [f"lint: exit code 2; see {runner.log_of('lint')}"]


def test_a_run_that_is_ended_ends_its_parts(runner: ModuleType, tmp_path: Path) -> None:
    program = (
        "import signal, sys, time, pathlib\n"
        f"done = pathlib.Path({str(tmp_path / 'tidied')!r})\n"
        "signal.signal(signal.SIGTERM, lambda *_: (done.touch(), sys.exit(1)))\n"
        f"pathlib.Path({str(tmp_path / 'began')!r}).touch()\n"
        "time.sleep(300)\n"
    )
    run = runner.start(part("long", program))
    while not (tmp_path / "began").exists():
        assert run.process.poll() is None
        time.sleep(0.01)
    runner.stop([run])
    assert (tmp_path / "tidied").exists()


def test_the_work_of_containers_is_counted() -> None:
    log = "lab: 2 containers are up\nlab: the containers used 7.5 s of CPU time\nPASSED\n"
    assert checks.cpu_of_containers(log + log) == 15
    assert checks.cpu_of_containers("PASSED\n") == 0


STAT = """\
cpu  900 0 900 900 0 0 0 0 0 0
cpu0 100 10 1 5000 70 3 4 2 50 50
cpu1 200 0 0 0 0 0 0 0 0 0
cpu10 900 0 0 0 0 0 0 0 0 0
intr 7 8
"""


def test_the_work_of_others_counts_in_no_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = os.sysconf("SC_CLK_TCK")
    assert checks.busy_seconds(STAT, [0]) == 120 / ticks
    assert checks.busy_seconds(STAT, [0, 1]) == 320 / ticks
    monkeypatch.setattr(checks, "CORES", 2)
    assert checks.wall_alone(1800, worked=3600, ours=1800) == 900
    assert checks.wall_alone(1000, worked=1500, ours=1500) == 1000
    assert checks.wall_alone(1000, worked=1500, ours=1510) == 1000  # as ticks are rounded


@pytest.mark.parametrize(
    ("log", "code"), [("", 0), ("lab: the containers used 1000000 s of CPU time", 1)]
)
def test_the_limit_counts_this_runs_work_and_its_containers(
    runner: ModuleType, monkeypatch: pytest.MonkeyPatch, log: str, code: int
) -> None:
    """The processors have worked for a week meanwhile: for others, or for the labs."""
    shutil.rmtree(runner.CHECKOUT)
    worked = iter([0, 1_000_000])
    monkeypatch.setattr(runner, "PARTS", [part("unit", f"print({log!r})", in_copy=False)])
    monkeypatch.setattr(runner, "busy", lambda: next(worked))
    monkeypatch.setattr(runner, "copy_checkout", Path.mkdir)
    monkeypatch.setattr(runner, "CHECKOUT", runner.FOLDER / "checkout")
    monkeypatch.setattr(sys, "argv", ["checks", "--minutes=0"])
    assert runner.main() == code


@pytest.mark.parametrize(
    ("minutes", "settings", "told", "code"),
    [
        ("1", ["same", "same"], "0 passed, 0 failed, 0 skipped", 0),
        ("-1", ["same", "same"], "over the limit of -1 minutes", 1),
        ("1", ["one", "another"], "the machine's own settings changed", 1),
    ],
)
def test_slowness_and_a_changed_machine_are_failures(
    runner: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    minutes: str,
    settings: list[str],
    told: str,
    code: int,
) -> None:
    shutil.rmtree(runner.CHECKOUT)
    seen = iter(settings)
    monkeypatch.setattr(runner, "PARTS", [part("unit", PASSES)])
    monkeypatch.setattr(runner, "machine", lambda: {"settings": next(seen)})
    monkeypatch.setattr(runner, "copy_checkout", Path.mkdir)
    monkeypatch.setattr(runner, "make_images", lambda: None)
    monkeypatch.setattr(runner, "CHECKOUT", runner.FOLDER / "checkout")
    monkeypatch.setattr(sys, "argv", ["checks", f"--minutes={minutes}"])
    assert runner.main() == code
    assert told in capsys.readouterr().out
