"""Facts about a connection: seconds of each phase, and the vendor's file."""

from __future__ import annotations

import contextlib

import pytest
from roster_upload.transfer.info import ConnectionInfo, Holds


def test_a_phase_adds_up_and_counts_if_it_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter([1.0, 3.0, 10.0, 10.5, 20.0, 24.0])
    monkeypatch.setattr("time.monotonic", lambda: next(times))
    facts = ConnectionInfo()
    with facts.phase("list"):
        pass
    with contextlib.suppress(OSError), facts.phase("list"):
        raise OSError
    with facts.phase("write"):
        pass
    assert facts.seconds == {"list": 2.5, "write": 4.0}


@pytest.mark.parametrize("holds", Holds)
def test_each_state_of_the_vendors_file_says_what_to_do(holds: Holds) -> None:
    assert ("Start the delivery again" in holds.words) is (holds is not Holds.OLD)
