"""Configure Hypothesis for all tests: the same inputs each time, however slow the machine is."""

from __future__ import annotations

from hypothesis import HealthCheck, settings
from support import share

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
