"""The vault files of new districts, and next passwords of known ones."""

from __future__ import annotations

import datetime as dt
import shlex
from pathlib import Path

from roster_fleet import inventory, vault
from roster_fleet.onboard.districts import NEXT, District
from roster_fleet.onboard.writing import File

LINES = "with the lines secret: '...' and since: 'YYYY-MM-DD'"


def vault_file(
    district: District, host: inventory.Host, folder: Path, keys: vault.Vault
) -> tuple[list[File], str]:
    """Return a district's new vault file, if any, and its next step. Raise VaultError."""
    path = vault.path_of(folder / "host_vars" / district.host, district.feed)
    feeds = {feed.get("feed"): feed for feed in host.feeds}
    where = f"-i {shell_path(folder)} --limit {district.host}"
    ready = f"ansible-playbook playbooks/site.yml {where}"
    rotation = f"ansible-playbook playbooks/rotate_credentials.yml {where}"
    if path.exists():
        vault_id, text = keys.read(path) if district.password or district.next else ("", "{}")
        entry = vault.parse(text, path)
        # The CSV may still contain the first password beside the next one.
        known = (entry.get("secret"), entry.get("next"))
        if district.password and not district.next and district.password not in known:
            raise vault.VaultError(
                f"differs from {path}. To change a password, use the column {NEXT} or "
                "rotate_credentials.yml. Nothing is overwritten"
            )
        is_key = feeds.get(district.feed, {}).get("auth") == "key" and "secret" not in entry
        if district.next and is_key:
            raise vault.VaultError("next is for a feed that logs in by password, not by key")
        if district.next and district.next not in known:
            changed = vault.Entry({**entry, "next": district.next})
            return [encrypted(path, changed, vault_id, keys)], rotation
        return [], rotation if entry.get("next") else ready
    if district.next:
        raise vault.VaultError(f"next needs the feed's vault file, but there is no {path}")
    if district.password:
        since = dt.datetime.now(dt.UTC).date().isoformat()
        entry = vault.Entry({"secret": district.password, "since": since})
        return [encrypted(path, entry, host.vault_id, keys)], ready
    if command := command_for_later(district, host, folder):
        return [], f"no password yet: {command} {LINES}"
    return [], ready


def command_for_later(district: District, host: inventory.Host, folder: Path) -> str:
    """Return the command that stores a district's password, or "" if it needs none."""
    path = vault.path_of(folder / "host_vars" / district.host, district.feed)
    feed = next((feed for feed in host.feeds if feed.get("feed") == district.feed), {})
    if path.exists() or district.password or feed.get("auth") == "key":
        return ""
    return f"ansible-vault create --encrypt-vault-id {host.vault_id} {shell_path(path)}"


def encrypted(path: Path, entry: vault.Entry, vault_id: str, keys: vault.Vault) -> File:
    """Return a vault file to write. Raise VaultError."""
    before = path.read_bytes() if path.is_file() else None
    return File(
        path,
        keys.sealed(path, entry, vault_id),
        before,
        f"(encrypted for the vault id {vault_id}; not shown)\n",
    )


def shell_path(path: Path) -> str:
    """Return a path relative to the current folder, quoted for a shell."""
    is_below = path.is_relative_to(Path.cwd())
    return shlex.quote(str(path.relative_to(Path.cwd()) if is_below else path))
