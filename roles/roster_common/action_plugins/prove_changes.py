"""Ansible action: put changes to a host into force, and keep them only if one can still log in."""

from __future__ import annotations

import time
from typing import Any

from ansible.errors import AnsibleActionFail, AnsibleConnectionFailure
from ansible.plugins.action import ActionBase

DOCUMENTATION = r"""
module: prove_changes
short_description: Put changes into force, and take them back unless one can still log in
description:
  - Runs the commands that C(file_set) returned, then opens a new connection, with its log-in and
    its becoming root, while the old settings still lie in C(file_set)'s undo folder.
  - A timer on the host takes everything back unless this has succeeded in time, so it also does
    where the host cannot be reached any more.
options:
  commands:
    description: What makes the changes count, in order. One that fails takes all back at once.
    type: list
    elements: str
    required: true
  undo:
    description: The folder with what was, as given to C(file_set).
    type: path
    required: true
  arm:
    description:
      - Shell command that has the host take the changes back after C({seconds}), which starts anew
        each time.
    type: str
    required: true
  program:
    description: The program on the host that takes the changes back.
    type: path
    required: true
  seconds:
    description: Time for the new connection, once the commands have run.
    type: int
    default: 60
author: The project's maintainers
"""

TIMER = "district-undo-soon"
LOAD_SECONDS = 300  # for the commands
PARTLY = (
    "Not all of them could be taken back. The host can be reached; `journalctl | grep 'NOT taken "
    "back'` there names the rest. Mend the reason, then run site.yml again."
)
# Between the last try to log in and the timer: none may succeed while it takes things back.
MARGIN_SECONDS = 5


class Failed(Exception):
    """The changes are not to stay; the text says why."""


class ActionModule(ActionBase):  # type: ignore[misc]  # Ansible carries no types
    """See DOCUMENTATION."""

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Returns Ansible's result; a failure's `msg` says why, and what the host is like now."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        _, args = self.validate_argument_spec(
            argument_spec={
                "commands": {"type": "list", "elements": "str", "required": True},
                "undo": {"type": "path", "required": True},
                "arm": {"type": "str", "required": True},
                "program": {"type": "path", "required": True},
                "seconds": {"type": "int", "default": 60},
            }
        )
        self.vars = task_vars
        result["changed"] = True
        if self._task.check_mode:
            return result
        end = time.monotonic() + LOAD_SECONDS
        try:
            end = self.arm(args["arm"], LOAD_SECONDS)
            self.load(args["commands"], args["program"])
            end = self.arm(args["arm"], args["seconds"])
            self.log_in_anew(end - MARGIN_SECONDS)
            self.keep(args["undo"])
        except Failed as why:
            result["failed"] = True
            result["msg"] = f"{why} {self.await_undo(args['undo'], end)}"
        return result

    def arm(self, command: str, seconds: int) -> float:
        """Has the host take everything back after some seconds; returns when that is."""
        try:
            done = self.shell(command.replace("{seconds}", str(seconds)))
        except AnsibleConnectionFailure as error:
            raise Failed(f"The connection broke while they came into force: {error}.") from error
        if done.get("rc") != 0:
            raise AnsibleActionFail(f"No timer for taking the changes back: {done.get('stderr')}")
        return time.monotonic() + seconds

    def shell(self, script: str) -> dict[str, Any]:
        """Runs a shell's script as root; returns rc, stdout and stderr as the command module."""
        return self.execute("ansible.legacy.command", {"_raw_params": script, "_uses_shell": True})

    def execute(self, module: str, arguments: dict[str, Any]) -> dict[str, Any]:
        """Runs a module on the host; returns its result."""
        done: dict[str, Any] = self._execute_module(
            module_name=module, module_args=arguments, task_vars=self.vars
        )
        return done

    def load(self, commands: list[str], program: str) -> None:
        """Puts the changes into force; what fails is taken back at once."""
        script = "true\n" + "".join(
            f"{{ {command}\n}} || {{ echo 'failed: {name}' >&2; exit 1; }}\n"
            for command in commands
            for name in [command.replace("'", "")]
        )
        try:
            done = self.shell(script)
        except AnsibleConnectionFailure as error:
            raise Failed(
                f"The connection broke while the changes came into force: {error}."
            ) from error
        if done.get("rc") != 0:
            self.shell(f"systemctl stop {TIMER}.timer; {program}")
            said = done.get("stderr") or done.get("msg") or done.get("stdout")
            raise Failed(f"The changes could not be put into force:\n{said}\n")

    def log_in_anew(self, end: float) -> None:
        """Opens a new connection and becomes root, trying until `end`."""
        while True:
            try:
                self._connection.reset()
                done = self.execute("ansible.legacy.ping", {"data": "pong"})
                if done.get("ping") == "pong":
                    return
                error: object = done.get("msg") or done.get("module_stderr")
            except AnsibleConnectionFailure as failure:
                error = failure
            if time.monotonic() > end:
                raise Failed(f"With the changes in force, nobody could log in anew: {error}.")
            time.sleep(1)

    def keep(self, undo: str) -> None:
        """Ends the changes' probation, unless it has ended already."""
        done = self.shell(
            f"systemctl stop {TIMER}.timer && ! systemctl --quiet is-active {TIMER}.service "
            # At once, so that a power cut leaves nothing half proved.
            f"&& mv {undo} {undo}.done && rm -rf {undo}.done {undo}.failed {undo}.unreadable"
        )
        if done.get("rc") != 0:
            raise Failed("The new log-in came too late.")

    def await_undo(self, undo: str, end: float) -> str:
        """Waits until the host has taken the changes back; returns what to tell the operator."""
        latest = max(end, time.monotonic()) + 60
        while time.monotonic() < latest:
            try:
                self._connection.reset()
                done = self.shell(
                    f"test -e {undo} && exit 1; test -e {undo}.failed && exit 2; true"
                )
                if done.get("rc") == 0:
                    return "All of them were taken back, and the host can be reached as before."
                if done.get("rc") == 2:
                    return PARTLY
            except AnsibleConnectionFailure:
                pass
            time.sleep(2)
        return (
            "The host was told to take them back by itself, but cannot be reached yet; "
            "look at `journalctl -u district-undo-soon` there."
        )
