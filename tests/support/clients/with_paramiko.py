"""Let paramiko put a file, get it back and remove it. The arguments are as for programs.sh."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import paramiko

HOME, KEYS = Path(os.environ["HOME"]), Path(os.environ["KEYS"])


def transfer(name: str, address: str, port: str, user: str, folder: str, auth: str) -> None:
    """Do it with one target."""
    client = paramiko.SSHClient()
    client.load_host_keys(str(KEYS / "known_hosts"))
    client.connect(
        address, int(port), user,
        password=(KEYS / "password").read_text() if auth == "password" else None,
        key_filename=str(KEYS / "key") if auth == "key" else None,
        allow_agent=False, look_for_keys=False,
    )  # fmt: skip
    with client, client.open_sftp() as sftp:
        file = f"{folder}/t-{HOME.name}"
        sftp.put("sent", file)
        sftp.get(file, f"{name}.back")
        sftp.remove(file)


words = sys.argv[2:]
for start in range(0, len(words), 7):
    try:
        transfer(*words[start : start + 6])
    except Exception as error:  # noqa: BLE001 - the test shows it
        print(f"{words[start]}: {type(error).__name__}: {error}")
