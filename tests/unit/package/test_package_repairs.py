"""The mechanical repairs: each does its job, and nothing else changes."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest
from roster_upload.package.build import build
from roster_upload.package.rows import with_crlf
from roster_upload.validation.text import BLANKS
from support import packages, rosters
from support.packages import Feed, Scope, contents, make, tables, write

REPAIRS = (
    "booleans", "edge-blanks", "list-blanks", "byte-order-mark", "folder", "file-names",
    "blank-lines", "line-ends", "bulk-status",
)  # fmt: skip


def repaired(
    folder: Path, members: dict[str, bytes], *repairs: str
) -> tuple[dict[str, bytes], dict[str, int]]:
    """Return the members after some repairs, and the counts."""
    built = make(folder, Feed(repairs=repairs), write(folder / "export.zip", members))
    return contents(built.path), dict(built.steps.get("repairs", {}))


def make_at(out: Path, export: Path) -> None:
    """Make a package with all repairs."""
    feed = Feed(repairs=REPAIRS)
    build(feed, export, out, check=lambda _: packages.Checked(), night=packages.NIGHT)


def only(repair: str) -> tuple[str, ...]:
    """Return all repairs but one."""
    return tuple(name for name in REPAIRS if name != repair)


def with_value(file: str, row: int, column: str, value: str) -> dict[str, bytes]:
    """Return a good package with one value changed."""
    package = rosters.invent(students=8)
    package.set(file, row, column, value)
    return packages.members(package)


GOOD = packages.members(rosters.invent(students=8))


def changed(name: str, old: bytes, new: bytes, count: int = -1) -> dict[str, bytes]:
    """Return a good package with some bytes of a member changed."""
    return {**GOOD, name: GOOD[name].replace(old, new, count)}


def prefixed(prefix: str) -> dict[str, bytes]:
    """Return a good package whose members have other names."""
    return {f"{prefix}{name}": content for name, content in GOOD.items()}


FAULTS: dict[str, tuple[dict[str, bytes], int]] = {
    "booleans": (with_value("users", 3, "enabledUser", "TRUE"), 1),
    "edge-blanks": (with_value("users", 3, "username", "\u00a0name \u3000"), 1),
    "list-blanks": (with_value("classes", 2, "termSourcedIds", "fall , spring"), 1),
    "byte-order-mark": ({**GOOD, "users.csv": b"\xef\xbb\xbf" + GOOD["users.csv"]}, 1),
    "folder": (prefixed("export/2026/"), len(GOOD)),
    "file-names": (
        {n.replace("academicSessions", "academic_sessions"): c for n, c in GOOD.items()},
        1,
    ),
    "blank-lines": ({**GOOD, "users.csv": GOOD["users.csv"] + b"\r\n \r\n"}, 2),
    "line-ends": (changed("users.csv", b"\r\n", b"\n"), 1),
    "bulk-status": (with_value("users", 3, "status", "active"), 1),
}
AFTER = {
    "edge-blanks": with_value("users", 3, "username", "name"),
    "list-blanks": with_value("classes", 2, "termSourcedIds", "fall,spring"),
}


@pytest.mark.parametrize("blank", BLANKS, ids=lambda blank: f"{ord(blank):04x}")
def test_what_validation_calls_white_space_is_taken_from_edges(tmp_path: Path, blank: str) -> None:
    spoilt = with_value("users", 3, "username", f"{blank}name{blank}")
    members, counts = repaired(tmp_path, spoilt, "edge-blanks")
    after = members["users.csv"].replace(b'"name"', b"name")  # quotes may stay
    assert after == AFTER["edge-blanks"]["users.csv"]
    assert counts == {"edge-blanks": 1}


def test_a_feed_without_steps_has_no_package_of_its_own(tmp_path: Path) -> None:
    export, out = write(tmp_path / "export.zip", GOOD), tmp_path / "out.zip"
    built = build(Feed(), export, out, check=lambda _: packages.Checked(), night=packages.NIGHT)
    assert built is None
    assert not out.exists()


@pytest.mark.parametrize("repair", REPAIRS)
def test_a_repair_mends_its_fault_and_counts_it(tmp_path: Path, repair: str) -> None:
    members, count = FAULTS[repair]
    after, counts = repaired(tmp_path, members, repair)
    assert after == AFTER.get(repair, GOOD)
    assert counts == {repair: count}


@pytest.mark.parametrize("repair", REPAIRS)
def test_a_fault_stays_where_its_repair_is_not_named(tmp_path: Path, repair: str) -> None:
    members, _ = FAULTS[repair]
    after, counts = repaired(tmp_path, members, *only(repair))
    assert after == members
    assert counts == {}


def test_all_repairs_leave_a_good_package_as_it_is(tmp_path: Path) -> None:
    after, counts = repaired(tmp_path, GOOD, *REPAIRS)
    assert after == GOOD
    assert counts == {}


@pytest.mark.parametrize("value", ["True", "TRUE", "tRUE"])
def test_only_booleans_that_begin_with_a_capital_are_written_small(
    tmp_path: Path, value: str
) -> None:
    after, _ = repaired(tmp_path, with_value("users", 3, "enabledUser", value), "booleans")
    expected = value if value[0] == "t" else "true"
    assert after == with_value("users", 3, "enabledUser", expected)


def test_a_word_in_capitals_elsewhere_is_no_boolean(tmp_path: Path) -> None:
    members = with_value("users", 3, "givenName", "TRUE")
    assert repaired(tmp_path, members, "booleans") == (members, {})
    members = with_value("users", 3, "enabledUser", "YES!")
    assert repaired(tmp_path, members, "booleans") == (members, {})


def test_a_value_of_blanks_alone_becomes_empty(tmp_path: Path) -> None:
    after, _ = repaired(tmp_path, with_value("users", 3, "middleName", " \t "), "edge-blanks")
    assert after == with_value("users", 3, "middleName", "")


def test_blanks_inside_quotes_go_too(tmp_path: Path) -> None:
    members = with_value("classes", 2, "termSourcedIds", " fall,spring ")
    after, _ = repaired(tmp_path, members, "edge-blanks")
    assert after == with_value("classes", 2, "termSourcedIds", "fall,spring")


def test_blanks_of_the_header_go_too(tmp_path: Path) -> None:
    members = changed("users.csv", b"status,", b" status ,", 1)
    assert repaired(tmp_path, members, "edge-blanks") == (GOOD, {"edge-blanks": 1})


def test_a_blank_before_a_quote_stays(tmp_path: Path) -> None:
    members = changed("users.csv", b",true,", b', "true",', 1)
    assert repaired(tmp_path, members, "edge-blanks")[0] == members


def test_list_blanks_are_those_at_commas_only(tmp_path: Path) -> None:
    members = with_value("classes", 2, "termSourcedIds", " fall, spring ")
    after, _ = repaired(tmp_path, members, "list-blanks")
    assert after == with_value("classes", 2, "termSourcedIds", " fall,spring ")
    members = with_value("users", 3, "givenName", "Mary, Ann")
    assert repaired(tmp_path, members, "list-blanks")[0] == members


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"a\rb\r", b"a\r\nb\r\n"),
        (b"a\r\r\nb\r\r\n", b"a\r\nb\r\n"),
        (b"a\nb\r\nc\n", b"a\r\nb\r\nc\r\n"),
        (b'"a\nb"\n', b'"a\nb"\r\n'),
    ],
)
def test_each_line_end_becomes_crlf_but_in_values(text: bytes, expected: bytes) -> None:
    assert with_crlf(text) == expected


@pytest.mark.parametrize("end", [b"\n", b"\r", b"\r\r\n"])
def test_line_ends_of_each_kind_are_mended(tmp_path: Path, end: bytes) -> None:
    members = {name: content.replace(b"\r\n", end) for name, content in GOOD.items()}
    after, counts = repaired(tmp_path, members, "line-ends")
    assert after == GOOD
    assert counts == {"line-ends": len(GOOD)}


def test_blank_lines_in_the_middle_stay(tmp_path: Path) -> None:
    lines = GOOD["users.csv"].split(b"\r\n")
    lines.insert(3, b"")
    members = {**GOOD, "users.csv": b"\r\n".join(lines)}
    assert repaired(tmp_path, members, "blank-lines", "edge-blanks") == (members, {})


def test_rows_to_be_deleted_leave_a_bulk_file(tmp_path: Path) -> None:
    package = rosters.invent(students=8)
    package.set("users", 3, "status", "tobedeleted")
    package.set("users", 4, "dateLastModified", "2026-09-01T00:00:00Z")
    package.set("users", 5, "status", "inactive")
    package.set("users", 5, "dateLastModified", "2026-09-01T00:00:00Z")
    after, counts = repaired(tmp_path, packages.members(package), "bulk-status")
    package.set("users", 4, "dateLastModified", "")
    del package.tables["users"][2]
    assert after == packages.members(package)
    assert counts == {"bulk-status": 2}


def test_a_delta_file_keeps_its_status(tmp_path: Path) -> None:
    members = packages.members(rosters.invent(students=8, mode="delta"))
    assert repaired(tmp_path, members, "bulk-status") == (members, {})


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


def test_odd_rows_are_copied_byte_for_byte(tmp_path: Path) -> None:
    rows = (
        b'x,,,"a ""b""",school,,\r\nragged,row\r\ny,,,"two\nlines",school,,\r\nz,,,l"k,school,,\n'
    )
    members = {**GOOD, "orgs.csv": GOOD["orgs.csv"] + rows}
    assert repaired(tmp_path, members, *only("line-ends")) == (members, {})


def test_line_ends_are_told_apart_row_by_row(tmp_path: Path) -> None:
    rows = b"a,,,x\ry,school,,district\r\nb,,,z,school,,district \n"
    members = {**GOOD, "orgs.csv": GOOD["orgs.csv"] + rows}
    after, _ = repaired(tmp_path, members, "edge-blanks")
    assert after["orgs.csv"] == GOOD["orgs.csv"] + rows.replace(b"district \n", b"district\n")


@pytest.mark.parametrize("text", [b"", b"sep=;\r\na;b\r\n", b'sourcedId\r\n"open', b"\0\0"])
def test_a_file_that_cannot_be_taken_apart_is_copied(tmp_path: Path, text: bytes) -> None:
    members = {**GOOD, "orgs.csv": text}
    assert repaired(tmp_path, members, *REPAIRS)[0] == members


def test_the_rest_behind_a_broken_quote_is_copied(tmp_path: Path) -> None:
    members = {**GOOD, "orgs.csv": GOOD["orgs.csv"] + b' x,"open\r\n' + b" y,,,,,,\r\n" * 200_000}
    assert repaired(tmp_path, members, *REPAIRS)[0] == members


def test_the_same_export_gives_the_same_bytes(tmp_path: Path) -> None:
    export = write(tmp_path / "export.zip", {"notes.txt": b"x", **GOOD})
    feed = Feed(scope=Scope(grades=("01", "02")), repairs=REPAIRS)
    first = make(tmp_path, feed, export)
    again = make(tmp_path, feed, export)
    assert first == again
    with zipfile.ZipFile(first.path) as archive:
        infos = archive.infolist()
    assert {info.date_time for info in infos} == {(1980, 1, 1, 0, 0, 0)}
    assert not any(info.flag_bits & 0x8 for info in infos)  # sizes stand before the contents
    assert first.path.stat().st_mode & 0o777 == 0o600
    assert "notes.txt" not in contents(first.path)
    assert tables(first.path)["users"]


def test_an_existing_file_is_not_replaced(tmp_path: Path) -> None:
    export, out = write(tmp_path / "export.zip", GOOD), tmp_path / "out.zip"
    out.write_bytes(b"old")
    with pytest.raises(FileExistsError):
        make_at(out, export)
    assert out.read_bytes() == b"old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["export.zip", "out.zip"]


@pytest.mark.parametrize("defect", ["not-a-zip", "damaged", "encrypted", "bomb"])
def test_an_unusable_export_is_its_own_package(tmp_path: Path, defect: str) -> None:
    export = tmp_path / "export.zip"
    export.write_bytes(rosters.build(defect=defect))
    built = make(tmp_path, Feed(repairs=REPAIRS), export)
    assert built.path == export
    assert built.unscoped == ()
    assert make(tmp_path, Feed(scope=Scope(grades=("01",))), export).unscoped == ("the package",)
    assert [path.name for path in tmp_path.iterdir()] == ["export.zip"]
