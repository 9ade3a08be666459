"""Run Debian's Samba as a district's file server, in a tree of its own, on loopback."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
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


@dataclass
class Samba:
    """A running file server, and the folder that it shares."""

    port: int
    folder: Path
    _tree: Path

    def set_password(self, password: str) -> None:
        """Change the password of the server's only user."""
        subprocess.run(
            ["chroot", self._tree, "smbpasswd", "-s", "-a", USER],
            input=f"{password}\n{password}\n".encode(), check=True, capture_output=True,
        )  # fmt: skip


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


@contextlib.contextmanager
def serving(folder: Path, password: str) -> Iterator[Samba]:
    """Start a server in a copy of the tree below `folder`. End it after the block."""
    root = folder / "samba"
    subprocess.run(["cp", "--archive", "--reflink=auto", tree(), root], check=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shared = root / "srv/share"
    shared.mkdir(mode=0o755)
    (root / "etc/samba/smb.conf").write_text(CONFIG.format(port=port, share=SHARE))
    server = Samba(port, shared, root)
    server.set_password(password)
    # At its end it sends a signal to its whole session.
    process = subprocess.Popen(
        [*TIED, *NAMESPACES, "chroot", root, "smbd", "--foreground", "--no-process-group"],
        start_new_session=True, text=True,
    )  # fmt: skip
    try:
        wait(lambda: _answers(port), 30, "Samba")
        yield server
    finally:
        if pid := first_process(process):
            end(pid)
        process.wait()


def _answers(port: int) -> bool:
    """Return whether the server accepts connections."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False
