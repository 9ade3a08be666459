"""Properties of the validator and the guard, over invented inputs of every kind."""

from __future__ import annotations

import csv
import io
import random
import tomllib
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rosters
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from roster_feeds import to_toml
from roster_upload import guard, table
from roster_upload.census import Kind, Prints
from roster_upload.findings import Findings, Report
from roster_upload.validate import Terms, check

KEY = b"k" * 32
bounded = settings(
    max_examples=150,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where packages lie for a moment."""
    return tmp_path_factory.mktemp("packages")


def look(folder: Path, content: bytes, **terms: Any) -> Report:
    path = folder / "OneRoster.zip"
    path.write_bytes(content)
    return check(path, Terms(**terms), key=KEY)


@contextmanager
def small_pieces(piece: int, block: int) -> Iterator[None]:
    """Lets pieces of text end everywhere."""
    was = table.PIECE_BYTES, table.BLOCK_BYTES
    table.PIECE_BYTES, table.BLOCK_BYTES = piece, block
    try:
        yield
    finally:
        table.PIECE_BYTES, table.BLOCK_BYTES = was


# ---- table --------------------------------------------------------------------------------------

field = st.text(alphabet='ab,"\n\r é', max_size=6)
rows = st.lists(st.lists(field, min_size=3, max_size=3), max_size=12)


@bounded
@given(
    rows=rows,
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    ends=st.sampled_from(["\r\n", "\n"]),
    mark=st.booleans(),
    last_end=st.booleans(),
    ragged=st.sets(st.integers(0, 11)),
    piece=st.sampled_from([4, 5, 7, 64, 1 << 16]),
)
def test_a_file_is_read_as_the_csv_reader_reads_it(
    folder: Path, rows: list[list[str]], quoting: int, ends: str, mark: bool,
    last_end: bool, ragged: set[int], piece: int,
) -> None:  # fmt: skip
    out = io.StringIO(newline="")
    writer = csv.writer(out, quoting=quoting, lineterminator=ends)  # type: ignore[arg-type]
    writer.writerow(["x", "y", "z"])
    for number, row in enumerate(rows):
        writer.writerow([*row, "more"] if number in ragged else row)
    text = out.getvalue()
    text = text if last_end else text.removesuffix(ends)
    expected = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    content = b"\xef\xbb\xbf" * mark + text.encode()
    package = zipfile.ZipFile(io.BytesIO(rosters.to_zip([("a.csv", content)])))
    findings = Findings()
    found: dict[int, list[str]] = {}
    with small_pieces(piece, 64):
        read = table.Rows(package, package.infolist()[0], "a.csv", findings)
        assert read.header == expected[0]
        for batch in read:
            whole = zip(*batch.columns, strict=True)
            for number, told_row in enumerate(whole, batch.first):
                found[number] = list(told_row)
                assert batch.lines[number - batch.first] == ",".join(told_row)
    wide = {n: row for n, row in enumerate(expected[1:], 2) if len(row) == 3}
    assert found == wide
    odd = [n for n, row in enumerate(expected[1:], 2) if len(row) != 3]
    told = [f for f in findings if f.rule == "csv.row-width"]
    assert sum(f.count for f in told) == len(odd)
    assert read.count == len(expected)


@bounded
@given(content=st.binary(max_size=400), piece=st.sampled_from([1, 16, 1 << 16]))
def test_any_bytes_as_a_member_end_in_a_report(folder: Path, content: bytes, piece: int) -> None:
    members = dict(rosters.invent(students=3, schools=1).members())
    header = members["users.csv"].split(b"\r\n")[0] + b"\r\n"
    for body in (content, header + content):
        with small_pieces(piece, 64):
            report = look(folder, rosters.to_zip([*{**members, "users.csv": body}.items()]))
        assert not report.accepted


@bounded
@given(content=st.binary(max_size=300))
def test_any_bytes_as_a_package_end_in_a_report(folder: Path, content: bytes) -> None:
    good = rosters.build(students=3, schools=1)
    at = len(content) * 7 % len(good)
    for spoilt in (content, good[:at] + content + good[at:], good + content, content + good):
        look(folder, spoilt).record()


# ---- rules --------------------------------------------------------------------------------------


@bounded
@given(seed=st.integers(0, 2**32), quoted=st.booleans(), feeds=st.booleans(), extra=st.booleans())
def test_what_the_rules_allow_changes_nothing(
    folder: Path, seed: int, quoted: bool, feeds: bool, extra: bool
) -> None:
    """The order of rows and of members, quotes, and further columns behind the last."""
    chance = random.Random(seed)  # noqa: S311 - no secret
    package = rosters.invent(students=20, schools=2)
    before = look(folder, rosters.to_zip(package.members())).census
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
    for name, kind in report.census.kinds.items():
        assert np.array_equal(kind.ids, before.kinds[name].ids)
        assert np.array_equal(kind.tags, before.kinds[name].tags) is not extra


@bounded
@given(data=st.data())
def test_a_row_that_others_need_is_missed(folder: Path, data: st.DataObject) -> None:
    package = rosters.invent(students=60, schools=2)
    file = data.draw(st.sampled_from(["academicSessions", "orgs", "courses", "classes", "users"]))
    rows_ = package.tables[file]
    gone = rows_.pop(data.draw(st.integers(1, len(rows_) - 1)))
    report = look(folder, rosters.to_zip(package.members()))
    assert any(f.rule == "reference.missing" for f in report.findings.errors)
    assert not any(gone[0] in f.text().split() for f in report.findings)


# ---- guard --------------------------------------------------------------------------------------


@bounded
@given(data=st.data())
def test_what_has_changed_is_counted_exactly(folder: Path, data: st.DataObject) -> None:
    old = rosters.invent(students=12, schools=2)
    was = look(folder, rosters.to_zip(old.members())).census
    new = rosters.invent(students=12, schools=2)
    header, *people = new.tables["users"]
    students = [row for row in people if row[header.index("role")] == "student"]
    gone = data.draw(st.sets(st.sampled_from([row[0] for row in students])))
    left = [row for row in students if row[0] not in gone]
    changed = data.draw(st.sets(st.sampled_from([row[0] for row in left]))) if left else set()
    added = data.draw(st.integers(0, 5))
    for row in left:
        if row[0] in changed:
            row[header.index("email")] = "other@invented.example"
    for number in range(added):
        row = list(students[0])
        row[0], row[header.index("username")] = f"new-{number}", f"new.{number}"
        people.append(row)
    new.tables["users"] = [header, *(row for row in people if row[0] not in gone)]
    data.draw(st.randoms(use_true_random=False)).shuffle(new.tables["users"][1:])
    for file, column in (("demographics", 0), ("enrollments", 5)):
        first, *rows_ = new.tables[file]
        new.tables[file] = [first, *(row for row in rows_ if row[column] not in gone)]
    report = look(folder, rosters.to_zip(new.members()))
    is_ = report.census
    name = "users.student"
    old_kind, new_kind = was.kinds[name], is_.kinds.get(name, Kind.none())
    change = guard.Comparison(old_kind, new_kind, is_delta=False).change
    count = len(students)
    assert change == guard.Change(count, count - len(gone) + added, added, len(gone), len(changed))


values = st.lists(
    st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\0"), max_size=300),
    min_size=1,
)


@bounded
@given(some=values, others=values)
def test_a_hash_depends_on_its_value_alone(some: list[str], others: list[str]) -> None:
    prints = Prints(KEY)
    alone = [prints.of([value])[0] for value in some]
    together = prints.of([*others, *some])[len(others) :]
    assert alone == together.tolist()
    texts, hashes = {v.encode()[:256] for v in some}, set(alone)
    assert len(hashes) >= len(texts)


# ---- configuration ------------------------------------------------------------------------------

simple = st.one_of(
    st.text(alphabet=st.characters(exclude_categories=["Cc", "Cs"])), st.integers(), st.booleans()
)


@bounded
@given(
    value=st.recursive(
        simple, lambda inner: st.lists(inner) | st.dictionaries(st.text('aé." ', min_size=1), inner)
    )
)
def test_a_configuration_arrives_as_it_was(value: Any) -> None:
    assert tomllib.loads(f"key = {to_toml(value)}") == {"key": value}
