"""A new vault key for an inventory: all files of a vault id are encrypted with it, or none.

It needs no journal. A file opens with the old key or with the new one, so the next run finishes an
interrupted one.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ansible.errors import AnsibleError
from ansible.parsing.vault import VaultLib, VaultSecret
from roster_upload.host import atomic

from roster_fleet import vault

NEXT = "-next"
# The endings of new files that wait for their rename, and of old content. They are hidden from
# Ansible.
ENDING, KEPT = ".rekey", ".rekey-old"
KEY_BYTES = 16
# Encrypted text in Ansible's form, also inside a quoted string. Before 1.2 it has no id.
SEALED = re.compile(
    rb"\$ANSIBLE_VAULT;1\.(?:1;AES256|2;AES256;([^\s;\\]+))(?:\r?\n|\\n)\s*[0-9a-f]{16}"
)
WITHOUT_ID = "default"  # as Ansible names it


class RekeyError(Exception):
    """All files stay as they were. The text says why, and what to do."""


class TornError(Exception):
    """Some files could not be restored. The text says where their old contents are."""


@dataclass(frozen=True)
class Done:
    """The files that got the new key in this run, and those that had it already."""

    changed: tuple[Path, ...]
    already: tuple[Path, ...]


class Rekey:
    """Encrypt an inventory's files of a vault id with the key of `ID-next`, under the same id."""

    def __init__(
        self, folder: Path, vault_id: str, secrets: Sequence[tuple[str, VaultSecret]]
    ) -> None:
        self.folder = folder
        self.vault_id = vault_id
        next_id = vault_id + NEXT
        new = [secret for name, secret in secrets if name == next_id]
        old = [secret for name, secret in secrets if name == vault_id]
        if not new:
            raise RekeyError(
                f"there is no new key. Make one and supply it as the vault id {next_id}: "
                f"--vault-id {next_id}@prompt, or {next_id}@scripts/vault-client"
            )
        if not old:
            raise RekeyError(vault.Vault([]).lack_of(vault_id))
        if len({secret.bytes for secret in new}) > 1:
            raise RekeyError(f"there are several keys for {next_id}. Supply one")
        self.new_key = new[0]
        if any(secret.bytes == self.new_key.bytes for secret in old):
            raise RekeyError(f"the keys of {vault_id} and of {next_id} are the same")
        if vault.is_public(self.new_key):
            raise RekeyError("the new key is in git and known to everybody. Make a key of your own")
        if len(self.new_key.bytes) < KEY_BYTES:
            raise RekeyError(
                f"the new key is shorter than {KEY_BYTES} characters. Use: openssl rand -base64 32"
            )
        names = (vault_id, WITHOUT_ID)
        self.new = VaultLib([(name, self.new_key) for name in names])
        self.old = VaultLib([(name, secret) for name in names for secret in old])

    def run(self, *, check: bool = False) -> Done:
        """Encrypt all files with the new key. Raise RekeyError or OSError after restoring them.

        Raise TornError if they could not be restored.
        """
        todo, already = self.sort_out()
        if not check:
            for path, _ in walk(self.folder):
                if path.name.startswith(".") and path.name.endswith((ENDING, KEPT)):
                    path.unlink()  # left by an interrupted run; its file exists
            self.replace(todo)
        return Done(tuple(todo), tuple(already))

    def sort_out(self) -> tuple[dict[Path, bytes], list[Path]]:
        """Return the files that the old key opens, and those that the new key opens already."""
        mine = self.vault_id.encode()
        todo: dict[Path, bytes] = {}
        already, wrong = [], []
        for path, is_linked in walk(self.folder):
            if path.name.endswith((ENDING, KEPT)) or not path.is_file():
                continue
            data = path.read_bytes().replace(b"\r\n", b"\n")
            whole = SEALED.match(data)
            found = [match for match in SEALED.finditer(data) if match[1] in (mine, None)]
            if not found:
                continue
            opens_new, opens_old = opened(self.new, data), opened(self.old, data)
            if whole and whole[1] is None and opens_new is None and opens_old is None:
                continue  # it has no id, and another key
            if is_linked:
                wrong.append(f"{path} is a link, or below one. Rekey its target instead")
            elif not whole:
                wrong.append(
                    f"{path} has an encrypted value among others. Move it to a file of its own"
                )
            elif opens_new is not None:
                already.append(path)
            elif opens_old is not None:
                todo[path] = data
            else:
                wrong.append(
                    f"{path} opens with neither key of {self.vault_id!r}. If a run with another "
                    f"new key was interrupted, supply that key as {self.vault_id}{NEXT}"
                )
        if not todo and not already and not wrong:
            wrong = [f"{self.folder} has no file encrypted for the vault id {self.vault_id!r}"]
        if wrong:
            raise RekeyError("\n".join(wrong))
        return todo, already

    def replace(self, todo: dict[Path, bytes]) -> None:
        """Write all new files beside the old ones, then rename all of them, or none."""
        waiting = {path: path.with_name(f".{path.name}{ENDING}") for path in todo}
        # Written before the first rename, so that restoring needs no free space.
        kept = {path: path.with_name(f".{path.name}{KEPT}") for path in todo}
        placed: list[Path] = []
        try:
            for path, data in todo.items():
                create(waiting[path], self.sealed_anew(path, data))
                create(kept[path], path.read_bytes())
            for path, source in waiting.items():
                placed.append(path)
                source.replace(path)
            for folder in {path.parent for path in todo}:
                atomic.sync(folder)
            for path in todo:
                self.prove(path, path.read_bytes())
        except BaseException as error:
            torn = [path for path in placed if not put_back(kept[path], path)]
            if torn:
                names = ", ".join(f"{path} (its old content: {kept[path].name})" for path in torn)
                raise TornError(
                    f"{error}. These files could not be restored: {names}. Solve the problem, then "
                    "run the same command again to finish"
                ) from None
            clear(waiting, kept)
            raise
        clear(kept)

    def sealed_anew(self, path: Path, data: bytes) -> bytes:
        """Return a file's content, encrypted with the new key and tested."""
        plain = opened(self.old, data)
        sealed: bytes = self.new.encrypt(plain, self.new_key, self.vault_id)
        if opened(self.new, sealed) != plain:
            raise RekeyError(f"{path}: the new file reads back differently")
        self.prove(path, sealed)
        return sealed

    def prove(self, path: Path, data: bytes) -> None:
        """Raise RekeyError unless only the new key opens a file's content."""
        if opened(self.new, data) is None or opened(self.old, data) is not None:
            raise RekeyError(f"{path} would not be encrypted with the new key only")


def opened(keys: VaultLib, data: bytes) -> bytes | None:
    """Return the plain text of encrypted data, or None if no key opens it."""
    try:
        plain: bytes = keys.decrypt(data)
    except AnsibleError:
        return None
    return plain


def walk(folder: Path) -> Iterator[tuple[Path, bool]]:
    """Yield the files below a folder in order, each with whether it is a link or below one."""
    seen = set()
    for home, folders, names in os.walk(folder, followlinks=True):
        real = Path(home).resolve()
        if real in seen:
            folders.clear()  # a link to a folder above it
            continue
        seen.add(real)
        folders.sort()
        is_direct = real == folder.resolve() / Path(home).relative_to(folder)
        for name in sorted(names):
            path = Path(home) / name
            yield path, path.is_symlink() or not is_direct


def put_back(kept: Path, path: Path) -> bool:
    """Restore a file's old content. Return whether that worked."""
    try:
        kept.replace(path)
    except OSError:
        return False
    return True


def clear(*groups: dict[Path, Path]) -> None:
    """Remove the files beside the real ones."""
    for group in groups:
        for path in group.values():
            with suppress(OSError):
                path.unlink(missing_ok=True)


def create(path: Path, data: bytes) -> None:
    """Write a new file, readable for its owner only. It survives a power cut."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as out:
        out.write(data)
        out.flush()
        os.fsync(out.fileno())
