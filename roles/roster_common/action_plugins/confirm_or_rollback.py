"""Ansible action: put changes into force and confirm them by a new login, or roll them back."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import Any

from ansible.errors import AnsibleActionFail, AnsibleError
from ansible.plugins.action import ActionBase

DOCUMENTATION = r"""
module: confirm_or_rollback
short_description: Put changes into force and confirm them by a new login, or roll them back
description:
  - Runs the commands that C(file_set) returned. Then it opens a new connection, logs in and becomes
    root. Until that succeeds, C(file_set)'s rollback folder keeps the old settings.
  - If it does not succeed in time, a timer on the host rolls everything back. This works also if
    nobody can reach the host any more.
options:
  commands:
    description:
      - Shell commands that put the changes into force, in order. If one fails, everything is rolled
        back at once.
    type: list
    elements: str
    required: true
  rollback_folder:
    description: The folder that keeps the old settings, as given to C(file_set).
    type: path
    required: true
  rollback_timer:
    description:
      - Shell command that makes the host roll back after C({seconds}). Each call starts the time
        anew.
    type: str
    required: true
  rollback_program:
    description: The program on the host that rolls back.
    type: path
    required: true
  seconds:
    description: Seconds for the new login after the commands have run.
    type: int
    default: 60
  variables:
    description: Variables that may keep the new login from succeeding. The failure names them.
    type: list
    elements: str
    default: []
author: The Roster Delivery authors
"""

TIMER = "district-rollback-soon"
COMMANDS_SECONDS = 300
ROLLBACK_SECONDS = 60  # for the host to roll back, once its timer has elapsed
# Between the last attempt to log in and the timer. None may succeed while the host rolls back.
MARGIN_SECONDS = 5
RESTORED = "All of them were rolled back. You can reach the host as before."
PARTLY_RESTORED = (
    "Not all of them could be rolled back. You can reach the host. `journalctl | grep 'NOT rolled "
    "back'` there names the rest. Remove the cause, then run site.yml again."
)
UNREACHABLE = (
    "The host should roll them back by itself, but it cannot be reached yet. "
    f"Look at `journalctl -u {TIMER}` there."
)


def one_line(error: object) -> str:
    """Return an error's text as one line without a full stop, to be a part of a sentence."""
    return " ".join(str(error).split()).rstrip(".")


class NotConfirmedError(Exception):
    """The changes must not stay. The message says why."""


class ActionModule(ActionBase):  # type: ignore[misc]  # Ansible carries no types
    """See DOCUMENTATION."""

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return Ansible's result. The `msg` of a failure says why, and the state of the host."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        _, args = self.validate_argument_spec(
            argument_spec={
                "commands": {"type": "list", "elements": "str", "required": True},
                "rollback_folder": {"type": "path", "required": True},
                "rollback_timer": {"type": "str", "required": True},
                "rollback_program": {"type": "path", "required": True},
                "seconds": {"type": "int", "default": 60},
                "variables": {"type": "list", "elements": "str", "default": []},
            }
        )
        self.vars = task_vars
        result["changed"] = True
        if self._task.check_mode:
            return result
        folder, timer = args["rollback_folder"], args["rollback_timer"]
        end = time.monotonic() + COMMANDS_SECONDS
        try:
            end = self.start_timer(timer, COMMANDS_SECONDS)
            self.run_commands(args["commands"], args["rollback_program"])
            end = self.start_timer(timer, args["seconds"])
            self.log_in_again(end - MARGIN_SECONDS, args["variables"])
            self.confirm(folder)
        except NotConfirmedError as why:
            result["failed"] = True
            result["msg"] = f"{why} {self.wait_for_rollback(folder, end)}"
        return result

    def start_timer(self, command: str, seconds: int) -> float:
        """Make the host roll back after some seconds. Return the time at which it will."""
        try:
            done = self.shell(command.replace("{seconds}", str(seconds)))
        except AnsibleError as error:
            raise NotConfirmedError(
                f"The connection broke while the changes came into force: {one_line(error)}."
            ) from error
        if done.get("rc") != 0:
            raise AnsibleActionFail(f"The rollback timer did not start: {done.get('stderr')}")
        return time.monotonic() + seconds

    def shell(self, script: str) -> dict[str, Any]:
        """Run a shell script as root. Return rc, stdout and stderr like the module command."""
        return self.execute("ansible.legacy.command", {"_raw_params": script, "_uses_shell": True})

    def execute(self, module: str, arguments: dict[str, Any]) -> dict[str, Any]:
        """Run a module on the host. Return its result."""
        done: dict[str, Any] = self._execute_module(
            module_name=module, module_args=arguments, task_vars=self.vars
        )
        return done

    def run_commands(self, commands: list[str], rollback_program: str) -> None:
        """Put the changes into force. Roll back at once and raise if a command fails."""
        script = "true\n" + "".join(
            f"{{ {command}\n}} || {{ echo 'failed: {name}' >&2; exit 1; }}\n"
            for command in commands
            for name in [command.replace("'", "")]
        )
        try:
            done = self.shell(script)
        except AnsibleError as error:
            raise NotConfirmedError(
                f"The connection broke while the changes came into force: {one_line(error)}."
            ) from error
        if done.get("rc") != 0:
            # If this fails, the timer does the same. The first failure is the one to report.
            with suppress(AnsibleError):
                self.shell(f"systemctl stop {TIMER}.timer; {rollback_program}")
            output = done.get("stderr") or done.get("msg") or done.get("stdout")
            raise NotConfirmedError(f"The changes could not be put into force: {one_line(output)}.")

    def log_in_again(self, end: float, variables: list[str]) -> None:
        """Open a new connection and become root. Try until `end`, then raise."""
        while True:
            try:
                self._connection.reset()
                done = self.execute("ansible.legacy.ping", {"data": "pong"})
                if done.get("ping") == "pong":
                    return
                error: object = done.get("msg") or done.get("module_stderr")
            except AnsibleError as failure:  # also of sudo, not only of the connection
                error = failure
            if time.monotonic() > end:
                causes = f" (look at {', '.join(variables)})" if variables else ""
                raise NotConfirmedError(
                    f"With the changes in force, no login succeeded{causes}: {one_line(error)}."
                )
            time.sleep(1)

    def confirm(self, folder: str) -> None:
        """Stop the timer and remove the old settings. Raise if the host rolls back already."""
        script = (
            f"systemctl stop {TIMER}.timer && ! systemctl --quiet is-active {TIMER}.service "
            # In one step, so that a power cut leaves nothing half confirmed.
            f"&& mv {folder} {folder}.done "
            f"&& rm -rf {folder}.done {folder}.failed {folder}.unreadable"
        )
        try:
            done = self.shell(script)
        except AnsibleError as error:
            raise NotConfirmedError(f"The new login broke: {one_line(error)}.") from error
        if done.get("rc") != 0:
            raise NotConfirmedError("The new login came too late.")

    def wait_for_rollback(self, folder: str, end: float) -> str:
        """Wait until the host has rolled back. Return a message about its state."""
        latest = max(end, time.monotonic()) + ROLLBACK_SECONDS
        while time.monotonic() < latest:
            try:
                self._connection.reset()
                done = self.shell(
                    f"test -e {folder} && exit 1; test -e {folder}.failed && exit 2; true"
                )
                if done.get("rc") == 0:
                    return RESTORED
                if done.get("rc") == 2:
                    return PARTLY_RESTORED
            except AnsibleError:
                pass
            time.sleep(2)
        return UNREACHABLE
