"""Run a test's commands as root on a host of the lab, over one login that stays.

For most of what a test asks, a host would work ten times as long for sudo and for another session.
"""

from __future__ import annotations

import atexit
import base64
import json
import subprocess
from pathlib import Path
from typing import Any

from testinfra.backend.base import BaseBackend, CommandResult

SSH_CONFIG = Path(__file__).resolve().parents[2] / ".lab" / "ssh_config"
# Runs on the host. Each line asks for one command and its input.
SERVE = """
import base64, json, subprocess, sys
for line in sys.stdin:
    command, given = json.loads(line)
    words = ["/bin/sh", "-c", command]
    done = subprocess.run(words, input=base64.b64decode(given), capture_output=True)
    told = [base64.b64encode(text).decode() for text in (done.stdout, done.stderr)]
    print(json.dumps([done.returncode, *told]), flush=True)
"""
OPTIONS = (
    "ControlPath=none", "ConnectTimeout=10", "LogLevel=ERROR", "KexAlgorithms=curve25519-sha256"
)  # fmt: skip


class Session:
    """A login that runs one command after the other."""

    def __init__(self, name: str) -> None:
        program = base64.b64encode(SERVE.encode()).decode()
        command = f"sudo python3 -c \"import base64; exec(base64.b64decode('{program}'))\""
        options = [f"-o{option}" for option in OPTIONS]
        self._ssh = subprocess.Popen(
            ["ssh", "-F", SSH_CONFIG, *options, name, command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def is_open(self) -> bool:
        """Return whether the host has not ended the session, as by a restart."""
        return self._ssh.poll() is None

    def run(self, command: str, given: bytes) -> tuple[int, bytes, bytes]:
        """Return a command's exit code and its output. Raise RuntimeError if the session ends."""
        assert self._ssh.stdin
        assert self._ssh.stdout
        self._ssh.stdin.write(json.dumps([command, base64.b64encode(given).decode()]) + "\n")
        self._ssh.stdin.flush()
        if not (answer := self._ssh.stdout.readline()):
            raise RuntimeError(f"ssh ended with {self._ssh.wait()} during: {command}")
        code, *told = json.loads(answer)
        out, err = map(base64.b64decode, told)
        return code if code >= 0 else 128 - code, out, err

    def close(self) -> None:
        """End the session."""
        self._ssh.kill()
        self._ssh.communicate()


class RootBackend(BaseBackend):  # type: ignore[misc] # testinfra has no types
    """Testinfra's way to a host of the lab. Commands at the same time have their own sessions."""

    NAME = "root-session"

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self._free: list[Session] = []
        atexit.register(self._close)

    def run(self, command: str, *args: str, **_: Any) -> CommandResult:
        """Run a command without an input."""
        return self.run_with(b"", command, *args)

    def run_with(self, given: bytes, command: str, *args: str) -> CommandResult:
        """Run a command that reads what is given."""
        command = self.quote(command, *args)
        session = self._open()
        code, out, err = session.run(command, given)
        self._free.append(session)
        return self.result(code, self.encode(command), out, err)

    def _open(self) -> Session:
        while self._free:
            session = self._free.pop()
            if session.is_open():
                return session
            session.close()
        return Session(self.hostname)

    def _close(self) -> None:
        for session in self._free:
            session.close()
