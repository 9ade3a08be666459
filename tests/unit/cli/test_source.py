"""`login --source` and the check `source` of `verify`."""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]  # it carries no types
import pytest
from roster_upload.cli import parser, source, through_unit
from roster_upload.exits import Exit, Failure
from roster_upload.terminal.output import show
from support import rosters
from support.source_server import KEYS, SourceServer, serve
from unit.test_answers import DOCUMENT
from unit.test_config import GOOD, write

FEED = str(GOOD["feed"])
SOURCE = "sftp://sis@files.example/exports/*.zip"


@pytest.fixture
def sis(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SourceServer:
    """Return the server of a feed's source, with one good export."""
    (tmp_path / "config").mkdir()
    (tmp_path / "state" / FEED).mkdir(parents=True)
    values = {**GOOD, "source": SOURCE, "source_host_keys": list(KEYS), "host_keys": list(KEYS)}
    write(tmp_path / "config" / f"{FEED}.toml", values)
    for slot in ("source_current", "source_pending"):
        (tmp_path / f"{FEED}_{slot}").write_text("secret")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    server = SourceServer()
    server.put("a.zip", rosters.build(), int(time.time()) - 3600)
    serve(monkeypatch, server)
    return server


def run(folder: Path, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    capsys.readouterr()
    folders = [f"--config-dir={folder}/config", f"--state-dir={folder}/state"]
    code = parser.main([*folders, *words, FEED])
    done = capsys.readouterr()
    return code, done.out, done.err


def test_an_answer_is_as_the_schema_says(
    sis: SourceServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = run(tmp_path, capsys, "login", "--source", "--json")
    schema = {**DOCUMENT["$defs"]["login"], "$defs": DOCUMENT["$defs"]}
    jsonschema.validate(json.loads(out), schema)
    assert code == Exit.OK
    code, out, _ = run(tmp_path, capsys, "login", "--source", "--slot=pending")
    assert (code, "1 match. The newest, a.zip" in out) == (Exit.OK, True)
    assert run(tmp_path, capsys, "login", "--json")[0] == Exit.USAGE


@pytest.mark.parametrize("is_json", [True, False])
def test_the_units_answer_is_shown(
    sis: SourceServer,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    is_json: bool,
) -> None:
    units: list[str] = []

    def unit(_given: argparse.Namespace, command: str) -> int:
        units.append(command)
        show('{\n  "text": "all good",\n  "matches": 1\n}')
        return Exit.OK

    monkeypatch.setattr(through_unit, "needs_unit", lambda _given: True)
    monkeypatch.setattr(through_unit, "run", unit)
    words = ["--json"] if is_json else []
    code, out, _ = run(tmp_path, capsys, "login", "--source", "--slot=pending", *words)
    assert (code, units) == (Exit.OK, ["source-pending"])
    assert (json.loads(out)["matches"] == 1) if is_json else (out == "all good\n")

    def refused(*_: object) -> int:
        show("it was refused")
        return Exit.LOGIN

    monkeypatch.setattr(through_unit, "run", refused)
    code, out, _ = run(tmp_path, capsys, "login", "--source", *words)
    assert (code, out) == (Exit.LOGIN, "it was refused\n")


def checks(
    folder: Path, capsys: pytest.CaptureFixture[str], *words: str
) -> dict[str, dict[str, Any]]:
    found = json.loads(run(folder, capsys, "verify", "--json", *words)[1])
    return {one["check"]: one for one in found["feeds"][0]["checks"]}


def test_verify_looks_at_the_source(
    sis: SourceServer,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def unit(given: argparse.Namespace, command: str) -> int:
        if command != "source":
            return Exit.OK
        given = argparse.Namespace(**{**vars(given), "slot": "current", "json": True})
        return source.login(given)

    monkeypatch.setattr(through_unit, "run", unit)
    found = checks(tmp_path, capsys)
    assert "export" not in found
    assert (found["source"]["ok"], found["source"]["ready"]) == (True, True)
    assert "1 match" in found["source"]["text"]
    assert not found["content"]["ready"]
    assert "a.zip was not fetched yet" in found["content"]["text"]
    sis.put("b.zip", when=int(time.time()) - 36 * 3600 + 20)
    sis.files.pop("/exports/a.zip")
    assert checks(tmp_path, capsys)["source"]["ready"] is False, "tonight's is to come"
    assert "source" not in checks(tmp_path, capsys, "--without-login")


@pytest.mark.parametrize("code", [Exit.LOGIN, Exit.HOST_KEY, Exit.NETWORK, Exit.SOURCE])
def test_a_source_that_fails_is_a_missing_export(
    sis: SourceServer,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    code: Exit,
) -> None:
    def unit(_given: argparse.Namespace, command: str) -> int:
        if command == "source":
            raise Failure(code, "the server says no")
        return Exit.OK

    monkeypatch.setattr(through_unit, "run", unit)
    found = checks(tmp_path, capsys)["source"]
    assert (found["ok"], found["exit_code"]) == (False, Exit.SOURCE)
    assert found["text"] == "the server says no"


def test_check_reads_what_was_fetched(
    sis: SourceServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, err = run(tmp_path, capsys, "check")
    assert (code, "roster-upload rehearse" in err) == (Exit.SOURCE, True)
    assert not os.listdir(tmp_path / "state" / FEED)  # noqa: PTH208 - names alone
