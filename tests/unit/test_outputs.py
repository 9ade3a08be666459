"""Each inventory has outputs of its own, in the operator's folder."""

from __future__ import annotations

from pathlib import Path

import pytest
from roster_fleet import outputs


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make an operator's folder with two inventories. Another folder is the current one."""
    for name in ("east", "my west"):
        home = tmp_path / "rosters" / "inventories" / name
        home.mkdir(parents=True)
        (home / "hosts.yml").touch()
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "rosters"


@pytest.mark.parametrize(
    ("sources", "name"),
    [
        (["inventories/east"], "east"),
        (["inventories/east/hosts.yml"], "east"),
        (["inventories/east", "inventories/east/hosts.yml"], "east"),
        (["inventories/my west"], "my west"),
        (["inventories/east", "inventories/my west"], "east+my west"),
        (["inventories/all.yml"], "all"),
        (["more.ini"], "more"),
    ],
)
def test_an_inventory_names_its_outputs(
    root: Path, sources: list[str], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = [str(root / source) for source in sources]
    found = outputs.of(given, root / "ansible.cfg")
    assert found == outputs.Outputs(root, name)
    assert found.page == root / "build" / name / "status.html"
    assert found.receipts == root / "receipts" / name
    monkeypatch.chdir(root)
    assert outputs.of(sources) == found, "the same with relative paths"


def test_an_inventory_leads_to_its_folder_from_everywhere(root: Path) -> None:
    found = outputs.of([str(root / "inventories/east")], "/elsewhere/ansible.cfg")
    assert found.root == root


@pytest.mark.parametrize("sources", [["localhost,"], ["a,b"], []])
def test_a_list_of_hosts_has_outputs_beside_the_settings(root: Path, sources: list[str]) -> None:
    assert outputs.of(sources, root / "ansible.cfg") == outputs.Outputs(root, "hosts")


@pytest.mark.parametrize("file", [None, "/etc/ansible/ansible.cfg", Path.home() / ".ansible.cfg"])
def test_settings_of_the_machine_or_the_user_name_no_folder(
    tmp_path: Path, root: Path, file: str | Path | None
) -> None:
    assert outputs.of(["localhost,"], file).root == tmp_path / "here"


def test_outputs_are_never_in_the_inventory(root: Path) -> None:
    """Ansible would read them as hosts."""
    home = root / "build" / "east"
    home.mkdir(parents=True)
    found = outputs.of([str(home)], root / "ansible.cfg")
    assert found.folder == root / "build" / "outputs" / "east"


def test_many_inventories_have_a_short_name(root: Path) -> None:
    homes = [root / f"district-{n}" for n in range(60)]
    for home in homes:
        home.mkdir()
    found = [
        outputs.of([*map(str, some)], root / "ansible.cfg").name for some in (homes, homes[1:])
    ]
    assert all(len(name) < 200 for name in found)
    assert found[0] != found[1]


def test_a_path_is_shown_as_typed(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert outputs.as_typed(root / "a") == str(root / "a")
    monkeypatch.chdir(root)
    assert outputs.as_typed(root / "a") == "a"
