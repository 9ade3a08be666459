"""Let libssh put a file, get it back and remove it. The arguments are as for programs.sh."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from pylibsshext.session import Session  # type: ignore[import-not-found] # in the tree only

HOME, KEYS = Path(os.environ["HOME"]), Path(os.environ["KEYS"])


def transfer(name: str, address: str, port: str, user: str, folder: str, auth: str) -> None:
    """Do it with one target."""
    session = Session()
    login: dict[str, str | bytes] = {"password": (KEYS / "password").read_text()}
    if auth == "key":
        login = {"private_key": (KEYS / "key").read_bytes()}
    session.connect(
        host=address, port=int(port), user=user, host_key_checking=False, look_for_keys=False,
        **login,
    )  # fmt: skip
    sftp = session.sftp()
    file = f"{folder}/t-{HOME.name}"
    sftp.put("sent", file)
    sftp.get(file, f"{name}.back")
    sftp.close()
    session.close()


words = sys.argv[2:]
for start in range(0, len(words), 7):
    try:
        transfer(*words[start : start + 6])
    except Exception as error:  # noqa: BLE001 - the test shows it
        print(f"{words[start]}: {type(error).__name__}: {error}")
