"""Ansible action: hold a feed's rotation on its host against other operators."""

from __future__ import annotations

import getpass
import os
import socket
import subprocess
from pathlib import Path
from typing import Any

from ansible.plugins.action import ActionBase

DOCUMENTATION = r"""
module: rotation_lock
short_description: Hold a feed's rotation on its host
description:
  - Takes a lock on the host for this run of Ansible, and returns what M(systemd_credentials) needs
    to keep it. Fails if another run holds it.
  - The lock of a run that was killed on this control node is taken over at once. Another control
    node cannot know that the run has ended, so it waits until the lock expires.
options:
  path:
    description: The lock's file on the host.
    type: str
    required: true
  release:
    description: Whether to release the lock instead.
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
    except (KeyError, OSError):  # in a container a user may have no name
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"


def here() -> str:
    """Return a name for this boot of the machine or container, in which process numbers count.

    It is empty where there is no /proc, as on macOS.
    """
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return ""


def token_of(pid: int) -> str:
    """Return a name that no other process ever has. It stays the same for a process."""
    if place := here():
        return f"{place} {pid} {start_of(pid)}"
    # No other run can learn whether this process has ended. Its lock expires after a while.
    return f"{socket.gethostname()} - {pid} {shown_start_of(pid)}"


def start_of(pid: int) -> str:
    """Return the start time of a process, in clock ticks. Raise OSError if it does not exist."""
    text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    return text.rpartition(")")[2].split()[19]


def shown_start_of(pid: int) -> str:
    """Return the start time of a process as `ps` shows it, without blanks."""
    shown = subprocess.run(
        ["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    return "-".join(shown.stdout.split())


def has_ended(token: str) -> bool:
    """Return whether a token names a process of this machine that has ended."""
    place, _, process = token.rpartition(" ")[0].rpartition(" ")
    if not place or place != here() or not process.isdecimal():
        return False
    try:
        return token_of(int(process)) != token
    except OSError:
        return True
