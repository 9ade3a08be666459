"""A list of hosts of another shape is refused. Ansible would go on without its hosts."""

from __future__ import annotations

from pathlib import Path

import pytest
from roster_fleet.check import readable

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
    groups = {"all": ["oak", "elm"]}
    found = readable.problems([str(folder)], groups, "all", ["oak"])
    return [problem.text for problem in found]


@pytest.mark.parametrize("text", [GOOD, "", "plugin: constructed\nall:\n  hosts: x\n", "a: 1\n"])
def test_a_list_that_ansible_reads(text: str, tmp_path: Path) -> None:
    assert problems(tmp_path, text) == []


@pytest.mark.parametrize(
    ("before", "after", "place", "what", "advice"),
    [
        ("ansible_host: 1", "ansible_host 1", ":9:11: ", "host oak must hold", "missing colon"),
        (
            "      hosts:",
            "      host:",
            ":7:7: ",
            "host cannot be in district_hosts",
            "mean hosts?",
        ),
        ("    empty:", "    more: {hosts: [a]}", ":5:12: ", "hosts of more", "with a colon"),
        ("empty:", "empty: x", ":5:5: ", "empty is no group", "Write empty:"),
    ],
)
def test_a_wrong_shape_is_named_by_its_line(
    before: str, after: str, place: str, what: str, advice: str, tmp_path: Path
) -> None:
    (text,) = problems(tmp_path, GOOD.replace(before, after))
    assert text.startswith(f"{tmp_path}/hosts.yml{place}")
    assert what in text
    assert advice in text


def test_it_is_said_before_a_host_is_missed(tmp_path: Path) -> None:
    (tmp_path / "hosts.yml").write_text(GOOD.replace("ansible_host: 1", "ansible_host 1"))
    (found,) = readable.problems([str(tmp_path)], {"all": []}, "district_hosts", [])
    assert "hosts.yml:9:11" in found.text
