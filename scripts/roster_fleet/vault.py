"""Feeds' vault files: encrypted as a whole, replaced as a whole.

A feed's secrets lie in `host_vars/HOST/FEED.vault` of an inventory.  Ansible loads no file of that
ending by itself: what lists an inventory shows no secret, and takes no time to decrypt thousands.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NewType

import yaml
from ansible.errors import AnsibleError
from ansible.parsing.vault import VaultLib, VaultSecret, is_encrypted, parse_vaulttext_envelope
from roster_upload import atomic
from roster_upload.printable import printable

SUFFIX = ".vault"
# What an entry may hold, each a text; `since` is the day on which `secret` became the one in use.
KEYS = ("secret", "since", "next")
VAULT_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")

Entry = NewType("Entry", dict[str, str])


class VaultError(Exception):
    """A vault file that cannot be used; the text says which, why, and what to do."""


def path_of(folder: Path, feed: str) -> Path:
    """The vault file of a feed, given its host's folder in host_vars."""
    return folder / f"{feed}{SUFFIX}"


def parse(text: str, where: object) -> Entry:
    """The entry that a vault file's plain text holds; raises VaultError, which shows no value."""
    try:
        loaded = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f" in line {mark.line + 1}" if mark else ""
        raise VaultError(
            f"{where} is no YAML{line}; put secrets in single quotes, a quote inside doubled "
            f"(ansible-vault edit {where})"
        ) from None
    if not isinstance(loaded, dict) or set(loaded) - set(KEYS):
        raise VaultError(f"{where} may hold {', '.join(KEYS)} and nothing else")
    if isinstance(loaded.get("since"), dt.date):
        loaded["since"] = loaded["since"].isoformat()
    for key, value in loaded.items():
        if not isinstance(value, str) or not value:
            raise VaultError(f"{where}: {key} is no text; put it in single quotes")
    if "since" in loaded and not _is_day(loaded["since"]):
        raise VaultError(f"{where}: since is no day such as 2026-08-31")
    return Entry(loaded)


def _is_day(text: str) -> bool:
    """Whether a text is a day in its long form, which alone sorts as days do."""
    try:
        return dt.date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


def vault_id_of(data: bytes, where: object) -> str:
    """Return the vault id of encrypted data. Raise VaultError where its header names none.

    It enters the commands that messages show, so it must be a plain name.
    """
    try:
        vault_id = str(parse_vaulttext_envelope(data)[3])
    except AnsibleError:
        raise VaultError(f"{where} is damaged: its first line is not Ansible Vault's") from None
    if not VAULT_ID.fullmatch(vault_id):
        raise VaultError(f"{where} names {printable(vault_id)!r}, which is not a vault id")
    return vault_id


class _Dumper(yaml.SafeDumper):
    """Writes a text so that a person can read it: a private key as lines."""


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    lines = value.split("\n")
    readable = "|" if len(lines) > 1 else "'"
    style = readable if all(map(str.isprintable, lines)) else '"'  # which alone has escapes
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Dumper.add_representer(str, _text)


def render(entry: Mapping[str, str]) -> str:
    """The plain text of a vault file."""
    ordered = {key: entry[key] for key in KEYS if key in entry}
    body = "".join(
        f"{key}: " + yaml.dump(value, Dumper=_Dumper, allow_unicode=True, width=2**31).lstrip()
        for key, value in ordered.items()
    )
    return f"---\n{body}"


class Vault:
    """Reads and writes vault files with the keys that Ansible was given."""

    def __init__(self, secrets: list[tuple[str, VaultSecret]]) -> None:
        self.secrets = secrets

    def read(self, path: Path) -> tuple[str, str]:
        """A vault file's id and plain text; raises VaultError."""
        try:
            data = path.read_bytes()
        except OSError as error:
            raise VaultError(f"{path} cannot be read: {error.strerror}") from None
        if not is_encrypted(data):
            raise VaultError(
                f"{path} lies in the clear; take its secret for known, change it, and encrypt the "
                f"file: ansible-vault encrypt --encrypt-vault-id ID {path}"
            )
        return vault_id_of(data, path), self.decrypt(data, path).decode("utf-8")

    def decrypt(self, data: bytes, where: object) -> bytes:
        """The plain text of encrypted data; raises VaultError."""
        vault_id = vault_id_of(data, where)
        try:
            plain: bytes = VaultLib(self.secrets).decrypt(data)
        except AnsibleError:
            raise VaultError(
                f"{where} does not open: no key, or not the right one, for the vault id "
                f"{vault_id!r}. Is it in vault_identity_list (ansible.cfg), and does scripts/"
                f"vault-client --vault-id {vault_id} find it? After rekey_vault.yml, was the new "
                f"key promoted (scripts/vault-client --promote {vault_id})?"
            ) from None
        return plain

    def encrypt(self, text: str, vault_id: str) -> bytes:
        """A text sealed for a vault id; raises VaultError where there is no key for it."""
        wanted = [secret for known, secret in self.secrets if known == vault_id]
        if not wanted:
            known = ", ".join(sorted({name for name, _ in self.secrets})) or "none"
            raise VaultError(
                f"there is no key for the vault id {vault_id!r} (there are: {known}); add "
                f"{vault_id}@scripts/vault-client to vault_identity_list in ansible.cfg"
            )
        sealed: bytes = VaultLib(self.secrets).encrypt(text, wanted[0], vault_id)
        return sealed

    def write(self, path: Path, entry: Mapping[str, str], vault_id: str) -> None:
        """Writes a feed's vault file as a whole, after it was proved to open again."""
        if path.is_symlink():
            raise VaultError(f"{path} is a link; change the file that it leads to")
        atomic.replace(path, self.sealed(path, entry, vault_id))

    def sealed(self, path: Path, entry: Mapping[str, str], vault_id: str) -> bytes:
        """A feed's vault file, proved to open again; raises VaultError."""
        data = self.encrypt(render(entry), vault_id)
        if parse(self.decrypt(data, path).decode("utf-8"), path) != dict(entry):
            raise VaultError(f"{path}: what was encrypted does not come back; nothing was written")
        return data


def keys_of(loader: Any) -> Vault:
    """The keys that an Ansible run was given, by its data loader."""
    return Vault(list(loader._vault.secrets or []))
