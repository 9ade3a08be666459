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


HOSTS = "all:\n  children:\n    district_hosts:\n"
TWICE = "is also in line {}. Only the last one would count"


@pytest.mark.parametrize(
    ("name", "text", "place", "reason"),
    [
        (MAIN, "- a: 1\n", ":1:1: ", "this file holds no variables"),
        ("hosts.yml", f"{HOSTS}    district_hosts:\n", ":4:5: ", TWICE.format(3)),
        ("hosts.yml", f"{HOSTS}      host:\n        oak:\n", ":4:7: ", "Did you mean hosts?"),
        ("hosts.yml", f"{HOSTS}      oak:\n", ":4:7: ", "oak cannot be in district_hosts"),
        ("hosts.yml", f"{HOSTS}      hosts: [oak]\n", ":4:7: ", "must be names with a colon"),
        ("hosts.yml", "all:\n  children:\n    sis_elm: oak\n", ":3:5: ", "sis_elm is no group"),
    ],
)  # fmt: skip
def test_what_ansible_would_skip_or_misread_is_refused(
    name: str, text: str, place: str, reason: str, tmp_path: Path
) -> None:
    (found,) = written.inventory(tmp_path, {name: text}).slips()
    assert found.text.startswith(f"{tmp_path / name}{place}")
    assert reason in found.text


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (MAIN, "\ufeffa: 1\r\nb: 2\r\n"),
        (MAIN, "a: !vault |\n  $ANSIBLE_VAULT;1.1;AES256\n  61\nb: !unsafe '{{ x'\n"),
        (MAIN, "a: &a {x: 1}\nb: [*a, *a]\nc: {<<: *a, x: 2}\nd: {1: a, '1': b}\n"),
        (MAIN, "# nothing yet\n"),
        (MAIN, "---\n~\n"),
        ("sis.yml", "plugin: constructed\ngroups: {sis_x: 'a in b'}\ncompose: {vars: x}\n"),
        ("hosts.yml", "x-a: &c {port: 22}\nall: {vars: {a: *c}, hosts: {oak: , maple: *c}}\n"),
    ],
)  # fmt: skip
def test_other_forms_are_good(name: str, text: str, tmp_path: Path) -> None:
    assert list(written.inventory(tmp_path, {name: text}).slips()) == []


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


def test_files_of_a_misspelt_host_or_group_are_named(tmp_path: Path) -> None:
    texts = {
        "host_vars/mapel/main.yml": "a: 1\n",
        "host_vars/elm/main.yml": "a: 1\n",  # decommissioned by hand
        "host_vars/maples/x.vault": "",
        "group_vars/district_host.yml": "a: 1\n",
        "group_vars/all.yml": "a: 1\n",
    }
    assert list(written.inventory(tmp_path, texts).unused()) == [
        f"{tmp_path}/host_vars/mapel: no host reads this, since the inventory has no host mapel. "
        "Did you mean maple?",
        f"{tmp_path}/group_vars/district_host.yml: no host reads this, since the inventory has no "
        "group district_host. Did you mean district_hosts?",
    ]
