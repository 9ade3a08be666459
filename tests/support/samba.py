"""Run Debian's Samba as a district's file server, in a tree of its own, on loopback."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

from lab import settings
from lab.machine import mirrors, need_tools
from lab.process import NAMESPACES, TIED, end, first_process, lock, wait

SHARE, USER = "SIS out", "svc-roster"
CONFIG = """\
[global]
server role = standalone server
smb ports = {port}
interfaces = 127.0.0.1
bind interfaces only = yes
server min protocol = SMB3
server smb encrypt = required
server signing = mandatory
disable netbios = yes
load printers = no
passdb backend = tdbsam
log file = /var/log/samba/log
[{share}]
path = /srv/share
read only = no
"""
PREPARE = f"""
set -e
useradd --no-create-home --shell /usr/sbin/nologin {USER}
mkdir -p /run/samba /var/log/samba
"""


class Samba:
    """A file server with one user, and the folder that it shares."""

    def __init__(self, root: Path, password: str) -> None:
        subprocess.run(["cp", "--archive", "--reflink=auto", tree(), root], check=True)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self._root = root
        self.folder = root / "srv/share"
        self.folder.mkdir(mode=0o755)
        (root / "etc/samba/smb.conf").write_text(CONFIG.format(port=self.port, share=SHARE))
        self.set_password(password)

    def set_password(self, password: str) -> None:
        """Change the password of the server's only user."""
        subprocess.run(
            ["chroot", self._root, "smbpasswd", "-s", "-a", USER],
            input=f"{password}\n{password}\n".encode(), check=True, capture_output=True,
        )  # fmt: skip

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Run the server, and end it with all connections after the block."""
        command = [*TIED, *NAMESPACES, "chroot", str(self._root), "smbd", "--foreground"]
        # At its end it sends a signal to its whole session.
        process = subprocess.Popen(
            [*command, "--no-process-group"], start_new_session=True, text=True
        )
        try:
            wait(self._answers, 30, "Samba")
            yield
        finally:
            if pid := first_process(process):
                end(pid)
            process.wait()

    def _answers(self) -> bool:
        """Return whether the server accepts connections."""
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
            return True
        return False


def tree() -> Path:
    """Return a folder with Debian and its Samba, which all tests of the machine share."""
    found = settings.CACHE / "samba"
    with lock(settings.CACHE / "samba.lock"):
        if not found.exists():
            need_tools({"mmdebstrap": "mmdebstrap"})
            archive, _ = mirrors()
            made = settings.CACHE / "samba.new"
            shutil.rmtree(made, ignore_errors=True)
            subprocess.run(
                [
                    *TIED, *NAMESPACES, "mmdebstrap", "--quiet", "--variant=apt",
                    "--include=samba,passwd", "trixie", made, f"deb {archive} trixie main",
                ],
                env={**os.environ, "TMPDIR": str(settings.CACHE)},
                stdin=subprocess.DEVNULL, check=True,
            )  # fmt: skip
            subprocess.run(["chroot", made, "sh"], input=PREPARE.encode(), check=True)
            made.rename(found)
    return found
