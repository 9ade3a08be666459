"""The passwords of inboxes: one encrypted `inboxes.vault` for a host, USER: password."""

from __future__ import annotations

import secrets
import string
from collections.abc import Mapping, Sequence
from pathlib import Path

import yaml

from roster_fleet import inbox_passwords, inventory, vault
from roster_fleet.onboard.districts import District
from roster_fleet.onboard.passwords import ColumnError
from roster_fleet.onboard.writing import File

LENGTH = 24
# People may type it into a form, so it has no characters that look alike.
CHARACTERS = "".join(sorted({*string.ascii_letters, *string.digits} - {*"0O1Il"}))


def generated() -> str:
    """Return a strong password."""
    return "".join(secrets.choice(CHARACTERS) for _ in range(LENGTH))


def path_of(folder: Path, host: str) -> Path:
    """Return the vault file with the passwords of a host's inboxes."""
    return folder / "host_vars" / host / inbox_passwords.FILE


def vault_files(
    districts: Sequence[District], host: inventory.Host, folder: Path, keys: vault.Vault
) -> list[File]:
    """Return the changed vault file of a host's inboxes, if any. Raise VaultError.

    A password that is stored stays. One that is missing is generated.
    """
    wanted = {it.inbox_user: it.inbox_password for it in districts if it.has_inbox_password}
    if not wanted:
        return []
    path, homes = path_of(folder, districts[0].host), folder / "group_vars"
    known: dict[str, str] = {}
    vault_id = host.vault_id
    if path.exists():
        vault_id = keys.read(path)[0]
        known = inbox_passwords.read(path, keys)
    elif shared := [it for it in host.groups if (homes / it / inbox_passwords.FILE).exists()]:
        raise ColumnError(
            "inbox_password",
            f"{homes / shared[0] / inbox_passwords.FILE} has the passwords of this host's inboxes. "
            "Add the account and the password there by hand (ansible-vault edit)",
        )
    for user, password in wanted.items():
        if password and known.get(user, password) != password:
            raise ColumnError(
                "inbox_password",
                f"differs from {path}. To change it, run ansible-vault edit {path}, then site.yml. "
                "Nothing is overwritten",
            )
    new = {user: password or generated() for user, password in wanted.items() if user not in known}
    return [sealed(path, {**known, **new}, vault_id, keys)] if new else []


def sealed(path: Path, passwords: Mapping[str, str], vault_id: str, keys: vault.Vault) -> File:
    """Return a vault file to write. Raise VaultError."""
    text = "---\n" + yaml.safe_dump(dict(passwords), default_style="'", sort_keys=False)
    data = keys.encrypt(text, vault_id)
    if vault.parse(keys.decrypt(data, path).decode("utf-8"), path, None) != dict(passwords):
        raise vault.VaultError(f"{path}: the encrypted text reads back differently")
    before = path.read_bytes() if path.is_file() else None
    return File(path, data, before, f"(encrypted for the vault id {vault_id}; not shown)\n")
