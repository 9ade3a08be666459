"""The next steps are commands as the operator types them."""

from __future__ import annotations

from pathlib import Path

import pytest
from roster_fleet.onboard import next_steps
from roster_fleet.onboard.passwords import ForLater


def test_the_steps_name_hosts_and_inventory_as_they_were_typed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".git").mkdir()
    folder = tmp_path / "inventories" / "north"
    lines = next_steps.lines(
        folder,
        ["oak", "elm"],
        playbook=Path("playbooks/onboard.yml"),
        is_default=False,
        for_later=ForLater(
            tuple(f"ansible-vault create {number}" for number in range(12)), ("ansible-vault edit",)
        ),
    )
    where = "-i inventories/north"
    assert "secret: '...'" in lines[1]
    assert lines[2].split("\n")[0] == "       ansible-vault create 0"
    assert lines[2].endswith("and 2 more, which the table shows")
    assert "indented below source:" in lines[3]
    assert [line.strip() for line in lines[4::2]] == [
        "ansible-vault edit",
        "git add inventories/north",
        f"ansible-playbook playbooks/site.yml {where} --tags validate",
        f"ansible-playbook playbooks/site.yml {where} --limit oak,elm --check --diff",
        f"ansible-playbook playbooks/site.yml {where} --limit oak,elm",
        f"ansible-playbook playbooks/verify.yml {where} --limit oak,elm",
    ]


def test_the_inventory_of_ansible_cfg_needs_no_option(tmp_path: Path) -> None:
    many = [f"host{number}" for number in range(30)]
    lines = next_steps.lines(
        tmp_path, many, playbook=Path("my books/onboard.yml"), is_default=True, for_later=ForLater()
    )
    assert lines[-1].strip() == "ansible-playbook 'my books/verify.yml'"
    assert "1. Check the inventory" in lines[1], "a folder outside of git has nothing to commit"
