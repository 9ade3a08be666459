"""Ansible action: bring new districts into the inventory, all of them or none."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from ansible.errors import (
    AnsibleActionFail,
    AnsibleError,
    AnsiblePromptInterrupt,
    AnsiblePromptNoninteractive,
)
from ansible.parsing.vault import is_encrypted
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "scripts"))

from roster_fleet import inventory, onboard, vault

DOCUMENTATION = r"""
module: onboard_districts
short_description: Bring new districts into the inventory
description:
  - Takes districts from a CSV, or asks about one what is not given, checks all that the upload
    program would check, and writes the hosts' files, their vault files and hosts.yml - or nothing.
  - What is there already is compared and never overwritten.
options:
  sources:
    description: The inventory of the run, a folder with hosts.yml.
    type: list
    elements: str
    required: true
  csv:
    description: The CSV; with passwords only where it is encrypted by ansible-vault.
    type: path
    default: ""
  values:
    description: What is known of one district, by the CSV's names; the rest is asked for.
    type: dict
    default: {}
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
        """Returns Ansible's result: what is said of each district, and their servers."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        _, args = self.validate_argument_spec(
            argument_spec={
                "sources": {"type": "list", "elements": "str", "required": True},
                "csv": {"type": "path", "default": ""},
                "values": {"type": "dict", "default": {}},
            }
        )
        folder = inventory.folder_of(args["sources"])
        if folder is None:
            raise AnsibleActionFail(
                "name the one inventory folder that the districts go to: -i inventories/mydistrict"
            )
        try:
            keys = vault.keys_of(self._loader, folder)
            if args["csv"]:
                districts = from_file(Path(args["csv"]), keys)
            else:
                districts = [onboard.from_values(ask(args["values"]), "the district")]
            plan = onboard.plan(folder, districts, keys)
            if self._task.check_mode:
                for line in plan.report:
                    line["did"] = line["did"].replace("added", "would be added")
            else:
                onboard.write(plan.files)
        except (onboard.OnboardError, vault.VaultError, OSError, AnsibleError) as error:
            raise AnsibleActionFail(f"{error}\nNothing was written.") from None
        result |= {
            "changed": bool(plan.files),
            "inventory": str(folder),
            "report": plan.report,
            "servers": plan.servers,
        }
        if self._task.diff:
            result["diff"] = [file.diff() for file in plan.files]
        return result


def from_file(path: Path, keys: vault.Vault) -> list[onboard.District]:
    """The districts of a CSV, which may be encrypted."""
    data = path.read_bytes()
    sealed = is_encrypted(data)
    plain = keys.decrypt(data, path) if sealed else data
    return onboard.from_csv(plain, str(path), sealed=sealed)


def ask(values: dict[str, Any]) -> dict[str, str]:
    """The given values, and the answers to the questions about the others."""
    if "password" in values:
        raise onboard.OnboardError(
            ["a password must not be given by -e, where others can see it; it is asked for"]
        )
    given = {name: str(value) for name, value in values.items()}
    known = {*onboard.MORE, *(column.name for column in onboard.COLUMNS)}
    if unknown := sorted(set(given) - known):
        raise onboard.OnboardError(
            [
                f"onboard_{name} is not known; there are: {', '.join(sorted(known))}"
                for name in unknown
            ]
        )
    for column in onboard.COLUMNS:
        if column.name not in given:
            answer = prompt(column, given)
            if answer is None:
                Display().display(
                    "nobody is at a terminal to be asked; give the rest as -e onboard_NAME=..., or "
                    "many districts as a CSV: -e onboard_csv=FILE"
                )
                break
            given[column.name] = answer
    return given


def prompt(column: onboard.Column, given: dict[str, str]) -> str | None:
    """The answer to a question, asked until it is one; None where nobody can answer."""
    display = Display()
    private = column.name == "password"
    default = onboard.slug(given.get("district", "")) if column.name == "feed" else ""
    hint = f" [{default}]" if default else ""
    while True:
        question = f"{column.name}: {column.means}{hint}{' (not shown)' if private else ''}: "
        try:
            answer = display.prompt_until(question, private=private).decode("utf-8")
        except AnsiblePromptNoninteractive:
            return None
        except AnsiblePromptInterrupt:
            raise onboard.OnboardError(["interrupted"]) from None
        except UnicodeDecodeError:
            display.display("that was not UTF-8; once more")
            continue
        answer = answer if private else answer.strip() or default
        if not answer and column.required:
            display.display("must not be empty")
        elif answer and (message := column.check(answer)):
            display.display(message)
        else:
            return answer
