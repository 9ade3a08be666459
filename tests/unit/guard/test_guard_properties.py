"""The guard's arithmetic is right for any two exports."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st
from roster_upload.guard import guard
from roster_upload.guard.baseline import Baseline
from roster_upload.guard.calendar import Calendar
from support import share
from support.baselines import Record, baseline
from support.judgements import (
    ENDED,
    IGNORED,
    KIND,
    LATER,
    RUNNING,
    judged,
    records,
    records_of,
    replaced,
    rules,
)

TONIGHT = (Calendar(), RUNNING)
CALENDARS = st.sampled_from([Calendar(), RUNNING, ENDED, LATER])
ANY = st.builds(
    Record,
    st.integers(0, 30),
    st.integers(0, 3),
    st.sampled_from(["", "a", "a,b", "b"]),
    CALENDARS,
    st.booleans(),
    st.just(False),
    st.just(()),
)
KINDS = st.sampled_from([KIND, "users.teacher", "enrollments.student", "enrollments.teacher"])
EXPORTS = st.dictionaries(KINDS, st.lists(ANY, max_size=20, unique_by=lambda one: one.id))
many = settings(max_examples=share.of(150))  # fewer miss absent users with another role


def unique(kinds: Mapping[str, list[Record]]) -> Baseline:
    """Return an export in which an id is in one kind of a file only."""
    seen: set[tuple[str, int]] = set()
    found: dict[str, list[Record]] = {}
    for kind, listed in kinds.items():
        file = kind.partition(".")[0]
        found[kind] = [one for one in listed if (file, one.id) not in seen]
        seen |= {(file, one.id) for one in listed}
    return baseline(found)


@many
@given(EXPORTS, st.booleans())
def test_an_export_that_follows_itself_is_not_held(
    kinds: dict[str, list[Record]], are_ids_ignored: bool
) -> None:
    same = unique(kinds)
    verdict = judged(same, same, **(IGNORED if are_ids_ignored else {}))
    assert verdict.reasons == ()
    assert all(one.added == one.removed == one.changed == 0 for one in verdict.changes.values())


@many
@given(EXPORTS, EXPORTS, st.booleans(), st.booleans())
def test_what_was_and_came_less_what_went_is_there_now(
    was: dict[str, list[Record]],
    now: dict[str, list[Record]],
    are_ids_ignored: bool,
    has_tags: bool,
) -> None:
    old = replace(unique(was), has_tags=has_tags)
    verdict = judged(old, unique(now), **(IGNORED if are_ids_ignored else {}))
    for change in verdict.changes.values():
        assert change.before + change.added - change.removed == change.now
        assert 0 <= change.changed <= change.before - change.removed


@many
@given(EXPORTS, EXPORTS)
def test_contents_are_compared_by_their_number(
    was: dict[str, list[Record]], now: dict[str, list[Record]]
) -> None:
    """Of each content, as many stay as are present in both."""
    kind = "enrollments.student"
    before, after = (unique({kind: kinds.get(kind, [])}) for kinds in (was, now))
    old, new = (
        Counter(one.tag for one in records_of(found, kind) if one.present and one.when in TONIGHT)
        if kind in found.records
        else Counter[int]()
        for found in (before, after)
    )
    change = judged(before, after, **IGNORED).changes.get("enrollments")
    if change:
        assert change == guard.Change(
            old.total(), new.total(), (new - old).total(), (old - new).total(), 0
        )


@many
@given(EXPORTS, EXPORTS)
def test_the_enrollments_are_compared_as_one_kind_would_be(
    was: dict[str, list[Record]], now: dict[str, list[Record]]
) -> None:
    """The roles apart, with the changed ones, have the same total as all in one."""
    old, new = unique(was), unique(now)
    whole = [
        baseline(
            {
                "enrollments": [
                    replaced(one, tag=one.tag * 2 + kind.endswith("teacher"))
                    for kind, found in kinds.items()
                    for one in found
                    if kind.startswith("enrollments") and one in found
                ]
            }
        )
        for kinds in (
            {k: records_of(old, k) for k in old.records},
            {k: records_of(new, k) for k in new.records},
        )
    ]
    one, other = judged(old, new).changes, judged(*whole).changes
    if "enrollments" in one:
        assert one["enrollments"] == other["enrollments"]


@many
@given(EXPORTS, st.sets(st.integers(0, 30)))
def test_a_delta_is_judged_as_the_whole_export_that_it_makes(
    kinds: dict[str, list[Record]], gone: set[int]
) -> None:
    old = unique(kinds)
    modes = dict.fromkeys(old.rows, "delta")
    taken = {kind: records(gone & set(found.ids.tolist()), gone=True)
             for kind, found in old.records.items()}  # fmt: skip
    delta = baseline(taken, dict.fromkeys(old.rows, 0), modes=modes)
    if not old.rows:
        return
    left = {
        kind: [one for one in records_of(old, kind) if one.id not in gone] for kind in old.records
    }
    whole = baseline(left, old.rows)
    assert judged(old, delta).changes == judged(old, whole).changes
    assert rules(old, delta) == rules(old, whole)
