"""Jinja2 filters of the upload program: its rules for feeds, and the files that it needs on a host.

The program's own rules are applied on the control node, before any host is touched.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleFilterError

# A role that is installed elsewhere finds the program by PYTHONPATH.
sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "scripts"))

PREFIX = "roster_upload_"
UNITS = "/etc/systemd/system"
SETTINGS = "/etc/roster-upload"
SLOTS = ("credentials", "pending", "previous")
MISSING = (
    "the upload program's sources were not found. They are in the folder scripts of the checkout, "
    "beside roles. If the roles are installed elsewhere, set PYTHONPATH=CHECKOUT/scripts"
)


def feed_problems(
    resolved: Sequence[Mapping[str, Any]], feeds: Sequence[Mapping[str, Any]], alone: str = ""
) -> list[str]:
    """Return what is wrong with a host's feeds, each text starting with the variable's name.

    `alone` is `roster_upload_feed`, the name of a host's only feed without a list.
    """
    try:
        from roster_fleet import sources  # noqa: PLC0415 - a filter without it must load
    except ModuleNotFoundError:
        raise AnsibleFilterError(MISSING) from None
    found = []
    if alone and feeds and alone not in [feed.get("feed") for feed in resolved]:
        found.append(
            f"{PREFIX}feeds: does not name {alone}, which is {PREFIX}feed of this host. The run "
            f"would remove that feed. Put it into the list, or remove {PREFIX}feed"
        )
    for index, (feed, item) in enumerate(zip(resolved, feeds, strict=True)):
        for problem in sources.problems(feed):
            # A feed lacks it, or has it from the host's or a group's variable of this name.
            is_lacking = len(feeds) > 1 and not feed.get(problem.key)
            is_own = problem.key in item or is_lacking
            name = f"{PREFIX}feeds[{index}].{problem.key}" if is_own else PREFIX + problem.key
            found.append(f"{name}: {problem.message}")
    between = sources.cross_problems(resolved)
    found += [f"{PREFIX}feeds: {problem.message}" for problem in between]
    return list(dict.fromkeys(found))


def program_feeds(feeds: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return a host's feeds as the program knows them: a share is the path of its mount."""
    try:
        from roster_fleet import sources  # noqa: PLC0415 - as above
    except ModuleNotFoundError:
        raise AnsibleFilterError(MISSING) from None
    return [sources.for_program(feed) for feed in feeds]


def source_folders(feeds: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the folders from which a host reads exports, each once."""
    try:
        from roster_fleet import sources  # noqa: PLC0415 - as above
    except ModuleNotFoundError:
        raise AnsibleFilterError(MISSING) from None
    return sources.local_folders(feeds)


def shared_locks(feeds: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the names of the locks that a host's feeds share."""
    try:
        from roster_upload.host import locks  # noqa: PLC0415 - as above
    except ModuleNotFoundError:
        raise AnsibleFilterError(MISSING) from None
    accounts = {
        locks.account_lock(feed["username"], feed["remote_host"], feed["remote_port"])
        for feed in feeds
    }
    slots = locks.slot_locks(max((feed["parallel"] for feed in feeds), default=0))
    return slots + sorted(accounts)


def unit_files(units: Sequence[Mapping[str, Any]], texts: Sequence[str]) -> list[dict[str, Any]]:
    """Return the program's units for `file_set`, with a text for each."""
    return [
        {"path": f"{UNITS}/{unit['name']}@.service", "content": text}
        for unit, text in zip(units, texts, strict=True)
    ]


def feed_files(accounts: Mapping[str, str], texts: Sequence[str]) -> list[dict[str, Any]]:
    """Return each feed's configuration and its folders of credentials, for `file_set`.

    `accounts` maps a feed to its account, whose group may read the configuration.
    """
    files: list[dict[str, Any]] = []
    for (feed, account), text in zip(accounts.items(), texts, strict=True):
        files.append(
            {
                "path": f"{SETTINGS}/{feed}.toml",
                "group": account,
                "mode": "0640",
                "content": text,
                "validate": "/usr/local/bin/roster-upload check-config %s",
            }
        )
        files += [
            {"path": f"{SETTINGS}/{slot}/{feed}", "state": "directory", "mode": "0700"}
            for slot in SLOTS
        ]
    return files


def account_files(
    accounts: Mapping[str, str], units: Sequence[Mapping[str, Any]], head: str
) -> list[dict[str, Any]]:
    """Return drop-ins of the feeds whose account is not `rf-%i`, as in their units.

    `head` is the comment that each starts with.
    """
    files: list[dict[str, Any]] = []
    for feed, account in accounts.items():
        for unit in units if account != f"rf-{feed}" else ():
            folder = f"{UNITS}/{unit['name']}@{feed}.service.d"
            text = f"{head}\n[Service]\nUser={account}\n"
            files.append({"path": folder, "state": "directory"})
            files.append({"path": f"{folder}/account.conf", "content": text})
    return files


def folder_files(folders: Sequence[Mapping[str, str]]) -> list[dict[str, Any]]:
    """Return the folders that exports come into, for `file_set`."""
    return [{**folder, "state": "directory", "mode": "2750"} for folder in folders]


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Any]:
        """Return the filters by name."""
        return {
            "feed_problems": feed_problems,
            "program_feeds": program_feeds,
            "source_folders": source_folders,
            "shared_locks": shared_locks,
            "unit_files": unit_files,
            "feed_files": feed_files,
            "account_files": account_files,
            "folder_files": folder_files,
        }
