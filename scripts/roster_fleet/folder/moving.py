"""Move an inventory out of the checkout, with its keys, outputs and receipts.

Each part is moved as a whole. If the command is interrupted, the next run goes on.
"""

from __future__ import annotations

import errno
import os
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from roster_fleet.folder import settings
from roster_fleet.folder.layout import Folder, LayoutError
from roster_fleet.outputs import INVENTORIES, Outputs

OLD_CLIENT = "scripts/vault-client"


class Move:
    """The way of an inventory from a checkout to an operator's folder."""

    def __init__(self, source: Path, folder: Folder) -> None:
        self.source = source
        self.folder = folder
        self.old_root = source.parents[1] if source.parent.name == INVENTORIES else folder.checkout

    def parts(self) -> Iterator[tuple[Path, Path]]:
        """Yield each path that may have to be moved, with its new path. The inventory comes last.

        Until it is moved, the next run knows that it has to go on.
        """
        old = Outputs(self.old_root, self.source.name)
        new = Outputs(self.folder.root, self.source.name)
        if self._is_alone():  # these outputs of earlier releases name no inventory
            build = self.old_root / "build"
            yield build / "status.html", new.page
            yield build / "status", new.reports
            for path in sorted(build.glob("*.limit")):
                yield path, new.folder / path.name
            yield from self._old_receipts(new)
        for home, target in ((old.folder, new.folder), (old.receipts, new.receipts)):
            for path in sorted(home.iterdir()) if home.is_dir() else ():
                yield path, target / path.name
        yield self.source, self.folder.inventory(self.source.name)

    def _old_receipts(self, new: Outputs) -> Iterator[tuple[Path, Path]]:
        """Yield the folders of hosts in `receipts`, where earlier releases kept them."""
        home = self.old_root / "receipts"
        names = {path.name for path in (self.old_root / INVENTORIES).iterdir()}
        for path in sorted(home.iterdir()) if home.is_dir() else ():
            if path.name not in names:
                yield path, new.receipts / path.name

    def _is_alone(self) -> bool:
        """Return whether the checkout has no other inventory of the operator."""
        home = self.old_root / INVENTORIES
        found = {path.name for path in home.iterdir() if path.name[0] != "."}
        return found <= {self.source.name, *settings.PUBLIC_IDS}

    def check(self) -> None:
        """Raise LayoutError if there is nothing to move, or if a file would be overwritten."""
        if self.source.parent.name != INVENTORIES:  # such as the checkout, or a folder of several
            raise LayoutError(
                f"{self.source} is not an inventory, so nothing was moved. Name a folder in the "
                f"checkout's folder {INVENTORIES}, such as --move {INVENTORIES}/mydistrict"
            )
        if self.source.name in settings.PUBLIC_IDS:
            raise LayoutError(
                f"{self.source} belongs to the project, and its key is public. Lay out an "
                "inventory of your own. Then copy your hosts and variables into it, and encrypt "
                "each secret anew"
            )
        target = self.folder.inventory(self.source.name)
        if self.source == target:
            raise LayoutError(f"{self.source} is in {self.folder.root} already")
        if not (self.source.is_dir() or _aside(self.source).exists() or target.is_dir()):
            raise LayoutError(f"{self.source} is not a folder. Name an inventory's folder")
        if not self.old_root.joinpath(INVENTORIES).is_dir():
            raise LayoutError(f"{self.source} is not in a checkout's folder {INVENTORIES}")
        for old, new in self.parts():
            if os.path.lexists(old) and os.path.lexists(new) and not _aside(old).exists():
                raise LayoutError(
                    f"{new} exists already, so {old} cannot be moved. Nothing was moved. Rename "
                    "one of them, and run this command again"
                )

    def run(self) -> None:
        """Move everything that is still at its old path. Raise OSError."""
        for old, new in self.parts():
            new.parent.mkdir(parents=True, exist_ok=True)
            if moved(old, new):
                self.folder.made.append(f"moved {old} to {new}")

    def vault_ids(self) -> list[str]:
        """Return the operator's entries of `vault_identity_list` in the old root's ansible.cfg."""
        entries = self._changed().get(settings.DEFAULTS, {}).get(settings.VAULT_IDS, "")
        public = {f"{vault_id}@{OLD_CLIENT}" for vault_id in settings.PUBLIC_IDS}
        return [entry for entry in settings.entries_of(entries) if entry not in public]

    def own_settings(self) -> dict[str, dict[str, str]]:
        """Return the other settings that the operator changed in the old root's ansible.cfg."""
        return {
            section: {key: value for key, value in values.items() if key not in settings.OWN}
            for section, values in self._changed().items()
        }

    def _changed(self) -> dict[str, dict[str, str]]:
        """Return the settings of the old ansible.cfg that git's version does not have so."""
        path = self.old_root / settings.FILE
        committed = self._git("show", f"HEAD:{settings.FILE}")
        if not path.is_file() or committed is None:
            return {}
        before = settings.parsed(committed, path)
        return {
            section: {
                key: value
                for key, value in values.items()
                if before.get(section, {}).get(key) != value
            }
            for section, values in settings.parsed(path.read_text("utf-8"), path).items()
        }

    def remarks(self) -> list[str]:
        """Return what is left to do in the checkout."""
        found = []
        changed = (self._git("status", "--porcelain", "--untracked-files=no") or "").splitlines()
        if changed:
            names = sorted({line[3:].split("/")[0] for line in changed})
            found.append(
                f"your settings were copied. These tracked files of {self.old_root} are still "
                f"changed: {', '.join(names)}. See git diff there. Then restore them, so that git "
                f"pull works: git -C {shlex.quote(str(self.old_root))} restore ."
            )
        if not self._is_alone():
            found.append(
                f"{self.old_root}/build/status* and receipts were written by an earlier release "
                "for all inventories together. Move what belongs to this one by hand"
            )
        return found

    def _git(self, *words: str) -> str | None:
        """Return the output of git in the old root, or None without git."""
        command = ["git", "-C", str(self.old_root), *words]
        try:
            return subprocess.run(command, capture_output=True, text=True, check=True).stdout
        except (OSError, subprocess.CalledProcessError):
            return None


def moved(old: Path, new: Path) -> bool:
    """Move a file or folder as a whole. Return False if it is not there. Raise OSError.

    To another file system it is copied beside the target first. The old one is set aside before the
    copy gets its name, so at each moment the next run knows which of the two counts.
    """
    aside, waiting = _aside(old), new.with_name(f".{new.name}.moving")
    if not aside.exists():
        if not os.path.lexists(old):
            return False
        try:
            old.rename(new)
            return True
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
        _remove(waiting)
        _copy(old, waiting)
        old.rename(aside)
    if not os.path.lexists(new):
        waiting.rename(new)
    _remove(aside)
    return True


def _aside(old: Path) -> Path:
    return old.with_name(f".{old.name}.moved")


def _copy(old: Path, new: Path) -> None:
    if old.is_dir() and not old.is_symlink():
        shutil.copytree(old, new, symlinks=True)
    else:
        shutil.copy2(old, new, follow_symlinks=False)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
