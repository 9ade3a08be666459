"""Jinja2 filters of the role `sis_inbox`: accounts, keys, folders, and their problems."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping, Sequence
from typing import Any

FOLDERS = ("/srv/sis-inbox", "/srv/dropbox")  # the second one on hosts of an earlier release
USER = re.compile(r"[a-z][a-z0-9-]{0,30}")
KEY = re.compile(r"(sk-)?(ssh|ecdsa)-[^ ]+ AAAA[A-Za-z0-9+/=]+( .*)?")
SHOWN = 30  # characters of a refused key

# No links: one could lead into the inbox of another SIS, which the program reads as well.
OPEN = "-P symlink,hardlink"
# The owner of a closed inbox makes room.
CLOSED = "-p opendir,readdir,close,realpath,stat,lstat,fstat,remove,rmdir"

Account = Mapping[str, Any]
Entry = dict[str, Any]


def inbox_of(source: str) -> str:
    """Return the account whose inbox holds an export. Return "" if it is in no inbox."""
    for folder in FOLDERS:
        if source.startswith(f"{folder}/"):
            return source.split("/")[3]
    return ""


def inboxes_of(sources: Sequence[str]) -> list[str]:
    """Return the accounts whose inboxes hold the exports, each once."""
    return list(dict.fromkeys(filter(None, map(inbox_of, sources))))


def inbox_accounts(accounts: Sequence[Account]) -> list[dict[str, str]]:
    """Return the accounts for `system_accounts`, each in a group of its own name."""
    return [{"name": account["user"], "group": account["user"]} for account in accounts]


def authorized_keys(account: Account, requests: str, header: str) -> str:
    """Return an account's authorized_keys, which allow the given SFTP requests only."""
    networks = ",".join(account["networks"])
    command = f"internal-sftp -d /incoming -u 0027 -l INFO {requests}"
    options = f'restrict,from="{networks}",command="{command}"'
    lines = [header, *(f"{options} {key.strip()}" for key in account["authorized_keys"])]
    return "".join(f"{line}\n" for line in lines)


def inbox_files(
    accounts: Sequence[Account], folder: str, keys: str, group: str, header: str
) -> list[Entry]:
    """Return the keys and folders of the accounts, for `file_set`.

    `folder` is the parent of all inboxes, which `group` may list. `keys` is the folder of the
    keys. Keys of other accounts are removed from it. `header` is its files' first line.
    """
    found: list[Entry] = [
        {"path": keys, "state": "directory", "exclusive": "*"},
        {"path": folder, "state": "directory", "group": group, "mode": "0751"},
    ]
    for account in accounts:
        user, own = account["user"], {"state": "directory", "group": account["user"]}
        found += [
            {"path": f"{keys}/{user}", "content": authorized_keys(account, CLOSED, header)},
            {"path": f"{keys}/{user}.open", "content": authorized_keys(account, OPEN, header)},
            {"path": f"{folder}/{user}", "mode": "0750", **own},
            {"path": f"{folder}/{user}/incoming", "owner": user, "mode": "2750", **own},
        ]
    return found


def files_removed(files: Sequence[Entry]) -> list[Entry]:
    """Return the entries that remove what `file_set` has written. Folders stay."""
    return [
        {"path": entry["path"], "state": "absent", "on_change": entry.get("on_change", [])}
        for entry in files
        if entry.get("state") != "directory"
    ]


def inbox_problems(
    accounts: Sequence[Account], folder: str, sources: Sequence[str] = ()
) -> list[str]:
    """Return what is wrong with a host's inboxes, one message each."""
    users = [account["user"] for account in accounts]
    found = [
        f'sis_inbox_accounts: the user "{user}" appears twice. Give each SIS an account of its own'
        for user in dict.fromkeys(users)
        if users.count(user) > 1
    ]
    for account in accounts:
        user = account["user"]
        if not USER.fullmatch(user):
            found.append(
                f'sis_inbox_accounts: "{user}" is not a user such as sis-maple. '
                "Use lower case, digits and - only"
            )
        found += [
            f'sis_inbox_accounts: {user}: "{network}" is not a network such as 203.0.113.0/28'
            for network in account["networks"]
            if not is_network(network)
        ]
        found += [
            f'sis_inbox_accounts: {user}: "{key[:SHOWN]}..." is not a public key '
            "such as ssh-ed25519 AAAA..."
            for key in account["authorized_keys"]
            if not KEY.fullmatch(key.strip())
        ]
    return found + [
        source_problem(source, folder) for source in sources if is_in_other(source, folder)
    ]


def is_network(text: str) -> bool:
    """Return whether a text is a network with a prefix length."""
    try:
        ipaddress.ip_network(text)  # sshd refuses bits behind the prefix
    except ValueError:
        return False
    return "/" in text


def is_in_other(source: str, folder: str) -> bool:
    """Return whether an export is expected in the parent folder that is not in use."""
    return bool(inbox_of(source)) and not source.startswith(f"{folder}/")


def source_problem(source: str, folder: str) -> str:
    """Return the message for an export in the parent folder that is not in use."""
    other = next(one for one in FOLDERS if one != folder)
    return (
        f"roster_upload_source: {source} is not in sis_inbox_folder, which is {folder}. "
        f"Set sis_inbox_folder: {other} if the inboxes of this host are there. "
        f"Otherwise name the export in {folder}"
    )


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Any]:
        """Return the filters by name."""
        return {
            "files_removed": files_removed,
            "inbox_accounts": inbox_accounts,
            "inbox_files": inbox_files,
            "inbox_problems": inbox_problems,
            "inboxes_of": inboxes_of,
        }
