"""The file of a baseline: saved, loaded, of an earlier version, damaged."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from roster_upload.guard import hashing
from roster_upload.guard.baseline import Baseline
from roster_upload.guard.calendar import ALWAYS, Calendar, Session
from support import rosters
from unit.guard.test_calendar import AUTUMN, SPRING
from unit.guard.test_hashing import KEY, hashes
from unit.guard.test_record_sets import numbers, record_set, rows_of

# ---- its file -----------------------------------------------------------------------------------

SAVED = Baseline(
    {
        "users.student": record_set(
            (1, 10, 1, 0, True, False, [1, 2]), (2, 20, 0, 1, False, True, [3, 4])
        ),
        "classes": record_set((7, 70, 2, 2, True, False, [])),
    },
    ["", "a", "b,c"],
    [ALWAYS, Calendar("2026-08-17", "", (AUTUMN, SPRING)), Calendar("", "2026-12-01", ())],
    {"users": 2, "classes": 1},
    {"users": {"email": 2}},
    {"users": "delta"},
    (hashes(7, 8), numbers(1, 2), numbers(30, 1)),
    {"users.email": 3},
    [Session("term", "2026-08-17", "2026-12-18", True)],
    "2026-11-01",
)


def test_a_baseline_comes_back_from_its_file(tmp_path: Path) -> None:
    """A package's statements about its changes are valid for one night, and are not stored."""
    path = tmp_path / "baseline.npz"
    SAVED.save(path, KEY)
    again = Baseline.load(path, KEY)
    assert {name: rows_of(records) for name, records in again.records.items()} == {
        "users.student": [
            (1, 10, 1, 0, True, False, [1, 2]),
            (2, 20, 0, 1, False, False, [3, 4]),
        ],
        "classes": [(7, 70, 2, 2, True, False, [])],
    }
    for name in ("schools", "calendars", "rows", "filled", "duplicates", "sessions", "night"):
        assert getattr(again, name) == getattr(SAVED, name), name
    assert [array.tolist() for array in again.crowds] == [[7, 8], [1, 2], [30, 1]]
    assert [array.dtype for array in again.crowds] == [np.uint64, np.uint32, np.uint32]
    assert (again.modes, again.is_incremental, again.has_tags) == ({}, False, True)
    assert SAVED.is_incremental


def test_whether_contents_are_known_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "baseline.npz"
    Baseline(has_tags=False).save(path, KEY)
    assert not Baseline.load(path, KEY).has_tags


@pytest.mark.parametrize(
    ("facts", "is_incremental"),
    [
        ({}, False),
        ({"modes": {"users": "bulk", "orgs": "bulk"}}, False),
        ({"modes": {"users": "bulk", "orgs": "delta"}}, True),
        ({"is_unchanged": True}, True),
    ],
)
def test_what_is_not_in_a_package_may_stay(facts: dict[str, Any], is_incremental: bool) -> None:
    assert Baseline(**facts).is_incremental is is_incremental


def test_an_empty_baseline_knows_nothing() -> None:
    empty = Baseline()
    assert (empty.records, empty.schools, empty.calendars, empty.rows) == ({}, [""], [ALWAYS], {})
    assert [len(array) for array in empty.crowds] == [0, 0, 0]
    assert (empty.night, empty.has_tags, empty.is_unchanged) == ("", True, False)


def first_version(path: Path, **changes: Any) -> None:
    """Write a file as the first version did."""
    facts = {
        "v": 1,
        "key": hashing.mark(KEY),
        "kinds": ["users.student", "enrollments"],
        "places": ["", "a"],
        "rows": {"users": 2, "enrollments": 1},
        "filled": {"users": {"email": 2}},
    }
    parts = {
        "0.ids": hashes(1, 2),
        "0.tags": hashes(10, 20),
        "0.places": numbers(1, 0),
        "1.ids": hashes(7),
        "1.tags": hashes(70),
        "1.places": numbers(1),
    }
    np.savez(
        path,
        told=np.frombuffer(json.dumps(facts).encode(), np.uint8),
        **{**parts, **changes},
    )


def test_a_file_of_the_first_version_is_read(tmp_path: Path) -> None:
    path = tmp_path / "census.npz"
    first_version(path)
    found = Baseline.load(path, KEY)
    assert {name: rows_of(records) for name, records in found.records.items()} == {
        "users.student": [(1, 10, 1, 0, True, False, []), (2, 20, 0, 0, True, False, [])],
        "enrollments": [(7, 70, 1, 0, True, False, [])],
    }
    assert (found.schools, found.calendars) == (["", "a"], [ALWAYS])
    assert (found.rows, found.filled) == (
        {"users": 2, "enrollments": 1},
        {"users": {"email": 2}},
    )
    assert (found.has_tags, found.night, found.modes) == (False, "", {})


@pytest.mark.parametrize(
    "changes",
    [
        {"0.places": numbers(1, 2)},
        {"0.places": numbers(1)},
        {"0.tags": hashes(1, 2, 3)},
        {"0.ids": numbers(1, 2)},
        {"1.places": hashes(0)},
    ],
)
def test_a_damaged_file_of_the_first_version_is_named(
    tmp_path: Path, changes: dict[str, Any]
) -> None:
    first_version(tmp_path / "census.npz", **changes)
    with pytest.raises(ValueError, match="is damaged"):
        Baseline.load(tmp_path / "census.npz", KEY)


def altered(**changes: Any) -> Callable[[dict[str, Any]], None]:
    """Change a value of a file. None removes it."""

    def change(parts: dict[str, Any]) -> None:
        told = {**json.loads(parts["told"].tobytes()), **changes}
        kept = {name: value for name, value in told.items() if value is not None}
        parts["told"] = np.frombuffer(json.dumps(kept).encode(), np.uint8)

    return change


def array(name: str, value: Any) -> Callable[[dict[str, Any]], None]:
    return lambda parts: parts.update({name: value})


VERSION, OTHER_KEY = (
    "was written by another version of the program",
    "was written with another key. Was the host set up again?",
)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (altered(v=0), VERSION),
        (altered(v=3), VERSION),
        (altered(v=None), "is damaged (KeyError)"),
        (altered(key="0" * 16), OTHER_KEY),
        (altered(key=None), "is damaged (KeyError)"),
        (altered(kinds=["a", "b", "c"]), "is damaged"),
        (altered(kinds=None), "is damaged (KeyError)"),
        (altered(kinds=1), "is damaged (TypeError)"),
        *((altered(**{name: None}), "is damaged (KeyError)") for name in (
            "schools", "calendars", "rows", "filled", "duplicates", "sessions", "night", "has_tags",
        )),
        (altered(schools=["", "a"]), "is damaged (IndexError)"),
        (altered(calendars=[["", "", None]] * 2), "is damaged (IndexError)"),
        (altered(calendars=[["", ""]]), "is damaged"),
        (altered(sessions=[["term"]]), "is damaged (TypeError)"),
        (lambda parts: parts.pop("told"), "is damaged (KeyError)"),
        (lambda parts: parts.pop("0.ids"), "is damaged"),
        (lambda parts: parts.pop("1.tags"), "is damaged"),
        (lambda parts: parts.pop("0.when"), "is damaged"),
        (lambda parts: parts.pop("0.identity"), "is damaged"),
        (lambda parts: parts.pop("crowds.when"), "is damaged"),
        (array("crowds.when", numbers(1, 3)), "is damaged (IndexError)"),
        (array("0.when", numbers(0, 3)), "is damaged (IndexError)"),
        (array("0.schools", numbers(3, 0)), "is damaged (IndexError)"),
        (array("0.tags", hashes(1)), "is damaged (IndexError)"),
        (array("0.tags", hashes(1, 2).astype(np.float64)), "is damaged (TypeError)"),
        (array("0.identity", numbers(1, 2)), "is damaged (IndexError)"),
        (array("0.identity", numbers(1, 2).reshape(1, 2)), "is damaged (IndexError)"),
        (array("0.present", numbers(1, 0)), "is damaged (TypeError)"),
        (array("told", np.zeros(3, np.uint8)), "is damaged"),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_used_is_named(
    tmp_path: Path, change: Callable[[dict[str, Any]], Any], told: str
) -> None:
    path = tmp_path / "baseline.npz"
    SAVED.save(path, KEY)
    with np.load(path) as stored:
        parts = {name: stored[name] for name in stored.files}
    change(parts)
    np.savez(path, **parts)
    with pytest.raises(ValueError, match=re.escape(f"{path} {told}")):
        Baseline.load(path, KEY)


def test_another_key_reads_no_file(tmp_path: Path) -> None:
    path = tmp_path / "baseline.npz"
    SAVED.save(path, KEY)
    with pytest.raises(ValueError, match="was written with another key"):
        Baseline.load(path, b"o" * 32)
    with pytest.raises(FileNotFoundError):
        Baseline.load(tmp_path / "none.npz", KEY)


def header(shape: str) -> bytes:
    """Return a numpy array's header, without the array."""
    text = f"{{'descr': '<u8', 'fortran_order': False, 'shape': ({shape},), }}\n".encode()
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


@pytest.mark.parametrize("content", [b"", b"PK", "half", header(str(10**15)), header(str(2**65))])
def test_a_damaged_file_is_named(tmp_path: Path, content: bytes | str) -> None:
    path = tmp_path / "baseline.npz"
    SAVED.save(path, KEY)
    whole = path.read_bytes()
    if isinstance(content, str):
        content = whole[: len(whole) // 2]
    elif content.startswith(b"\x93"):
        content = rosters.to_zip([("told.npy", content)])
    path.write_bytes(content)
    with pytest.raises(ValueError, match="is damaged"):
        Baseline.load(path, KEY)


class Planted:
    """An object that acts as soon as it is read."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def test_nothing_of_a_file_is_run(tmp_path: Path) -> None:
    path, trace = tmp_path / "baseline.npz", tmp_path / "trace"
    out = io.BytesIO()
    np.savez(out, told=np.array([Planted(trace)], dtype=object))
    path.write_bytes(out.getvalue())
    with pytest.raises(ValueError, match="is damaged"):
        Baseline.load(path, KEY)
    assert not trace.exists()
