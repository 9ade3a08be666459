"""An SIS as a client of its inbox: OpenSSH's own sftp, by key or by password."""

from __future__ import annotations

import os
import re
import subprocess

from lab import running
from roster_fleet import inbox_passwords

from support.lab_fleet import keys
from support.lab_hosts import INVENTORY, ROOT, Host

PORT = 2222  # as the role's default is
EXCHANGE = "curve25519-sha256"  # a newer one would cost the client five times as much
ASKPASS = ROOT / "tests" / "support" / "askpass"


def password_of(user: str) -> str:
    """Return the password of an inbox of the lab."""
    path = INVENTORY / "group_vars" / "district_hosts" / inbox_passwords.FILE
    return inbox_passwords.read(path, keys())[user]


class Sis:
    """An SIS that has a key, or a password, and nothing else."""

    def __init__(
        self,
        host: Host,
        user: str = "sis-lab",
        port: int = PORT,
        password: str = "",
        method: str = "password",
    ) -> None:
        self.name = str(host.backend.get_hostname())
        config = ROOT / ".lab" / "ssh_config"
        found = re.search(rf"^Host {self.name}\n +HostName (\S+)", config.read_text(), re.MULTILINE)
        assert found
        self.address = found[1]
        settings = ["ControlPath=none", f"User={user}", f"Port={port}", f"KexAlgorithms={EXCHANGE}"]
        # Both ports of a host have the same key.
        settings.append(f"HostKeyAlias={self.address}")
        if running.within():
            settings.append("ProxyCommand=none")  # nothing has to relay
        if password:
            settings += [
                "BatchMode=no",
                "NumberOfPasswordPrompts=1",
                f"PreferredAuthentications={method}",
            ]
        else:
            settings += ["BatchMode=yes"]
        self.options = ["-F", str(config), *(f"-o{setting}" for setting in settings)]
        self.environment = os.environ | {
            "SSH_ASKPASS": str(ASKPASS), "SSH_ASKPASS_REQUIRE": "force", "SIS_PASSWORD": password,
        }  # fmt: skip

    def command(self, *more: str) -> list[str]:
        """Return the command that reads sftp's commands from its input."""
        return ["sftp", "-q", *more, *self.options, "-b", "-", self.name]

    def sftp(self, *commands: str) -> subprocess.CompletedProcess[str]:
        """Run one session with the given commands. It ends at the first that is refused."""
        return self._run(self.command(), "\n".join(commands) + "\n")

    def ssh(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a command of ssh."""
        return self._run(["ssh", *self.options, self.name, *words])

    def is_let_in(self) -> bool:
        """Return whether a login succeeds."""
        return self.sftp("pwd").returncode == 0

    def _run(self, command: list[str], text: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            input=text,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            env=self.environment,
        )
