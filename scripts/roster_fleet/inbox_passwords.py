"""The passwords of a host's inboxes: an encrypted `inboxes.vault` for a host, or for a group.

It has a line `USER: password` for each account of `sis_inbox_accounts` with `password: true`. It is
found as `alerts.vault` is: the nearest file counts as a whole.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import bcrypt
from ansible.parsing.vault import is_encrypted

from roster_fleet import vault

FILE = f"{vault.INBOXES}{vault.SUFFIX}"
VARIABLE = "sis_inbox_accounts"

MIN_LENGTH = 14  # with characters of three kinds
LONG = 20  # any kinds
MAX_LENGTH = 72  # bcrypt takes no longer one
MIN_KINDS = 3
MIN_DIFFERENT = 6  # characters
COMMON = (
    "password", "passw0rd", "changeme", "welcome", "letmein", "qwerty", "administrator",
    "oneroster", "aeries", "powerschool", "infinitecampus", "skyward", "123456", "abcdef",
)  # fmt: skip
RULE = (
    f"Use {MIN_LENGTH} to {MAX_LENGTH} characters with {MIN_KINDS} of lower case, upper case, "
    f"digits and others, or at least {LONG} characters. Make one: openssl rand -base64 18"
)


def nearest(homes: Sequence[Path]) -> Path | None:
    """Return the file that counts for a host, given its folders, the nearest first."""
    return next((home / FILE for home in homes if (home / FILE).exists()), None)


def read(path: Path, keys: vault.Vault) -> dict[str, str]:
    """Return the passwords of a file by account. Raise VaultError."""
    return dict(vault.parse(keys.read(path)[1], path, None))


def users_by_password(accounts: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return the accounts that log in by password."""
    return [account["user"] for account in accounts if account.get("password") is True]


def for_accounts(
    accounts: Sequence[Mapping[str, Any]], homes: Sequence[Path], keys: vault.Vault
) -> dict[str, str]:
    """Return the known passwords of the accounts that log in by one. Raise VaultError.

    Without such an account no key is needed. An unencrypted file is refused in any case.
    """
    path = nearest(homes)
    users = users_by_password(accounts)
    if path is None or not (users or not is_encrypted(path.read_bytes())):
        return {}
    found = read(path, keys)
    return {user: found[user] for user in users if user in found}


SALT_ALPHABET = "./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
SALT_ENDS = ".Oeu"  # the last character has two bits only
SALT_LENGTH = 22
SCHEME = "$2b$11$"  # bcrypt, with its cost


def hashes(passwords: Mapping[str, str], host: str) -> dict[str, str]:
    """Return the hashes of passwords by account. The same host and password give the same hash."""
    return {
        user: bcrypt.hashpw(password.encode(), salt_of(host, user)).decode()
        for user, password in passwords.items()
    }


def salt_of(*names: str) -> bytes:
    """Return the salt of bcrypt that belongs to these names. It is always the same."""
    *digest, last = hashlib.sha256("\0".join(names).encode()).digest()[:SALT_LENGTH]
    letters = [SALT_ALPHABET[byte % 64] for byte in digest]
    return f"{SCHEME}{''.join(letters)}{SALT_ENDS[last % 4]}".encode()


def problems(
    accounts: Sequence[Mapping[str, Any]],
    passwords: Mapping[str, str],
    home: Path,
    vault_id: str,
) -> list[str]:
    """Return what is wrong with the passwords of a host's inboxes. No message shows one."""
    found = []
    for user in users_by_password(accounts):
        if user not in passwords:
            found.append(
                f"{VARIABLE}: {user} logs in by password, but {FILE} has no line for it. Run "
                f"ansible-vault create --encrypt-vault-id {vault_id} {home / FILE} (or "
                f"ansible-vault edit) and write: {user}: 'the password'"
            )
        elif why := "; ".join(weaknesses(user, passwords[user])):
            found.append(f"{FILE}: the password of {user} is too weak: {why}. {RULE}")
    return found


def weaknesses(user: str, password: str) -> Iterator[str]:
    """Yield why a password is refused."""
    kinds = sum(map(any, zip(*map(_kinds, password), strict=True)))
    if len(password) < MIN_LENGTH or (len(password) < LONG and kinds < MIN_KINDS):
        yield f"it has {len(password)} characters of {kinds} kinds"
    if len(password) > MAX_LENGTH:
        yield f"it has {len(password)} characters"
    if len(set(password)) < MIN_DIFFERENT:
        yield "it repeats the same characters"
    if not (password.isascii() and password.isprintable()) or password != password.strip():
        yield "it has characters that some programs change, such as é, or spaces around it"
    plain = password.lower()
    names = (user.removeprefix("sis-"), user)
    if known := next((word for word in COMMON if word in plain), ""):
        yield f"it has the well-known word {known}"
    elif any(name in plain for name in names if len(name) > 2):
        yield "it has the account's name"


def _kinds(character: str) -> tuple[bool, bool, bool, bool]:
    """Return which kind a character is of."""
    is_letter = character.isalpha()
    return (
        is_letter and character.islower(),
        is_letter and character.isupper(),
        character.isdigit(),
        not character.isalnum(),
    )


def without(text: str, users: Sequence[str], where: object) -> str | None:
    """Return a file's plain text without these accounts, or None if nothing is left.

    A text without them stays as it is.
    """
    entry = vault.parse(text, where, None)
    kept = {user: value for user, value in entry.items() if user not in users}
    if len(kept) == len(entry):
        return text
    return vault.render(kept, list(kept)) if kept else None
