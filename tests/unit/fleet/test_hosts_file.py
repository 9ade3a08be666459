"""`hosts.yml` gets more hosts and keeps everything else."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from new_districts import OAK, rows
from roster_fleet import vault, yamlfile
from roster_fleet.onboard import hosts_file
from roster_fleet.onboard.districts import (
    OnboardError,
)
from roster_fleet.onboard.plan import make_plan
from roster_fleet.onboard.writing import write


def test_hosts_yml_keeps_its_content(folder: Path, keys: vault.Vault) -> None:
    file = folder / "hosts.yml"
    text = file.read_text().replace("hosts:\n", "hosts: # all of them\n", 1)
    file.write_text(text + "    others:\n      hosts:\n        mail: # the mail server\n")
    before = file.read_text().splitlines()
    write(make_plan(folder, rows(OAK), keys).files)
    after = iter(file.read_text().splitlines())
    assert all(line in after for line in before)  # unchanged and in the same order


@pytest.mark.parametrize(
    "text",
    [
        "---\ndistrict_hosts:\n",
        "district_hosts:\n  hosts:\n    a:\n",
        "all:\n    children:\n        district_hosts:\n            hosts:\n                a:\n",
        "all:\n  children:\n    others:\n",
        "all:\n  hosts:\n    b: {ansible_host: 192.0.2.1, port: '0022'}\n",
    ],
)
def test_hosts_yml_of_other_shapes(text: str) -> None:
    out = hosts_file.add_hosts(text, [rows(OAK)], Path("hosts.yml"))
    tree = yaml.safe_load(out)
    districts = hosts_file._parent_of(tree, "district_hosts")["district_hosts"]
    assert districts["hosts"]["oak"] == {"ansible_host": "oak.example.org"}
    assert "oak" in districts["children"]["region_north"]["hosts"]


def test_values_in_hosts_yml_keep_their_meaning() -> None:
    text = (
        "---\nall:\n  vars: {a: yes, b: 0755, d: !unsafe x}\n"
        "  children:\n    district_hosts:\n    empty:\n    big:\n      children:\n"
        "        region_north:\n"
    )
    out = hosts_file.add_hosts(text, [rows(OAK)], Path("hosts.yml"))
    assert "{a: yes, b: 0755, d: !unsafe x}" in out
    assert "    empty:\n" in out
    tree = yamlfile.plain(out)["all"]["children"]
    assert tree["big"]["children"]["region_north"] == {"hosts": {"oak": None}}
    assert "region_north" not in tree["district_hosts"]["children"]


@pytest.mark.parametrize("text", ["", "- a\n", "a: [\n", "a: 1\na: 2\n"])
def test_a_file_without_groups_is_refused(text: str) -> None:
    with pytest.raises(OnboardError, match=r"hosts\.yml"):
        hosts_file.add_hosts(text, [rows(OAK)], Path("hosts.yml"))
