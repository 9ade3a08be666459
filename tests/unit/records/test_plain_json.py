"""Any value becomes JSON."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

from hypothesis import given
from roster_upload.records.plain_json import plain
from roster_upload.terminal.printable import path_text
from support.values import JSON, Awkward, Colour


@given(JSON)
def test_what_json_can_say_in_printable_text_stays_as_it_is(value: Any) -> None:
    assert plain(value) == value


def test_what_json_cannot_say_becomes_text() -> None:
    deep: list[Any] = []
    for _ in range(5000):
        deep = [deep]
    loop: dict[str, Any] = {}
    loop["again"] = loop
    for value in (deep, loop):
        assert json.loads(json.dumps(plain(value)))
    assert plain({"path": Path("/srv/Gr\udcfc\udcdfe")}) == {"path": "/srv/Gr\\xfc\\xdfe"}
    assert plain(float("nan")) == "nan"
    assert plain(10**5000) == "a number of 16610 bits"
    assert plain([Colour.RED, b"\xff", "\ud800", {1: None}]) == [3, "\\xff", "\\ud800", {"1": None}]
    assert plain(Awkward()) == "<Awkward>"
    assert plain(dt.date(2026, 11, 1)) == "2026-11-01"
    assert path_text(Path("/srv/Größe\x1b")) == "/srv/Größe\\x1b"
