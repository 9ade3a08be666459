"""Ansible action: pin the vendor's host key once it is confirmed. Never replace a pinned key."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail, AnsiblePromptInterrupt, AnsiblePromptNoninteractive
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "scripts"))

from roster_fleet.onboard import host_key, writing

DOCUMENTATION = r"""
module: onboard_host_key
short_description: Pin the vendor's host key, or compare it with the pinned one
description:
  - Reads the key from the server and shows its fingerprints. If no key is pinned, the confirmed key
    is written into group_vars/district_hosts. A pinned key is compared and never changed.
options:
  inventory:
    description: The inventory's folder.
    type: path
    required: true
  servers:
    description: The servers, each with C(host), C(port) and C(pinned).
    type: list
    elements: dict
    required: true
  fingerprint:
    description: The fingerprint from the vendor. If it is empty, the playbook asks for it.
    type: str
    default: ""
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
author: The Roster Delivery authors
"""


class ActionModule(ActionBase):  # type: ignore[misc]  # Ansible carries no types
    """See DOCUMENTATION."""

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return Ansible's result, with a row of the closing table for each server."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        _, args = self.validate_argument_spec(
            argument_spec={
                "inventory": {"type": "path", "required": True},
                "servers": {"type": "list", "elements": "dict", "required": True},
                "fingerprint": {"type": "str", "default": ""},
            }
        )
        file = host_key.pin_file(Path(args["inventory"]))
        report: list[dict[str, Any]] = []
        written: list[writing.File] = []
        for server in args["servers"]:
            name = f"{server['host']}:{server['port']}"
            pinned = [str(line) for line in server["pinned"]]
            try:
                lines = host_key.offered(server["host"], int(server["port"]))
                shown = ", ".join(
                    f"{line.split()[0]} {host_key.fingerprint(line)}" for line in lines
                )
                if pinned:
                    did, note = compared(lines, pinned, f"{name} shows {shown}")
                elif len(args["servers"]) > 1:
                    did = "NOT PINNED"
                    note = (
                        f"{name} shows {shown}. There are several servers, so pin the key by hand "
                        "(roster_upload_host_keys) in the variables of its districts"
                    )
                else:
                    line = host_key.confirmed(lines, args["fingerprint"] or ask(name, shown))
                    before = file.read_bytes() if file.is_file() else None
                    text = host_key.with_pin((before or b"").decode(), line)
                    written.append(writing.File(file, text.encode(), before))
                    did = "would be pinned" if self._task.check_mode else "pinned"
                    note = f"{name}: {host_key.fingerprint(line)}, in {file}"
            except (host_key.HostKeyError, ValueError) as error:
                did, note = "not compared" if pinned else "NOT PINNED", str(error)
            report.append({"did": f"host key {did}", "note": note, "ok": did == did.lower()})
        try:
            if not self._task.check_mode:
                writing.write(written)
        except OSError as error:
            raise AnsibleActionFail(f"{file} was not written: {error}") from None
        result |= {"changed": bool(written), "report": report}
        if self._task.diff:
            result["diff"] = [change.diff() for change in written]
        return result


def compared(lines: list[str], pinned: list[str], shown: str) -> tuple[str, str]:
    """Return the report on a server with a pinned key: a result and a note."""
    if host_key.is_pinned(lines, pinned):
        return "is the pinned one", shown
    known = ", ".join(host_key.fingerprint(line) for line in pinned)
    return "IS ANOTHER", (
        f"{shown}, but {known} is pinned. Nothing was changed, and nothing will be delivered. Ask "
        "the vendor for the fingerprint, and put the right key into roster_upload_host_keys"
    )


def ask(name: str, shown: str) -> str:
    """Return the operator's answer to a shown key. Raise HostKeyError without an answer."""
    question = (
        f"{name} shows {shown}.\nAsk the vendor for the fingerprint, but not over this network. "
        "Type it here, or type yes after you have compared it (empty: pin nothing): "
    )
    try:
        answer = Display().prompt_until(question).decode("utf-8", "replace").strip()
    except (AnsiblePromptNoninteractive, AnsiblePromptInterrupt):
        answer = ""
    if not answer:
        raise host_key.HostKeyError(
            f"{name} shows {shown}, which nobody has confirmed. Run the same again with the "
            "vendor's fingerprint: -e onboard_fingerprint=SHA256:..."
        )
    return str(answer)
