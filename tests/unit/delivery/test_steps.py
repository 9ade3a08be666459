"""The step of a delivery in a file, which a feed's account could have written."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from roster_upload.delivery.steps import LONGEST, WORDS, Step, StepFile, Steps

UNTIL = 1_795_770_000.0  # 2026-11-27T09:00:00Z


@pytest.mark.parametrize("name", WORDS)
def test_a_step_is_read_as_it_was_written(name: str) -> None:
    step = Step(name, 1_795_766_400.5, UNTIL, 1 << 39, 1 << 40)
    assert len(step.to_json()) <= LONGEST
    assert Step.parse(step.to_json().encode()) == step


@pytest.mark.parametrize(
    ("step", "text"),
    [
        (Step("validate", 0), "validating the package, 12 s"),
        (
            Step("settle", 0, UNTIL),
            "waiting until the export is written, 12 s, until 09:00 UTC (02:00 MST)",
        ),
        (Step("write", 0, done=500, size=2_000), "sending, 12 s, 25% of 2,000 bytes"),
        (Step("verify", 0, done=9, size=9), "verifying the new file, 12 s, 100% of 9 bytes"),
    ],
)
def test_a_step_has_words_for_people(step: Step, text: str) -> None:
    assert step.text(12.3, "America/Denver") == text


GOOD = json.loads(Step("write", 1, 2, 3, 4).to_json())


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1 9",  # of release 0.2
        "[]",
        "null",
        "[" * 200,
        json.dumps({**GOOD, "name": "\x1b[2J"}),
        json.dumps({**GOOD, "name": ["write"]}),
        json.dumps({**GOOD, "done": -1}),
        json.dumps({**GOOD, "since": True}),
        json.dumps({**GOOD, "until": 1e300}),
        json.dumps({**GOOD, "size": "9"}),
        json.dumps({**GOOD, "until": float("nan")}),
        json.dumps({key: GOOD[key] for key in GOOD if key != "done"}),
        json.dumps({**GOOD, "more": "x" * LONGEST}),
    ],
)
def test_what_makes_no_sense_is_no_step(text: str) -> None:
    assert Step.parse(text) is None
    assert Step.parse(text.encode()) is None


def test_more_bytes_than_there_are_is_all_of_them() -> None:
    step = Step.parse(json.dumps({**GOOD, "done": 99}))
    assert step
    assert (step.done, step.size) == (4, 4)


class Seen(Steps):
    """Steps that keep what they would show."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[str, int, int]] = []

    def show(self, step: Step) -> None:
        self.seen.append((step.name, step.done, step.size))


def test_the_steps_of_a_transfer() -> None:
    seen = Seen()
    for name in ("settle", "close", "tcp"):
        seen.begin(name)
    seen(0, 100)
    seen(60, 100)
    seen(100, 100)
    seen.begin("rename")
    assert seen.seen == [
        ("settle", 0, 0),
        ("tcp", 0, 0),
        ("write", 0, 100),
        ("write", 60, 100),
        ("write", 100, 100),
        ("rename", 100, 100),
    ]


def test_a_file_has_each_step_at_once_but_not_each_byte(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "monotonic", lambda: 1_000.0)
    path = tmp_path / "progress"
    left = StepFile(path)

    def now() -> tuple[str, int]:
        step = Step.parse(path.read_bytes())
        assert step
        return step.name, step.done

    left.begin("settle", 60)
    settle = Step.parse(path.read_bytes())
    assert settle
    assert settle.until - settle.since == pytest.approx(60, abs=2)
    left.begin("guard")
    assert now() == ("guard", 0)
    left(0, 400)
    assert now() == ("write", 0)
    left(300, 400)
    assert now() == ("write", 0), "a moment later"
    left(400, 400)
    assert now() == ("write", 400)
    gone = StepFile(tmp_path / "no" / "such")
    gone(400, 400)  # harms nobody
