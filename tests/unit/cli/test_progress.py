"""The steps of a command, shown on a terminal and as plain lines."""

from __future__ import annotations

import io
import os
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.cells import cell_len
from rich.console import Console
from roster_upload.cli import progress
from roster_upload.delivery.steps import Step, StepFile

CONTROLS = "\x1b"


def screen(width: int) -> Console:
    return Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None)


def shown_on(console: Console) -> str:
    text: str = console.file.getvalue()  # type: ignore[attr-defined]
    return text


@pytest.mark.parametrize("width", [80, 100, 160])
@pytest.mark.parametrize("feed", ["ash", "consolidated-district-of-the-upper-valley-no-12"])
def test_a_terminal_shows_each_step_and_the_first_byte(width: int, feed: str) -> None:
    console = screen(width)
    bar = progress.Bar(feed, "America/Denver", console)
    bar.begin("settle", 600)
    assert "waiting until the export is written" in " ".join(shown_on(console).split())
    bar.begin("validate")
    bar(0, 123_456_789)
    assert "0.0/123.5 MB" in shown_on(console), "before any answer"
    bar(61_728_394, 123_456_789)
    bar.close()
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown_on(console))
    assert max(cell_len(line) for line in re.split(r"[\r\n]", plain)) <= width
    assert feed[:20] in plain
    bar.close()  # twice harms nobody


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[float]]:
    now = [1_000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    monkeypatch.setattr(time, "time", lambda: now[0])
    return now  # type: ignore[return-value]


def test_without_a_terminal_a_step_is_a_plain_line(
    clock: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    lines = progress.Lines("ash")
    lines.show(Step("settle", 1_000.0, 1_795_770_000))
    assert capsys.readouterr().err == "", "a quick command writes none"
    for seconds in range(1, 70):
        clock[0] = 1_000.0 + seconds
        lines.look()
    told = capsys.readouterr().err.splitlines()
    words = "ash: waiting until the export is written"
    assert told == [f"{words}, {s} s, until 09:00 UTC" for s in (2, 32, 62)]
    lines.show(Step("guard", clock[0]))
    clock[0] += 2
    lines.look()
    assert capsys.readouterr().err == "ash: comparing with the last accepted package, 2 s\n"
    assert CONTROLS not in "".join(told)


def test_a_command_that_is_busy_itself_is_not_silent(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "FIRST_SECONDS", 0.05)
    monkeypatch.setattr(progress, "LOOK_SECONDS", 0.01)
    with progress.shown("ash", name="validate") as steps:
        deadline = time.monotonic() + 5
        while "validating" not in (told := capsys.readouterr().err):
            assert time.monotonic() < deadline
            time.sleep(0.01)
    assert told.startswith("ash: validating the package, ")
    assert steps.at
    with progress.shown("ash", name="validate"):
        pass
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("term", ["dumb", "unknown", "", None])
def test_a_terminal_that_takes_only_lines_gets_lines(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, term: str | None
) -> None:
    """A bar would show nothing there, and leave empty lines."""
    monkeypatch.delenv("TERM", raising=False)
    if term is not None:
        monkeypatch.setenv("TERM", term)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    with progress.shown("ash", name="validate") as steps:
        assert isinstance(steps, progress.Lines)
    assert capsys.readouterr().err == ""


def test_without_a_size_there_is_no_bar() -> None:
    """A rehearsal writes only a small file, as a test."""
    console = screen(80)
    bar = progress.Bar("ash", "", console)
    bar.begin("write")
    bar.close()
    assert "writing to the server, 0 s" in shown_on(console)
    assert "bytes" not in shown_on(console)


def test_who_started_a_unit_sees_how_far_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[str, int, int]] = []
    path = tmp_path / "progress"
    path.write_text(Step("write", 1, done=9, size=10).to_json())  # of the night before
    os.utime(path, (1, 1))
    left = StepFile(path)
    told = iter([None, (0, 400), (100, 400), None, (400, 400)])

    def is_over() -> object:
        step = next(told, "over")
        if isinstance(step, tuple):
            left(*step)
            left._written = 0  # as if some time had gone by
        return "over" if step == "over" else None

    class Quiet(progress.Bar):
        def show(self, step: Step) -> None:
            seen.append((step.name, step.done, step.size))

    monkeypatch.setattr(progress, "Bar", Quiet)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(progress, "LOOK_SECONDS", 0.01)
    progress.follow("maple-grove", path, is_over)
    assert seen == [("write", 0, 400), ("write", 100, 400), ("write", 400, 400)]


def test_a_run_that_began_earlier_is_shown_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    monkeypatch.setattr(progress.Lines, "show", lambda _lines, step: seen.append(step.name))
    monkeypatch.setattr(progress, "LOOK_SECONDS", 0.01)
    path = tmp_path / "progress"
    path.write_text(Step("settle", 1).to_json())
    os.utime(path, (1, 1))
    for since, names in ((0, {"settle"}), (None, set())):
        looks = iter([None, None, "over"])
        progress.follow("ash", path, lambda: next(looks), since=since)  # noqa: B023
        assert set(seen) == names
        seen.clear()


def test_a_unit_that_writes_no_step_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    monkeypatch.setattr(progress.Lines, "show", lambda _lines, step: seen.append(step.name))
    monkeypatch.setattr(progress, "LOOK_SECONDS", 0.01)
    monkeypatch.setattr(progress, "FIRST_SECONDS", 0.0)
    looks = iter([None, "over"])
    progress.follow("ash", tmp_path / "progress", lambda: next(looks))
    assert seen == ["unit"]
