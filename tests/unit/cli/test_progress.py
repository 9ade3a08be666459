"""How far a transfer is."""

from __future__ import annotations

from pathlib import Path

import pytest
from roster_upload.cli import progress


def test_who_started_a_unit_sees_how_far_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[int, int]] = []
    path = tmp_path / "maple-grove.progress"
    path.write_text("9 10")  # of the night before
    told = iter([None, (100, 400), (300, 400), (400, 400)])
    left = progress.ProgressFile(path)

    def is_over() -> object:
        step = next(told, "over")
        if isinstance(step, tuple):
            left(*step)
        return "over" if step == "over" else None

    class Bar(progress.Progress):
        def __call__(self, done: int, size: int) -> None:
            seen.append((done, size))
            super().__call__(done, size)

    monkeypatch.setattr(progress, "Progress", Bar)
    monkeypatch.setattr(progress, "LOOK_SECONDS", 0.01)
    progress.follow("maple-grove", path, is_over)
    assert seen == [(100, 400), (300, 400)]
    monkeypatch.setattr(left, "_path", tmp_path / "no" / "such")
    left(400, 400)  # harms nobody
