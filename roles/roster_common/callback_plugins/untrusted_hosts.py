"""Ansible callback: keep hosts' answers from controlling the operator's terminal or the run."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ansible.plugins.action import ActionBase
from ansible.plugins.callback import CallbackBase

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "scripts"))

from roster_fleet import terminal

DOCUMENTATION = """
name: untrusted_hosts
type: aggregate
short_description: Keep hosts' answers from controlling the terminal or the run
description:
  - Whatever Ansible displays has no control characters but line ends and plain colours. Ansible
    itself prints names, messages, warnings and differences as a host has sent them.
  - A module's result cannot bring statistics of the run (C(ansible_stats)). Only the task
    C(set_stats) can. Those of a compromised host would add rows to the closing table, or end the
    run for all hosts.
author: The Roster Delivery authors
"""

STATISTICS = "ansible_stats"
PARSE = "_parse_returned_data"  # of actions: reads what a module has printed on a host


def without_statistics(parse: Callable[..., Any]) -> Callable[..., Any]:
    """Return a parser of modules' results that drops statistics of the run."""

    @functools.wraps(parse)
    def parsed(*args: Any, **options: Any) -> Any:
        result = parse(*args, **options)
        if isinstance(result, dict):
            result.pop(STATISTICS, None)
        else:  # ansible-core 2.21 or newer
            result.stats = None
        return result

    return parsed


class CallbackModule(CallbackBase):  # type: ignore[misc]  # Ansible carries no types
    """See DOCUMENTATION. Ansible has no setting for either, so both are set before the first task.

    It has no CALLBACK_NEEDS_ENABLED, so Ansible loads it from the folder.
    """

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "untrusted_hosts"

    def __init__(self) -> None:
        super().__init__()
        self._display.display = terminal.guarded(self._display.display)
        setattr(ActionBase, PARSE, without_statistics(getattr(ActionBase, PARSE)))
