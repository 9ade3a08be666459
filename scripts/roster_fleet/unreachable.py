"""The reason why a host is unreachable, out of all that ssh prints."""

from __future__ import annotations

import re

from roster_upload.terminal.printable import printable

INTRODUCTION = re.compile(r".*\b(via|over) ssh: ", re.IGNORECASE)  # by Ansible
# Through a jump host, these lines follow the reason.
FOLLOWS = re.compile(
    r"Connection (closed|reset) by UNKNOWN port \d+|stdio forwarding failed"
    r"|(kex|ssh)_exchange_identification: .*",
    re.IGNORECASE,
)


def reason(message: str) -> str:
    """Return the reason in Ansible's message, or "".

    It is the last line. Before it, ssh prints the host's banner and warnings of its own.
    """
    lines = [INTRODUCTION.sub("", line.strip()) for line in message.splitlines() if line.strip()]
    reasons = [line for line in lines if line and not FOLLOWS.fullmatch(line)]
    return printable((reasons or lines or [""])[-1])
