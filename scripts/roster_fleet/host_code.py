"""The comparison that runs on a host, as one command with its input.

Ansible would wrap a module in some fifty files of its own, and building that takes longer than
the rest of the trip. The comparison needs none of them. Its code and its arguments, which hold
secrets, go through standard input.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROLES = Path(__file__).resolve().parents[2] / "roles"
PYTHON = "/usr/bin/python3"
NAMESPACE = "ansible.module_utils"
# Packages that only hold others.
PACKAGES = ("ansible", NAMESPACE, f"{NAMESPACE}.file_set")
# Each after those that it imports. The last one has the function `answer`.
MODULES = (
    "roster_common/module_utils/file_set/host.py",
    "roster_common/module_utils/file_set/content.py",
    "roster_common/module_utils/file_set/rollback.py",
    "roster_common/module_utils/file_set/apply.py",
    "roster_common/module_utils/system_accounts.py",
    "roster_credentials/module_utils/credential_seal.py",
    "roster_credentials/module_utils/credential_store.py",
    "roster_common/module_utils/host_differences.py",
)
START = """
import json, sys, types
given = json.load(sys.stdin.buffer)
for name, text in given["modules"]:
    module = sys.modules[name] = types.ModuleType(name)
    module.__path__ = []
    exec(compile(text, name, "exec"), module.__dict__)
print(json.dumps(module.answer(given["arguments"])))
"""


def command() -> str:
    """Return the shell command for the host."""
    return shlex.join([PYTHON, "-c", START])


def request(arguments: Mapping[str, Any]) -> bytes:
    """Return the command's standard input."""
    modules = [(name, "") for name in PACKAGES]
    for path in MODULES:
        name = path.removesuffix(".py").partition("/module_utils/")[2].replace("/", ".")
        modules.append((f"{NAMESPACE}.{name}", (ROLES / path).read_text(encoding="utf-8")))
    return json.dumps({"modules": modules, "arguments": arguments}).encode()


def answer(output: str) -> dict[str, Any]:
    """Return what the host answered on its last line. It is empty if that is no answer."""
    lines = output.strip().splitlines()
    try:
        found = json.loads(lines[-1]) if lines else None
    except (ValueError, RecursionError):  # a host may answer anything
        return {}
    return found if isinstance(found, dict) else {}
