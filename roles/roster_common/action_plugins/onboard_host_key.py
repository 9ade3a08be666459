"""Ansible action: pin the vendor's host key after it was confirmed; never another one's place."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail, AnsiblePromptInterrupt, AnsiblePromptNoninteractive
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "scripts"))

from roster_fleet import hostkey, onboard

DOCUMENTATION = r"""
module: onboard_host_key
short_description: Pin the vendor's host key, or compare it with the pinned one
description:
  - Reads the key from the server and shows its fingerprints. Where none is pinned, it is written
    into group_vars/district_hosts once it is confirmed. A pinned key is compared, never changed.
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
    description: The fingerprint that the vendor named; empty asks for it.
    type: str
    default: ""
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
author: The project's maintainers
"""


class ActionModule(ActionBase):  # type: ignore[misc]  # Ansible carries no types
    """See DOCUMENTATION."""

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Returns Ansible's result, with a row of the closing table for each server."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        _, args = self.validate_argument_spec(
            argument_spec={
                "inventory": {"type": "path", "required": True},
                "servers": {"type": "list", "elements": "dict", "required": True},
                "fingerprint": {"type": "str", "default": ""},
            }
        )
        file = hostkey.pin_file(Path(args["inventory"]))
        report: list[dict[str, Any]] = []
        written: list[onboard.File] = []
        for server in args["servers"]:
            name = f"{server['host']}:{server['port']}"
            pinned = [str(line) for line in server["pinned"]]
            try:
                lines = hostkey.offered(server["host"], int(server["port"]))
                shown = ", ".join(
                    f"{line.split()[0]} {hostkey.fingerprint(line)}" for line in lines
                )
                if pinned:
                    did, note = compared(lines, pinned, f"{name} shows {shown}")
                elif len(args["servers"]) > 1:
                    did = "NOT PINNED"
                    note = (
                        f"{name} shows {shown}; pin it by hand (roster_upload_host_keys) where its "
                        "districts have their variables: there are several servers"
                    )
                else:
                    line = hostkey.confirmed(lines, args["fingerprint"] or ask(name, shown))
                    before = file.read_bytes() if file.is_file() else None
                    text = hostkey.with_pin((before or b"").decode(), line)
                    written.append(onboard.File(file, text.encode(), before))
                    did = "would be pinned" if self._task.check_mode else "pinned"
                    note = f"{name}: {hostkey.fingerprint(line)}, in {file}"
            except (hostkey.HostKeyError, ValueError) as error:
                did, note = "not compared" if pinned else "NOT PINNED", str(error)
            report.append({"did": f"host key {did}", "note": note, "ok": did == did.lower()})
        try:
            if not self._task.check_mode:
                onboard.write(written)
        except OSError as error:
            raise AnsibleActionFail(f"{file} was not written: {error}") from None
        result |= {"changed": bool(written), "report": report}
        if self._task.diff:
            result["diff"] = [change.diff() for change in written]
        return result


def compared(lines: list[str], pinned: list[str], shown: str) -> tuple[str, str]:
    """What is said of a server whose key is pinned."""
    if hostkey.is_pinned(lines, pinned):
        return "is the pinned one", shown
    known = ", ".join(hostkey.fingerprint(line) for line in pinned)
    return "IS ANOTHER", (
        f"{shown}, but pinned is {known}; nothing was changed, and nothing will be delivered: ask "
        "the vendor for its fingerprint, and put the right key into roster_upload_host_keys"
    )


def ask(name: str, shown: str) -> str:
    """What the operator answers to a shown key; raises HostKeyError where nobody answers."""
    question = (
        f"{name} shows {shown}.\nAsk the vendor for its fingerprint by another way than this "
        "network, and type it here (or yes, once you have compared it; empty: pin nothing): "
    )
    try:
        answer = Display().prompt_until(question).decode("utf-8", "replace").strip()
    except (AnsiblePromptNoninteractive, AnsiblePromptInterrupt):
        answer = ""
    if not answer:
        raise hostkey.HostKeyError(
            f"{name} shows {shown}, which nobody has confirmed (again, with "
            "-e onboard_fingerprint=SHA256:... as the vendor names it)"
        )
    return str(answer)
