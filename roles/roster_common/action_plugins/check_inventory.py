"""Ansible action: refuse wrong options of a playbook, and mistakes in the whole inventory."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleError
from ansible.plugins.action import ActionBase
from ansible.plugins.loader import filter_loader
from ansible.template import Templar, trust_as_template
from ansible.utils.vars import load_extra_vars

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "scripts"))

from roster_fleet import roles
from roster_fleet.check import files, names, readable, targets, values
from roster_fleet.check.known import Known, known

NUMBER = re.compile(r"(\d+)")
DOCUMENTATION = r"""
module: check_inventory
short_description: Check a playbook's options, and names, values and destinations of an inventory
description:
  - It is one action, since each task of a run costs the control node as much as it does.
  - Runs once, on the control node, and connects to no host. It reads the inventory as it is
    written, so its messages name the file and the line.
  - Refuses misspelt and old names of variables, values that YAML reads otherwise, and feeds of
    different hosts that deliver to the same file.
  - Problems of hosts outside of C(--limit) are warnings.
  - If that is in order, it refuses old names and wrong values of the playbook's own variables.
options:
  playbook:
    description: The playbook whose variables are checked, as a key of O(options).
    type: str
    required: true
  options:
    description:
      - A file beside the task's own, with C(playbook_options), the variables of the playbooks as
        argument specifications by playbook, and C(inventory_facts), the facts of the fleet as one.
      - C(playbook_renamed) maps old names of the playbooks' variables to new ones.
      - The action reads it, since Ansible would copy it for each look at a variable.
    type: str
    required: true
  destinations:
    description: Whether feeds that deliver to the same file are refused, or are warnings.
    type: bool
    default: true
  only_extra:
    description: Whether only the variables of C(-e) and of the playbook are checked.
    type: bool
    default: false
  hosts:
    description:
      - The options of M(check_hosts), if it shall judge the hosts' variables after that. Its result
        is then a part of this one.
    type: dict
    default: {}
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
author: The Roster Delivery authors
"""


class ActionModule(ActionBase):  # type: ignore[misc]  # Ansible carries no types
    """See DOCUMENTATION."""

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return Ansible's result, which fails with all problems."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        task_vars = task_vars or {}
        _, args = self.validate_argument_spec(
            argument_spec={
                "playbook": {"type": "str", "required": True},
                "options": {"type": "str", "required": True},
                "destinations": {"type": "bool", "default": True},
                "only_extra": {"type": "bool", "default": False},
                "hosts": {"type": "dict", "default": {}},
            }
        )
        declared = roles.content(Path(self._find_needle("vars", args["options"])), self._loader)
        options = declared["playbook_options"]
        ours = known(declared["inventory_facts"], options, self._loader)
        found = [
            files.Problem(text, frozenset())
            for text in names.Names(ours).given(load_extra_vars(self._loader))
        ]
        shared: list[files.Problem] = []
        if not args["only_extra"]:
            found += written_problems(ours, task_vars)
            shared = self.shared_destinations(task_vars)
        limited = hosts_within_limit(task_vars)
        stops = found + shared if args["destinations"] else found
        warnings = readable.others(found + shared, limited)
        if not args["destinations"]:
            warnings += readable.blocking(shared, limited)
        texts = readable.blocking(stops, limited)
        if not args["only_extra"]:
            warnings += written(task_vars).unused()
        result |= {"changed": False, "warnings": warnings}
        if texts := texts or old_names(declared["playbook_renamed"], task_vars):
            return result | {"failed": True, "msg": "\n".join(texts)}
        return self.checked(args, options, task_vars, result)

    def checked(
        self,
        args: Mapping[str, Any],
        options: Mapping[str, Any],
        task_vars: dict[str, Any],
        result: dict[str, Any],
    ) -> dict[str, Any]:
        """Return the result with that of the playbook's variables, and of the hosts' ones."""
        spec = {"argument_spec": options[args["playbook"]]}
        done = self.by_action("ansible.builtin.validate_argument_spec", spec, task_vars)
        if done.get("failed"):
            return result | {"failed": True, "msg": done["msg"]}
        if not args["hosts"]:
            return result
        done = self.by_action("check_hosts", args["hosts"], task_vars)
        return result | done | {"warnings": [*result["warnings"], *done["warnings"]]}

    def by_action(
        self, name: str, arguments: dict[str, Any], task_vars: dict[str, Any]
    ) -> dict[str, Any]:
        """Return the result of another action, run within this task."""
        task = self._task.copy()
        task.args = arguments
        action = self._shared_loader_obj.action_loader.get(
            name,
            task=task,
            connection=self._connection,
            play_context=self._play_context,
            loader=self._loader,
            templar=self._templar,
            shared_loader_obj=self._shared_loader_obj,
        )
        done: dict[str, Any] = action.run(task_vars=task_vars)
        return done

    def shared_destinations(self, task_vars: Mapping[str, Any]) -> list[files.Problem]:
        """Return the problems of feeds that deliver to the same file."""

        def template(text: str, variables: Mapping[str, Any]) -> Any:
            templar = Templar(loader=self._loader, variables=dict(variables))
            try:
                return templar.template(trust_as_template(text))
            except AnsibleError:
                raise targets.Unresolved from None

        manager = task_vars["hostvars"]._inventory
        group = manager.groups.get("district_hosts")
        hosts = group.get_hosts() if group else []
        found = targets.Targets(written(task_vars), template, self.decrypt)
        return list(targets.problems(found, hosts))

    def decrypt(self, path: Path) -> Mapping[str, Any]:
        """Return the variables of an encrypted file. Raise Unresolved."""
        try:
            return self._loader.load_from_file(str(path), cache="vaulted") or {}
        except AnsibleError:
            raise targets.Unresolved from None


def old_names(renamed: Mapping[str, str], task_vars: Mapping[str, Any]) -> list[str]:
    """Return messages about old names of the playbooks' variables that are set."""
    messages: list[str] = filter_loader.get("renamed_variables").j2_function(renamed, task_vars)
    return messages


def hosts_within_limit(task_vars: Mapping[str, Any]) -> set[str]:
    """Return the hosts of the inventory within `--limit`. The play itself has one of them."""
    hosts = task_vars["hostvars"]._inventory.get_hosts("all", ignore_restrictions=True)
    return {host.name for host in hosts}


def written(task_vars: Mapping[str, Any]) -> files.Inventory:
    """Return the inventory of a run as it is written."""
    return files.Inventory(task_vars["ansible_inventory_sources"], task_vars["groups"])


def written_problems(ours: Known, task_vars: Mapping[str, Any]) -> list[files.Problem]:
    """Return the problems of names and values."""
    inventory, manager = written(task_vars), task_vars["hostvars"]._inventory
    variables, compared = list(inventory.variables()), names.Names(ours)
    inline = [(inventory.groups[name], group.vars) for name, group in manager.groups.items()]
    inline += [(inventory.hosts[name], host.vars) for name, host in manager.hosts.items()]
    found = [*compared.problems(variables), *compared.unwritten(inline, variables)]
    return sorted([*found, *values.problems(ours, variables)], key=_in_order)


def _in_order(problem: files.Problem) -> list[tuple[int, str]]:
    """Return a key that sorts line 9 before line 10."""
    return [
        (int(part), "") if part.isdecimal() else (0, part) for part in NUMBER.split(problem.text)
    ]
