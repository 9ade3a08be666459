"""A delivery's steps that need no server."""

from __future__ import annotations

import datetime as dt
import os
import signal
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from roster_upload import cli, config, delivery
from roster_upload.exits import Exit
from roster_upload.ledger import Ledger
from unit.test_config import GOOD


@pytest.fixture
def _handlers() -> Iterator[None]:
    """The signals' handlers are put back."""
    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    before = [signal.getsignal(number) for number in numbers]
    yield
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)


@pytest.mark.usefixtures("_handlers")
def test_a_signal_does_not_cost_a_receipt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    append = Ledger.append

    def interrupted(self: Ledger, receipt: Mapping[str, Any]) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        append(self, receipt)

    monkeypatch.setattr(Ledger, "append", interrupted)
    options = [f"--config-dir={tmp_path}", f"--state-dir={tmp_path}"]
    assert cli.main([*options, "send", "maple-grove"]) == Exit.CONFIG
    receipts = Ledger(tmp_path / "maple-grove").receipts()
    assert [receipt["exit_code"] for receipt in receipts] == [Exit.CONFIG]


@pytest.mark.parametrize(
    ("now", "window", "night", "in_window", "left"),
    [
        ("2026-11-01 07:09", ("07:10", "09:00"), "2026-11-01", False, 111),
        ("2026-11-01 07:10", ("07:10", "09:00"), "2026-11-01", True, 110),
        ("2026-11-01 08:59", ("07:10", "09:00"), "2026-11-01", True, 1),
        ("2026-11-01 09:00", ("07:10", "09:00"), "2026-11-02", False, 1440),
        ("2026-12-31 23:30", ("23:00", "03:00"), "2027-01-01", True, 210),
        ("2027-01-01 02:00", ("23:00", "03:00"), "2027-01-01", True, 60),
        ("2027-01-01 12:00", ("23:00", "03:00"), "2027-01-02", False, 900),
    ],
)
def test_the_night_of_a_moment(
    now: str, window: tuple[str, str], night: str, in_window: bool, left: int
) -> None:
    feed = config.parse({**GOOD, "window_start": window[0], "deadline": window[1]})
    moment = dt.datetime.fromisoformat(now).replace(tzinfo=dt.UTC)
    found = delivery.Night.of(feed, moment)
    assert found.deadline.date().isoformat() == night
    assert (found.in_window, found.minutes_to_deadline) == (in_window, left)
