"""Ansible action: hold a feed's rotation on its host against other operators."""

from __future__ import annotations

import getpass
import os
import socket
from pathlib import Path
from typing import Any

from ansible.plugins.action import ActionBase

DOCUMENTATION = r"""
module: rotation_lock
short_description: Hold a feed's rotation on its host
description:
  - Takes a lock on the host for this run of Ansible, and returns the holder, which
    M(systemd_credentials) needs to keep it. The task fails if another run holds it.
  - The lock of a run that was killed on this control node is taken over at once. Another control
    node cannot detect that, and must wait until the lock expires.
options:
  path:
    description: The lock's file on the host.
    type: str
    required: true
  release:
    description: Whether to give the lock back instead.
    type: bool
    default: false
attributes:
  check_mode:
    support: full
author: The Roster Delivery authors
"""

RETURN = """
holder:
  description: C(token) and C(who), for M(systemd_credentials).
  type: dict
  returned: success
"""


class ActionModule(ActionBase):  # type: ignore[misc]  # Ansible carries no types
    """See DOCUMENTATION."""

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return Ansible's result, with the holder."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        _, args = self.validate_argument_spec(
            argument_spec={
                "path": {"type": "str", "required": True},
                "release": {"type": "bool", "default": False},
            }
        )
        holder = {"token": token_of(os.getppid()), "who": who()}  # Ansible runs this in a child

        def call(**more: str) -> dict[str, Any]:
            words = {"lock": args["path"], "holder": holder | more, "release": args["release"]}
            done: dict[str, Any] = self._execute_module(
                "systemd_credentials", {"credentials": [], **words}, task_vars=task_vars
            )
            return done

        done = call()
        if "lock" in done and has_ended(str(done["lock"].get("token"))):
            done = call(gone=done["lock"]["token"])
        if done.get("failed"):
            return result | {"failed": True, "msg": done["msg"]}
        return result | {"changed": False, "holder": holder}


def who() -> str:
    """Return the operator's name for others to read."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # such as in a container, whose user may have no name
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"


def here() -> str:
    """Return a name of this start of this machine or container, which numbers the processes."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    return f"{boot} {Path('/proc/self/ns/pid').readlink()}"


def token_of(pid: int) -> str:
    """Return a name for a process that no other process ever gets."""
    return f"{here()} {pid} {start_of(pid)}"


def start_of(pid: int) -> str:
    """Return the start time of a process of this machine. Raise OSError without such a process."""
    text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    return text.rpartition(")")[2].split()[19]


def has_ended(token: str) -> bool:
    """Return whether a token names a process of this machine that has ended."""
    place, _, process = token.rpartition(" ")[0].rpartition(" ")
    if place != here() or not process.isdecimal():
        return False
    try:
        return token_of(int(process)) != token
    except OSError:
        return True
