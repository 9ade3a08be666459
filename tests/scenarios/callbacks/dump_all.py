"""Ansible callback for tests: write everything that a callback receives into the file DUMP."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: dump_all
type: aggregate
short_description: Writes all that a callback is given, for tests
description: [Writes all that a callback is given.]
"""


class CallbackModule(CallbackBase):  # type: ignore[misc]  # Ansible carries no types
    """See above."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "dump_all"
    CALLBACK_NEEDS_ENABLED = True

    def v2_playbook_on_task_start(self, task: Any, is_conditional: bool) -> None:
        """Write a task with its arguments."""
        self._write(task.name, task.args, task.vars)

    def v2_runner_on_ok(self, result: Any) -> None:
        """Write the result of a task."""
        self._write(result._task.name, result._result)

    v2_runner_on_failed = v2_runner_on_ok

    def _write(self, *parts: Any) -> None:
        with Path(os.environ["DUMP"]).open("a") as out:
            out.write(" ".join(map(str, parts)) + "\n")
