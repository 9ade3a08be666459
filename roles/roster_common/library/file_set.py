#!/usr/bin/python3
"""Ansible module: bring many files to their stated content in one trip to the host."""

from __future__ import annotations

DOCUMENTATION = r"""
module: file_set
short_description: Bring many files, directories and links into their stated state in one trip
description:
  - A round trip to a host costs far more than writing a file, so a role hands over all of its
    files at once.
  - Every content is validated before the first file is written; a refused file leaves the host
    as it was.
options:
  files:
    description: The files, in the order in which they are to be written.
    type: list
    elements: dict
    required: true
    suboptions:
      path:
        description: Absolute path on the host.
        type: path
        required: true
      state:
        description:
          - What the path is to be.
          - With C(existing), owner and mode are set where the path exists, and nothing is made.
          - With C(original), a diverted file is the distribution's own again.
        type: str
        choices: [file, directory, link, absent, existing, original]
        default: file
      content:
        description: The whole content of a file, as text.
        type: str
      content_base64:
        description: The whole content of a file that is no text, in base64.
        type: str
      edits:
        description:
          - Instead of a content, what differs from the distribution's own file, line by line.
          - The file is diverted, so that the package's updates of its own go on beside it.
        type: list
        elements: dict
        suboptions:
          match:
            description: Regular expression that finds the lines.
            type: str
            required: true
          line:
            description:
              - What stands in place of the first found line, and at the end where none is found.
              - Without it, all found lines go.
            type: str
      divert:
        description:
          - The path belongs to a package, whose own file is kept as C(path.distrib) by
            dpkg-divert(1). Always so for C(edits).
        type: bool
        default: false
      on_change:
        description: Commands that make a change of this path count; returned, not run.
        type: list
        elements: str
        default: []
      target:
        description: What a link points at.
        type: str
      owner:
        description: Owner's name.
        type: str
        default: root
      group:
        description: Group's name.
        type: str
        default: root
      mode:
        description: Permissions in octal; 0644 for files and 0755 for directories by default.
        type: str
      validate:
        description: Command that must succeed on a temporary copy of a new content, named by C(%s).
        type: str
      exclusive:
        description: Glob; what matches it in this directory and is not in the list is removed.
        type: str
  undo:
    description:
      - Folder in which everything is kept that takes this call's changes back, for a program that
        restores it, until somebody removes it, which says that the changes have proved themselves.
      - Where it exists already, a former call's changes are still unproved; its commands are
        returned again, and it goes on.
    type: path
  arm:
    description: Shell command, run before the first change, that has the host take it back in time.
    type: str
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
author: The project's maintainers
"""

EXAMPLES = r"""
- name: Write two files
  file_set:
    files:
      - {path: /etc/district, state: directory}
      - {path: /etc/district/motd, content: "hello\n", mode: "0640"}
"""

RETURN = r"""
changed_paths:
  description: The paths that were, or in check mode would be, changed.
  type: list
  elements: str
  returned: always
commands:
  description: What makes the changes count, each once, in the order of the files.
  type: list
  elements: str
  returned: always
unproved:
  description: Whether the undo folder holds changes or, in check mode, would.
  type: bool
  returned: always
"""

import base64
import fnmatch
import grp
import hashlib
import io
import json
import os
import pwd
import re
import shlex
import shutil
import stat
import tarfile
import tempfile

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.common.text.converters import to_bytes

DEFAULT_MODE = {"file": "0644", "directory": "0755"}
ABSENT = "absent\n"
DIVERTED = ".distrib"  # dpkg-divert's own suffix


def current_state(path):
    """What `path` is now: file, directory, link, other or absent (its last link not followed)."""
    try:
        mode = os.lstat(path).st_mode
    except OSError:
        return "absent"
    if stat.S_ISLNK(mode):
        return "link"
    if stat.S_ISDIR(mode):
        return "directory"
    return "file" if stat.S_ISREG(mode) else "other"


def read(path):
    """The bytes of a file."""
    with open(path, "rb") as handle:
        return handle.read()


def edited(text, edits):
    """A text with some of its lines replaced, removed or added."""
    lines = text.splitlines()
    for edit in edits:
        found = [n for n, line in enumerate(lines) if re.search(edit["match"], line)]
        if edit["line"] is not None:
            if found:
                lines[found.pop(0)] = edit["line"]
            else:
                lines.append(edit["line"])
        lines = [line for n, line in enumerate(lines) if n not in set(found)]
    return "".join(line + "\n" for line in lines)


def sync(folder):
    """Have the names in a folder outlive a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def replace(path, content):
    """Replace a file at once, by one that outlives a power cut."""
    with open(path + ".new", "wb") as new:
        new.write(content)
        new.flush()
        os.fsync(new.fileno())
    os.replace(path + ".new", path)
    sync(os.path.dirname(path))


class Undo:
    """What was, kept before it changes: an archive for each path, and an index of them all."""

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
        elif os.path.exists(os.path.join(folder, "1.tar")):  # made behind the first index
            self.damage = "%s is missing" % self.file

    def set_aside(self):
        """Make room for new changes beside an index that nobody can read; return where it is."""
        aside = self.folder + ".unreadable"
        shutil.rmtree(aside, ignore_errors=True)
        os.replace(self.folder, aside)
        return aside

    def keep(self, path, is_diverted, is_removed, commands):
        """Keeps a path as it is now, whole, and the commands that a change of it calls for."""
        if not os.path.isdir(self.folder):
            os.makedirs(self.folder, mode=0o700)
            sync(os.path.dirname(self.folder))
        change = {"path": path, "archive": None, "sha256": None, "diverted": is_diverted}
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
        # Whole at every moment, whatever ends this process or the power; so is each archive before.
        replace(self.file, json.dumps(self.index).encode())


def shown(content):
    """A content as a diff shows it: text as it is, else size and hash."""
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        return "%d bytes, SHA-256 %s\n" % (len(content), hashlib.sha256(content).hexdigest())


class FileSet:
    """The files of one call, compared with and written to the host."""

    def __init__(self, module):
        self.module = module
        self.files = module.params["files"]
        self.contents = {}  # bytes by path; the parameters, which Ansible shows, hold text only
        self.changed_paths = []
        self.commands = []
        self.diffs = []
        self.undo = Undo(module.params["undo"]) if module.params["undo"] else None
        self.is_armed = False

    def fail(self, path, message):
        if self.is_armed:
            message += "; what was written before it is taken back unless another run comes first"
        self.module.fail_json(msg="%s: %s" % (path, message), changed_paths=self.changed_paths)

    def identity(self, entry):
        """(uid, gid) of an entry; None where a name does not exist yet, as in check mode."""
        ids = []
        for lookup, kind, field in (
            (pwd.getpwnam, "owner", "pw_uid"),
            (grp.getgrnam, "group", "gr_gid"),
        ):
            try:
                ids.append(getattr(lookup(entry[kind]), field))
            except KeyError:
                if not self.module.check_mode:
                    self.fail(entry["path"], "no %s named %r on this host" % (kind, entry[kind]))
                ids.append(None)
        return tuple(ids)

    def mode(self, entry):
        """An entry's permissions as a number."""
        if entry["mode"] or entry["state"] in DEFAULT_MODE:
            return int(entry["mode"] or DEFAULT_MODE[entry["state"]], 8)
        return self.fail(entry["path"], "needs a mode")

    def attributes(self, entry):
        """The differences of owner and mode as (before, after) texts; empty texts when none."""
        uid, gid = self.identity(entry)
        wanted = self.mode(entry)
        now = os.lstat(entry["path"])
        if (now.st_uid, now.st_gid, stat.S_IMODE(now.st_mode)) == (uid, gid, wanted):
            return "", ""
        before = "owner %s:%s mode %04o\n" % (now.st_uid, now.st_gid, stat.S_IMODE(now.st_mode))
        return before, "owner %s:%s mode %04o\n" % (uid, gid, wanted)

    def validate(self, entry):
        command = entry["validate"]
        if not command:
            return
        argv = shlex.split(command)
        if "%s" not in argv:
            self.fail(entry["path"], "validate must name the file as %s")
        if self.module.check_mode and not self.module.get_bin_path(argv[0]):
            return  # a fresh host: the validating program would be installed by the same run
        handle, name = tempfile.mkstemp()
        with os.fdopen(handle, "wb") as temporary:
            temporary.write(self.contents[entry["path"]])
        argv = [name if word == "%s" else word for word in argv]
        code, out, err = self.module.run_command(argv)
        os.unlink(name)
        if code == 0:
            return
        said = "refused by `%s`: %s" % (command, (err or out).strip().replace(name, entry["path"]))
        if self.module.check_mode:
            # What it depends on, such as a user, may only be made by the real run.
            self.module.warn("%s: %s" % (entry["path"], said))
        else:
            self.fail(entry["path"], said + " (nothing was written)")

    def record(self, entry, before, after, path=None):
        """Notes a change, and keeps what was, just before it is made."""
        path = path or entry["path"]
        self.changed_paths.append(path)
        self.commands += [c for c in entry["on_change"] if c not in self.commands]
        self.diffs.append(
            {"before_header": path, "after_header": path, "before": before, "after": after}
        )
        if self.undo and not self.module.check_mode:
            self.arm()
            is_removed = after == ABSENT
            self.undo.keep(path, self.is_diverted(path), is_removed, entry["on_change"])

    def arm(self):
        """Has the host take back, in time, what is changed from here on; once."""
        if self.module.params["arm"] and not self.is_armed:
            self.module.run_command(["/bin/sh", "-c", self.module.params["arm"]], check_rc=True)
            self.is_armed = True

    def own(self, entry):
        uid, gid = self.identity(entry)
        os.lchown(entry["path"], uid, gid)
        os.chmod(entry["path"], self.mode(entry))

    def remove(self, entry, path):
        state = current_state(path)
        if state == "absent":
            return
        self.record(entry, "%s\n" % state, ABSENT, path)
        if self.module.check_mode:
            return
        if state == "directory":
            shutil.rmtree(path)
        else:
            os.unlink(path)

    @staticmethod
    def is_diverted(path):
        return current_state(path + DIVERTED) == "file"

    def divert(self, *arguments):
        command = ["dpkg-divert", "--quiet", "--local", "--no-rename", *arguments]
        self.module.run_command(command, check_rc=True)

    def restore(self, entry):
        """Gives a diverted file back to the distribution."""
        path = entry["path"]
        if not self.is_diverted(path):
            return
        original = read(path + DIVERTED)
        self.record(entry, shown(read(path)) if os.path.exists(path) else "", shown(original))
        if not self.module.check_mode:
            os.replace(path + DIVERTED, path)
            self.divert("--remove", path)

    def apply_existing(self, entry):
        if current_state(entry["path"]) == "absent":
            return
        before, after = self.attributes(entry)
        if after:
            self.record(entry, before, after)
            if not self.module.check_mode:
                self.own(entry)

    def apply_directory(self, entry):
        path = entry["path"]
        state = current_state(path)
        if state == "link":
            state = current_state(os.path.realpath(path))
        if state == "absent":
            self.record(entry, "absent\n", "directory\n")
            if not self.module.check_mode:
                os.makedirs(path)
                self.own(entry)
        elif state != "directory":
            self.fail(path, "is a %s, not a directory" % state)
        else:
            before, after = self.attributes(entry)
            if after:
                self.record(entry, before, after)
                if not self.module.check_mode:
                    self.own(entry)
        if entry["exclusive"] and os.path.isdir(path):
            kept = {os.path.normpath(other["path"]) for other in self.files}
            for name in sorted(os.listdir(path)):
                full = os.path.join(path, name)
                if fnmatch.fnmatch(name, entry["exclusive"]) and full not in kept:
                    self.remove(entry, full)

    def apply_link(self, entry):
        path = entry["path"]
        before = os.readlink(path) if current_state(path) == "link" else current_state(path)
        if before == entry["target"]:
            return
        if before == "directory":
            self.fail(path, "is a directory, not a link")
        self.record(entry, "%s\n" % before, "%s\n" % entry["target"])
        if not self.module.check_mode:
            temporary = path + ".new"
            if current_state(temporary) != "absent":
                os.unlink(temporary)
            os.symlink(entry["target"], temporary)
            os.replace(temporary, path)

    def content(self, entry):
        """The bytes that a file is to hold."""
        if entry["content"] is not None:
            return to_bytes(entry["content"])
        if entry["content_base64"] is not None:
            return base64.b64decode(entry["content_base64"])
        if entry["edits"] is not None:
            return to_bytes(edited(self.original(entry["path"]), entry["edits"]))
        return self.fail(entry["path"], "a file needs a content")

    def original(self, path):
        """The text of the distribution's own file; empty before its package is installed."""
        for place in (path + DIVERTED, path):
            if current_state(place) == "file":
                return read(place).decode("utf-8")
        return ""

    def content_differs(self, entry):
        state = current_state(entry["path"])
        if state not in ("file", "absent"):
            self.fail(entry["path"], "is a %s, not a file" % state)
        return state == "absent" or read(entry["path"]) != self.contents[entry["path"]]

    def apply_file(self, entry):
        path = entry["path"]
        if self.content_differs(entry):
            before = read(path) if current_state(path) == "file" else b""
            self.record(entry, shown(before), shown(self.contents[entry["path"]]))
            if not self.module.check_mode:
                handle, temporary = tempfile.mkstemp()
                with os.fdopen(handle, "wb") as new:
                    new.write(self.contents[entry["path"]])
                uid, gid = self.identity(entry)
                os.chown(temporary, uid, gid)
                os.chmod(temporary, self.mode(entry))
                if entry["divert"] and not self.is_diverted(path):
                    # A copy first, so that there is a file at every moment.
                    if current_state(path) == "file":
                        shutil.copy2(path, path + DIVERTED)
                    self.divert("--divert", path + DIVERTED, "--add", path)
                # atomic_move keeps an existing file's owner and mode, hence own() after it
                self.module.atomic_move(temporary, path)
                self.own(entry)
            return
        before, after = self.attributes(entry)
        if after:
            self.record(entry, before, after)
            if not self.module.check_mode:
                self.own(entry)

    def run(self):
        for entry in self.files:
            entry["divert"] = entry["divert"] or entry["edits"] is not None
            if entry["state"] == "file":
                self.contents[entry["path"]] = self.content(entry)
                if self.content_differs(entry):
                    self.validate(entry)
        apply = {
            "file": self.apply_file,
            "directory": self.apply_directory,
            "link": self.apply_link,
            "absent": lambda entry: self.remove(entry, entry["path"]),
            "existing": self.apply_existing,
            "original": self.restore,
        }
        if self.undo and self.undo.damage:
            told = "a former run's changes cannot be taken back, for " + self.undo.damage
            if not self.module.check_mode:
                told += "; it is kept in " + self.undo.set_aside()
            self.module.warn(told)
        if self.undo and self.undo.index["changes"] and not self.module.check_mode:
            self.arm()  # anew, for what a former call has left
        for entry in self.files:
            apply[entry["state"]](entry)
        is_unproved = bool(self.undo and self.undo.index["changes"])
        result = {
            "changed": bool(self.changed_paths),
            "changed_paths": self.changed_paths,
            "commands": self.undo.index["commands"] if is_unproved else self.commands,
            "unproved": is_unproved or bool(self.undo and self.changed_paths),
        }
        if self.changed_paths and not self.module.check_mode:
            os.sync()  # before anybody says that the changes have proved themselves
        if self.module._diff:
            result["diff"] = self.diffs
        self.module.exit_json(**result)


def main():
    module = AnsibleModule(
        argument_spec={
            "files": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": {
                    "path": {"type": "path", "required": True},
                    "state": {
                        "type": "str",
                        "choices": ["file", "directory", "link", "absent", "existing", "original"],
                        "default": "file",
                    },
                    "edits": {
                        "type": "list",
                        "elements": "dict",
                        "options": {
                            "match": {"type": "str", "required": True},
                            "line": {"type": "str"},
                        },
                    },
                    "divert": {"type": "bool", "default": False},
                    "on_change": {"type": "list", "elements": "str", "default": []},
                    "content": {"type": "str"},
                    "content_base64": {"type": "str"},
                    "target": {"type": "str"},
                    "owner": {"type": "str", "default": "root"},
                    "group": {"type": "str", "default": "root"},
                    "mode": {"type": "str"},
                    "validate": {"type": "str"},
                    "exclusive": {"type": "str"},
                },
            },
            "undo": {"type": "path"},
            "arm": {"type": "str"},
        },
        supports_check_mode=True,
    )
    FileSet(module).run()


if __name__ == "__main__":
    main()
