"""The folder from which the host can roll unconfirmed changes back."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import tarfile

from ansible.module_utils.file_set.host import current_state, is_diverted, read


def sync(folder):
    """Make the names in a folder outlive a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def replace(path, content):
    """Replace a file in one step, by one that outlives a power cut."""
    with open(path + ".new", "wb") as new:
        new.write(content)
        new.flush()
        os.fsync(new.fileno())
    os.replace(path + ".new", path)
    sync(os.path.dirname(path))


class Rollback:
    """Each path as it was before its change: an archive for each path, and an index of all."""

    def __init__(self, folder):
        self.folder = folder
        self.index = {"changes": [], "commands": []}
        self.file = os.path.join(folder, "index.json")
        self.damage = ""
        if os.path.exists(self.file):
            try:
                index = json.loads(read(self.file))
                self.index = {kind: list(index[kind]) for kind in self.index}
            except (ValueError, KeyError, TypeError) as error:
                self.damage = "%s is unreadable: %r" % (self.file, error)
        elif os.path.exists(os.path.join(folder, "1.tar")):  # made after the first index
            self.damage = "%s is missing" % self.file

    @property
    def has_changes(self):
        return bool(self.index["changes"])

    def set_aside(self):
        """Move a folder with an unreadable index out of the way. Return its new path."""
        aside = self.folder + ".unreadable"
        shutil.rmtree(aside, ignore_errors=True)
        os.replace(self.folder, aside)
        return aside

    def keep(self, path, is_removed, commands):
        """Keep a path as it is now, and the commands that its change calls for.

        A folder that will be removed is kept with all that it contains.
        """
        if not os.path.isdir(self.folder):
            os.makedirs(self.folder, mode=0o700)
            sync(os.path.dirname(self.folder))
        change = {"path": path, "archive": None, "sha256": None, "diverted": is_diverted(path)}
        if current_state(path) != "absent":
            kept = io.BytesIO()
            with tarfile.open(fileobj=kept, mode="w") as tar:
                tar.add(path, arcname="it", recursive=is_removed)
            number = len(self.index["changes"])
            change["archive"] = os.path.join(self.folder, "%d.tar" % number)
            change["sha256"] = hashlib.sha256(kept.getvalue()).hexdigest()
            replace(change["archive"], kept.getvalue())
        self.index["changes"].append(change)
        self.index["commands"] += [c for c in commands if c not in self.index["commands"]]
        # Each archive is complete before the index names it, whenever the power fails.
        replace(self.file, json.dumps(self.index).encode())
