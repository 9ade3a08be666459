"""The output on a terminal, and the rest of it without a reader."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from roster_upload import version
from roster_upload.exits import Exit
from roster_upload.terminal import output

SCRIPTS = Path(output.__file__).parents[2]


def test_lines_are_printable(capsys: pytest.CaptureFixture[str]) -> None:
    output.show("one\x1b[2J\ntwo\x9b")
    output.say("three\u2028")
    told = capsys.readouterr()
    assert told.out == "one\\x1b[2J\ntwo\\x9b\n"
    assert told.err == "three\\u2028\n"


def test_json_is_ascii(capsys: pytest.CaptureFixture[str]) -> None:
    value = {"a": "\x1b\x7f\x9b\u202e\u2028ü", "b": [1, None]}
    output.show_json(value)
    told = capsys.readouterr().out
    assert all(" " <= character <= "~" for line in told.splitlines() for character in line)
    head = {"schema": output.SCHEMA, "program": version()}
    assert json.loads(told) == {**head, **value}


def test_nobody_has_to_read_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    closed = io.StringIO()
    closed.close()
    output.say("x", closed)
    monkeypatch.setattr(sys, "stderr", None)
    output.say("x")
    assert capsys.readouterr().out == "", "it is no output of the command"


@pytest.mark.parametrize("how", ["closed", "broken", "full"])
@pytest.mark.parametrize(
    ("words", "code"), [(["check-config", "/nonexistent"], Exit.CONFIG), (["status"], Exit.OK)]
)
def test_a_failure_keeps_its_exit_code_where_nobody_listens(
    tmp_path: Path, how: str, words: list[str], code: Exit
) -> None:
    command = [sys.executable, "-m", "roster_upload", f"--config-dir={tmp_path}", *words]
    environment = {**os.environ, "PYTHONPATH": str(SCRIPTS)}
    reading, writing = os.pipe()
    os.close(reading)
    full = os.open("/dev/full", os.O_WRONLY)
    if how == "closed":
        command = ["sh", "-c", 'exec "$@" 2>&-', "sh", *command]
    done = subprocess.run(
        command,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=full if how == "full" else writing,
        check=False,
    )
    os.close(writing)
    os.close(full)
    assert done.returncode == code
    assert (b"no feed is configured" in done.stdout) is (code is Exit.OK)
