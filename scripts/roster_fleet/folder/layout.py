"""Lay out an operator's folder: settings, an inventory with its vault key, links to the checkout.

What exists is never overwritten. Lines that are missing in `ansible.cfg` and `.gitignore` are
added.
"""

from __future__ import annotations

import base64
import os
import re
import secrets
import shlex
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

from roster_fleet.folder import settings
from roster_fleet.folder.settings import LINK, PUBLIC_IDS
from roster_fleet.outputs import INVENTORIES

KEY_FILE = "vault-key.txt"
KEY_BYTES = 32
HOSTS_FILE = "hosts.yml"
GROUP_FILE = "group_vars/district_hosts/main.yml"
LINKS = {"playbooks": f"{LINK}/playbooks", "scripts": f"{LINK}/scripts"}
# As Ansible's vault ids. The endings belong to the keys of rekey_vault.yml.
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
ENDINGS = ("-next", "-old")
VAULT_MARK = b"$ANSIBLE_VAULT;"

IGNORED = """\
# Vault keys. Keep a copy of each in another safe place.
inventories/*/vault-key*.txt
# Outputs of the playbooks. The receipts of decommissioned districts belong into git.
build/
.ansible/
# Leftovers of a killed run of rekey_vault.yml. The next run removes them.
.*.rekey
.*.rekey-old
# The link to the checkout of roster-delivery. Each machine has its own.
/roster-delivery
"""

HOSTS = """\
---
# Your machines. A host delivers for one district or for several. onboard.yml adds them here.
all:
  children:
    district_hosts:
"""

GROUP = """\
---
# Values that all your hosts share. Remove the "# " before a line to set it.

# The user who logs in by SSH with a key and may use sudo. It must be in the group sudo. Afterwards
# root cannot log in over SSH. Without this line Ansible takes the name that your ssh takes.
# ansible_user: admin

# The networks from which administrators and this control node use SSH. They reach no other port.
# Without this line SSH is open to all networks.
# district_hardening_inbound_networks:
#   - 192.0.2.0/24

# The vendor's server, if it is another one than this.
# roster_upload_remote_host: sftp.imaginelearning.com

# onboard.yml adds the server's public key (roster_upload_host_keys) after you have compared its
# fingerprint with the one from the vendor.
"""


class LayoutError(Exception):
    """Nothing was written. The text says why, and what to do."""


class Folder:
    """An operator's folder, and what has been done to it."""

    def __init__(self, root: Path, checkout: Path) -> None:
        self.root = Path(os.path.abspath(root))  # noqa: PTH100 - it keeps links, as Ansible does
        self.checkout = checkout.resolve()
        self.made: list[str] = []
        self.has_new_key = False

    def inventory(self, name: str) -> Path:
        """Return the folder of an inventory."""
        return self.root / INVENTORIES / name

    def inventories(self) -> list[str]:
        """Return the names of the inventories."""
        home = self.root / INVENTORIES
        found = home.iterdir() if home.is_dir() else ()
        return sorted(path.name for path in found if path.is_dir() and path.name[0] != ".")

    def check(self, name: str = "") -> None:
        """Raise LayoutError or SettingsError if the folder cannot be laid out."""
        if name:
            _check_name(name)
        real = self.root.resolve()
        if real == self.checkout or self.checkout in real.parents:
            raise LayoutError(
                f"{self.root} is in the checkout. Choose a folder outside, such as ~/rosters, so "
                "that updates never touch your files"
            )
        if real == Path.home().resolve():
            raise LayoutError(
                f"{self.root} is your home folder. Choose a folder of its own, such as ~/rosters, "
                "since all of it belongs into git"
            )
        if found := re.search(r"[$,]|\{[{%#]", str(self.root)):
            raise LayoutError(
                f"Ansible does not take {found[0]!r} in a path as it is: {self.root}. Choose "
                "another folder"
            )
        if self.root.exists() and not self.root.is_dir():
            raise LayoutError(f"{self.root} is not a folder. Choose another path")
        self._check_mode()
        self._check_links()
        path = self.root / settings.FILE
        if path.exists() and not settings.is_ours(text := path.read_text("utf-8")):
            settings.parsed(text, path)
            raise LayoutError(
                f"{path} is your own. Rename it, run this command again, then copy your settings "
                "into the new file, above the marked lines"
            )

    def _check_mode(self) -> None:
        """Raise LayoutError if everybody can write to the folder, as to all of WSL's /mnt/c."""
        if self.root.is_dir() and self.root.stat().st_mode & stat.S_IWOTH:
            raise LayoutError(
                f"everybody can write to {self.root}, so Ansible would ignore its {settings.FILE}. "
                f"Run: chmod o-w {shlex.quote(str(self.root))}. In WSL, choose a folder below your "
                "home folder of Linux instead of /mnt/c"
            )

    def _check_links(self) -> None:
        link = self.root / LINK
        if link.exists() and link.resolve() != self.checkout:
            raise LayoutError(
                f"{link} leads to {link.resolve()}, not to this checkout ({self.checkout}). Remove "
                "it if you want to use this one"
            )
        for name, target in LINKS.items():
            path = self.root / name
            is_ours = path.is_symlink() and os.readlink(path) == target  # noqa: PTH115 - as text
            if os.path.lexists(path) and not is_ours:
                raise LayoutError(f"{path} exists already. Rename it, or choose another folder")

    def lay_out(
        self, name: str = "", ids: Sequence[str] = (), own: settings.Settings | None = None
    ) -> None:
        """Make what is missing. `ids` and `own` are further vault ids and settings of the operator.

        Raise LayoutError, SettingsError or OSError.
        """
        self.check(name)
        self.root.mkdir(parents=True, exist_ok=True)
        self._check_mode()
        if not (self.root / LINK).exists():
            (self.root / LINK).unlink(missing_ok=True)  # it led to a checkout that is gone
            self._link(LINK, str(self.checkout))
        for path, target in LINKS.items():
            if not (self.root / path).is_symlink():
                self._link(path, target)
        self._ignore()
        if name:
            self._inventory(name)
        self._settings(name, ids, own or {})

    def _link(self, path: str, target: str) -> None:
        (self.root / path).symlink_to(target, target_is_directory=True)
        self.made.append(f"made the link {path} to {target}")

    def _ignore(self) -> None:
        """Write .gitignore, or add its missing patterns."""
        path = self.root / ".gitignore"
        if not path.exists():
            path.write_text(IGNORED, encoding="utf-8")
            self.made.append("made .gitignore")
            return
        text = path.read_text("utf-8")
        known = {line.strip() for line in text.splitlines()}
        patterns = [line for line in IGNORED.splitlines() if not line.startswith("#")]
        if missing := [line for line in patterns if line not in known]:
            kept = text if text.endswith("\n") or not text else f"{text}\n"
            path.write_text(kept + "\n".join(missing) + "\n", encoding="utf-8")
            self.made.append(f"added to .gitignore: {', '.join(missing)}")

    def _inventory(self, name: str) -> None:
        """Make the inventory's files and its key, but no key for files of another one."""
        home = self.inventory(name)
        is_new = not any(home.glob("*"))
        for file, text in ((HOSTS_FILE, HOSTS), (GROUP_FILE, GROUP)):
            path = home / file
            # An inventory that exists has its own names of files.
            if is_new or (file == HOSTS_FILE and not any(home.glob("hosts*"))):
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text, encoding="utf-8")
                self.made.append(f"made {path.relative_to(self.root)}")
        key = home / KEY_FILE
        if not key.exists() and not has_secrets(home):
            write_key(key)
            self.has_new_key = True
            self.made.append(f"made the vault key {key.relative_to(self.root)}")

    def _settings(self, name: str, ids: Sequence[str], own: settings.Settings) -> None:
        path = self.root / settings.FILE
        before = path.read_text("utf-8") if path.exists() else ""
        text = before or settings.NEW
        if name:
            others = [other for other in self.inventories() if other != name]
            text = settings.with_inventory(text, name, others, ids)
        text = settings.with_own(text, own)
        text = settings.refreshed(text, settings.project_settings(self.checkout), path)
        if text != before:
            path.write_text(text, encoding="utf-8")
            self.made.append(f"{'changed' if before else 'made'} {settings.FILE}")

    def lacks_key(self, name: str) -> bool:
        """Return whether an inventory has secrets, but no key file here."""
        home = self.inventory(name)
        return not (home / KEY_FILE).exists() and has_secrets(home)


def _check_name(name: str) -> None:
    """Raise LayoutError if an inventory cannot have this name."""
    if "/" in name:
        raise LayoutError(
            f"{name!r} is a path. Give your folder first, then the inventory's name alone: "
            "scripts/new-inventory ~/rosters mydistrict"
        )
    if not NAME.fullmatch(name) or name.endswith(ENDINGS):
        raise LayoutError(
            f"{name!r} cannot name an inventory. Use letters, digits, '_', '.' and '-', and "
            f"neither of the endings {' and '.join(ENDINGS)}"
        )
    if name in PUBLIC_IDS:
        raise LayoutError(
            f"the vault id {name!r} belongs to a public key of this project. Choose another name"
        )


def has_secrets(home: Path) -> bool:
    """Return whether a folder has encrypted files, whose key must not be made anew."""
    return any(VAULT_MARK in path.read_bytes() for path in _files(home))


def _files(home: Path) -> Iterator[Path]:
    return (path for path in home.rglob("*") if path.is_file())


def write_key(path: Path) -> None:
    """Write a new vault key that only its owner can read. Never replace a file."""
    key = base64.b64encode(secrets.token_bytes(KEY_BYTES)) + b"\n"
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as out:
        out.write(key)
