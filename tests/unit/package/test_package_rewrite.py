"""Copies with changes: emptied columns, appended rows, other members."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from roster_upload.package.repairs import Repairs
from roster_upload.package.rewrite import Changes, Done, rewrite
from roster_upload.package.source import Source
from support import rosters
from support.packages import contents, tables, write
from unit.package.test_package_scope import SIZE, scoped

ORGS = [
    b"sourcedId", b"status", b"dateLastModified", b"name", b"type", b"identifier",
    b"parentSourcedId",
]  # fmt: skip


def test_columns_are_blanked_quotes_and_all(tmp_path: Path) -> None:
    built = scoped(
        tmp_path, rosters.invent(**SIZE), blank=("users.email", "classes.termSourcedIds")
    )
    found = tables(built.path)
    assert {row["email"] for row in found["users"]} == {""}
    assert {row["termSourcedIds"] for row in found["classes"]} == {""}
    assert b'""' not in contents(built.path)["classes.csv"]
    assert built.steps["blanked"]["users.email"] == len(found["users"])
    assert built.unscoped == ()


def rewritten(folder: Path, changes: Changes) -> tuple[dict[str, bytes], Done]:
    """Return the members of a package after some changes, and the record of the changes."""
    export = write(
        folder / "export.zip",
        {
            "notes.txt": b"x",
            "Users.csv": b"y",
            "users.csv": b"broken",
            "orgs.csv": b",".join(ORGS) + b"\r\na,,,A,school,,",
        },
    )
    with Source(export) as source:
        done = rewrite(source, folder / "out.zip", Repairs(()), changes)
    return contents(folder / "out.zip"), done


def test_unreadable_files_are_copied_and_named(tmp_path: Path) -> None:
    members, done = rewritten(tmp_path, Changes())
    assert members == contents(tmp_path / "export.zip")
    assert done.unreadable == ["users"]


def test_other_members_stay_if_they_may_be_files_of_the_roster(tmp_path: Path) -> None:
    members, _ = rewritten(tmp_path, Changes(keeps_foreign=False))
    assert set(members) == {"Users.csv", "users.csv", "orgs.csv"}


def test_rows_are_appended_behind_a_line_end(tmp_path: Path) -> None:
    seen = []

    def rows(header: Sequence[str]) -> Iterator[bytes]:
        seen.append(list(header))
        yield b"b,,,B,school,,\r\n"

    members, _ = rewritten(tmp_path, Changes(added={"orgs": rows, "users": rows}))
    assert members["orgs.csv"].endswith(b"A,school,,\r\nb,,,B,school,,\r\n")
    assert members["users.csv"] == b"broken"
    assert seen == [[name.decode() for name in ORGS]]


def test_emptied_columns_are_counted_without_empty_values(tmp_path: Path) -> None:
    members, done = rewritten(tmp_path, Changes(blanked={"orgs": [3, 5]}))
    assert members["orgs.csv"].endswith(b"\r\na,,,,school,,")
    assert done.blanked == {"orgs.name": 1, "orgs.identifier": 0}
