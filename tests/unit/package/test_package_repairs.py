"""The mechanical repairs: each does its job, and nothing else changes."""

from __future__ import annotations

from pathlib import Path

import pytest
from roster_upload.validation.text import BLANKS
from support import packages, rosters
from support.packages import Feed, contents, make, write

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
