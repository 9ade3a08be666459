"""Columns as arrays: checksums, numbers, the index of sourcedIds, and rules of distinct values."""

from __future__ import annotations

import numpy as np
import pytest
from roster_upload.validation.batch import Batch, Indices
from roster_upload.validation.columns import (
    Distinct,
    IdIndex,
    Known,
    Numbered,
    ValueRule,
    Values,
    bytes_allowed,
    code_of,
    each_item,
    not_in,
    only,
    row_sums,
    sums_of_strings,
)

LENGTHS = [0, 1, 7, 8, 9, 15, 16, 17, 31, 32, 33, 240, 255, 256, 257, 300, 5000]


def column(*values: str) -> Values:
    """Return a column of these values."""
    return Values(Batch.of_rows(2, [[value] for value in values]), 0)


# ---- values -------------------------------------------------------------------------------------


def test_texts_are_padded_with_zeros() -> None:
    values = column("abc", "", "x" * 17, "é")
    assert values.texts.shape == (4, 32)
    assert [bytes(row).rstrip(b"\0") for row in values.texts] == [
        b"abc", b"", b"x" * 17, "é".encode()
    ]  # fmt: skip
    assert values.filled.tolist() == [True, False, True, True]


def test_texts_have_256_bytes_at_most() -> None:
    assert column("y" * 300, "z").texts.shape == (2, 256)


@pytest.mark.parametrize("length", LENGTHS)
def test_a_checksum_depends_on_the_value_alone(length: int) -> None:
    value = "a" * length
    alone = column(value).sums[0]
    for other in LENGTHS:
        mixed = column("b" * other, value, "", value)
        assert mixed.sums.tolist()[1::2] == [alone, alone]
    assert sums_of_strings([value, "x"])[0] == alone
    assert (alone == 0) == (length == 0)


def test_different_values_have_different_checksums() -> None:
    values = [a * n for a in "ab" for n in LENGTHS[1:]]
    values += ["ab", "ba", "a\0", "a" * 256 + "b", "a" * 299 + "b", "a" * 7 + "b", "b" + "a" * 7]
    assert len(set(column(*values).sums.tolist())) == len(values)


def test_capitals_of_ascii_do_not_count_where_they_are_lowered() -> None:
    lowered = column("AbZ@[`{É", "abz@[`{É", "abz@[`{é", "ABZ").lowered.tolist()
    assert lowered[0] == lowered[1]
    assert len(set(lowered)) == 3
    assert len(set(column("[", "{", "@", "`", "Z", "z").lowered.tolist())) == 5
    assert column("", "").lowered.tolist() == [0, 0]


def test_distinct_values_and_their_rows() -> None:
    values = column("b", "a", "b", "", "a", "c")
    strings, sums = values.distinct(np.array([0, 1, 2, 4]))
    assert sorted(strings) == ["a", "b"]
    rows = {text: values.rows_of(sums[at : at + 1]).tolist() for at, text in enumerate(strings)}
    assert rows == {"a": [1, 4], "b": [0, 2]}
    assert values.rows_of(sums).tolist() == [0, 1, 2, 4]
    assert values.rows_of(sums[:0]).tolist() == []
    assert values.strings(np.array([5, 3])) == ["c", ""]


def test_the_checksum_of_a_row_depends_on_the_order_of_its_values() -> None:
    def sums(*rows: list[str]) -> list[int]:
        batch = Batch.of_rows(2, rows)
        return [int(one) for one in row_sums(len(rows), [Values(batch, 0), Values(batch, 1)])]

    assert len(set(sums(["a", "b"], ["b", "a"], ["a", ""], ["", "a"], ["", ""]))) == 5
    assert sums(["a", "b"]) == sums(["a", "b"], ["c" * 40, "d"])[:1]


# ---- what is known ------------------------------------------------------------------------------


def test_the_empty_value_is_always_known() -> None:
    known = Known()
    sums = sums_of_strings(["", "a", "b"])
    assert known.has(sums).tolist() == [True, False, False]
    known.add(sums[:2])
    assert known.has(sums).tolist() == [True, True, False]
    known.add(np.arange(1, 1 << 17, dtype=np.uint64))  # all in the place beside the empty one's
    assert known.has(sums[:1]).tolist() == [True]


def test_values_are_numbered_in_the_order_in_which_they_come() -> None:
    numbered = Numbered()
    assert numbered.of(column("", "")).tolist() == [0, 0]
    assert numbered.of(column("b", "b")).tolist() == [1, 1]
    later = numbered.of(column("c", "", "b", "a", "c")).tolist()
    assert [numbered.texts[number] for number in later] == ["c", "", "b", "a", "c"]
    assert len(numbered.texts) == 4
    assert (later[1], later[2]) == (0, 1)


@pytest.fixture
def index() -> IdIndex:
    """Return an index of two batches."""
    found = IdIndex()
    found.add(column("s1", "s2", ""), column("school", "district", "school"))
    found.add(column("s1", "s3"), column("other", "school"))
    return found


def test_an_id_is_found_by_its_exact_bytes(index: IdIndex) -> None:
    wanted = ["s1", "s1", "s3", "s2", "S1", "s1 ", " s1", "", "s4"]
    assert index.find(sums_of_strings(wanted)).tolist() == [0, 0, 4, 1, -1, -1, -1, -1, -1]
    assert index.has(["s3", "", "x"]) == [True, False, False]
    assert len(index) == 5


def test_an_id_has_a_type_that_of_its_first_row(index: IdIndex) -> None:
    assert [index.type_of(one) for one in ("s1", "s2", "s4", "")] == ["school", "district", "", ""]
    numbers = index.find(sums_of_strings(["s3", "s2"]))
    assert [index.types.texts[n] for n in index.type_numbers(numbers)] == ["school", "district"]
    assert index.types.texts[code_of(index, "district")] == "district"
    assert code_of(index, "state") == -1


def test_ids_may_come_after_a_question(index: IdIndex) -> None:
    assert not index.has(["s9"])[0]
    # Files are complete before others ask. A file that refers to itself asks at its end.
    empty = IdIndex()
    assert empty.find(sums_of_strings(["a", ""])).tolist() == [-1, -1]
    assert empty.type_of("a") == ""
    assert len(empty) == 0


# ---- rules for distinct values ------------------------------------------------------------------


def told(distinct: Distinct, *values: str) -> dict[str, list[int]]:
    """Return the rows that break each rule."""
    return {check.rule: rows.tolist() for check, rows in distinct.look(column(*values))}


def test_a_value_is_asked_about_once_while_it_is_good() -> None:
    asked: list[set[str]] = []

    def faulty(values: set[str]) -> set[str]:
        asked.append(set(values))
        return {value for value in values if value == "bad"}

    distinct = Distinct([ValueRule("value.enum", faulty)], None, str.strip)
    assert told(distinct, "a", "bad", "a", "", "bad") == {"value.enum": [1, 4]}
    assert told(distinct, "a", "bad", " a ", " ") == {"value.enum": [1]}
    assert told(distinct, "a", "", "a") == {}
    assert asked == [{"a", "bad"}, {"a", "bad"}]


def test_a_value_breaks_the_first_rule_only() -> None:
    checks = [ValueRule("value.enum", not_in(["a", "b"])), ValueRule("value.format", not_in(["a"]))]
    distinct = Distinct(checks, None, str.strip)
    assert told(distinct, "a", "b", "c") == {"value.enum": [2], "value.format": [1]}


def test_what_is_good_at_a_glance_is_not_asked_about() -> None:
    def never(_values: set[str]) -> set[str]:
        raise AssertionError

    digits = only(bytes_allowed("0123456789"), 3)
    assert digits(column("12", "", "1a", "1234", "é")).tolist() == [True, *[False] * 4]
    assert told(Distinct([ValueRule("value.enum", never)], digits, str.strip), "1", "22") == {}
    found = told(
        Distinct([ValueRule("value.enum", not_in(["x"]))], digits, str.strip), "1", "y", "x"
    )
    assert found == {"value.enum": [1]}


def test_one_item_is_enough_for_a_list() -> None:
    look = each_item(not_in(["a", "b"]))
    assert look({"a", "a,b", "a,c", ",a", "", "c"}) == {"a,c", "c"}


@pytest.mark.parametrize("value", ["", "NULL"])
def test_an_index_of_one_id_many_times_is_made_at_once(
    value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise work would grow with the square of the rows."""
    rounds, step = [], IdIndex._next

    def counted(self: IdIndex, slots: Indices) -> Indices:
        rounds.append(len(slots))
        return step(self, slots)

    monkeypatch.setattr(IdIndex, "_next", counted)
    index, many = IdIndex(), column(*[value] * 1000, "s1")
    index.add(many, None)
    assert index.find(many.sums[-2:]).tolist() == [0 if value else -1, 1000]
    assert len(rounds) < 10


def test_many_ids_are_found_and_no_others() -> None:
    index, own = IdIndex(), column(*map(str, range(3000)))
    index.add(own, None)
    assert index.find(own.sums).tolist() == list(range(3000))
    assert set(index.find(column(*map(str, range(3000, 6000))).sums).tolist()) == {-1}
