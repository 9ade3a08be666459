"""Realistic damages, and the answer to each."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path

import pytest
from roster_feeds import to_toml
from roster_upload.cli import parser as cli
from roster_upload.validation.check import check
from support.damages import DAMAGES, GUARD_DAMAGES, HELD, REFUSED, Damage, GuardDamage

NIGHT = dt.date(2026, 11, 1)
README = Path(__file__).parents[3] / "scripts/roster_upload/README.md"


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.kind)
def test_a_damage_gets_its_answer(tmp_path: Path, damage: Damage) -> None:
    path = tmp_path / "OneRoster.zip"
    path.write_bytes(damage.make())
    report = check(path, night=NIGHT)
    texts = [finding.text() for finding in report.findings]
    assert report.accepted is (damage.exit != REFUSED), texts
    found = {
        finding.file + (f".{finding.column}" if finding.column else ""): finding
        for finding in report.findings
        if finding.rule == damage.rule
    }
    if not damage.rule:
        assert not texts
        return
    assert damage.where in found, texts
    finding = found[damage.where]
    assert finding.severity == damage.severity
    assert damage.says in finding.text()
    if damage.alone:
        assert {one.rule for one in report.findings} == {damage.rule}, texts


@pytest.mark.parametrize("damage", GUARD_DAMAGES, ids=lambda damage: damage.kind)
def test_the_guard_gives_its_answer(
    tmp_path: Path, damage: GuardDamage, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = tmp_path / "before.zip", tmp_path / "after.zip"
    for path, content in zip(paths, damage.packages(), strict=True):
        path.write_bytes(content)
    config = tmp_path / "limits.toml"
    config.write_text(
        "".join(f"{key} = {to_toml(value)}\n" for key, value in damage.limits.items())
    )
    options = [f"--night={damage.night}", f"--config={config}", "--json"]
    code = cli.main(["compare", *map(str, paths), *options])
    answer = json.loads(capsys.readouterr().out)
    assert code == damage.exit, answer["reasons"]
    reasons = {(reason["rule"], reason["kind"]) for reason in answer["reasons"]}
    assert (damage.rule, damage.of) in reasons if code == HELD else not reasons
