"""Hashes of inbox passwords, kept on the control node, since each takes a tenth of a second.

A host's file is encrypted for the vault id of the passwords. Its name says what it was made of. So
it no longer counts once the passwords, their encryption or the accounts are others.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from roster_upload.host import atomic

from roster_fleet import inbox_passwords, vault

CACHE = "roster-delivery"


def folder() -> Path | None:
    """Return the folder of kept hashes, in the user's cache. None: the user has no home."""
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", CACHE)
    except RuntimeError:
        return None


def hashes(
    accounts: Sequence[Mapping[str, Any]], homes: Sequence[Path], keys: vault.Vault, host: str
) -> dict[str, str]:
    """Return the hashes of the accounts that log in by password. Raise VaultError."""
    source = inbox_passwords.nearest(homes)
    users = inbox_passwords.users_by_password(accounts)
    kept = _path(source, users, host) if source and users else None
    if kept:
        with contextlib.suppress(vault.VaultError, ValueError):
            found: dict[str, str] = json.loads(keys.read(kept)[1])
            return found
    found = inbox_passwords.hashes(inbox_passwords.for_accounts(accounts, homes, keys), host)
    if kept and source:
        # Without a place to keep them, the next run hashes again.
        with contextlib.suppress(OSError, vault.VaultError):
            vault_id = vault.vault_id_of(source.read_bytes(), source)
            _keep(kept, keys.encrypt(json.dumps(found), vault_id))
    return found


def _path(source: Path, users: Sequence[str], host: str) -> Path | None:
    """Return where the hashes are kept that are made of these. Raise VaultError."""
    home = folder()
    try:
        data = source.read_bytes()
    except OSError as error:
        raise vault.VaultError(f"{source} cannot be read: {error.strerror}") from None
    inventory = source.parents[2].name  # its folder may move
    of_host = _digest(f"{inventory}\0{host}".encode())
    made_of = "\0".join([inbox_passwords.SCHEME, host, *sorted(users)]).encode() + data
    return home / f"{of_host}-{_digest(made_of)}{vault.SUFFIX}" if home else None


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:32]


def _keep(path: Path, data: bytes) -> None:
    """Keep a host's hashes in place of its former ones."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    for old in path.parent.glob(f"{path.name.partition('-')[0]}-*"):
        old.unlink(missing_ok=True)
    atomic.replace(path, data, lasting=False)
