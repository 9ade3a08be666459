"""An inventory without hosts is refused, and so is a `--limit` without districts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from roster_fleet.check import readable
from roster_fleet.check.files import Problem
from support import written


def texts(
    folder: Path, groups: Mapping[str, Sequence[str]], limited: Sequence[str] = written.HOSTS
) -> list[str]:
    found = readable.problems([str(folder)], groups, "district_hosts", limited)
    return readable.blocking(found, limited)


@pytest.mark.parametrize(
    ("groups", "limited", "words"),
    [
        ({"all": [], "ungrouped": []}, [], ["no host is in the group", "onboard.yml", "-i"]),
        ({"all": ["a"], "district_host": ["a"]}, ["a"], ["Did you mean", "district_host?"]),
        ({"all": ["a"], "ungrouped": ["a"]}, ["a"], ["Move your hosts into this group"]),
        (written.GROUPS, ["a"], ["--limit names no host of the group district_hosts"]),
    ],
)
def test_no_hosts(
    groups: dict[str, list[str]], limited: list[str], words: list[str], tmp_path: Path
) -> None:
    (text,) = texts(written.write(tmp_path, {}), groups, limited)
    assert [word for word in words if word not in text] == []


def test_a_wrong_path_is_named(tmp_path: Path) -> None:
    (text,) = texts(tmp_path / "gone", {"all": []}, [])
    assert text.startswith(f"{tmp_path / 'gone'}: there is no such inventory")


def test_a_run_without_an_inventory_names_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Outside of the operator's folder, or with several inventories in it, nobody typed -i."""
    monkeypatch.chdir(tmp_path)
    nowhere = tmp_path / "hosts"  # as Ansible's own, which Debian's package makes without hosts
    monkeypatch.setattr(readable, "NOT_NAMED", str(nowhere))
    (text,) = texts(nowhere, {"all": []}, [])
    assert text.startswith("no inventory is named. Run the command in your own folder")
    for name in ("west", "east", "example"):
        (tmp_path / "inventories" / name).mkdir(parents=True)
    nowhere.write_text("# no host\n")
    (text,) = texts(nowhere, {"all": []}, [])
    assert text.endswith("Choose one: -i inventories/east, -i inventories/west")
    assert texts(nowhere, written.GROUPS) == []


def test_an_inventory_without_its_folder_is_suggested(tmp_path: Path) -> None:
    (tmp_path / "inventories" / "east").mkdir(parents=True)
    (text,) = texts(tmp_path / "east", {"all": []}, [])
    assert text.endswith("there is no such inventory. Did you mean -i inventories/east?")


def test_the_folder_of_all_inventories_is_not_one(tmp_path: Path) -> None:
    home = tmp_path / "inventories"
    written.write(home / "east", {})
    (text,) = texts(home, written.GROUPS)
    assert text == f"{home} is the folder of all inventories. Choose one: -i inventories/east"
    (home / "hosts.yml").write_text("all:\n")
    assert texts(home, written.GROUPS) == []


def test_a_good_inventory_has_no_problem(tmp_path: Path) -> None:
    assert texts(written.write(tmp_path, {}), written.GROUPS) == []


def test_problems_of_other_hosts_do_not_stop_a_run() -> None:
    found = [
        Problem("own", frozenset(["maple"])),
        Problem("other", frozenset(["oak"])),
        Problem("both", frozenset(["maple", "oak"])),
        Problem("both", frozenset(["maple", "oak"])),
        Problem("nobody's", frozenset()),
    ]
    assert readable.blocking(found, ["maple"]) == ["own", "both", "nobody's"]
    assert readable.others(found, ["maple"]) == ["other"]
    assert readable.others(found, []) == []


def test_a_mistake_on_thousands_of_hosts_does_not_flood_the_screen() -> None:
    found = [Problem(f"{number}", frozenset()) for number in range(2_100)]
    texts = readable.blocking(found, ["maple"])
    assert texts[99:] == ["99", "... and 2,000 more"]
