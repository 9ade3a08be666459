"""The end of a unit, by systemd's report."""

from __future__ import annotations

import argparse
import datetime as dt
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from roster_upload import config
from roster_upload.cli import through_unit
from roster_upload.exits import Exit, Failure
from roster_upload.host import unit
from roster_upload.records.ledger import Ledger
from support import waiting
from support.receipts import append

NAME = "roster-upload@a.service"


def properties(**values: str) -> dict[str, str]:
    """Return systemd's report of a unit that has run. A dash stands for nothing."""
    usual = {
        "ActiveState": "failed",
        "LoadState": "loaded",
        "Result": "exit-code",
        "ExecMainStatus": "0",
        "InvocationID": "new",
        "Job": "",
    }
    lines = "\n".join(f"{name}={value}" for name, value in {**usual, **values}.items())
    return unit.properties(lines + "\nSomething=else")


def test_several_units_are_told_apart() -> None:
    text = (
        "Id=roster-upload@a.service\nResult=exit-code\nExecMainStatus=243\n"
        "InactiveExitTimestamp=@1795786998\n\n"
        "Result=success\nId=roster-watch@a.service\nInactiveExitTimestamp=\n\nnonsense\n"
    )
    found = unit.of_several(text)
    assert set(found) == {"roster-upload", "roster-watch"}
    assert found["roster-upload"]["ExecMainStatus"] == "243"
    assert unit.start_of(found["roster-upload"]).timestamp() == 1795786998
    assert dt.datetime.now(dt.UTC) - unit.start_of(found["roster-watch"]) < dt.timedelta(minutes=1)


@pytest.mark.parametrize(
    ("values", "started", "code"),
    [
        ({"Result": "success", "ActiveState": "inactive"}, True, Exit.OK),
        ({"Result": "success", "InvocationID": ""}, True, Exit.OK),  # forgotten at once
        ({"Result": "success", "ExecMainStatus": "29"}, True, Exit.PAUSED),
        ({"ExecMainStatus": "9"}, False, Exit.LOGIN),
        ({"ExecMainStatus": "17"}, True, Exit.HELD),
    ],
)
def test_a_program_that_ran_has_its_own_code(
    values: dict[str, str], started: bool, code: Exit
) -> None:
    assert unit.ended(NAME, properties(**values), "old", started=started) == code


@pytest.mark.parametrize(
    ("values", "started", "code", "told"),
    [
        ({"ExecMainStatus": "9", "InvocationID": "old"}, False, Exit.LOCAL, "did not run"),
        ({"LoadState": "masked", "Result": "success"}, False, Exit.LOCAL, "Unit is masked."),
        ({"LoadState": "not-found", "Result": "success"}, True, Exit.LOCAL, "did not run"),
        ({"Result": "start-limit-hit"}, False, Exit.LOCAL, "did not run"),
        ({"Result": "resources"}, False, Exit.LOCAL, "did not run"),
        ({"Result": "success"}, False, Exit.LOCAL, "did not run"),
        ({"Result": "signal", "ExecMainStatus": "9"}, False, Exit.STOPPED, "killed (signal)"),
        (
            {"Result": "oom-kill", "ExecMainStatus": "9"},
            True,
            Exit.LOCAL,
            "memory ran out (oom-kill)",
        ),
        ({"Result": "timeout", "ExecMainStatus": "16"}, False, Exit.STOPPED, "timeout"),
        ({"ExecMainStatus": "243"}, False, Exit.CREDENTIAL, "could not decrypt"),
        ({"ExecMainStatus": "226"}, False, Exit.LOCAL, "did not run"),
    ],
)
def test_what_is_no_answer_of_the_program_is_told(
    values: dict[str, str], started: bool, code: Exit, told: str
) -> None:
    with pytest.raises(Failure) as failed:
        unit.ended(NAME, properties(**values), "old", started=started, errors="Unit is\nmasked.\n")
    assert failed.value.code == code
    assert told in failed.value.message
    assert NAME in failed.value.message


def test_a_start_that_joins_a_run_under_way_gets_its_code() -> None:
    former = unit.run_of(properties(ActiveState="activating", InvocationID="same"))
    now = properties(ExecMainStatus="9", InvocationID="same")
    assert unit.ended(NAME, now, former, started=False) == Exit.LOGIN


@pytest.mark.parametrize(("job", "is_busy"), [("", False), ("0", False), ("123", True)])
def test_a_unit_that_waits_its_turn_is_under_way(job: str, is_busy: bool) -> None:
    assert unit.is_busy(properties(Job=job)) == is_busy
    assert (unit.run_of(properties(Job=job)) == "") == is_busy


SYSTEMCTL = """#!/bin/sh
case $1 in
show) printf '%s\\n' ActiveState=inactive LoadState=masked Result=success \\
    ExecMainStatus=0 InvocationID= ;;
start) echo "Failed to start $2: Unit $2 is masked." >&2; exit 1 ;;
esac
"""


@pytest.mark.parametrize(
    ("command", "receipt", "code"),
    [
        ("send", {"command": "send", "exit_code": 29}, Exit.PAUSED),
        ("login", {"command": "send", "exit_code": 17}, Exit.OK),  # of cron's, beside the login
        ("send", {"command": "send", "exit_code": 9, "started": "2020-01-01T00:00:00Z"}, Exit.OK),
    ],
)
def test_a_run_that_systemd_has_forgotten_is_told_by_its_receipt(
    command: str, receipt: dict[str, object], code: Exit, tmp_path: Path
) -> None:
    began = dt.datetime(2026, 11, 26, 7, 10, tzinfo=dt.UTC)
    (tmp_path / "a").mkdir()
    append(Ledger(tmp_path / "a"), {"started": "2026-11-26T07:10:00Z", **receipt})
    given = argparse.Namespace(feed="a", state_dir=tmp_path)
    assert through_unit._receipt_code(given, command, began) == code


def test_a_masked_unit_is_no_success(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, text in (("systemctl", SYSTEMCTL), ("journalctl", "#!/bin/sh\n")):
        program = tmp_path / name
        program.write_text(text)
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    feed = argparse.Namespace(time_zone="")
    monkeypatch.setattr(config, "load", lambda _path: feed)
    given = argparse.Namespace(feed="a", config_dir=tmp_path, state_dir=tmp_path)
    with pytest.raises(Failure, match="is masked") as failed:
        through_unit.run(given, "send")
    assert failed.value.code == Exit.LOCAL


ENDLESS = """#!/bin/sh
case $1 in
show) printf '%s\n' ActiveState={state} LoadState=loaded Result=exit-code \\
    ExecMainStatus=16 InvocationID=$([ -e {folder}/started ] && echo new) ;;
start) touch {folder}/started; while [ ! -e {folder}/stopped ]; do sleep 0.02; done; exit 1 ;;
stop) echo "$2" > {folder}/stopped ;;
esac
"""


@pytest.mark.parametrize("state", ["inactive", "activating"])
def test_an_interrupt_stops_the_unit_that_was_started_and_no_other(
    tmp_path: Path, state: str
) -> None:
    """At a terminal, `send` waits for its unit, so an interrupt stops the delivery."""
    for name, text in (
        ("systemctl", ENDLESS.format(folder=tmp_path, state=state)),
        ("journalctl", "#!/bin/sh\n"),
    ):
        program = tmp_path / name
        program.write_text(text)
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
    code = (
        "import argparse, pathlib, subprocess, sys, time\n"
        "from roster_upload import config\n"
        "from roster_upload.cli import through_unit\n"
        "from roster_upload.exits import Failure\n"
        "class Slow(subprocess.Popen):\n"  # the interrupt comes before the unit is known
        "    def __init__(self, *words, **options):\n"
        "        super().__init__(*words, **options); time.sleep(0.3)\n"
        "subprocess.Popen = Slow\n"
        "config.load = lambda path: argparse.Namespace(time_zone='')\n"
        f"folder = pathlib.Path({str(tmp_path)!r})\n"
        "given = argparse.Namespace(feed='a', config_dir=folder, state_dir=folder)\n"
        "try: sys.exit(through_unit.run(given, 'send'))\n"
        "except Failure as failure: print(failure.message); sys.exit(failure.code)\n"
    )
    environment = {
        **os.environ,
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "PYTHONPATH": str(Path(through_unit.__file__).parents[2]),
    }
    with subprocess.Popen(
        [sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE, text=True
    ) as process:
        waiting.until((tmp_path / "started").exists, "the start")
        process.send_signal(signal.SIGINT)
        told, _ = process.communicate(timeout=waiting.HANG_SECONDS)
    (tmp_path / "stopped").touch()
    assert process.returncode == Exit.STOPPED
    if state == "inactive":
        assert (tmp_path / "stopped").read_text() == "roster-upload@a.service\n"
    else:
        assert "was running before, and continues" in told
        assert "systemctl stop roster-upload@a.service" in told
