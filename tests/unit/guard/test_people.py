"""The guard holds an export that changes who the users are."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest
from roster_upload.guard.baseline import Baseline
from roster_upload.guard.guard import Rule
from support.baselines import baseline, person
from support.judgements import KIND, LATER, WINDOW, above, district, held, judged, rules


def people(
    count: int, changed: int, column: str = "username", before: int = 1, now: int = 2
) -> tuple[Baseline, Baseline]:
    """Return two exports of people, in which one column of some has changed."""
    old = [person(n, **{column: before}) for n in range(1, count + 1)]
    new = [person(n, **{column: now if n <= changed else before}) for n in range(1, count + 1)]
    return baseline({KIND: old}), baseline({KIND: new})


@pytest.mark.parametrize(
    "column", ["username", "identifier", "email", "role", "orgSourcedIds", "grades"]
)
def test_each_identity_has_a_share_of_its_own(column: str) -> None:
    old, new = people(1000, 100, column)
    assert held(old, new) == []
    old, new = people(1000, 101, column)
    assert held(old, new) == [above(f"users: {column} would change for 101 of 1,000", "10.1")]
    assert rules(old, new) == [("identity", "users")]


@pytest.mark.parametrize("column", ["name", "birthDate"])
def test_a_name_may_change(column: str) -> None:
    assert held(*people(100, 100, column)) == []


@pytest.mark.parametrize(
    ("changed", "settings", "is_held"),
    [
        (20, {"guard_floor": 20}, False),
        (21, {"guard_floor": 20}, True),
        (40, {"guard_identity_percent": 40}, False),
        (41, {"guard_identity_percent": 40}, True),
        (100, {"guard_identity_percent": 100}, False),
    ],
)
def test_limits_of_an_identity(changed: int, settings: dict[str, Any], is_held: bool) -> None:
    assert bool(held(*people(100, changed), **settings)) is is_held


@pytest.mark.parametrize(
    ("column", "percent", "changed", "is_held"),
    [
        *((column, 100, 11, True) for column in ("username", "identifier", "email", "role")),
        ("grades", 5, 100, False),
        ("orgSourcedIds", 60, 60, False),
        ("orgSourcedIds", 60, 61, True),
        ("orgSourcedIds", 5, 10, False),
        ("orgSourcedIds", 5, 11, True),
    ],
)
def test_grades_and_schools_may_change_where_it_is_expected(
    column: str, percent: int, changed: int, is_held: bool
) -> None:
    pair = people(100, changed, column)
    texts = held(*pair, expected_changes=WINDOW, expected_percent=percent)
    assert bool(texts) is is_held


def test_a_value_that_was_empty_may_come_and_one_that_was_not_may_not_go() -> None:
    assert held(*people(100, 100, before=0)) == []
    assert held(*people(100, 100, now=0)) == [
        above("users: username would change for 100 of 100", "100.0")
    ]


def test_a_share_is_of_those_who_had_a_value() -> None:
    def some(value: int) -> Baseline:
        known = [person(n, email=value) for n in range(50)]
        return baseline({KIND: [*known, *(person(n) for n in range(50, 2000))]})

    assert held(some(1), some(2)) == [above("users: email would change for 50 of 50", "100.0")]


def test_identities_are_of_those_who_are_present_in_both() -> None:
    old = [person(n, email=1) for n in range(100)]
    new = [one._replace(identity=person(0, email=2).identity) for one in old]
    for fact in ({"present": False}, {"when": LATER}):
        absent = [one._replace(**fact) for one in new]
        found = rules(baseline({KIND: absent}), baseline({KIND: old}))
        assert ("identity", "users") not in found
        found = rules(baseline({KIND: old}), baseline({KIND: absent}))
        assert ("identity", "users") not in found


def test_a_role_is_an_identity_over_all_users() -> None:
    """A former student who is a teacher now is another kind of record, with the same sourcedId."""
    old = baseline(
        {KIND: [person(n, role=1) for n in range(100)], "users.teacher": [person(200, role=2)]}
    )
    new = baseline(
        {
            KIND: [person(n, role=1) for n in range(11, 100)],
            "users.teacher": [person(n, role=2) for n in (*range(11), 200)],
        }
    )
    assert above("users: role would change for 11 of 101", "10.9") in held(old, new)


@pytest.mark.parametrize("missing", ["old", "new"])
def test_unknown_identities_are_not_compared(missing: str) -> None:
    known, unknown = people(100, 100)[0], district({"": range(1, 101)})
    pair = (unknown, known) if missing == "old" else (known, unknown)
    assert held(*pair) == []


WHO = {"name": 1, "birthDate": 1, "username": 1, "identifier": 1, "email": 1}
OTHER = ["name", "birthDate"]


def users(count: int, other: int, columns: Iterable[str], **known: int) -> Baseline:
    """Return an export of people. The first ones have other values in some columns."""
    who = {**WHO, **known}
    new = who | dict.fromkeys(columns, 2)
    return baseline({KIND: [person(n, **(new if n < other else who)) for n in range(count)]})


@pytest.mark.parametrize(
    ("other", "columns", "settings", "is_held"),
    [
        (101, OTHER, {}, True),
        (100, OTHER, {}, False),
        (101, OTHER, {"guard_floor": 101}, False),
        (102, OTHER, {"guard_floor": 101}, True),
        (101, OTHER, {"guard_identity_percent": 11}, False),
        (1000, ["name"], {}, False),
        (1000, ["birthDate"], {}, False),
        (1000, ["name", "username"], {"guard_identity_percent": 99}, False),
        # Nothing of it is expected.
        (101, OTHER, {"expected_changes": WINDOW}, True),
    ],
)
def test_a_sourced_id_may_belong_to_somebody_else(
    other: int, columns: list[str], settings: dict[str, Any], is_held: bool
) -> None:
    found = judged(users(1000, 0, ()), users(1000, other, columns), **settings).reasons
    told = [reason.text for reason in found if reason.rule is Rule.SOMEBODY_ELSE]
    share = f"{other / 10}"
    words = f"users: {other} of 1,000 sourcedIds now belong to somebody else"
    assert told == ([above(words, share)] if is_held else [])


@pytest.mark.parametrize("side", ["old", "new", "both"])
@pytest.mark.parametrize(
    ("columns", "is_held"),
    [
        (["name", "username"], True),
        (["name", "identifier"], True),
        (["name", "email"], True),
        (["name"], False),
        (["username", "identifier", "email"], False),
    ],
)
def test_without_birth_dates_an_account_tells_who_it_is(
    side: str, columns: list[str], is_held: bool
) -> None:
    old = users(100, 0, (), birthDate=0 if side != "new" else 1)
    new = users(100, 50, columns, birthDate=0 if side != "old" else 1)
    assert (("somebody_else", "users") in rules(old, new)) is is_held


@pytest.mark.parametrize("unknown", ["name", "birthDate"])
def test_whoever_is_not_known_in_both_is_nobody_else(unknown: str) -> None:
    """The first one is known, so that there are birth dates at all."""
    old = users(100, 0, ())
    nameless = [person(0, **WHO), *(person(n, **{**WHO, unknown: 0}) for n in range(1, 100))]
    new = users(100, 100, OTHER)
    for pair in ((baseline({KIND: nameless}), new), (new, baseline({KIND: nameless}))):
        found = [one for one in judged(*pair).reasons if one.rule is Rule.SOMEBODY_ELSE]
        assert not found or "1 of 1 sourcedIds" in found[0].text
    assert ("somebody_else", "users") in rules(old, new)


def test_without_birth_dates_only_known_accounts_count() -> None:
    """A new e-mail, or a removed username, does not identify a person."""
    none = {"birthDate": 0, "username": 0, "identifier": 0, "email": 0}
    old = users(100, 0, (), **{**none, "username": 1})
    new = users(100, 100, ["name", "email"], **none)
    assert ("somebody_else", "users") not in rules(old, new)
    known = users(100, 100, ["name", "email"], **{**none, "username": 1})
    assert ("somebody_else", "users") not in rules(old, known)


@pytest.mark.parametrize(
    ("before", "now", "settings", "is_held"),
    [
        (0, 100, {}, False),
        (0, 101, {}, True),
        (50, 150, {}, False),
        (50, 151, {}, True),
        (500, 500, {}, False),
        (500, 100, {}, False),
        (0, 101, {"guard_floor": 101}, False),
        (0, 102, {"guard_floor": 101}, True),
        (0, 101, {"guard_identity_percent": 11}, False),
        (0, 101, {"expected_changes": WINDOW}, True),
    ],
)
def test_duplicates_that_are_new(
    before: int, now: int, settings: dict[str, Any], is_held: bool
) -> None:
    old, new = district({"": range(1000)}), district({"": range(1000)})
    old.duplicates, new.duplicates = {"users.email": before}, {"users.email": now}
    words = (
        f"users: {now - before} of 1,000 would share their email with others, but did not before"
    )
    told = [above(words, f"{(now - before) / 10}")]
    assert held(old, new, **settings) == (told if is_held else [])
    assert not is_held or rules(old, new, **settings) == [("duplicates", "users")]


def test_duplicates_are_new_to_nobody_who_does_not_know() -> None:
    new = district({"": range(100)})
    new.duplicates = {"users.email": 100}
    assert held(None, new) == []
    assert held(replace(district({"": range(100)}), has_tags=False), new) == []
    assert rules(district({"": range(100)}), new) == [("duplicates", "users")]
