"""Properties of the validator and the guard, over invented inputs of every kind."""

from __future__ import annotations

import csv
import datetime as dt
import functools
import io
import json
import random
import tomllib
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from roster_feeds import to_toml
from roster_upload import config
from roster_upload.guard import guard
from roster_upload.guard.baseline import Baseline
from roster_upload.guard.comparison import Comparison, Roster
from roster_upload.guard.hashing import KeyedHasher
from roster_upload.validation import blocks, csv_reader, lines
from roster_upload.validation.check import check
from roster_upload.validation.findings import Findings, Report
from roster_upload.validation.options import ValidationOptions
from support import rosters, share
from unit.test_config import GOOD

KEY = b"k" * 32
TODAY = dt.date(2026, 11, 1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the path for a temporary package."""
    return tmp_path_factory.mktemp("packages")


def look(folder: Path, content: bytes, **terms: Any) -> Report:
    path = folder / "OneRoster.zip"
    path.write_bytes(content)
    return check(path, ValidationOptions(**terms), key=KEY)


@functools.cache
def baseline_of(folder: Path, students: int, schools: int) -> Baseline:
    """Return the baseline of a good package, which is read once."""
    return look(folder, rosters.build(students=students, schools=schools)).baseline


@contextmanager
def small_pieces(piece: int, block: int) -> Iterator[None]:
    """Let pieces of text end everywhere."""
    was = blocks.PIECE_BYTES, blocks.BLOCK_BYTES
    blocks.PIECE_BYTES, blocks.BLOCK_BYTES = piece, block
    try:
        yield
    finally:
        blocks.PIECE_BYTES, blocks.BLOCK_BYTES = was


# ---- the CSV reader -----------------------------------------------------------------------------


def read(content: bytes, piece: int) -> tuple[csv_reader.Rows, dict[int, list[str]], Findings]:
    """Return a file of three columns as it is read in pieces: its rows of that width by number."""
    package = zipfile.ZipFile(io.BytesIO(rosters.to_zip([("a.csv", content)])))
    findings = Findings()
    found: dict[int, list[str]] = {}
    with small_pieces(piece, 64):
        made = csv_reader.Rows(package, package.infolist()[0], "a.csv", findings)
        assert made.header == HEADER
        with suppress(lines.Unreadable):
            for batch in made:
                whole = zip(*map(batch.values, range(len(HEADER))), strict=True)
                for number, row in enumerate(whole, batch.first):
                    found[number] = list(row)
                    assert batch.lines()[number - batch.first] == ",".join(row)
    return made, found, findings


def parsed(text: str) -> tuple[list[list[str]], bool]:
    """Return the CSV reader's rows of a whole text, and whether it reaches the end."""
    rows: list[list[str]] = []
    try:
        rows.extend(csv.reader(io.StringIO(text, newline=""), strict=True))
    except csv.Error:
        return rows, False
    return rows, True


HEADER = ["x", "y", "z"]
# Rows as a writer makes them, and anything at all: quotes that open nowhere, bare line ends.
written = st.builds(
    lambda rows, quoting, ends, cut: to_text(rows, quoting, ends).removesuffix(ends * cut),
    st.lists(st.lists(st.text(alphabet='ab,"\n\r é', max_size=6), min_size=2, max_size=4)),
    st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    st.sampled_from(["\r\n", "\n"]),
    st.booleans(),
)
parts = ["a", "é", ",", '"', '""', "\r\n", "\n", "\r", "a,b,c\r\n", '"a\r\nb",', '5" x,']
anything = st.lists(st.sampled_from(parts), max_size=60).map("".join)


def to_text(rows: list[list[str]], quoting: Any, ends: str = "\r\n") -> str:
    out = io.StringIO(newline="")
    csv.writer(out, quoting=quoting, lineterminator=ends).writerows(rows)
    return out.getvalue()


@settings(max_examples=share.of(600))
@given(
    text=written | anything,
    ends=st.sampled_from(["\r\n", "\n", "\r"]),
    mark=st.booleans(),
    piece=st.sampled_from([4, 5, 7, 64, 1 << 16]),
)
def test_a_file_is_read_as_the_csv_reader_reads_it(
    text: str, ends: str, mark: bool, piece: int
) -> None:
    text = "x,y,z" + ends + text
    expected, is_whole = parsed(as_read(text))
    assume(expected[:1] == [HEADER])
    made, found, findings = read(b"\xef\xbb\xbf" * mark + text.encode(), piece)
    told = {"csv.row-width", "csv.quotes", "csv.blank-line", "csv.line-ends"}
    assert {f.rule for f in findings.errors} <= told
    by_rule = {f.rule: f for f in findings}
    assert ("csv.quotes" in by_rule) is not is_whole
    if not is_whole:
        assert by_rule["csv.quotes"].rows == [len(expected) + 1]
        return
    numbered = list(enumerate(expected[1:], 2))
    assert found == {n: row for n, row in numbered if len(row) == 3}
    blank = [n for n, row in numbered if not "".join(row).strip() and len(row) < 2]
    last = max([1, *(n for n, _ in numbered if n not in blank)])
    lines = {
        "csv.row-width": [n for n, row in numbered if len(row) != 3 and n not in blank],
        "csv.line-break": [n for n, row in found.items() if "\n" in "".join(row)
                           or "\r" in "".join(row)],
        "csv.blank-line": [n for n in blank if n < last],
        "csv.blank-end": [n for n in blank if n > last],
    }  # fmt: skip
    for rule, rows in lines.items():
        finding = by_rule.get(rule)
        assert ((finding.count, finding.rows) if finding else (0, [])) == (len(rows), rows[:5])
    assert made.count == last


def as_read(text: str) -> str:
    """Return a text as it is read if its line ends are CR alone, or CR CR LF, throughout."""
    if "\n" not in text:
        return text.replace("\r", "\n")
    other = text.replace("\r\r\n", "")
    return text if "\r" in other or "\n" in other else text.replace("\r\r\n", "\n")


@pytest.mark.parametrize("length", [131_073, 500_000])
def test_a_long_field_is_read_with_quotes_and_without(length: int) -> None:
    for mark in ("", '"'):
        _, found, findings = read(f"x,y,z\r\n1,{mark}{'a' * length}{mark},3\r\n".encode(), 1 << 16)
        assert found == {2: ["1", "a" * length, "3"]}
        assert not len(findings)


@given(content=st.binary(max_size=400), piece=st.sampled_from([1, 16, 1 << 16]))
def test_any_bytes_as_a_member_end_in_a_report(folder: Path, content: bytes, piece: int) -> None:
    members = dict(rosters.invent(students=12, schools=1).members())
    header = members["users.csv"].split(b"\r\n")[0] + b"\r\n"
    for body in (content, header + content):
        with small_pieces(piece, 64):
            report = look(folder, rosters.to_zip([*{**members, "users.csv": body}.items()]))
        assert not report.accepted


@given(content=st.binary(max_size=300))
def test_any_bytes_as_a_package_end_in_a_report(folder: Path, content: bytes) -> None:
    good = rosters.build(students=3, schools=1)
    at = len(content) * 7 % len(good)
    for spoilt in (content, good[:at] + content + good[at:], good + content, content + good):
        look(folder, spoilt).record()


CANARY = "Canary"
SPOILT = ["{}", '{}"', '"{}', "{}\\n{}", "{},{}", " {}", "{}\\0", "{}é", "2026-{}-01"]


@given(data=st.data(), value=st.sampled_from(SPOILT), is_raw=st.booleans())
def test_no_value_is_told(folder: Path, data: st.DataObject, value: str, is_raw: bool) -> None:
    """This holds in any column and row, the header included, with correct quotes or not."""
    package = rosters.invent(students=3, schools=1, full=True)
    tables = {"manifest": package.manifest, **package.tables}
    for _ in range(data.draw(st.integers(1, 4))):
        file = data.draw(st.sampled_from(list(tables)))
        row = data.draw(st.sampled_from(tables[file]))
        row[data.draw(st.integers(0, len(row) - 1))] = CANARY
    told = value.replace("{}", CANARY)
    members = []
    for name, content in package.members():
        if is_raw:
            members.append((name, content.replace(CANARY.encode(), told.encode())))
        else:
            rows = list(csv.reader(io.StringIO(content.decode(), newline="")))
            spoilt = [[told if v == CANARY else v for v in row] for row in rows]
            members.append((name, rosters.to_csv(spoilt)))
    report = look(folder, rosters.to_zip(members))
    assert CANARY not in "".join(f.text() for f in report.findings)
    assert CANARY not in json.dumps(report.record())


# ---- rules --------------------------------------------------------------------------------------


@given(seed=st.integers(0, 2**32), quoted=st.booleans(), feeds=st.booleans(), extra=st.booleans())
def test_what_the_rules_allow_changes_nothing(
    folder: Path, seed: int, quoted: bool, feeds: bool, extra: bool
) -> None:
    """The order of rows and of members, quotes, and additional columns at the end."""
    chance = random.Random(seed)  # noqa: S311 - no secret
    package = rosters.invent(students=20, schools=2)
    before = baseline_of(folder, 20, 2)
    for rows_ in package.tables.values():
        header, *body = rows_
        chance.shuffle(body)
        rows_[:] = [header, *body]
        if extra:
            for number, row in enumerate(rows_):
                row.append("metadata.x" if number == 0 else "")
    members = []
    for name, rows_ in {"manifest": package.manifest, **package.tables}.items():
        out = io.StringIO(newline="")
        ends = "\n" if feeds else "\r\n"
        writer = (
            csv.writer(out, quoting=csv.QUOTE_ALL, lineterminator=ends)
            if quoted
            else csv.writer(out, lineterminator=ends)
        )
        writer.writerows(rows_)
        members.append((f"{name}.csv", out.getvalue().encode()))
    chance.shuffle(members)
    report = look(folder, rosters.to_zip(members))
    assert {f.rule for f in report.findings} == ({"csv.line-ends"} if feeds else set())
    for name, kind in report.baseline.records.items():
        assert np.array_equal(kind.ids, before.records[name].ids)
        assert np.array_equal(kind.tags, before.records[name].tags)


@given(data=st.data())
def test_a_row_that_others_need_is_missed(folder: Path, data: st.DataObject) -> None:
    package = rosters.invent(students=30, schools=2, full=True)
    needed = ["academicSessions", "categories", "classes", "courses", "lineItems", "orgs"]
    file = data.draw(st.sampled_from([*needed, "resources", "users"]))
    rows_ = package.tables[file]
    gone = rows_.pop(data.draw(st.integers(1, len(rows_) - 1)))
    report = look(folder, rosters.to_zip(package.members()))
    assert any(f.rule == "reference.missing" for f in report.findings)
    assert not any(gone[0] in f.text().split() for f in report.findings)


# ---- guard --------------------------------------------------------------------------------------


# What may become of a student, as values of the row; all are at school-0 before.
FATES = {
    "stays": {},
    "gone": {},
    "changed": {"email": "other@invented.example"},
    "moved": {"orgSourcedIds": "school-1"},
    "promoted": {"role": "teacher"},
}
KIND = "users.student"
PERSONAL = {"users": 0, "demographics": 0, "enrollments": 5}  # file: the column of the user


def after(fates: list[str], added: int) -> tuple[rosters.Package, dict[str, str]]:
    """A district with all of its former rows, changed and added ones, and each user's fate."""
    package = rosters.invent(students=len(fates), schools=2)
    header, *people = package.tables["users"]
    users = [dict(zip(header, row, strict=True)) for row in people]
    students = [user for user in users if user["role"] == "student"]
    fate_of = {}
    for number in range(added):
        users.append({**students[0], "sourcedId": f"new-{number}"})
        fate_of[f"new-{number}"] = "added"
    for user, fate in zip(students, fates, strict=True):
        user.update(FATES[fate])
        fate_of[user["sourcedId"]] = fate
    package.tables["users"] = [header, *([*user.values()] for user in users)]
    return package, fate_of


def as_bulk(package: rosters.Package, fate_of: dict[str, str]) -> None:
    for file, column in PERSONAL.items():
        header, *rows = package.tables[file]
        left = [row for row in rows if fate_of.get(row[column]) != "gone"]
        package.tables[file] = [header, *left]


def as_delta(package: rosters.Package, fate_of: dict[str, str]) -> None:
    for file, column in PERSONAL.items():
        header, *rows = package.tables[file]
        wanted = {"gone"} if file != "users" else {*FATES, "added"} - {"stays"}
        told = [row for row in rows if fate_of.get(row[column]) in wanted]
        for row in told:
            is_gone = fate_of[row[column]] == "gone"
            row[1:3] = ["tobedeleted" if is_gone else "active", rosters.MODIFIED]
        package.tables[file] = [header, *told]
    package.tables = {file: package.tables[file] for file in sorted(PERSONAL)}
    for row in package.manifest:
        if row[0].startswith("file."):
            row[1] = "delta" if row[0].removeprefix("file.") in PERSONAL else "absent"


@given(
    fates=st.lists(st.sampled_from(sorted(FATES)), min_size=2, max_size=12),
    added=st.integers(0, 5),
    chance=st.randoms(use_true_random=False),
)
def test_what_has_changed_is_counted_exactly(
    folder: Path, fates: list[str], added: int, chance: random.Random
) -> None:
    """By kind and by school, from a bulk package and from a delta, with rows in any order."""
    was = baseline_of(folder, len(fates), 2)
    censuses = []
    for told_as in (as_bulk, as_delta):
        package, fate_of = after(fates, added)
        told_as(package, fate_of)
        for table_ in package.tables.values():
            header, *rows = table_
            chance.shuffle(rows)
            table_[:] = [header, *rows]
        censuses.append(look(folder, rosters.to_zip(package.members())).baseline)
    bulk, delta = censuses
    count = {fate: fates.count(fate) for fate in FATES}
    lost = count["gone"] + count["promoted"]
    expected = {
        KIND: guard.Change(
            len(fates), len(fates) - lost + added, added, lost, count["changed"] + count["moved"]
        ),
        "users.teacher": guard.Change(1, 1 + count["promoted"], count["promoted"], 0, 0),
        "demographics": guard.Change(len(fates), len(fates) - count["gone"], 0, count["gone"], 0),
    }
    feed = config.parse(GOOD)
    for new in censuses:
        told = guard.judge(feed, was, new, TODAY).changes
        assert {name: told[name] for name in expected} == expected

    held = guard.accepted(was, delta)
    assert held.rows == bulk.rows
    assert held.records.keys() == bulk.records.keys()
    for name, kind in bulk.records.items():
        assert np.array_equal(held.records[name].ids, kind.ids)
    for now in (held, bulk):
        pair = (Roster(one, TODAY, None, has_tags=True).records(KIND) for one in (was, now))
        schools = Comparison(*pair, has_tags=True).difference().schools
        assert schools["school-0"] == (lost + count["moved"], len(fates))


values = st.lists(
    st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\0"), max_size=300),
    min_size=1,
)


@given(some=values, others=values)
def test_a_hash_depends_on_its_value_alone(some: list[str], others: list[str]) -> None:
    prints = KeyedHasher(KEY)
    alone = [prints.of([value])[0] for value in some]
    together = prints.of([*others, *some])[len(others) :]
    assert alone == together.tolist()
    texts, hashes = {v.encode()[:256] for v in some}, set(alone)
    assert len(hashes) >= len(texts)


# ---- configuration ------------------------------------------------------------------------------

text = st.text(alphabet=st.characters(exclude_categories=["Cs"]))
simple = text | st.integers() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False)


@given(value=st.recursive(simple, lambda inner: st.lists(inner) | st.dictionaries(text, inner)))
def test_a_configuration_arrives_as_it_was(value: Any) -> None:
    assert tomllib.loads(f"key = {to_toml(value)}") == {"key": value}
