"""Configure all tests."""

from __future__ import annotations

import gc
import os

import pytest


def pytest_configure(config: pytest.Config) -> None:
    """Remove the width that pytest-xdist gives to its workers, which have no terminal."""
    if hasattr(config, "workerinput"):
        os.environ.pop("COLUMNS", None)


def pytest_collection_finish() -> None:
    """Exclude the tests and their imports from garbage collection.

    Otherwise each forked process would scan them again and again.
    """
    gc.collect()
    gc.freeze()
