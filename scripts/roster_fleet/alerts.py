"""The alerts' secrets: one encrypted `alerts.vault` for a host, or for all hosts of a group.

A host's own file precedes those of its groups. Among groups, Ansible's own order decides, as for
variables. The nearest file counts as a whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from ansible.inventory.helpers import sort_groups
from ansible.parsing.vault import is_encrypted

from roster_fleet import variable_files, vault, yamlfile

FILE = f"{vault.ALERTS}{vault.SUFFIX}"
HEARTBEAT, URLS = "heartbeat", "urls"
REMOVED_KEYS = {
    "webhook": "Write the whole address into urls, such as - 'jsons://alerts.example.org/TOKEN'",
    "smtp": "Write the whole address into urls, such as - 'mailtos://USER:PASSWORD@DOMAIN?smtp=HOST'",
}
VARIABLE = "roster_credentials_alerts"
REMOVED = f"vault_{VARIABLE}"
NEW_HOME = (
    f"Move its content to an encrypted {FILE} beside the variables of the group or the host, as "
    "lines such as heartbeat: 'the token' (ansible-vault create --encrypt-vault-id ID "
    f'group_vars/GROUP/{FILE}), then remove the variable (docs/operations.md, "Send '
    'alerts")'
)


def groups_of(hostvars: Any, host: str) -> list[str]:
    """Return the names of a host's groups, the nearest first."""
    known = hostvars._inventory.get_host(host)
    return [group.name for group in reversed(sort_groups(known.get_groups()))]


def folders(inventory: Path, host_folder: Path, groups: Sequence[str]) -> list[Path]:
    """Return the folders that may hold a host's `alerts.vault`, the nearest first."""
    return [host_folder, *(inventory / "group_vars" / group for group in groups)]


def nearest(homes: Sequence[Path]) -> Path | None:
    """Return the file that counts for a host, or None."""
    return next((home / FILE for home in homes if (home / FILE).exists()), None)


def read(homes: Sequence[Path], keys: vault.Vault) -> dict[str, Any]:
    """Return the secrets of the nearest file: `heartbeat` and the list `urls`. Raise VaultError."""
    if not (path := nearest(homes)):
        return {}
    found = vault.load(keys.read(path)[1], path, (HEARTBEAT, URLS), REMOVED_KEYS)
    removed = [
        f"{key} no longer exists. {text}" for key, text in REMOVED_KEYS.items() if key in found
    ]
    if removed:
        raise vault.VaultError(
            f"{path}: {'. '.join(removed)}. Then remove the old line (ansible-vault edit {path}, "
            "docs/upgrading.md)"
        )
    if HEARTBEAT in found and not _is_text(found[HEARTBEAT]):
        raise vault.VaultError(f"{path}: {HEARTBEAT} is not a text. Put it in single quotes")
    urls = found.get(URLS, [])
    if not isinstance(urls, list) or not all(_is_text(url) for url in urls):
        raise vault.VaultError(
            f"{path}: {URLS} is not a list of Apprise URLs. Put each on a line of its own, after "
            "a dash and in single quotes"
        )
    return found


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value)


def refuse_old_homes(homes: Sequence[Path], variables: dict[str, Any], keys: vault.Vault) -> None:
    """Raise VaultError if secrets of alerts are encrypted among a host's variables.

    Every playbook would need the key, since Ansible decrypts such files for all of them.
    """
    if REMOVED in variables:
        raise vault.VaultError(f"{REMOVED} was removed. {NEW_HOME}")
    if VARIABLE not in variables:
        return
    used = (path for home in homes for path in variable_files.of(home))
    ignored = (path for home in homes for path in variable_files.ignored(home))
    for path in (*used, *ignored):
        data = path.read_bytes()
        is_sealed = is_encrypted(data)
        if is_sealed or b"!vault" in data or b"__ansible_vault" in data:
            text = (keys.decrypt(data, path) if is_sealed else data).decode("utf-8", "replace")
            if _has_sealed_variable(text, is_sealed=is_sealed):
                raise vault.VaultError(f"{path} has {VARIABLE} encrypted. {NEW_HOME}")


def _has_sealed_variable(text: str, *, is_sealed: bool) -> bool:
    """Return whether a file's text sets the variable with an encrypted value."""
    try:
        values = yamlfile.plain(text)
    except yaml.YAMLError:
        return False  # Ansible reports it
    if not isinstance(values, dict) or VARIABLE not in values:
        return False
    return is_sealed or "ANSIBLE_VAULT" in str(values[VARIABLE])
