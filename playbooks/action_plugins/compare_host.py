"""Ansible action: look at a host, and find whether roles would change anything there."""

from __future__ import annotations

import contextlib
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeGuard

from ansible.errors import AnsibleConnectionFailure, AnsibleError
from ansible.plugins.action import ActionBase
from ansible.template import trust_as_template

DOCUMENTATION = r"""
module: compare_host
short_description: Look at a host, and find whether roles would change anything there
description:
  - Looks at the host and at the live session first, as C(session.yml) of C(district_hardening). It
    fails for a host that the roles cannot work on.
  - Then it asks the host for everything at once that the roles would bring about. A role describes
    that in its variable C(__ROLE_wanted). Each file, account and credential is compared by the code
    of the module that would change it.
  - It changes nothing. A host with a difference joins O(group). Another one gets its row of the
    closing table here, so no further task has to run for it.
  - What cannot be compared counts as a difference. The role's own task then shows the reason.
  - With C(--tags) or C(--skip-tags) nothing is compared, and each host joins O(group).
options:
  roles:
    description: The roles, in their order.
    type: list
    elements: str
    required: true
  group:
    description: The group for hosts that differ.
    type: str
    required: true
  once:
    description:
      - Variables that others read many times. They are templated once, and may be about the host.
      - One that cannot be templated is a difference of the roles that read it.
    type: list
    elements: str
    default: []
author: The Roster Delivery authors
"""

PROJECT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(PROJECT / "scripts"))

from roster_fleet import host_code  # noqa: E402 - this needs the path first

ROLES = PROJECT / "roles"
LOOKING = "district_hardening"  # the role that looks at a host first
SESSION = "district_hardening_session"
PACKAGES = "roster_common_packages"
STORING = "roster_credentials"
REPORT = "site_report"
# Keys of `__ROLE_wanted` for the comparison on the host.
ON_HOST = ("groups", "accounts", "files", "units")
UNKNOWN = "it could not be compared"
MOST = 100  # names of a role's differences. A host may answer anything
Result = dict[str, Any]


def is_answer(differs: Any) -> TypeGuard[dict[str, list[str]]]:
    """Return whether an answer of the host has the form of differences by role."""
    return isinstance(differs, Mapping) and all(
        isinstance(names, list) and all(isinstance(name, str) for name in names)
        for names in differs.values()
    )


class ActionModule(ActionBase):  # type: ignore[misc]  # Ansible carries no types
    """See DOCUMENTATION."""

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> Result:
        """Return Ansible's result, with `session` and, by role, what `differs`."""
        result: Result = super().run(tmp, task_vars)
        self.known = dict(task_vars or {})
        answer = self.look()
        if answer["rc"] != 0:
            return result | answer | {"failed": True, "msg": "non-zero return code"}
        session = self.known[SESSION] = self.asked("answer.stdout_lines | read_session", answer)
        self.known[PACKAGES] = session["packages"]
        self.settle(self._task.args.get("once", []))
        if problems := self.asked(f"{SESSION} | host_problems(__{LOOKING}_judged)"):
            host = self.known["inventory_hostname"]
            return result | {"failed": True, "msg": f"{host}: " + "\n".join(problems)}
        differs = self.differences() if self.is_whole_run() else {"tags": []}
        result |= {"session": session, "differs": differs}
        return result | (self.joined() if differs else self.reported())

    def look(self) -> Result:
        """Run `look.sh` on the host as the account that logs in, since sudo hides the session."""
        script = self.value(f"__{LOOKING}_look", LOOKING)
        answer: Result = self._low_level_execute_command(
            script, sudoable=False, executable="/bin/sh"
        )
        return answer

    def settle(self, names: list[str]) -> None:
        """Put values in the place of variables. One that has no value stays as it is."""
        for name in names:
            with contextlib.suppress(AnsibleError):
                self.known[name] = self.value(name, LOOKING)

    def is_whole_run(self) -> bool:
        """Return whether the run has all tasks. Tags choose some, so no comparison would fit."""
        return (
            list(self.known["ansible_run_tags"]) == ["all"] and not self.known["ansible_skip_tags"]
        )

    def joined(self) -> Result:
        """Return the part of a result that makes the host a member of the group."""
        for note in self.asked(f"{SESSION} | host_notes(__{LOOKING}_judged)"):
            self._display.display(f"{self.known['inventory_hostname']}: {note['note']}")
        group = self._task.args["group"]
        if hasattr(self, "add_group"):  # ansible-core 2.21 or newer, which ignores the key
            self.add_group(group, parent_group_names=["all"])
        return {"add_group": group}

    def reported(self) -> Result:
        """Return the part of a result that is the host's rows of the closing table."""
        rows = self._templar_of(LOOKING).template(self.known[REPORT])
        data = {"fleet_report": rows}
        return {"ansible_stats": {"data": data, "per_host": True, "aggregate": True}}

    def _templar_of(self, role: str) -> Any:
        """Return a templar to which the files and templates of a role are its own."""
        path = str(ROLES / role)
        own = {"role_path": path, "role_name": role, "ansible_search_path": [path]}
        return self._templar.copy_with_new_env(available_variables={**self.known, **own})

    def value(self, name: str, role: str) -> Any:
        """Return the value of a role's variable. Raise AnsibleError."""
        return self._templar_of(role).template(self.known[name])

    def asked(self, expression: str, answer: Result | None = None) -> Any:
        """Return the value of an expression, which may read `answer`."""
        templar = self._templar_of(LOOKING)
        templar.available_variables["answer"] = answer
        return templar.template(trust_as_template("{{ " + expression + " }}"))

    def differences(self) -> dict[str, list[str]]:
        """Return what differs, by role. Raise AnsibleConnectionFailure."""
        wanted, found = {}, {}
        for role in self._task.args["roles"]:
            try:
                wanted[role] = self.value(f"__{role}_wanted", role)
                found[role] = wanted[role].get("changes", [])
            except AnsibleError:
                found[role] = [UNKNOWN]
        for role, names in self.host_differences(wanted).items():
            found[role] = [*found.get(role, []), *names]
        return {role: names for role, names in found.items() if names}

    def host_differences(self, wanted: dict[str, Result]) -> dict[str, list[str]]:
        """Return what differs on the host. Keep the state of its credentials for the report."""
        roles = [
            {"name": role, **{key: parts[key] for key in ON_HOST if key in parts}}
            for role, parts in wanted.items()
        ]
        folder = self.known["roster_common_rollback_folder"]
        secrets = wanted.get(STORING, {}).get("credentials", {})
        done = self.execute({"roles": roles, "rollback_folder": folder, **secrets})
        differs, kept = done.get("differences"), done.get("credentials")
        if not is_answer(differs) or not isinstance(kept, Mapping):
            return {"host": [UNKNOWN]}
        self.known[f"__{STORING}_kept"] = kept
        return {role: names[:MOST] for role, names in differs.items()}

    def execute(self, arguments: Result) -> Result:
        """Compare on the host. Return its answer, which is empty if it has none."""
        try:
            done = self.run_on_host(host_code.command(), host_code.request(arguments))
        except AnsibleConnectionFailure:
            raise
        except (AnsibleError, TypeError):  # a refused sudo, or a value that JSON does not know
            return {}
        return host_code.answer(done["stdout"]) if done["rc"] == 0 else {}

    def run_on_host(self, command: str, given: bytes) -> Result:
        """Run a command with a standard input. Raise AnsibleError.

        A method such as su cannot pass it on. Then it comes by a file, as Ansible's modules do.
        """
        done: Result
        if self._connection.is_pipelining_enabled():
            done = self._low_level_execute_command(command, in_data=given)
            return done
        folder = self._make_tmp_path()
        try:
            path = self._connection._shell.join_path(folder, "given")
            self._transfer_data(path, given)
            self._fixup_perms2((folder, path))
            done = self._low_level_execute_command(f"{command} < {shlex.quote(path)}")
        finally:
            self._remove_tmp_path(folder)
        return done
