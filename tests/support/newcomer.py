"""Act as a newcomer: a home folder of their own, one terminal, commands typed one by one."""

from __future__ import annotations

import os
import pty
import re
import select
import shlex
import subprocess
import sys
import termios
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 120  # for one command
QUIET = 0.1  # seconds without output, after which a program waits for an answer
COLOURS = re.compile(r"\x1b\[[0-9;]*[A-Za-z]|\r")
SSH = """#!/bin/sh
# What a newcomer has in ~/.ssh/config. OpenSSH reads the home folder of the account, not $HOME.
export CONTAINERS_CONF={lab}  # tells the lab's own commands that they are inside
exec /usr/bin/ssh -F {config} "$@"
"""
GIT = "[user]\n\tname = Newcomer\n\temail = newcomer@example.org\n[init]\n\tdefaultBranch = main\n"


class Typed(NamedTuple):
    """A command's exit code, and all that the terminal showed."""

    code: int
    shown: str


class Newcomer:
    """A person with a terminal, whose shell keeps its folder and environment between commands."""

    def __init__(self, home: Path, ssh_config: Path) -> None:
        self.home = home
        programs = home / "bin"
        programs.mkdir()
        (programs / "ssh").write_text(
            SSH.format(
                config=shlex.quote(str(ssh_config)),
                lab=shlex.quote(os.environ.get("CONTAINERS_CONF", "")),
            )
        )
        (programs / "ssh").chmod(0o755)
        (home / ".gitconfig").write_text(GIT)
        venv = Path(sys.executable).parent
        path = [part for part in os.environ["PATH"].split(":") if Path(part) != venv]
        self._environment = {
            "HOME": str(home),
            "PATH": ":".join([str(programs), *path]),
            "LANG": "C.UTF-8",
            "TERM": "xterm",
        }
        self._folder = str(home)

    def types(self, command: str, answers: Mapping[str, str] | None = None) -> Typed:
        """Type a command and answer its questions. A pattern of `answers` finds its answer.

        Any other question gets an empty line, which accepts the proposed answer.
        """
        state = self.home / ".state"
        state.unlink(missing_ok=True)
        script = f"{command}\ncode=$?; {{ pwd; env -0; }} >{shlex.quote(str(state))}; exit $code"
        controller, terminal = pty.openpty()
        with subprocess.Popen(
            ["bash", "-c", script], cwd=self._folder, env=self._environment,
            # Ansible asks only the owner of the terminal.
            preexec_fn=lambda: os.login_tty(os.dup(terminal)),  # noqa: PLW1509
        ) as running:  # fmt: skip
            os.close(terminal)
            try:
                shown = dialog(controller, list((answers or {}).items()))
            except BaseException:
                running.kill()
                raise
            finally:
                os.close(controller)
        if state.exists():
            folder, _, variables = state.read_text().partition("\n")
            self._folder = folder
            pairs = (line.partition("=") for line in variables.split("\0") if line)
            self._environment = {name: value for name, _, value in pairs if name != "_"}
        return Typed(running.returncode, shown)


def dialog(controller: int, answers: Sequence[tuple[str, str]]) -> str:
    """Return what a terminal shows until its programs end. Answer all questions on the way."""
    shown, answered, was_waiting = "", 0, False
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        if select.select([controller], [], [], QUIET)[0]:
            try:
                data = os.read(controller, 65536)
            except OSError:  # all programs have ended
                data = b""
            if not data:
                return COLOURS.sub("", shown)
            shown += data.decode("utf-8", "replace")
            was_waiting = False
            continue
        if not is_waiting(controller):
            continue
        if was_waiting:  # for a while, so it has begun to read
            question = COLOURS.sub("", shown[answered:]).strip().rpartition("\n")[2]
            found = (value for pattern, value in answers if re.search(pattern, question))
            os.write(controller, next(found, "").encode() + b"\r")
            answered = len(shown)
        was_waiting = not was_waiting
    raise TimeoutError(f"the command did not end within {SECONDS} s:\n{shown}")


def is_waiting(controller: int) -> bool:
    """Return whether a program reads keys one by one, as Ansible's questions do.

    They throw away what was typed before.
    """
    return not termios.tcgetattr(controller)[3] & termios.ICANON
