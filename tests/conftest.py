"""Configure all tests."""

from __future__ import annotations

import gc
import itertools
import os
from collections.abc import Generator

import pytest
from support import share


def pytest_configure(config: pytest.Config) -> None:
    """Remove the width that pytest-xdist gives to its workers, which have no terminal."""
    if hasattr(config, "workerinput"):
        os.environ.pop("COLUMNS", None)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Collect no garbage meanwhile, since nearly all that is made stays."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Select some cases of each test with TESTS=fast."""
    tests = itertools.groupby(items, key=lambda item: item.nodeid.partition("[")[0])
    kept = dict.fromkeys(item for _, cases in tests for item in share.some(cases))
    config.hook.pytest_deselected(items=[item for item in items if item not in kept])
    items[:] = kept


def pytest_collection_finish() -> None:
    """Exclude the tests and their imports from garbage collection.

    Otherwise each forked process would scan them again and again.
    """
    gc.collect()
    gc.freeze()
