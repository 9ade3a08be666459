"""The answers in JSON of the program's commands, against the schema that documents them."""

from __future__ import annotations

import argparse
import datetime as dt
import json
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]  # it carries no types
import pytest
from roster_upload import version
from roster_upload.cli import parser as cli
from roster_upload.exits import Exit
from roster_upload.records.ledger import Ledger
from roster_upload.terminal.output import SCHEMA
from roster_upload.transfer import probe
from support import rosters
from support.receipts import append
from support.sftp_server import profile
from unit.test_config import GOOD, write

FILE = Path(cli.__file__).parents[1] / "spec" / "answers.schema.json"
DOCUMENT = json.loads(FILE.read_text("utf-8"))
FEED = GOOD["feed"]
DIGEST = "ab" * 32


def receipt(outcome: str, code: int, **more: Any) -> dict[str, Any]:
    """Return a receipt as the program writes it."""
    return {
        "feed": FEED,
        "district": "Maple Grove",
        "command": "send",
        "outcome": outcome,
        "exit_code": code,
        "message": f"Maple Grove: {outcome}",
        "started": "2026-11-24T07:12:00Z",
        "finished": "2026-11-24T07:25:00Z",
        "night": "2026-11-24",
        "deadline": "2026-11-24T09:00:00Z",
        "source": {"path": "/srv/OneRoster.zip", "bytes": 2000, "sha256": DIGEST},
        "changes": {"users.student": {"before": 99, "now": 100, "added": 1, "removed": 0}},
        "seconds": {"kex": 1.2, "write": 2.4},
        **more,
    }


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of a host with one feed, which has sent and is held now."""
    export = tmp_path / "OneRoster.zip"
    export.write_bytes(rosters.build())
    (tmp_path / "config").mkdir()
    write(tmp_path / "config" / f"{FEED}.toml", {**GOOD, "source": str(export)})
    (tmp_path / "state" / FEED).mkdir(parents=True)
    ledger = Ledger(tmp_path / "state" / FEED)
    append(ledger, receipt("sent", 0, remote={"host": "h", "dir": "/", "name": "OneRoster.zip"}))
    append(ledger, receipt("held", 17, held=["users.student: too many"]))
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    (tmp_path / f"{FEED}_current").write_text("secret")
    monkeypatch.setattr(probe, "probe", lambda *_: profile("rename"))
    return tmp_path


def commands() -> dict[str, argparse.ArgumentParser]:
    """Return the commands by name."""
    [subparsers] = [a for a in cli.parser()._actions if isinstance(a.choices, dict)]
    found: dict[str, argparse.ArgumentParser] = dict(subparsers.choices or {})
    return found


def answer(folder: Path, capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    """Return the answer of a command of the host."""
    folders = [f"--config-dir={folder}/config", f"--state-dir={folder}/state"]
    capsys.readouterr()
    cli.main([*folders, *words, "--json"])
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_the_schema_itself_is_one_and_names_every_command_with_json() -> None:
    jsonschema.Draft202012Validator.check_schema(DOCUMENT)
    with_json = {name for name, one in commands().items() if "--json" in one.format_help()}
    documented = {name for name, one in DOCUMENT["$defs"].items() if "schema" in properties(one)}
    assert documented == with_json
    for name in documented:
        assert properties(DOCUMENT["$defs"][name])["schema"] == {
            "const": SCHEMA, "description": "Version of these answers.",
        }  # fmt: skip


def properties(definition: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = definition.get("properties", {})
    return found


@pytest.mark.parametrize(
    "words",
    [
        ("check", FEED),
        ("status",),
        ("history", FEED),
        ("explain", FEED),
        ("explain", "9"),
        ("approve", FEED, "--digest", DIGEST[:12], "--reason", "spring"),
        ("approve", FEED, "--digest", DIGEST[:12], "--reason", "spring", "--check"),
        ("verify", FEED, "--without-login"),
        ("probe", FEED),
        ("report", "--nights=3"),
        ("compare", "OneRoster.zip", "OneRoster.zip"),
    ],
    ids=" ".join,
)
def test_an_answer_is_as_the_schema_says(
    host: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    words: tuple[str, ...],
) -> None:
    monkeypatch.chdir(host)
    found = answer(host, capsys, *words)
    schema = {**DOCUMENT, "$ref": f"#/$defs/{words[0]}"}
    jsonschema.Draft202012Validator(schema).validate(found)
    assert (found["schema"], found["program"]) == (SCHEMA, version())


def test_a_feed_without_receipts_has_an_answer_too(
    host: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (host / "state" / FEED / "receipts.jsonl").unlink()
    for command in ("status", "report"):
        found = answer(host, capsys, command)
        schema = {**DOCUMENT, "$ref": f"#/$defs/{command}"}
        jsonschema.Draft202012Validator(schema).validate(found)


def test_an_approval_is_written_once(host: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("approve", FEED, "--digest", DIGEST[:12], "--reason", "spring")
    before = Ledger(host / "state" / FEED).records()
    results = [answer(host, capsys, *words, "--check")["result"]]
    assert Ledger(host / "state" / FEED).records() == before
    results += [answer(host, capsys, *words)["result"] for _ in range(2)]
    assert results == ["would_approve", "approved", "approved_before"]
    assert len(Ledger(host / "state" / FEED).records()) == len(before) + 1
    # It was used: what is held later needs another one.
    ledger = Ledger(host / "state" / FEED)
    append(ledger, receipt("sent", 0))
    append(ledger, receipt("held", 17))
    assert answer(host, capsys, *words)["result"] == "approved"
    # So does what is held as the first delivery after the vendor's reset.
    append(ledger, {**receipt("held", 17), "reset": "2027-07-16"})
    results = [answer(host, capsys, *words)["result"] for _ in range(2)]
    assert results == ["approved", "approved_before"]


@pytest.mark.parametrize("digest", [DIGEST[:11], "cd" * 6])
def test_a_digest_that_is_short_or_unknown_approves_nothing(
    host: Path, capsys: pytest.CaptureFixture[str], digest: str
) -> None:
    folders = [f"--config-dir={host}/config", f"--state-dir={host}/state"]
    ledger = Ledger(host / "state" / FEED)
    append(ledger, {"feed": FEED, "command": "approve", "outcome": "approved", "digest": DIGEST,
                   "finished": dt.datetime.now(dt.UTC).isoformat(), "message": ""})  # fmt: skip
    words = ["approve", FEED, "--digest", digest, "--reason", "spring", "--json"]
    assert cli.main([*folders, *words]) == Exit.USAGE
    shown = capsys.readouterr()
    assert shown.out == ""
    assert DIGEST in shown.err


def test_the_former_name_of_the_reason_is_refused_with_the_new_one(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["approve", FEED, "--digest", DIGEST, "--why", "spring"])
    assert ended.value.code == Exit.USAGE
    assert "--why is now --reason" in capsys.readouterr().err
