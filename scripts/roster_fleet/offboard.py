"""Decommissioned feeds leave the inventory: entries, vault files, the host's files, passwords."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from roster_fleet import inbox_passwords, inventory, variable_files, vault, yamledit, yamlfile
from roster_fleet.onboard import inbox, more_feeds
from roster_fleet.onboard.hosts_file import HOSTS_FILE
from roster_fleet.onboard.writing import File, with_text

HIDDEN = "(encrypted; not shown)\n"


@dataclass(frozen=True)
class Gone:
    """Feeds and inboxes that have left a host. `stays` says whether it has other feeds."""

    host: str
    feeds: Sequence[str]
    stays: bool
    inboxes: Sequence[str]
    vault_folder: str


@dataclass
class Plan:
    """The files to write and to remove, and a note for each host."""

    files: list[File] = field(default_factory=list)
    notes: dict[str, str] = field(default_factory=dict)


def make_plan(
    folder: Path | None, gone: Sequence[Gone], secrets: list[Any], *, is_check: bool = False
) -> Plan:
    """Return the files that take feeds out of an inventory, none if it is no folder.

    An entry that cannot be edited stays as it is, and the note says why.
    """
    plan = Plan()
    texts: dict[Path, str] = {}
    removed: list[Path] = []
    for one in gone:
        try:
            edits, files = _one(folder, one, texts, secrets)
        except yamledit.EditError as error:
            entry = "the feed" if one.stays else f"{one.host} and its files"
            plan.notes[one.host] = f"Now remove {entry} from the inventory by hand: {error}"
        else:
            texts |= edits
            removed += files
            if one.stays and folder:
                plan.files += _passwords(folder / "host_vars" / one.host, one.inboxes, secrets)
            what = "It" if one.stays else one.host
            would = "would be taken out of" if is_check else "is out of"
            commit = "" if is_check else ". Commit that"
            plan.notes[one.host] = f"{what} {would} the inventory{commit}{_left(folder, one)}"
        home = Path(one.vault_folder)
        removed += [vault.path_of(home, feed) for feed in one.feeds]
    edited = [with_text(path, text) for path, text in texts.items()]
    plan.files += [file for file in edited if file.data != file.before]
    for path in dict.fromkeys(path for path in removed if path.is_file()):
        hidden = HIDDEN if path.suffix == vault.SUFFIX else None
        plan.files.append(File(path, None, path.read_bytes(), hidden))
    return plan


def _passwords(home: Path, inboxes: Sequence[str], secrets: list[Any]) -> list[File]:
    """Return a host's own passwords of inboxes without these. Raise VaultError."""
    path = home / inbox_passwords.FILE
    if not (inboxes and path.is_file()):
        return []
    keys = vault.Vault(secrets)
    vault_id, text = keys.read(path)
    kept = inbox_passwords.without(text, inboxes, path)
    if kept == text:
        return []
    data = None if kept is None else keys.encrypt(kept, vault_id)
    return [File(path, data, path.read_bytes(), HIDDEN)]


def _left(folder: Path | None, one: Gone) -> str:
    """Return what is left to do about the inboxes of a host that stays."""
    root = folder or Path()
    home = root / "host_vars" / one.host
    own = {path: yamlfile.read(path) for path in variable_files.of(home)}
    shared = [str(path) for path in sorted(root.glob(f"group_vars/*/{inbox_passwords.FILE}"))]
    if not one.inboxes:
        return ""
    names = " and ".join(one.inboxes)
    left = ""
    if one.stays and not more_feeds.holder(own, inbox.VARIABLE):
        left = f". Remove the inbox {names} from {inbox.VARIABLE} of its group"
    if shared:
        left += f". If no other host has {names}, remove its password from {', '.join(shared)}"
    return left


def _one(
    folder: Path | None, one: Gone, texts: Mapping[Path, str], secrets: list[Any]
) -> tuple[dict[Path, str], list[Path]]:
    """Return the changed and the removed files of one host. Raise EditError."""
    if folder is None:
        raise yamledit.EditError("the inventory is not one folder")
    home = folder / "host_vars" / one.host
    own = {path: yamlfile.read(path) for path in variable_files.of(home)}
    if one.stays:
        edits = _without_feeds(own, one)
        _check_others(folder, one, edits, secrets)
        return edits, []
    hosts_file = folder / HOSTS_FILE
    if not hosts_file.is_file():
        raise yamledit.EditError(f"there is no {hosts_file}")
    text = texts.get(hosts_file, yamlfile.read(hosts_file))
    edits = {hosts_file: yamledit.remove_hosts(text, [one.host])}
    with inventory.with_files(folder, {**texts, **edits}) as copy:
        if one.host in inventory.names(copy, secrets):
            raise yamledit.EditError(f"another file than {hosts_file} names {one.host}")
    sealed = [home / f"{name}{vault.SUFFIX}" for name in vault.TAKEN]
    return edits, [*own, *variable_files.ignored(home), *sealed]


def _without_feeds(own: Mapping[Path, str], one: Gone) -> dict[Path, str]:
    """Return a host's files without the feeds and the inboxes. Raise EditError."""
    edits: dict[Path, str] = {}
    lists = [(more_feeds.FEEDS, "feed", name) for name in one.feeds]
    lists += [(inbox.VARIABLE, "user", name) for name in one.inboxes]
    for variable, key, name in lists:
        path = more_feeds.holder({**own, **edits}, variable)
        if path is None and variable == inbox.VARIABLE:
            continue  # it is in a group, which other hosts may be in
        if path is None:
            raise yamledit.EditError(f"{variable} is not in a file of {one.host}")
        edits[path] = yamledit.remove_item(edits.get(path, own[path]), variable, key, name)
    return edits


def _check_others(folder: Path, one: Gone, edits: Mapping[Path, str], secrets: list[Any]) -> None:
    """Raise EditError if a feed that stays would change, or one that goes would stay."""
    before = inventory.read(folder, secrets, only={one.host})[one.host]
    with inventory.with_files(folder, edits) as copy:
        after = inventory.read(copy, secrets, home=folder, only={one.host})[one.host]
    kept = [feed for feed in before.feeds if feed.get("feed") not in one.feeds]
    problem = before.problem or after.problem
    if problem or list(after.feeds) != kept:
        raise yamledit.EditError(problem or "the other feeds would change")
