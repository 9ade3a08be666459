"""A new vault key for an inventory: every file of a vault id is encrypted anew, or none is.

No journal is needed: a file opens with the old key or with the new one, so after a run that was
killed the next one sees what is left to do and does it.
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
# Of the files that wait to take the places of others, and of what these hold; hidden, so Ansible
# reads none.
ENDING, KEPT = ".rekey", ".rekey-old"
KEY_BYTES = 16
# Sealed text as Ansible writes it, also inside a quoted string; before 1.2 it bears no id.
SEALED = re.compile(
    rb"\$ANSIBLE_VAULT;1\.(?:1;AES256|2;AES256;([^\s;\\]+))(?:\r?\n|\\n)\s*[0-9a-f]{16}"
)
WITHOUT_ID = "default"  # Ansible's name of it


class RekeyError(Exception):
    """Why the files were left as they were; the text says what to do."""


class TornError(Exception):
    """Which files were not left as they were; the text says where their contents are."""


@dataclass(frozen=True)
class Done:
    """The files that were encrypted anew, and those that an earlier run had reached already."""

    changed: tuple[Path, ...]
    already: tuple[Path, ...]


class Rekey:
    """Encrypts an inventory's files of a vault id with the key of `ID-next`, under the same id."""

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
                f"there is no new key; make one and hand it over as the vault id {next_id}: "
                f"--vault-id {next_id}@prompt, or {next_id}@scripts/vault-client"
            )
        if not old:
            raise RekeyError(
                f"there is no key for the vault id {vault_id!r}; is it in vault_identity_list "
                f"(ansible.cfg), and does scripts/vault-client --vault-id {vault_id} find it?"
            )
        if len({secret.bytes for secret in new}) > 1:
            raise RekeyError(f"there are several keys for {next_id}; hand over one")
        self.new_key = new[0]
        if any(secret.bytes == self.new_key.bytes for secret in old):
            raise RekeyError(f"the keys of {vault_id} and of {next_id} are the same")
        if vault.is_public(self.new_key):
            raise RekeyError("the new key is in git and known to everybody; make one of your own")
        if len(self.new_key.bytes) < KEY_BYTES:
            raise RekeyError(
                f"the new key is shorter than {KEY_BYTES} characters; take: openssl rand -base64 32"
            )
        names = (vault_id, WITHOUT_ID)
        self.new = VaultLib([(name, self.new_key) for name in names])
        self.old = VaultLib([(name, secret) for name in names for secret in old])

    def run(self, *, check: bool = False) -> Done:
        """Encrypts all files anew; raises RekeyError or OSError, and then all are as before.

        Where even that failed, raises TornError.
        """
        todo, already = self.sort_out()
        if not check:
            for path, _ in walk(self.folder):
                if path.name.startswith(".") and path.name.endswith((ENDING, KEPT)):
                    path.unlink()  # of a run that was killed; the file that it was for is there
            self.replace(todo)
        return Done(tuple(todo), tuple(already))

    def sort_out(self) -> tuple[dict[Path, bytes], list[Path]]:
        """The files that the old key opens, and those that the new one opens already."""
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
                continue  # without an id, and of another one
            if is_linked:
                wrong.append(f"{path} is, or lies behind, a link; rekey where it leads to")
            elif not whole:
                wrong.append(f"{path} has an encrypted value among others; give that its own file")
            elif opens_new is not None:
                already.append(path)
            elif opens_old is not None:
                todo[path] = data
            else:
                wrong.append(
                    f"{path} opens with neither key of {self.vault_id!r}; where a run with another "
                    f"new key was cut off, hand that one over as {self.vault_id}{NEXT}"
                )
        if not todo and not already and not wrong:
            wrong = [f"{self.folder} holds no file encrypted for the vault id {self.vault_id!r}"]
        if wrong:
            raise RekeyError("\n".join(wrong))
        return todo, already

    def replace(self, todo: dict[Path, bytes]) -> None:
        """Writes all new files beside the old ones, then puts each in its place; or none."""
        waiting = {path: path.with_name(f".{path.name}{ENDING}") for path in todo}
        # Written before the first is replaced, so that going back needs no room on the disk.
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
                    f"{error}; and these could not be put back: {names}. Mend that, then run the "
                    "same again, which finishes it"
                ) from None
            clear(waiting, kept)
            raise
        clear(kept)

    def sealed_anew(self, path: Path, data: bytes) -> bytes:
        """A file's content, encrypted with the new key and proved."""
        plain = opened(self.old, data)
        sealed: bytes = self.new.encrypt(plain, self.new_key, self.vault_id)
        if opened(self.new, sealed) != plain:
            raise RekeyError(f"{path}: what was encrypted anew does not come back")
        self.prove(path, sealed)
        return sealed

    def prove(self, path: Path, data: bytes) -> None:
        """Opens a file's content with the new key, and with the old one in vain."""
        if opened(self.new, data) is None or opened(self.old, data) is not None:
            raise RekeyError(f"{path} would not be encrypted as it should")


def opened(keys: VaultLib, data: bytes) -> bytes | None:
    """What encrypted data holds; None where no key opens it."""
    try:
        plain: bytes = keys.decrypt(data)
    except AnsibleError:
        return None
    return plain


def walk(folder: Path) -> Iterator[tuple[Path, bool]]:
    """The files below a folder, each with whether it is, or lies behind, a link; in order."""
    seen = set()
    for home, folders, names in os.walk(folder, followlinks=True):
        real = Path(home).resolve()
        if real in seen:
            folders.clear()  # a link to what is above it
            continue
        seen.add(real)
        folders.sort()
        is_direct = real == folder.resolve() / Path(home).relative_to(folder)
        for name in sorted(names):
            path = Path(home) / name
            yield path, path.is_symlink() or not is_direct


def put_back(kept: Path, path: Path) -> bool:
    """Gives a file its old content again; returns whether that went well."""
    try:
        kept.replace(path)
    except OSError:
        return False
    return True


def clear(*groups: dict[Path, Path]) -> None:
    """Removes what lies beside the files."""
    for group in groups:
        for path in group.values():
            with suppress(OSError):
                path.unlink(missing_ok=True)


def create(path: Path, data: bytes) -> None:
    """Writes a new file, for its owner alone, so that it outlives a power cut."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as out:
        out.write(data)
        out.flush()
        os.fsync(out.fileno())
