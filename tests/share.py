"""How many invented inputs a test tries: all, or a tenth where the environment says TESTS=fast."""

from __future__ import annotations

import os

IS_FAST = os.environ.get("TESTS") == "fast"


def of(count: int) -> int:
    """Return how many of `count` inputs this run tries."""
    return max(count // 10, 1) if IS_FAST else count
