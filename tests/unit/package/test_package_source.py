"""The files of an export, under right and wrong names."""

from __future__ import annotations

from pathlib import Path

import pytest
from roster_upload.package.source import Source, Unusable, near_name
from support.packages import write
from unit.package.test_package_repairs import GOOD, repaired


def test_members_of_two_folders_stay_there(tmp_path: Path) -> None:
    members = {("a/" if i % 2 else "b/") + n: c for i, (n, c) in enumerate(GOOD.items())}
    after, _ = repaired(tmp_path, members, "folder")
    assert after == members


def test_a_path_outwards_is_no_folder(tmp_path: Path) -> None:
    members = {**GOOD, "../users.csv": b"x"}
    del members["users.csv"]
    assert repaired(tmp_path, members, "folder")[0] == members


def test_a_near_name_does_not_replace_a_right_one(tmp_path: Path) -> None:
    members = {"Users.csv": b"x", **GOOD}
    after, _ = repaired(tmp_path, members, "file-names")
    assert after == members


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("users.csv", "users"),
        ("Academic_Sessions.CSV", "academicSessions"),
        ("a/b\\User s.csv", "users"),
        ("__MACOSX/users.csv", ""),
        ("users.txt", ""),
        ("people.csv", ""),
    ],
)
def test_near_names(path: str, name: str) -> None:
    assert near_name(path) == name


def test_files_are_known_by_their_names_and_modes(tmp_path: Path) -> None:
    manifest = b"propertyName,value\r\nfile.users,bulk\r\nfile.orgs,delta\r\n"
    members = {"manifest.csv": manifest, "orgs.csv": b"o", "notes.txt": b"n", "users.csv": b"u"}
    with Source(write(tmp_path / "export.zip", members)) as source:
        assert list(source.files) == ["manifest", "orgs", "users"]
        assert [info.filename for info in source.others] == ["notes.txt"]
        assert (source.is_bulk("users"), source.is_bulk("orgs")) == (True, False)
        assert b"".join(source.chunks(source.files["users"])) == b"u"


def test_an_unreadable_export_is_unusable(tmp_path: Path) -> None:
    path = tmp_path / "export.zip"
    path.write_bytes(b"no zip")
    with pytest.raises(Unusable):
        Source(path)
    with pytest.raises(FileNotFoundError):
        Source(tmp_path / "none")
