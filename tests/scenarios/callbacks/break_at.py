"""Ansible callback for tests: end a run like a power cut, or spoil a file, at a given task.

BREAK_AT is a task's name and BREAK_WHEN `before` or `after`. RECORD is a file that gets the name of
each task that starts.

With SPOIL, a file, the run goes on, but that file is unencrypted. With REACHED and GO_ON, it makes
the one file and waits for the other.
"""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: break_at
type: aggregate
short_description: Ends a run in the middle, for tests
description: [Ends a run in the middle.]
"""


class CallbackModule(CallbackBase):  # type: ignore[misc]  # Ansible carries no types
    """See above."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "break_at"
    CALLBACK_NEEDS_ENABLED = True

    def v2_playbook_on_task_start(self, task: Any, is_conditional: bool) -> None:
        """Record a task, and end before it."""
        if path := os.environ.get("RECORD"):
            with Path(path).open("a") as out:
                out.write(task.name + "\n")
        self._break(task, "before")

    def v2_runner_on_ok(self, result: Any) -> None:
        """End after a task."""
        self._break(result._task, "after")

    def _break(self, task: Any, when: str) -> None:
        if (task.name, when) == (os.environ.get("BREAK_AT"), os.environ.get("BREAK_WHEN")):
            if spoilt := os.environ.get("SPOIL"):
                Path(spoilt).write_text("in the clear")
            elif reached := os.environ.get("REACHED"):
                Path(reached).touch()
                while not Path(os.environ["GO_ON"]).exists():
                    time.sleep(0.05)
            else:
                os.kill(os.getpid(), signal.SIGKILL)
