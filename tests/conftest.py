"""Configure all tests."""

from __future__ import annotations

import gc


def pytest_collection_finish() -> None:
    """Exclude the tests and their imports from garbage collection.

    Otherwise each forked process would scan them again and again.
    """
    gc.collect()
    gc.freeze()
