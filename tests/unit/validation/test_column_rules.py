"""The rules for one column: presence, references, days, and the cause of a value."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

import pytest
from roster_upload.spec import spec
from roster_upload.validation import text
from roster_upload.validation.batch import Batch
from roster_upload.validation.column_rules import ColumnRules, ReferenceTarget
from roster_upload.validation.columns import IdIndex, Values
from roster_upload.validation.findings import Findings

NIGHT = dt.date(2026, 11, 1)
Told = dict[str, tuple[str, list[int]]]


def values_of(values: Sequence[str]) -> Values:
    """Return a column of these values, whose first row is row 2."""
    return Values(Batch.of_rows(2, [[value] for value in values]), 0)


def index(*ids: str, types: Sequence[str] = ()) -> IdIndex:
    """Return an index of these sourcedIds."""
    found = IdIndex()
    found.add(values_of(ids), values_of(types) if types else None)
    return found


def look(
    where: str,
    *values: str,
    mode: str = "bulk",
    target: ReferenceTarget | None = None,
    unused: bool = False,
) -> tuple[Told, ColumnRules]:
    """Return the severity and the rows of each rule that a column's values break."""
    file, _, name = where.partition(".")
    column = next(c for c in spec("oneroster-1.1")["files"][file]["columns"] if c["name"] == name)
    findings = Findings({}, {file: [name]} if unused else {})
    rules = ColumnRules(findings, file, column, mode=mode, target=target, night=NIGHT)
    made = values_of(values)
    rules.look(made.batch, made, text.odd_fields(made.batch).get(0))
    rules.finish()
    return {finding.rule: (finding.severity, finding.rows) for finding in findings}, rules


def told(where: str, *values: str, **options: object) -> Told:
    """Return the severity and the rows of each rule that a column's values break."""
    return look(where, *values, **options)[0]  # type: ignore[arg-type]


# ---- presence -----------------------------------------------------------------------------------


def test_an_empty_required_value_is_a_fault_and_a_blank_one_an_error() -> None:
    assert told("users.givenName", "a", "", "b") == {"value.required": ("fault", [3])}
    assert told("users.givenName", "a", "\u00a0") == {"value.required": ("error", [3])}
    assert told("users.email", "a", "", "b") == {}
    assert told("users.email", "a", " ") == {"value.blank": ("warning", [3])}


def test_values_of_blanks_are_not_filled() -> None:
    for where in ("users.email", "users.givenName"):
        _, rules = look(where, "a", "", " ", "\u200b\u00a0", " b")
        assert rules.filled == 2


@pytest.mark.parametrize(
    ("mode", "found"),
    [
        ("bulk", {"value.bulk-only-empty": ("error", [2, 4, 5])}),
        ("delta", {"value.delta-filled": ("error", [3, 5]), "value.enum": ("fault", [4])}),
        ("", {}),  # the manifest's mode is reported as wrong
    ],
)
def test_columns_for_deltas(mode: str, found: Told) -> None:
    assert told("users.status", "active", "", "NULL", " ", mode=mode) == found


# ---- single values ------------------------------------------------------------------------------


def test_a_value_out_of_its_list_is_a_fault() -> None:
    assert told("users.role", "student", "Student", "NULL") == {"value.enum": ("fault", [3, 4])}


@pytest.mark.parametrize("value", [" student", "student\u00a0", "stu\u200bdent", "stu\x0bdent"])
def test_what_cannot_be_seen_is_the_fault_where_the_rest_is_right(value: str) -> None:
    [(severity, rows)] = told("users.role", "student", value).values()
    assert (severity, rows) == ("fault", [3])
    assert "value.enum" not in told("users.role", value)


def test_what_the_vendor_does_not_use_only_warns() -> None:
    assert told("demographics.sex", "other", unused=True) == {"value.enum": ("warning", [2])}
    assert told("demographics.sex", "other") == {"value.enum": ("fault", [2])}


@pytest.mark.parametrize(
    ("value", "rule"),
    [
        ("a" * 255, ""),
        ("a" * 256, "value.format"),
        ("é" * 255, "value.unusual"),
        ("é" * 256, "value.format"),
        ("a\tb", "value.format"),
        ("a b", "value.unusual"),
        ("{a}", "value.unusual"),
        ("a-b_c.d/e@f", ""),
    ],
)
def test_a_sourced_id(value: str, rule: str) -> None:
    assert set(told("users.sourcedId", value)) == ({rule} - {""})


def test_a_sourced_id_with_blanks_only_warns() -> None:
    assert told("users.sourcedId", "a", "b ") == {"value.edge-blank": ("warning", [3])}


@pytest.mark.parametrize(
    ("value", "is_right"),
    [("{LDAP:x}", True), ("{LDAP:x},{FED:y}", True), ("{A:b:c}", True), ("x", False),
     ("{x}", False), ("{:x}", False), ("{A:}", False), ("{A:x}{B:y}", False),
     ("{A:x},", False), ("}A:x{", False),
     ("{A:" + "x" * 300 + "}", True)],
)  # fmt: skip
def test_user_ids(value: str, is_right: bool) -> None:
    assert told("users.userIds", value, "") == (
        {} if is_right else {"value.format": ("fault", [2])}
    )


def test_grades_are_of_a_vocabulary() -> None:
    assert told("users.grades", "03", "3", "03,KG", "03,3", "nan") == {
        "value.vocabulary": ("warning", [3, 5]),
        "value.leftover": ("warning", [6]),
    }


@pytest.mark.parametrize("where", ["users.email", "users.familyName", "classes.title"])
def test_leftovers_and_shortened_numbers(where: str) -> None:
    assert told(where, "NULL", "1.23457E+11", "Null") == {
        "value.leftover": ("warning", [2]),
        "value.scientific": ("warning", [3]),
    }


# ---- days ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "rule"),
    [
        ("2026-08-10", ""), ("2026-08-1", "value.format"), ("2026-02-30", "value.format"),
        ("8/10/2026", "value.format"), ("2026-08-10T00:00:00Z", "value.format"),
        ("0000-00-00", "value.leftover"), ("NULL", "value.leftover"),
        ("2026-08-10 ", "value.edge-blank"),
    ],
)  # fmt: skip
def test_a_day_that_is_none_is_one_fault(value: str, rule: str) -> None:
    expected = {rule: ("fault", [4])} if rule else {}
    assert told("enrollments.beginDate", "2026-08-10", "2026-08-11", value) == expected


@pytest.mark.parametrize(
    ("where", "likely", "unlikely"),
    [
        ("demographics.birthDate", ["1900-01-01", "2026-11-01"], ["1899-12-31", "2026-11-02"]),
        ("academicSessions.endDate", ["1990-01-01", "2100-12-31"], ["1989-12-31", "2101-01-01"]),
        ("enrollments.endDate", ["2026-01-01", "9999-12-31"], []),
    ],
)
def test_days_that_are_not_likely(where: str, likely: list[str], unlikely: list[str]) -> None:
    rows = list(range(len(likely) + 2, len(likely) + len(unlikely) + 2))
    assert told(where, *likely, *unlikely) == ({"value.day": ("warning", rows)} if rows else {})


def test_days_of_a_whole_file_written_otherwise_refuse_it() -> None:
    bad, good = "8/10/2015", "2015-08-10"
    for values, severity in (
        ([bad, good], "warning"),
        ([bad, bad, good], "error"),
        ([bad, "", ""], "error"),
        ([bad, good, "", ""], "warning"),
    ):
        found = told("demographics.birthDate", *values, unused=True)
        assert found["value.format"][0] == severity, values
    assert told("academicSessions.startDate", bad, bad)["value.format"][0] == "fault"


# ---- references ---------------------------------------------------------------------------------


def referring(*values: str, ids: Sequence[str] = ("s1", "s2")) -> Told:
    """Return the findings about users' schools."""
    return told(
        "users.orgSourcedIds", *values, target=ReferenceTarget("orgs", index(*ids), is_own=False)
    )


def test_a_reference_is_an_id_byte_for_byte() -> None:
    assert referring("s1", "s2", "s1,s2", "s1") == {}
    assert referring("s1", "S1", "s3", "s1s2") == {"reference.missing": ("fault", [3, 4, 5])}


@pytest.mark.parametrize(
    ("value", "rule"),
    [
        ("s1,s3", "reference.missing"),
        ("s3,s3", "reference.missing"),
        (" s1", "value.edge-blank"),
        ("s1\u00a0", "value.edge-blank"),
        ("s1\n", "value.edge-blank"),
        (" s1, s2", "value.edge-blank"),
        ("s1, s2", "value.list-blank"),
        ("s1\u3000,s2", "value.list-blank"),
        ("s\u200b1", "text.invisible"),
        ("s1,s\u00ad2", "text.invisible"),
        ("s\x0b1", "text.control"),
        (" s3", "reference.missing"),
        ("s1, s3", "reference.missing"),
        ("s\u200b3", "reference.missing"),
        (",", "value.required"),
        (",,", "value.required"),
    ],
)
def test_the_cause_of_a_reference_into_nothing_is_its_one_fault(value: str, rule: str) -> None:
    assert referring("s1", value, "s2", value) == {rule: ("fault", [3, 5])}


def test_an_empty_item_of_a_list_only_warns() -> None:
    assert referring("s1,", ",s1", "s1,,s2") == {"value.list-empty": ("warning", [2, 3, 4])}
    assert referring("s1,", "s3,") == {
        "reference.missing": ("fault", [3]), "value.list-empty": ("warning", [2]),
    }  # fmt: skip
    target = ReferenceTarget("a", index("t"), is_own=False)
    assert told("classes.termSourcedIds", ",", target=target) == {"value.required": ("fault", [2])}
    assert told("users.agentSourcedIds", ",", target=target) == {
        "value.list-empty": ("warning", [2])
    }


def test_a_reference_is_faulty_in_each_batch() -> None:
    column = next(c for c in spec("oneroster-1.1")["files"]["users"]["columns"] if "ref" in c)
    findings, target = Findings(), ReferenceTarget("orgs", index("s1", "s2"), is_own=False)
    rules = ColumnRules(findings, "users", column, mode="bulk", target=target, night=NIGHT)
    for _ in range(2):
        values = values_of(["s1,s2", "x", "s1 "])
        rules.look(values.batch, values, text.odd_fields(values.batch).get(0))
    assert {f.rule: f.count for f in findings} == {"reference.missing": 2, "value.edge-blank": 2}


def test_an_id_that_ends_with_a_blank_is_matched_exactly() -> None:
    assert referring("s1 ", "s1 ,s2", ids=["s1 ", "s2"]) == {}
    assert referring("s1", ids=["s1 "]) == {"reference.missing": ("fault", [2])}
    assert referring("s1 ", ids=["s1", "s1 "]) == {}


def test_a_required_reference_that_is_empty_is_no_missing_row() -> None:
    assert referring("s1", "", " ") == {"value.required": ("error", [3, 4])}


def test_a_reference_into_an_empty_file_is_missing() -> None:
    for where in ("users.orgSourcedIds", "classes.schoolSourcedId"):
        found = told(where, "s1", target=ReferenceTarget("orgs", IdIndex(), is_own=False))
        assert found == {"reference.missing": ("fault", [2])}


def test_types_of_what_is_referred_to() -> None:
    orgs = index("s", "d", types=["school", "district"])
    found = told(
        "classes.schoolSourcedId", "s", "d", "x", target=ReferenceTarget("orgs", orgs, is_own=False)
    )
    assert found == {"reference.type": ("fault", [3]), "reference.missing": ("fault", [4])}


def test_a_reference_that_cannot_be_followed_has_its_blanks_told() -> None:
    assert told("users.orgSourcedIds", "s9", "s1 ") == {"value.edge-blank": ("fault", [3])}


def test_references_to_the_same_file_may_come_before_their_rows() -> None:
    ids = IdIndex()
    column = next(
        c for c in spec("oneroster-1.1")["files"]["orgs"]["columns"]
        if c["name"] == "parentSourcedId"
    )  # fmt: skip
    findings = Findings()
    rules = ColumnRules(findings, "orgs", column, mode="bulk", night=NIGHT,
                        target=ReferenceTarget("orgs", ids, is_own=True))  # fmt: skip
    for first, parents, own in ((2, ["d", "x", ""], ["a", "b", "c"]), (5, ["a", "d "], ["d", "e"])):
        batch = Batch.of_rows(first, [[value] for value in parents])
        ids.add(values_of(own), None)
        values = Values(batch, 0)
        rules.look(batch, values, text.odd_fields(batch).get(0))
    assert "reference.missing" not in {finding.rule for finding in findings}
    rules.finish()
    assert {f.rule: (f.severity, f.rows) for f in findings} == {
        "reference.missing": ("fault", [3]), "value.edge-blank": ("fault", [6]),
    }  # fmt: skip


@pytest.mark.parametrize(("value", "leads"), [("a", True), ("a,b", False), (",", False)])
def test_a_single_reference_to_the_same_file_is_no_list(value: str, leads: bool) -> None:
    target = ReferenceTarget("orgs", index("a", "b"), is_own=True)
    found = told("orgs.parentSourcedId", value, target=target)
    assert found == ({} if leads else {"reference.missing": ("fault", [2])})
