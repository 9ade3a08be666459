"""The vault files of new districts, and next passwords of known ones."""

from __future__ import annotations

import datetime as dt
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from roster_fleet import inventory, sources, vault
from roster_fleet.onboard.districts import KEY, NEXT, PASSWORD, District
from roster_fleet.onboard.writing import File

LINES = "with the lines secret: '...' and since: 'YYYY-MM-DD'"
SOURCE_LINES = "with the same lines, indented below source:"
SECRET, SINCE = "secret", "since"


class ColumnError(vault.VaultError):
    """A secret cannot be stored. `column` is the one that holds it."""

    def __init__(self, column: str, message: str) -> None:
        self.column = column
        super().__init__(message)


@dataclass(frozen=True)
class ForLater:
    """The commands that store missing passwords: the vendor's, and those of the SIS's servers."""

    vendor: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()

    def __add__(self, other: ForLater) -> ForLater:
        return ForLater(self.vendor + other.vendor, self.sources + other.sources)


def vault_file(
    district: District, host: inventory.Host, folder: Path, keys: vault.Vault
) -> tuple[list[File], str]:
    """Return a district's new vault file, if any, and its next step. Raise VaultError."""
    path = vault.path_of(folder / "host_vars" / district.host, district.feed)
    where = f"-i {shell_path(folder)} --limit {district.host}"
    rotation = f"ansible-playbook playbooks/rotate_credentials.yml {where}"
    note = f"ansible-playbook playbooks/site.yml {where}"
    is_given = district.password or district.next or district.source_password
    exists, vault_id, text = path.exists(), host.vault_id, "{}"
    if exists and is_given:
        vault_id, text = keys.read(path)
    before = vault.parse(text, path)
    entry = vault.Entry({**before})
    if exists or district.next:
        _with_next(entry, district, feed_of(host, district), path)
    elif district.password:
        entry |= {SECRET: district.password, SINCE: today()}
    _with_source(entry, district, feed_of(host, district), path)
    if entry.get("next"):
        note = rotation
    elif commands := _described(for_later(district, host, folder)):
        note = f"no password yet: {' and '.join(commands)}"
    files = [encrypted(path, entry, vault_id, keys)] if entry != before else []
    return files, note


def _with_next(entry: vault.Entry, district: District, feed: Mapping[str, Any], path: Path) -> None:
    """Add the next password to a vault file that exists. Raise VaultError."""
    if not path.exists():
        raise ColumnError("password", f"next needs the feed's vault file, but there is no {path}")
    # The CSV may still contain the first password beside the next one.
    known = (entry.get(SECRET), entry.get("next"))
    if district.password and not district.next and district.password not in known:
        raise ColumnError(
            "password",
            f"differs from {path}. To change a password, use the column {NEXT} or "
            "rotate_credentials.yml. Nothing is overwritten",
        )
    if district.next and feed.get("auth") == KEY and SECRET not in entry:
        raise ColumnError("password", "next is for a feed that logs in by password, not by key")
    if district.next and district.next not in known:
        entry["next"] = district.next


def _with_source(
    entry: vault.Entry, district: District, feed: Mapping[str, Any], path: Path
) -> None:
    """Add the password at the SIS's server. Raise VaultError."""
    if not district.source_password:
        return
    if sources.auth_of(feed) != PASSWORD:
        raise ColumnError(
            "source_password",
            f"the source {feed.get('source')} needs no password. Leave the cell empty",
        )
    known = entry.get(vault.SOURCE, {})
    if district.source_password in (known.get(SECRET), known.get("next")):
        return
    if SECRET in known:
        raise ColumnError(
            "source_password",
            f"differs from {path}. To change it, use rotate_credentials.yml. Nothing is "
            "overwritten",
        )
    entry[vault.SOURCE] = {**known, SECRET: district.source_password, SINCE: today()}


def feed_of(host: inventory.Host, district: District) -> Mapping[str, Any]:
    """Return a district's resolved feed."""
    return next((feed for feed in host.feeds if feed.get("feed") == district.feed), {})


def for_later(district: District, host: inventory.Host, folder: Path) -> ForLater:
    """Return the commands that store a district's missing passwords.

    The content of a vault file that exists is unknown, so nothing is missing from it.
    """
    path = vault.path_of(folder / "host_vars" / district.host, district.feed)
    if path.exists():
        return ForLater()
    feed, shown = feed_of(host, district), shell_path(path)
    create = f"ansible-vault create --encrypt-vault-id {host.vault_id} {shown}"
    vendor = not district.password and feed.get("auth") != KEY
    source = not district.source_password and sources.auth_of(feed) == PASSWORD
    has_file = vendor or district.password
    return ForLater(
        (create if not district.source_password else f"ansible-vault edit {shown}",) * vendor,
        (f"ansible-vault edit {shown}" if has_file else create,) * source,
    )


def _described(found: ForLater) -> list[str]:
    """Return the commands for a row of the closing table."""
    return [
        *(f"{command} {LINES}" for command in found.vendor),
        *(f"{command} {SOURCE_LINES}" for command in found.sources),
    ]


def today() -> str:
    """Return the day since which a new secret is in use."""
    return dt.datetime.now(dt.UTC).date().isoformat()


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
