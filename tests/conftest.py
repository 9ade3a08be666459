"""What all tests pay for."""

from __future__ import annotations

import gc


def pytest_collection_finish() -> None:
    """Let the collector leave alone what stays: the tests themselves, and what they import.

    Otherwise it looks through all of it again and again, as each forked process does.
    """
    gc.collect()
    gc.freeze()
