"""Ansible action: ask a host for its report, and ignore everything else in its answer."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from ansible.plugins.action import ActionBase

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "scripts"))

from roster_fleet import report
from roster_upload.terminal.printable import printable

PLANNED = "planned"


class ActionModule(ActionBase):  # type: ignore[misc]  # Ansible carries no types
    """See the module's DOCUMENTATION."""

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return the host's `report` as text, and the feeds that are `planned` for it.

        A module's result can also set facts, statistics, warnings, and be of any size and depth.
        """
        result: dict[str, Any] = super().run(tmp, task_vars)
        asked = {key: value for key, value in self._task.args.items() if key != PLANNED}
        answer = self._execute_module(module_args=asked, task_vars=task_vars)
        found = answer.get("report")
        if isinstance(found, str) and not answer.get("failed"):
            # One character beyond the limit shows the reader that the report is too long.
            return result | {
                "changed": False,
                "report": found[: report.LONGEST_REPORT + 1],
                PLANNED: self._task.args.get(PLANNED),
            }
        texts = (answer.get(key) for key in ("msg", "module_stderr", "module_stdout"))
        reason = next(filter(None, texts), "")
        return result | {"failed": True, "msg": printable(str(reason), report.LONGEST_MESSAGE)}
