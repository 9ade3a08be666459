"""A new vault key for an inventory: every file of a vault id is encrypted anew, or none is.

No journal is needed: a file opens with the old key or with the new one, so after a run that was
killed the next one sees what is left to do and does it.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ansible.errors import AnsibleError
from ansible.parsing.vault import VaultLib, VaultSecret

from roster_fleet import atomic

NEXT = "-next"
# Of the files that wait to take the places of others; hidden, so Ansible reads none.
ENDING = ".rekey"
KEY_BYTES = 16


class RekeyError(Exception):
    """Why the files were left as they were; the text says what to do."""


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
        if len(self.new_key.bytes) < KEY_BYTES:
            raise RekeyError(
                f"the new key is shorter than {KEY_BYTES} characters; take: openssl rand -base64 32"
            )
        self.new = VaultLib([(vault_id, self.new_key)])
        self.old = VaultLib([(vault_id, secret) for secret in old])

    def run(self, *, check: bool = False) -> Done:
        """Encrypts all files anew; raises RekeyError or OSError, and then all are as before."""
        todo, already = self.sort_out()
        if not check:
            for waiting in self.folder.rglob(f".*{ENDING}"):
                waiting.unlink()  # of a run that was killed; the file that it was for is there
            self.replace(todo)
        return Done(tuple(todo), tuple(already))

    def sort_out(self) -> tuple[dict[Path, bytes], list[Path]]:
        """The files that the old key opens, and those that the new one opens already."""
        header = f"$ANSIBLE_VAULT;1.2;AES256;{self.vault_id}\n".encode()
        todo: dict[Path, bytes] = {}
        already, wrong = [], []
        for path in sorted(self.folder.rglob("*")):
            if path.name.endswith(ENDING) or not path.is_file():
                continue
            data = path.read_bytes().replace(b"\r\n", b"\n")
            if header not in data:
                continue
            if path.is_symlink():
                wrong.append(f"{path} is a link; rekey the inventory that it leads to")
            elif not data.startswith(header):
                wrong.append(f"{path} has an encrypted value among others; give that its own file")
            elif opened(self.new, data) is not None:
                already.append(path)
            elif opened(self.old, data) is not None:
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
        placed: list[Path] = []
        try:
            for path, data in todo.items():
                create(waiting[path], self.sealed_anew(path, data))
            for path, source in waiting.items():
                placed.append(path)
                source.replace(path)
            for folder in {path.parent for path in todo}:
                atomic.sync(folder)
            for path in todo:
                self.prove(path, path.read_bytes())
        except BaseException:
            for path in placed:
                atomic.replace(path, todo[path])
            for source in waiting.values():
                with suppress(OSError):
                    source.unlink(missing_ok=True)
            raise

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


def create(path: Path, data: bytes) -> None:
    """Writes a new file, for its owner alone, so that it outlives a power cut."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as out:
        out.write(data)
        out.flush()
        os.fsync(out.fileno())
