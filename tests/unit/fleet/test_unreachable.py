"""The reason why a host is unreachable."""

from __future__ import annotations

import pytest
from roster_fleet.unreachable import reason

ANSIBLE = "Task failed: Failed to connect to the host via ssh: "
CHANGED = "@" * 60 + "\n@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @\n" + "@" * 60 + "\n"
JUMP = "kex_exchange_identification: Connection closed by remote host\r\n"
JUMP += "Connection closed by UNKNOWN port 65535"


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ("no route", "no route"),
        ("", ""),
        (f"{ANSIBLE}ssh: connect: Connection refused", "ssh: connect: Connection refused"),
        (f"{ANSIBLE}Authorized use only\n\nm@h: Permission denied\r\n", "m@h: Permission denied"),
        (f"{ANSIBLE}{CHANGED}Host key verification failed.", "Host key verification failed."),
        (f"{ANSIBLE}m@bastion: Permission denied\n{JUMP}", "m@bastion: Permission denied"),
        (
            f"{ANSIBLE}open failed: no route\nstdio forwarding failed\n{JUMP}",
            "open failed: no route",
        ),
        (f"{ANSIBLE}{JUMP}", "Connection closed by UNKNOWN port 65535"),
        (
            f"{ANSIBLE}Connection closed by 10.7.1.1 port 22",
            "Connection closed by 10.7.1.1 port 22",
        ),
        ("\x1b]0;x\x07", "\\x1b]0;x\\x07"),
    ],
)
def test_the_reason_is_the_last_line_that_says_one(message: str, shown: str) -> None:
    assert reason(message) == shown
