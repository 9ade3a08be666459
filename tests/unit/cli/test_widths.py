"""Every command fits the terminal, also with long, wide and combining names."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from rich.cells import cell_len
from roster_upload.cli import check_package, render, render_diff, show, verify
from roster_upload.cli import parser as cli
from roster_upload.delivery import readiness
from roster_upload.delivery.readiness import Check
from roster_upload.diff.people import ACTIONS, Diff, Record
from roster_upload.exits import Exit
from roster_upload.records.ledger import Ledger
from roster_upload.records.receipt import Receipt
from roster_upload.terminal import output
from roster_upload.terminal.width import COMMAND
from support import rosters
from support.receipts import append
from support.stored import APPROVED, HELD, REHEARSED, SENT, WAITS, YESTERDAY, nights
from unit.test_config import GOOD

WIDTHS = (80, 100, 160)
FEED = "consolidated-district-of-the-upper-valley-no-12"
DISTRICTS = {
    "long": "Consolidated Unified School District of the Upper Maple Grove Valley and Surroundings"
    * 2,
    "unbroken": "Llanfairpwllgwyngyllgogerychwyrndrobwllllantysiliogogogoch" * 2,
    "wide": "楓林統一校區" * 18,
    "combining": "Académie de Guérande-sur-Mer " * 5,
}
# What may stand alone on a line that is too long.
ALONE = re.compile(rf"\s*(?:[!-~]*[/\d@=][!-~]*|{COMMAND}[!-~]*)\s*")


class Host:
    """A host's folders with one feed, and its output on a terminal."""

    def __init__(self, folder: Path, district: str, width: int) -> None:
        self.folder, self.district, self.width = folder, district, width
        self.export = folder / "srv" / ("maple-grove-" * 8) / "OneRoster.zip"
        self.export.parent.mkdir(parents=True)
        self.export.write_bytes(rosters.to_zip(rosters.invent().members()))
        values = {**GOOD, "feed": FEED, "district": district, "source": str(self.export)}
        (folder / "etc").mkdir()
        text = "".join(f"{key} = {json.dumps(value)}\n" for key, value in values.items())
        (folder / "etc" / f"{FEED}.toml").write_text(f'time_zone = "America/Denver"\n{text}')
        self.state = folder / "state" / FEED
        self.state.mkdir(parents=True)

    def stored(self, *receipts: dict[str, Any]) -> None:
        """Append receipts of this district."""
        for receipt in receipts:
            named = {**receipt, "feed": FEED, "district": self.district}
            message = str(receipt.get("message", "")).replace("Maple Grove", self.district)
            append(Ledger(self.state), {**named, "message": message})

    def run(self, *words: str) -> int:
        folders = ["--config-dir", str(self.folder / "etc")]
        return cli.main([*folders, "--state-dir", str(self.folder / "state"), *words])


def require_fit(text: str, width: int) -> None:
    wrong = [
        line for line in text.splitlines() if cell_len(line) > width and not ALONE.fullmatch(line)
    ]
    assert wrong == []
    assert text.strip()


@pytest.fixture(params=WIDTHS)
def width(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """Let all outputs be terminals of this width."""
    for module in (output, render, show, check_package):
        monkeypatch.setattr(module, "columns", lambda _out: request.param)
    monkeypatch.setenv("COLUMNS", str(request.param))  # of argparse
    return int(request.param)


@pytest.mark.parametrize("district", DISTRICTS.values(), ids=DISTRICTS)
def test_every_view_fits(
    tmp_path: Path, width: int, district: str, capsys: pytest.CaptureFixture[str]
) -> None:
    host = Host(tmp_path, district, width)
    host.stored(*nights(3), {**SENT, "waiting": WAITS}, YESTERDAY, REHEARSED, HELD)
    for words in (
        ["status"], ["history", FEED], ["explain", FEED], ["check", FEED], ["check-config"],
        ["approve", FEED, "--digest", HELD["source"]["sha256"], "--reason", district],
        ["check", "--file", str(host.export.parent / "none.zip")],
        ["send", "nobody"], ["forget", FEED],
    ):  # fmt: skip
        host.run(*words)
        seen = capsys.readouterr()
        require_fit(seen.out + seen.err, width)
    host.stored(APPROVED)
    host.run("status")
    require_fit(capsys.readouterr().out, width)


@pytest.mark.parametrize("code", Exit)
def test_every_explanation_fits(
    tmp_path: Path, width: int, code: Exit, capsys: pytest.CaptureFixture[str]
) -> None:
    host = Host(tmp_path, DISTRICTS["long"], width)
    host.stored({**HELD, "exit_code": int(code)})
    for what in (str(int(code)), FEED):
        assert host.run("explain", what) == Exit.OK
        require_fit(capsys.readouterr().out, width)


@pytest.mark.parametrize("command", ["", *cli.COMMANDS])
def test_every_help_fits(width: int, command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main([*filter(None, [command]), "--help"])
    require_fit(capsys.readouterr().out, width)


@pytest.mark.parametrize("district", DISTRICTS.values(), ids=DISTRICTS)
def test_the_checks_of_a_feed_fit(
    tmp_path: Path, width: int, district: str, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    host = Host(tmp_path, district, width)
    text = f"{district}: {host.export} was written 2026-11-24 05:00 UTC (2026-11-23 22:00 MST)"
    monkeypatch.setattr(
        readiness, "of_host", lambda _feed, _now: [Check("next start", Exit.LOCAL, text)]
    )
    monkeypatch.setattr(verify, "_login_check", lambda _given: Check("login", Exit.OK, text))
    assert host.run("verify") == Exit.LOCAL
    require_fit(capsys.readouterr().out, width)


@pytest.mark.parametrize("name", DISTRICTS.values(), ids=DISTRICTS)
def test_a_diff_fits(width: int, name: str) -> None:
    change = ("givenName", name, name[::-1])
    record = Record("removed", "users.student", "s" * 60, name, "1", "09", (change,), "deleted")
    found = Diff([record], {"users.student": dict.fromkeys(ACTIONS, 1)}, [name])
    require_fit(render_diff.text(found, {"1": name}, width), width)


def test_a_comparison_uses_the_width_and_fits(
    tmp_path: Path, width: int, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = [tmp_path / name for name in ("before.zip", "after.zip")]
    for path, count in zip(paths, (0, 100), strict=True):
        path.write_bytes(rosters.to_zip(rosters.invent(drop_students=count).members()))
    assert cli.main(["compare", *map(str, paths)]) == Exit.HELD
    require_fit(capsys.readouterr().out, width)


def test_a_wide_terminal_is_used(
    tmp_path: Path, width: int, capsys: pytest.CaptureFixture[str]
) -> None:
    host = Host(tmp_path, "Maple Grove", width)
    host.stored(SENT, HELD)
    host.run("status")
    lines = capsys.readouterr().out.splitlines()
    assert max(map(cell_len, lines)) > min(width, 150) - 20
    assert Receipt.parse(SENT).sent_file.sha256 in " ".join(lines)
