"""The files of a host's variables are found as Ansible finds them."""

from __future__ import annotations

from pathlib import Path

from roster_fleet import variable_files


def test_a_folder_counts_and_files_beside_it_do_not(tmp_path: Path) -> None:
    home = tmp_path / "oak"
    beside = tmp_path / "oak.yml"
    beside.touch()
    assert variable_files.of(home) == [beside]
    assert variable_files.ignored(home) == []
    (home / "more").mkdir(parents=True)
    inside = [home / "a.yml", home / "b.json", home / "more" / "c", home / "z.yaml"]
    for path in [*inside, home / "notes.txt", home / ".hidden.yml"]:
        path.touch()
    assert variable_files.of(home) == inside
    assert variable_files.ignored(home) == [beside]
