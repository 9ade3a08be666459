"""A list of hosts of another shape is refused. Ansible would go on without its hosts."""

from __future__ import annotations

from pathlib import Path

import pytest
from roster_fleet.check import hosts_list, readable

GOOD = """\
all:
  vars:
    a: 1
  children:
    empty:
    district_hosts:
      hosts:
        oak:
          ansible_host: 192.0.2.1
        elm:
"""


def problems(folder: Path, text: str) -> list[str]:
    (folder / "hosts.yml").write_text(text)
    return list(hosts_list.problems([str(folder)]))


@pytest.mark.parametrize(
    "text", [GOOD, "", "plugin: constructed\nall:\n  hosts: x\n", "a: 1\n", "- a\n"]
)
def test_a_list_that_ansible_reads(text: str, tmp_path: Path) -> None:
    assert problems(tmp_path, text) == []


@pytest.mark.parametrize(
    ("before", "after", "where", "words"),
    [
        ("ansible_host: 1", "ansible_host 1", ":9:11: the host oak", "missing colon"),
        ("      hosts:", "      host:", ":7:7: the group district_hosts holds 'host'", "children"),
        ("    empty:", "    more: {hosts: [a]}", ":5:19: the hosts of the group more", "colon"),
        ("empty:", "empty: x", ":5:12: the group empty must hold", "hosts, children, vars"),
    ],
)
def test_a_wrong_shape_is_named_by_its_line(
    before: str, after: str, where: str, words: str, tmp_path: Path
) -> None:
    (text,) = problems(tmp_path, GOOD.replace(before, after))
    assert text.startswith(f"{tmp_path}/hosts.yml{where}")
    assert words in text


def test_it_is_said_before_a_host_is_missed(tmp_path: Path) -> None:
    (tmp_path / "hosts.yml").write_text(GOOD.replace("ansible_host: 1", "ansible_host 1"))
    (found,) = readable.problems([str(tmp_path)], {"all": []}, "district_hosts", [])
    assert "hosts.yml:9:11" in found.text
