"""The next steps are commands as the operator types them."""

from __future__ import annotations

from pathlib import Path

import pytest
from roster_fleet.onboard import next_steps


def test_the_steps_name_hosts_and_inventory_as_they_were_typed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "inventories" / "north"
    lines = next_steps.lines(
        folder,
        ["oak", "elm"],
        playbook=Path("playbooks/onboard.yml"),
        is_default=False,
        lacks_password=True,
    )
    where = "-i inventories/north"
    assert lines[2] == "       the table shows the commands"
    assert [line.strip() for line in lines[4::2]] == [
        "git add inventories/north",
        f"ansible-playbook playbooks/site.yml {where} --tags validate",
        f"ansible-playbook playbooks/site.yml {where} --limit oak,elm --check --diff",
        f"ansible-playbook playbooks/site.yml {where} --limit oak,elm",
        f"ansible-playbook playbooks/verify.yml {where} --limit oak,elm",
    ]


def test_the_inventory_of_ansible_cfg_needs_no_option(tmp_path: Path) -> None:
    many = [f"host{number}" for number in range(30)]
    lines = next_steps.lines(
        tmp_path, many, playbook=Path("my books/onboard.yml"), is_default=True, lacks_password=False
    )
    assert lines[-1].strip() == "ansible-playbook 'my books/verify.yml'"
    assert "1. Look at" in lines[1]
