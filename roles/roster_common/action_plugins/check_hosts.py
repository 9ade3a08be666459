"""Ansible action: find the hosts whose variables are not surely right, among thousands."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ansible import constants
from ansible.playbook.play_context import PlayContext
from ansible.plugins.action import ActionBase
from ansible.utils.vars import load_extra_vars

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "scripts"))

from roster_fleet import resolving, roles
from roster_fleet.check import hosts

DOCUMENTATION = r"""
module: check_hosts
short_description: Find the hosts whose variables are surely right, and the others
description:
  - Runs once, on the control node, and connects to no host.
  - Evaluates the tasks that check one host for all hosts of a group within C(--limit). It runs no
    task. So a host takes milliseconds instead of a second.
  - Returns the names of the other hosts as C(doubtful). On these the tasks must run, so that they
    show their messages. If many hosts are doubtful, it returns the first ones, and the number of
    the others as C(more).
  - Returns all C(hosts), and the C(rows) of those that are right, for the closing table. There are
    rows if the tags of the run select the task that sets C(fleet_report).
options:
  group:
    description: The group of the hosts.
    type: str
    required: true
  tasks:
    description:
      - The file of tasks, in the folder of the playbook. It may hold C(import_role) with
        C(tasks_from) C(validate), and C(set_stats).
    type: str
    required: true
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
author: The Roster Delivery authors
"""


class ActionModule(ActionBase):  # type: ignore[misc]  # Ansible carries no types
    """See DOCUMENTATION."""

    _requires_connection = False

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return Ansible's result, with the names of the doubtful hosts."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        task_vars = task_vars or {}
        _, args = self.validate_argument_spec(
            argument_spec={
                "group": {"type": "str", "required": True},
                "tasks": {"type": "str", "required": True},
            }
        )
        tasks = self.tasks(Path(task_vars["playbook_dir"], args["tasks"]), task_vars)
        manager = task_vars["hostvars"]._inventory
        members = manager.get_hosts(args["group"], ignore_restrictions=True)
        found = hosts.judge(self.fleet(tasks, task_vars), tasks, members)
        return result | {
            "changed": False,
            "warnings": found.warnings,
            "doubtful": found.doubtful[: hosts.MOST],
            "more": found.more,
            "hosts": [host.name for host in members],
            "rows": found.rows,
        }

    def tasks(self, path: Path, task_vars: Mapping[str, Any]) -> list[Mapping[str, Any]]:
        """Return the tasks of a file that the tags of the run select."""
        only, skipped = task_vars["ansible_run_tags"], task_vars["ansible_skip_tags"]
        tasks = roles.content(path, self._loader)
        return [task for task in tasks if hosts.is_selected(task.get("tags", ()), only, skipped)]

    def fleet(
        self, tasks: Sequence[Mapping[str, Any]], task_vars: Mapping[str, Any]
    ) -> resolving.Fleet:
        """Return what resolves the variables of hosts."""
        hostvars = task_vars["hostvars"]
        used = roles.with_dependencies(hosts.roles_of(tasks), self._loader)
        extra = {**load_extra_vars(self._loader), "hostvars": hostvars}
        # The variables of the play are those of a playbook that imports this one.
        given = {**self._task._parent._play.vars, **hosts.given(tasks)}
        return resolving.Fleet(
            self._loader, hostvars._variable_manager, used, given, extra, self.connection()
        )

    def connection(self) -> dict[str, Any]:
        """Return the settings of connections from the command and ansible.cfg, not of a host."""
        found = PlayContext().set_task_and_variable_override(self._task, {}, self._templar)
        return {name: getattr(found, name, None) for name in constants.MAGIC_VARIABLE_MAPPING}
