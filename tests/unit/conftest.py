"""Configure Hypothesis for all tests: the same inputs each time, however slow the machine is."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from support import share
from support.stored import FINDING

# Neither a deadline nor `too_slow`: both measure time.
settings.register_profile(
    "whole",
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
settings.register_profile("fast", settings.get_profile("whole"), max_examples=share.of(60))
settings.load_profile("fast" if share.IS_FAST else "whole")


@pytest.fixture
def finding() -> dict[str, Any]:
    """Return a finding of a rule that this program knows."""
    from roster_upload.records.finding import rules  # noqa: PLC0415 - read where it is asked for

    return {**FINDING, "rule": next(iter(rules()))}
