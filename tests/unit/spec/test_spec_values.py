"""Host keys, days and times of a configuration."""

from __future__ import annotations

import datetime as dt
import struct

import pytest
from roster_upload.spec.values import KEY_TYPES, in_window, parse_days, parse_host_key
from unit.test_config import BLOB, KEY, key_line


@pytest.mark.parametrize("line", [KEY, KEY + " comment", f"sftp.example.org,192.0.2.1 {KEY}"])
def test_a_host_key_is_read_from_either_kind_of_line(line: str) -> None:
    assert parse_host_key(line).blob == BLOB


def test_every_key_type_may_be_pinned() -> None:
    for kind in KEY_TYPES:
        line = f"{kind} " + key_line(struct.pack(">I", len(kind)) + kind.encode() + bytes(32))[12:]
        assert parse_host_key(line).kind == kind
        assert parse_host_key(f"sftp.example.org {line}").kind == kind
    shortest = BLOB[:36]
    assert parse_host_key(key_line(shortest)).blob == shortest


@pytest.mark.parametrize(
    ("text", "days", "told"),
    [
        ("2027-06-05..2027-06-07 summer", ["05", "06", "07"], "2027-06-05..2027-06-07 (summer)"),
        (" 2027-06-05 a day ", ["05"], "2027-06-05..2027-06-05 (a day)"),
        ("2027-06-05", ["05"], "2027-06-05..2027-06-05"),
        ("2027-06-04..2027-06-04", ["04"], "2027-06-04..2027-06-04"),
    ],
)
def test_both_ends_of_a_span_belong_to_it(text: str, days: list[str], told: str) -> None:
    made = parse_days(text)
    around = [f"{day:02}" for day in range(3, 10)]
    assert [day for day in around if dt.date.fromisoformat(f"2027-06-{day}") in made] == days
    assert str(made) == told


def test_a_window_across_midnight_has_both_its_parts() -> None:
    assert in_window("01:00", "23:00", "03:00")
    assert in_window("02:59", "23:00", "03:00")
    assert not in_window("03:00", "23:00", "03:00")
    assert not in_window("22:59", "23:00", "03:00")


@pytest.mark.parametrize(
    ("moment", "inside"),
    [("07:09", False), ("07:10", True), ("08:59", True), ("09:00", False), ("19:10", False)],
)
def test_a_window_opens_with_its_first_minute(moment: str, inside: bool) -> None:
    assert in_window(moment, "07:10", "09:00") is inside
