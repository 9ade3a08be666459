"""Build commands for operators to copy. Values are quoted for the shell."""

from __future__ import annotations

import json
import shlex


def playbook(name: str, host: str, inventory: str = "", **values: str) -> str:
    """Return the command that runs a playbook on one host, with extra variables as JSON."""
    words = ["ansible-playbook", f"playbooks/{name}.yml"]
    words += ["-i", inventory] if inventory else []
    return shlex.join([*words, "--limit", host, "-e", json.dumps(values)])
