"""The files of an inventory, with the place and owner of each variable."""

from __future__ import annotations

from pathlib import Path

import pytest
from roster_fleet.check import files
from support import written

MAIN = "host_vars/maple/main.yml"


@pytest.mark.parametrize(
    ("name", "text", "place", "owner", "reason"),
    [
        (MAIN, "a: 1\nb: [1\n", ":3:1: ", "host maple", "did not find expected ',' or ']'"),
        (MAIN, "a: 1\n  b: 2\n", ":2:4: ", "host maple", "mapping values are not allowed"),
        ("host_vars/oak.yml", "a: 'b\n", ":2:1: ", "host oak", "unexpected end of stream"),
        ("group_vars/all/x.yaml", "a:\n\t- b\n", ":2:1: ", "group all", "cannot start any token"),
        ("group_vars/sis_elm", "a: {{ b }}\n", ":1:5: ", "group sis_elm", "must stand in quotes"),
        ("hosts.yml", "all: [\n", ":2:1: ", "list of hosts", "this is not YAML"),
        ("more.yaml", "- :a: b: c\n", ":1:8: ", "list of hosts", "this is not YAML"),
    ],
)  # fmt: skip
def test_a_slip_has_its_file_line_column_and_owner(
    name: str, text: str, place: str, owner: str, reason: str, tmp_path: Path
) -> None:
    found = list(written.inventory(tmp_path, {name: text}).slips())
    assert len(found) == 1
    assert found[0].text.startswith(f"{tmp_path / name}{place}{owner}: ")
    assert reason in found[0].text
    assert "Look for" in found[0].text
    assert found[0].hosts == frozenset({"host maple": ["maple"]}.get(owner, ["oak"])) or (
        owner in ("group all", "list of hosts") and found[0].hosts == {"maple", "oak"}
    )


def test_other_files_are_not_read(tmp_path: Path) -> None:
    texts = {
        "host_vars/maple/elm.vault": "a: [",
        "host_vars/maple/.hidden": "a: [",
        "host_vars/maple/main.yml~": "a: [",
        "host_vars/gone/main.yml": "a: [",
        "host_vars/oak/main.yml": "$ANSIBLE_VAULT;1.2;AES256;x\n61\n",
        "group_vars/all.json": '{"a":\t1}',
        ".git.yml": "a: [",
        "vault-key.txt": "a: [",
    }
    assert list(written.inventory(tmp_path, texts).slips()) == []


def test_all_slips_are_found_at_once(tmp_path: Path) -> None:
    texts = {MAIN: "a: [", "host_vars/oak/main.yml": "a: {"}
    assert len(list(written.inventory(tmp_path, texts).slips())) == 2


def test_variables_of_all_places_have_owners(tmp_path: Path) -> None:
    hosts = """\
all:
  vars: {a: 1}
  children:
    district_hosts:
      hosts:
        maple: {b: 2}
        oak-[01:20]: {c: 3}
"""
    texts = {"hosts.yml": hosts, MAIN: "---\n\nd: 4\n", "group_vars/sis_elm.yml": "e: 5\n"}
    found = {v.name: v for v in written.inventory(tmp_path, texts).variables()}
    assert {name: str(v.owner) for name, v in found.items()} == {
        "a": "group all",
        "b": "host maple",
        "c": "host oak-[01:20]",
        "d": "host maple",
        "e": "group sis_elm",
    }
    assert found["c"].owner.hosts == {"maple", "oak"}  # nobody knows better
    assert found["e"].owner.hosts == {"oak"}
    assert found["d"].where() == f"{tmp_path / MAIN}:3:1"


def test_the_folder_beside_a_file_of_hosts_counts(tmp_path: Path) -> None:
    written.write(tmp_path, {MAIN: "a: 1\n"})
    inventory = files.Inventory([str(tmp_path / "hosts.yml"), "gone", "x,"], written.GROUPS)
    assert [v.name for v in inventory.variables()] == ["a"]


def test_a_file_beside_its_folder_is_refused(tmp_path: Path) -> None:
    texts = {"host_vars/maple.yml": "a: 1\n", "host_vars/maple/x.vault": ""}
    texts |= {"group_vars/all.yaml": "b: 1\n", "group_vars/all/main.yml": "c: 1\n"}
    inventory = written.inventory(tmp_path, texts)
    assert [v.name for v in inventory.variables()] == ["c"]  # as Ansible reads it
    group, host = inventory.slips()
    assert group.text == (
        f"{tmp_path}/group_vars/all.yaml: group all: Ansible ignores this file, since "
        f"{tmp_path}/group_vars/all exists, too. Move its lines to "
        f"{tmp_path}/group_vars/all/main.yml"
    )
    assert host.text.startswith(f"{tmp_path}/host_vars/maple.yml: host maple: Ansible ignores")
    assert host.hosts == {"maple"}
