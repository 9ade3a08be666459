"""Calls that may wait for ever end with the time."""

from __future__ import annotations

import errno
import threading

import pytest
from roster_upload.host.patience import answered
from support import waiting


def test_a_result_or_an_error_comes_through() -> None:
    assert answered(lambda: 7) == 7
    assert answered(lambda: None) is None
    with pytest.raises(FileNotFoundError):
        answered(lambda: open("/nonexistent"))  # noqa: PTH123, SIM115


def test_a_call_without_an_answer_times_out() -> None:
    gate = threading.Event()
    with pytest.raises(TimeoutError) as failed:
        answered(lambda: gate.wait(waiting.HANG_SECONDS), seconds=0.01)
    gate.set()
    assert failed.value.errno == errno.ETIMEDOUT
    assert failed.value.strerror == "no answer within 0.01 s"
