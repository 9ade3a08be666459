"""The watch's memory: what is unreadable is empty, and it is for its owner alone."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from roster_fleet.watch import state
from roster_fleet.watch.state import State

KEPT = State(
    "2026-11-24T09:15:00Z",
    {"host/elm": {"night": "2026-11-24", "title": "Elm"}},
    ("why",),
    "2026-11-23",
    ("/a",),
)


def test_it_is_read_back(tmp_path: Path) -> None:
    folder = tmp_path / "build" / "mine"
    state.save(folder, KEPT)
    assert state.load(folder) == KEPT
    assert (folder / state.FILE).stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ran", "yesterday"), ("ran", "2026-11-24T09:15:00"), ("ran", 1), ("told", ["host/elm"]),
        ("told", {"host/elm": "red"}), ("told", {"host/elm": {"night": "2026-11-24"}}),
        ("troubles", None),
    ],
)  # fmt: skip
def test_a_wrong_value_is_no_crash_of_each_run(name: str, value: Any, tmp_path: Path) -> None:
    (tmp_path / state.FILE).write_text(json.dumps(asdict(KEPT) | {name: value}))
    assert state.load(tmp_path) == State()


@pytest.mark.parametrize("text", [None, "", "[]", "{", '{"ran": ""}', '{"told": 1}', "3"])
def test_what_cannot_be_read_is_empty(text: str | None, tmp_path: Path) -> None:
    if text is not None:
        (tmp_path / state.FILE).write_text(text)
    assert state.load(tmp_path) == State()
