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
        description: What the path is to be.
        type: str
        choices: [file, directory, link, absent]
        default: file
      content:
        description: The whole content of a file, as text.
        type: str
      content_base64:
        description: The whole content of a file that is no text, in base64.
        type: str
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
"""

import base64
import fnmatch
import grp
import hashlib
import os
import pwd
import shlex
import shutil
import stat
import tempfile

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.common.text.converters import to_bytes

DEFAULT_MODE = {"file": "0644", "directory": "0755"}


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
        self.diffs = []

    def fail(self, path, message):
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

    def attributes(self, entry):
        """The differences of owner and mode as (before, after) texts; empty texts when none."""
        uid, gid = self.identity(entry)
        wanted = int(entry["mode"] or DEFAULT_MODE[entry["state"]], 8)
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

    def record(self, path, before, after):
        self.changed_paths.append(path)
        self.diffs.append(
            {"before_header": path, "after_header": path, "before": before, "after": after}
        )

    def own(self, entry):
        uid, gid = self.identity(entry)
        os.lchown(entry["path"], uid, gid)
        os.chmod(entry["path"], int(entry["mode"] or DEFAULT_MODE[entry["state"]], 8))

    def remove(self, path):
        state = current_state(path)
        if state == "absent":
            return
        self.record(path, "%s\n" % state, "absent\n")
        if self.module.check_mode:
            return
        if state == "directory":
            shutil.rmtree(path)
        else:
            os.unlink(path)

    def apply_directory(self, entry):
        path = entry["path"]
        state = current_state(path)
        if state == "link":
            state = current_state(os.path.realpath(path))
        if state == "absent":
            self.record(path, "absent\n", "directory\n")
            if not self.module.check_mode:
                os.makedirs(path)
                self.own(entry)
        elif state != "directory":
            self.fail(path, "is a %s, not a directory" % state)
        else:
            before, after = self.attributes(entry)
            if after:
                self.record(path, before, after)
                if not self.module.check_mode:
                    self.own(entry)
        if entry["exclusive"] and os.path.isdir(path):
            kept = {os.path.normpath(other["path"]) for other in self.files}
            for name in sorted(os.listdir(path)):
                full = os.path.join(path, name)
                if fnmatch.fnmatch(name, entry["exclusive"]) and full not in kept:
                    self.remove(full)

    def apply_link(self, entry):
        path = entry["path"]
        before = os.readlink(path) if current_state(path) == "link" else current_state(path)
        if before == entry["target"]:
            return
        if before == "directory":
            self.fail(path, "is a directory, not a link")
        self.record(path, "%s\n" % before, "%s\n" % entry["target"])
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
        return self.fail(entry["path"], "a file needs a content")

    def content_differs(self, entry):
        state = current_state(entry["path"])
        if state not in ("file", "absent"):
            self.fail(entry["path"], "is a %s, not a file" % state)
        return state == "absent" or read(entry["path"]) != self.contents[entry["path"]]

    def apply_file(self, entry):
        path = entry["path"]
        if self.content_differs(entry):
            before = read(path) if current_state(path) == "file" else b""
            self.record(path, shown(before), shown(self.contents[entry["path"]]))
            if not self.module.check_mode:
                handle, temporary = tempfile.mkstemp()
                with os.fdopen(handle, "wb") as new:
                    new.write(self.contents[entry["path"]])
                uid, gid = self.identity(entry)
                os.chown(temporary, uid, gid)
                os.chmod(temporary, int(entry["mode"] or DEFAULT_MODE["file"], 8))
                # atomic_move keeps an existing file's owner and mode, hence own() after it
                self.module.atomic_move(temporary, path)
                self.own(entry)
            return
        before, after = self.attributes(entry)
        if after:
            self.record(path, before, after)
            if not self.module.check_mode:
                self.own(entry)

    def run(self):
        for entry in self.files:
            if entry["state"] == "file":
                self.contents[entry["path"]] = self.content(entry)
                if self.content_differs(entry):
                    self.validate(entry)
        for entry in self.files:
            if entry["state"] == "absent":
                self.remove(entry["path"])
            elif entry["state"] == "link":
                self.apply_link(entry)
            elif entry["state"] == "directory":
                self.apply_directory(entry)
            else:
                self.apply_file(entry)
        result = {"changed": bool(self.changed_paths), "changed_paths": self.changed_paths}
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
                        "choices": ["file", "directory", "link", "absent"],
                        "default": "file",
                    },
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
        },
        supports_check_mode=True,
    )
    FileSet(module).run()


if __name__ == "__main__":
    main()
