"""Feeds' vault files: encrypted as a whole, replaced as a whole.

A feed's secrets lie in `host_vars/HOST/FEED.vault` of an inventory.  Ansible loads no file of that
ending by itself: what lists an inventory shows no secret, and takes no time to decrypt thousands.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NewType

import yaml
from ansible import constants as C  # noqa: N812 - as Ansible names it
from ansible.errors import AnsibleError
from ansible.parsing.vault import VaultLib, VaultSecret, is_encrypted, parse_vaulttext_envelope
from roster_upload.host import atomic
from roster_upload.terminal.printable import printable

SUFFIX = ".vault"
# What an entry may hold, each a text; `since` is the day on which `secret` became the one in use.
KEYS = ("secret", "since", "next")
VAULT_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")

CHECKOUT = Path(__file__).resolve().parents[2]
# The SHA-256 of the keys in git, which everybody has, and the inventories that they are for.
PUBLIC_KEYS = (
    "e8b72b36067bd58630a88ed2314dca6219fc5f72e6766ded31b209f0ac0bf64d",
    "71d3f6066447a3839963c17dfe99aed853c3937472dead112f53199d69ce2c59",
)
PUBLIC_INVENTORIES = ("example", "lab")
# Settings of Ansible that print or keep what a task with `no_log` was given, by their constants.
SHOWS_SECRETS = {
    "DEFAULT_DEBUG": "ANSIBLE_DEBUG",
    "DEFAULT_KEEP_REMOTE_FILES": "ANSIBLE_KEEP_REMOTE_FILES",
}
# A whole file, or a value among others, indented.
SEALED = re.compile(rb"\$ANSIBLE_VAULT;1\.[12];AES256\S*\s+(?:[0-9a-f]+\s+)*[0-9a-f]+")

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


OPEN_TO_ALL = (
    "{where} opens with a key that is in git and known to everybody. Take its content for known: "
    "change the password, and encrypt the file with a key of your own: ansible-vault rekey "
    "--new-vault-id ID@scripts/vault-client {where}"
)


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

    def __init__(
        self,
        secrets: list[tuple[str, VaultSecret]],
        barred: Sequence[tuple[str, VaultSecret]] = (),
    ) -> None:
        """Take the keys in use, and those in git where they are not for this inventory."""
        self.secrets = secrets
        self.barred = list(barred)

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
            if self.is_open_to_all(data):
                raise VaultError(OPEN_TO_ALL.format(where=where)) from None
            raise VaultError(
                f"{where} does not open: no key, or not the right one, for the vault id "
                f"{vault_id!r}. Is it in vault_identity_list (ansible.cfg), and does scripts/"
                f"vault-client --vault-id {vault_id} find it? After rekey_vault.yml, was the new "
                f"key promoted (scripts/vault-client --promote {vault_id})?"
            ) from None
        return plain

    def is_open_to_all(self, data: bytes) -> bool:
        """Return whether encrypted data opens with a key in git that is not for this inventory."""
        with suppress(AnsibleError):
            label = parse_vaulttext_envelope(data)[3]
            VaultLib([(label, secret) for _, secret in self.barred]).decrypt(data)
            return bool(self.barred)
        return False

    def encrypt(self, text: str, vault_id: str) -> bytes:
        """A text sealed for a vault id; raises VaultError where there is no key for it."""
        wanted = [secret for known, secret in self.secrets if known == vault_id]
        if not wanted and any(known == vault_id for known, _ in self.barred):
            raise VaultError(
                f"the key of the vault id {vault_id!r} is in git and known to everybody; make one "
                "of your own, for the vault id of your inventory (README)"
            )
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


def keys_of(loader: Any, inventory: Path) -> Vault:
    """Return the keys that an Ansible run was given, by its data loader, for an inventory.

    Raise VaultError where a setting of Ansible would show what they open.
    """
    found = secrets_of(loader)
    if may_use_public_keys(inventory):
        return Vault(found)
    barred = [(name, secret) for name, secret in found if is_public(secret)]
    return Vault([pair for pair in found if pair not in barred], barred)


def secrets_of(loader: Any) -> list[tuple[str, VaultSecret]]:
    """Return the keys that an Ansible run was given, those in git among them.

    Raise VaultError where a setting of Ansible would show what they open.
    """
    if shown := [setting for setting in SHOWS_SECRETS if getattr(C, setting)]:
        origin = ", ".join(
            f"{SHOWS_SECRETS[name]} (set in {C.config.get_config_value_and_origin(name)[1]})"
            for name in shown
        )
        raise VaultError(f"secrets are not opened while Ansible would show them: unset {origin}")
    return list(loader._vault.secrets or [])


def is_public(secret: VaultSecret) -> bool:
    """Return whether a key lies in this project's git."""
    return hashlib.sha256(secret.bytes.strip()).hexdigest() in PUBLIC_KEYS


def may_use_public_keys(inventory: Path) -> bool:
    """Return whether an inventory is the example or the lab, or one that a test has made."""
    folder = inventory.resolve()
    return folder.name in PUBLIC_INVENTORIES or CHECKOUT / "build" in folder.parents


def refuse_open_to_all(folder: Path, keys: Vault) -> None:
    """Raise VaultError where a file of variables opens with a key in git: Ansible takes it."""
    for path in sorted(folder.rglob("*")) if keys.barred else ():
        if path.is_file() and path.suffix != SUFFIX:
            sealed = (b"\n".join(found[0].split()) for found in SEALED.finditer(path.read_bytes()))
            if any(map(keys.is_open_to_all, sealed)):
                raise VaultError(OPEN_TO_ALL.format(where=path))
