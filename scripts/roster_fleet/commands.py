"""Commands that an operator copies: whatever the values are, they stay values in a shell."""

from __future__ import annotations

import json
import shlex


def playbook(name: str, host: str, inventory: str = "", **values: str) -> str:
    """Return the command that plays a playbook on one host, its extra variables as JSON."""
    words = ["ansible-playbook", f"playbooks/{name}.yml"]
    words += ["-i", inventory] if inventory else []
    return shlex.join([*words, "--limit", host, "-e", json.dumps(values)])
