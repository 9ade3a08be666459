"""Jinja2 filters of the role `sis_inbox`: accounts, keys, folders, and their problems."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

FOLDERS = ("/srv/sis-inbox", "/srv/dropbox")  # the second one on hosts of an earlier release
USER = re.compile(r"[a-z][a-z0-9-]{0,30}")
KEY = re.compile(r"(sk-)?(ssh|ecdsa)-[^ ]+ AAAA[A-Za-z0-9+/=]+( .*)?")
SHOWN = 30  # characters of a refused key
LAST_PORT = 65535

# No links: one could lead into the inbox of another SIS, which the program reads as well.
OPEN = "-P symlink,hardlink"
# The owner of a closed inbox makes room.
CLOSED = "-p opendir,readdir,close,realpath,stat,lstat,fstat,remove,rmdir"
RIGHTS = {"open": OPEN, "closed": CLOSED}

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


def inbox_accounts(
    accounts: Sequence[Account], hashes: Mapping[str, str] | None = None
) -> list[dict[str, str]]:
    """Return the accounts for `system_accounts`, each in a group of its own name.

    `hashes` has the passwords' hashes. An account without one is locked for passwords.
    """
    known = hashes or {}
    return [
        {"name": user, "group": user, "password_hash": known.get(user, "")}
        for user in (account["user"] for account in accounts)
    ]


def keys_of(account: Account) -> Sequence[str]:
    """Return the public keys of an account."""
    return account.get("authorized_keys") or ()


def inboxes_on_ssh_port(accounts: Sequence[Account], *switches: bool) -> list[Account]:
    """Return the accounts that the administrators' SSH server lets in, too: those with a key.

    There are none unless all switches are on.
    """
    return [account for account in accounts if all(switches) and keys_of(account)]


def inboxes_with_passwords(accounts: Sequence[Account]) -> list[Account]:
    """Return the accounts that log in by password, perhaps also by key."""
    return [account for account in accounts if account.get("password") is True]


def inbox_command(rights: str) -> str:
    """Return the command of a session with the rights of an `open` or a `closed` inbox."""
    return f"internal-sftp -d /incoming -u 0027 -l INFO {RIGHTS[rights]}"


def authorized_keys(account: Account, header: str, rights: str) -> str:
    """Return an account's authorized_keys, which allow SFTP in its inbox only."""
    networks = ",".join(account["networks"])
    options = f'restrict,from="{networks}",command="{inbox_command(rights)}"'
    lines = [header, *(f"{options} {key.strip()}" for key in keys_of(account))]
    return "".join(f"{line}\n" for line in lines)


def inbox_logins(accounts: Sequence[Account]) -> list[str]:
    """Return each account with each of its networks, as sshd's AllowUsers has them."""
    return [f"{one['user']}@{network}" for one in accounts for network in one["networks"]]


def pam_networks(networks: Sequence[str]) -> list[str]:
    """Return networks for pam_access, which finds no address in a network that ends in /0."""
    halves = {"0.0.0.0/0": ["0.0.0.0/1", "128.0.0.0/1"], "::/0": ["::/1", "8000::/1"]}
    return [part for network in networks for part in halves.get(network, [network])]


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
            {"path": f"{keys}/{user}", "content": authorized_keys(account, header, "closed")},
            {"path": f"{keys}/{user}.open", "content": authorized_keys(account, header, "open")},
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
        found += [f"sis_inbox_accounts: {text}" for text in account_problems(account)]
    return found + [
        source_problem(source, folder) for source in sources if is_in_other(source, folder)
    ]


def account_problems(account: Account) -> Iterator[str]:
    """Yield what is wrong with an account."""
    user, password = account["user"], account.get("password", False)
    if not USER.fullmatch(user):
        yield f'"{user}" is not a user such as sis-maple. Use lower case, digits and - only'
    for name in ("networks", "authorized_keys"):
        if isinstance(account.get(name), str):  # Ansible takes a text for a list of one
            yield f"{user}: {name} is a text. Write a list, with a dash before each entry"
            return
    for network in account["networks"]:
        if not is_network(network):
            yield f'{user}: "{network}" is not a network such as 203.0.113.0/28'
    for key in keys_of(account):
        if not KEY.fullmatch(key.strip()):
            yield f'{user}: "{key[:SHOWN]}..." is not a public key such as ssh-ed25519 AAAA...'
    if not isinstance(password, bool):
        yield (
            f"{user}: password may be true or false only. Treat a password that is written there "
            "as public: choose another one. Put that into inboxes.vault (roles/sis_inbox/README.md)"
        )
    elif not (password or keys_of(account)):
        yield f"{user}: it has no way to log in. Give it authorized_keys, or password: true"
    if not account["networks"]:
        yield (
            f"{user}: networks is empty, so the SIS could not log in. Ask its provider for them. "
            "If nobody knows them, write 0.0.0.0/0 and ::/0"
        )


def inbox_server_problems(
    port: int, ssh_ports: Sequence[int], lock_tries: int, lock_seconds: int
) -> list[str]:
    """Return what is wrong with the settings of the inboxes' SSH server."""
    found = []
    if not 1 <= port <= LAST_PORT:
        found.append(f"sis_inbox_port: {port} is not a port. Use 1 to {LAST_PORT}")
    if port in map(int, ssh_ports):
        found.append(
            f"sis_inbox_port: {port} is also in district_hardening_ssh_ports. The inboxes have "
            "an SSH server of their own. Give it another port, such as 2222"
        )
    if lock_tries < 1:
        found.append(f"sis_inbox_lock_tries: {lock_tries} is not a number of logins. Use 1 or more")
    if lock_seconds < 1:
        found.append(
            f"sis_inbox_lock_seconds: {lock_seconds} would lock an account for good. Use 1 or more"
        )
    return found


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
            "inbox_command": inbox_command,
            "inbox_files": inbox_files,
            "inbox_logins": inbox_logins,
            "inbox_problems": inbox_problems,
            "inbox_server_problems": inbox_server_problems,
            "inboxes_of": inboxes_of,
            "inboxes_on_ssh_port": inboxes_on_ssh_port,
            "inboxes_with_passwords": inboxes_with_passwords,
            "pam_networks": pam_networks,
        }
