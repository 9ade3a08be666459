"""Vault files: encrypted as a whole, replaced as a whole.

A feed's secrets are in `host_vars/HOST/FEED.vault` of an inventory, those of the alerts in
`alerts.vault` (see `alerts.py`). Ansible loads no file with this ending by itself. So listing an
inventory shows no secret, decrypts nothing, and needs no key.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import re
import textwrap
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
ALERTS = "alerts"  # no feed may have this name: its file would be that of the alerts
# The keys of a feed's vault file. `secret` is in use since the day `since`. `source` has the same
# three for the server that the export is fetched from. All others are texts.
SOURCE = "source"
LOGIN = ("secret", "since", "next")
KEYS = (*LOGIN, SOURCE)
VAULT_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")

CHECKOUT = Path(__file__).resolve().parents[2]
# scripts/vault-client gives Ansible a key that begins so if there is none for a vault id.
NO_KEY = b"roster-vault-client: no key "
# The SHA-256 of the public keys in git, and their inventories.
PUBLIC_KEYS = (
    "e8b72b36067bd58630a88ed2314dca6219fc5f72e6766ded31b209f0ac0bf64d",
    "71d3f6066447a3839963c17dfe99aed853c3937472dead112f53199d69ce2c59",
)
PUBLIC_INVENTORIES = ("example", "lab")
# Settings of Ansible that print or store the arguments of tasks with `no_log`, by their constants.
SHOWS_SECRETS = {
    "DEFAULT_DEBUG": "ANSIBLE_DEBUG",
    "DEFAULT_KEEP_REMOTE_FILES": "ANSIBLE_KEEP_REMOTE_FILES",
}
# A whole file, or a value among others, indented.
SEALED = re.compile(rb"\$ANSIBLE_VAULT;1\.[12];AES256\S*\s+(?:[0-9a-f]+\s+)*[0-9a-f]+")

Entry = NewType("Entry", dict[str, Any])


class VaultError(Exception):
    """A vault file cannot be used. The text says which, why, and what to do."""


def path_of(folder: Path, feed: str) -> Path:
    """Return the vault file of a feed, given its host's folder in host_vars. Raise VaultError."""
    if feed == ALERTS:
        raise VaultError(
            f"{folder / (ALERTS + SUFFIX)} is for the secrets of the alerts. Give the feed "
            f"{ALERTS!r} another name"
        )
    return folder / f"{feed}{SUFFIX}"


def parse(text: str, where: object, keys: Sequence[str] = KEYS) -> Entry:
    """Return the content of a vault file's plain text. Raise VaultError, which shows no value."""
    try:
        loaded = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f" in line {mark.line + 1}" if mark else ""
        raise VaultError(
            f"{where} is not valid YAML{line}. Put secrets in single quotes, and double a quote "
            f"inside (ansible-vault edit {where})"
        ) from None
    found = _checked(loaded, where, keys)
    if cut := _cut_keys(text.split("\n"), yaml.compose(text, yaml.SafeLoader)):
        raise VaultError(
            f"{where}: {', '.join(cut)}: YAML reads the # in it and what follows as a comment. Put "
            f"the whole secret in single quotes (ansible-vault edit {where})"
        )
    return Entry(found)


def _checked(loaded: Any, where: object, keys: Sequence[str]) -> dict[str, Any]:
    """Return the values of a vault file, or of its part `source`. Raise VaultError."""
    if not isinstance(loaded, dict) or set(loaded) - set(keys):
        raise VaultError(f"{where} may contain the keys {', '.join(keys)} and nothing else")
    if isinstance(loaded.get("since"), dt.date):
        loaded["since"] = loaded["since"].isoformat()
    for key, value in loaded.items():
        if key == SOURCE:
            _checked(value, f"{where}: {SOURCE}", LOGIN)
        elif not isinstance(value, str) or not value:
            raise VaultError(f"{where}: {key} is not a text. Put it in single quotes")
    if "since" in loaded and not _is_day(loaded["since"]):
        raise VaultError(f"{where}: since is not a day such as 2026-08-31")
    return loaded


def _cut_keys(lines: Sequence[str], node: yaml.Node | None) -> list[str]:
    """Return the keys of secrets without quotes that end at a comment."""
    found = []
    for key, value in node.value if isinstance(node, yaml.MappingNode) else ():
        if isinstance(value, yaml.MappingNode):
            found += [f"{key.value}: {cut}" for cut in _cut_keys(lines, value)]
        elif key.value != "since" and isinstance(value, yaml.ScalarNode) and not value.style:
            rest = lines[value.end_mark.line][value.end_mark.column :]
            found += [key.value] if rest.lstrip().startswith("#") else []
    return found


def _is_day(text: str) -> bool:
    """Return whether a text is a day such as 2026-08-31. Only this form sorts as days do."""
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
    "{where} opens with a key that is in git and known to everybody. Treat its content as public: "
    "change the secret, and encrypt the file with a key of your own: ansible-vault rekey "
    "--new-vault-id ID@scripts/vault-client {where}"
)


class _Dumper(yaml.SafeDumper):
    """Write texts readably, a private key as lines."""


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    lines = value.split("\n")
    readable = "|" if len(lines) > 1 else "'"
    style = readable if all(map(str.isprintable, lines)) else '"'  # the only style with escapes
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Dumper.add_representer(str, _text)


def render(entry: Mapping[str, Any]) -> str:
    """Return the plain text of a feed's vault file."""
    body = _lines({key: entry[key] for key in LOGIN if key in entry})
    if SOURCE in entry:
        source = _lines({key: entry[SOURCE][key] for key in LOGIN if key in entry[SOURCE]})
        body += f"{SOURCE}:\n{textwrap.indent(source, '  ')}" if source else f"{SOURCE}: {{}}\n"
    return f"---\n{body}"


def _lines(values: Mapping[str, str]) -> str:
    """Return keys and texts as YAML."""
    return "".join(
        f"{key}: " + yaml.dump(value, Dumper=_Dumper, allow_unicode=True, width=2**31).lstrip()
        for key, value in values.items()
    )


class Vault:
    """Read and write vault files with the keys of an Ansible run."""

    def __init__(
        self,
        secrets: list[tuple[str, VaultSecret]],
        barred: Sequence[tuple[str, VaultSecret]] = (),
    ) -> None:
        """Take the usable keys, and the public keys that are not for this inventory."""
        self.secrets = secrets
        self.barred = list(barred)

    def read(self, path: Path) -> tuple[str, str]:
        """Return a vault file's id and plain text. Raise VaultError."""
        try:
            data = path.read_bytes()
        except OSError as error:
            raise VaultError(f"{path} cannot be read: {error.strerror}") from None
        if not is_encrypted(data):
            raise VaultError(
                f"{path} is unencrypted. Treat its secret as public: change it, and encrypt the "
                f"file: ansible-vault encrypt --encrypt-vault-id ID {path}"
            )
        return vault_id_of(data, path), self.decrypt(data, path).decode("utf-8")

    def decrypt(self, data: bytes, where: object) -> bytes:
        """Return the plain text of encrypted data. Raise VaultError."""
        vault_id = vault_id_of(data, where)
        try:
            plain: bytes = VaultLib(self.secrets).decrypt(data)
        except AnsibleError:
            if self.is_open_to_all(data):
                raise VaultError(OPEN_TO_ALL.format(where=where)) from None
            raise VaultError(
                f"{where} does not open: {self.lack_of(vault_id)} After rekey_vault.yml, was the "
                f"new key promoted (scripts/vault-client --promote {vault_id})?"
            ) from None
        return plain

    def lack_of(self, vault_id: str) -> str:
        """Return why a vault id has no usable key, with the ways to supply one."""
        problem = (
            f"the key of the vault id {vault_id!r} is not the right one."
            if any(name == vault_id for name, _ in self.secrets)
            else f"there is no key for the vault id {vault_id!r}."
        )
        return (
            f"{problem} The client takes the key from an environment variable, a file or a "
            'command (docs/credentials.md, "Where a vault key comes from"). To see where it '
            f"looked, run in your folder: scripts/vault-client --vault-id {vault_id} >/dev/null. "
            f"Is {vault_id}@scripts/vault-client in vault_identity_list (ansible.cfg)?"
        )

    def is_open_to_all(self, data: bytes) -> bool:
        """Return whether encrypted data opens with a key in git that is not for this inventory."""
        with suppress(AnsibleError):
            label = parse_vaulttext_envelope(data)[3]
            VaultLib([(label, secret) for _, secret in self.barred]).decrypt(data)
            return bool(self.barred)
        return False

    def encrypt(self, text: str, vault_id: str) -> bytes:
        """Return a text encrypted for a vault id. Raise VaultError if there is no key for it."""
        wanted = [secret for known, secret in self.secrets if known == vault_id]
        if not wanted and any(known == vault_id for known, _ in self.barred):
            raise VaultError(
                f"the key of the vault id {vault_id!r} is in git and known to everybody. Make a "
                "key of your own with scripts/new-inventory (README)"
            )
        if not wanted:
            raise VaultError(self.lack_of(vault_id))
        sealed: bytes = VaultLib(self.secrets).encrypt(text, wanted[0], vault_id)
        return sealed

    def write(self, path: Path, entry: Mapping[str, Any], vault_id: str) -> None:
        """Replace a feed's vault file, after the new one was opened again."""
        if path.is_symlink():
            raise VaultError(f"{path} is a link. Change the target instead")
        atomic.replace(path, self.sealed(path, entry, vault_id))

    def sealed(self, path: Path, entry: Mapping[str, Any], vault_id: str) -> bytes:
        """Return a feed's vault file, which was opened again. Raise VaultError."""
        data = self.encrypt(render(entry), vault_id)
        if parse(self.decrypt(data, path).decode("utf-8"), path) != dict(entry):
            raise VaultError(
                f"{path}: the encrypted text reads back differently. Nothing was written"
            )
        return data


def keys_of(loader: Any, inventory: Path) -> Vault:
    """Return the keys of an Ansible run, by its data loader, for an inventory.

    Raise VaultError if a setting of Ansible would show the secrets.
    """
    found = secrets_of(loader)
    if may_use_public_keys(inventory):
        return Vault(found)
    barred = [(name, secret) for name, secret in found if is_public(secret)]
    return Vault([pair for pair in found if pair not in barred], barred)


def secrets_of(loader: Any) -> list[tuple[str, VaultSecret]]:
    """Return the keys of an Ansible run, with the public ones.

    Raise VaultError if a setting of Ansible would show the secrets, or for a program as a key.
    """
    if shown := [setting for setting in SHOWS_SECRETS if getattr(C, setting)]:
        origin = ", ".join(
            f"{SHOWS_SECRETS[name]} (set in {C.config.get_config_value_and_origin(name)[1]})"
            for name in shown
        )
        raise VaultError(f"Ansible would show the secrets, so none is opened. Unset {origin}")
    found = list(loader._vault.secrets or [])
    for name, secret in found:
        if secret.bytes.startswith(b"#!"):  # Ansible reads a client that it cannot run
            raise VaultError(
                f"the key of the vault id {name!r} would be the text of scripts/vault-client, "
                "which everybody knows, because the file is not executable. Run: chmod +x "
                "scripts/vault-client. If that changes nothing, as below /mnt/c of WSL, move the "
                "checkout to your home folder"
            )
    return [(name, secret) for name, secret in found if not secret.bytes.startswith(NO_KEY)]


def is_public(secret: VaultSecret) -> bool:
    """Return whether a key is in this project's git."""
    return hashlib.sha256(secret.bytes.strip()).hexdigest() in PUBLIC_KEYS


def may_use_public_keys(inventory: Path) -> bool:
    """Return whether an inventory is the example, the lab, or one below build/."""
    folder = inventory.resolve()
    return folder.name in PUBLIC_INVENTORIES or CHECKOUT / "build" in folder.parents


def refuse_open_to_all(folder: Path, keys: Vault) -> None:
    """Raise VaultError if a file of variables opens with a public key, which Ansible accepts."""
    for path in sorted(folder.rglob("*")) if keys.barred else ():
        if path.is_file() and path.suffix != SUFFIX:
            sealed = (b"\n".join(found[0].split()) for found in SEALED.finditer(path.read_bytes()))
            if any(map(keys.is_open_to_all, sealed)):
                raise VaultError(OPEN_TO_ALL.format(where=path))
