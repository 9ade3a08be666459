"""The steps after an onboarding, as the operator types them."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from roster_fleet.onboard.passwords import LINES, SOURCE_LINES, ForLater, shell_path

LONGEST_LIMIT = 10  # hosts that a command names


def lines(
    folder: Path,
    hosts: Sequence[str],
    *,
    playbook: Path,
    is_default: bool,
    for_later: ForLater,
) -> list[str]:
    """Return the next steps for these hosts of an inventory.

    `playbook` is the path of onboard.yml as it was typed. `is_default` says whether ansible.cfg
    names this inventory. `for_later` has the commands that store the missing passwords.
    """
    where = "" if is_default else f" -i {shell_path(folder)}"
    limit = f" --limit {','.join(hosts)}" if len(hosts) <= LONGEST_LIMIT else ""

    def run(name: str, words: str = "") -> str:
        path = shlex.quote(str(playbook.with_name(f"{name}.yml")))
        return f"ansible-playbook {path}{where}{words}"

    steps = [
        ("Check the inventory. This touches no host", run("site", " --tags validate")),
        ("Preview the changes of the hosts", run("site", f"{limit} --check --diff")),
        ("Make the changes", run("site", limit)),
        ("See what is missing for the first delivery", run("verify", limit)),
    ]
    # Before the README's last step the folder is not in git yet.
    if any((home / ".git").exists() for home in folder.absolute().parents):
        steps.insert(0, ("Look at the new lines, and commit them", f"git add {shell_path(folder)}"))
    if for_later.sources:
        text = f"Store the missing passwords of the SIS's servers, each {SOURCE_LINES}"
        steps.insert(0, (text, _shortened(for_later.sources)))
    if for_later.vendor:
        text = f"Store the missing passwords, each {LINES}"
        steps.insert(0, (text, _shortened(for_later.vendor)))
    return [
        "What comes next:",
        *(
            line
            for number, (text, command) in enumerate(steps, start=1)
            for line in (f"  {number}. {text}:", f"       {command}")
        ),
    ]


def _shortened(commands: Sequence[str]) -> str:
    """Return commands as indented lines, the first of many."""
    more = len(commands) - LONGEST_LIMIT
    shown = [*commands[:LONGEST_LIMIT]]
    shown += [f"and {more} more, which the table shows"] if more > 0 else []
    return "\n       ".join(shown)
