#!/usr/bin/python3
"""Ansible module: bring many files into their stated state in one trip to the host."""

from __future__ import annotations

DOCUMENTATION = r"""
module: file_set
short_description: Bring many files, directories and links into their stated state in one trip
description:
  - A round trip to a host costs far more than writing a file. So a role hands over all of its
    files at once.
  - Every content is validated before the first file is written. If one is refused, the host stays
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
          - The state of the path.
          - With C(existing), owner and mode are set if the path exists. Nothing is created.
          - With C(original), a diverted file becomes the distribution's own again.
        type: str
        choices: [file, directory, link, absent, existing, original]
        default: file
      content:
        description: The whole content of a file, as text.
        type: str
      content_base64:
        description: The whole content of a binary file, in base64.
        type: str
      edits:
        description:
          - Instead of a content, the lines that differ from the distribution's own file.
          - The file is diverted, so the package can update its own file beside it.
        type: list
        elements: dict
        suboptions:
          match:
            description: Regular expression that finds the lines.
            type: str
            required: true
          line:
            description:
              - The line that replaces the first match. Without a match it is added at the end.
              - Without C(line), all matching lines are removed.
            type: str
      divert:
        description:
          - The path belongs to a package. dpkg-divert(1) keeps the package's own file as
            C(path.distrib). C(edits) always divert.
        type: bool
        default: false
      on_change:
        description: Shell commands that put a change into force. They are returned, not run.
        type: list
        elements: str
        default: []
      target:
        description: The target of a link.
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
        description: Permissions in octal. The default is 0644 for files and 0755 for directories.
        type: str
      validate:
        description: Command that must succeed on a copy of a new content. C(%s) is its path.
        type: str
      exclusive:
        description: Glob. Paths in this directory that match it and are not listed are removed.
        type: str
  rollback_folder:
    description:
      - Folder that keeps each path as it was before its change. A program on the host can restore
        them. Whoever confirms the changes removes the folder.
      - If the folder exists already, an earlier call's changes are still unconfirmed. This call
        adds to them and returns their commands, too.
    type: path
  rollback_timer:
    description:
      - Shell command that makes the host roll back after some time. It is run before the first
        change.
    type: str
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
author: The Roster Delivery authors
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
  description: The changed paths. In check mode, the paths that would change.
  type: list
  elements: str
  returned: always
commands:
  description: Shell commands that put the changes into force, each once, in the order of the files.
  type: list
  elements: str
  returned: always
unconfirmed:
  description: Whether the rollback folder holds changes. In check mode, whether it would.
  type: bool
  returned: always
"""

import fnmatch
import os
import shlex
import shutil
import tempfile

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.file_set import content, host
from ansible.module_utils.file_set.rollback import Rollback

ABSENT = "absent\n"


class FileSet:
    """The files of one call, compared with the host and written to it."""

    def __init__(self, module):
        self.module = module
        self.is_check = module.check_mode
        self.files = module.params["files"]
        self.contents = {}  # bytes by path. Ansible shows the parameters, which hold text only.
        self.changed_paths = []
        self.commands = []
        self.diffs = []
        folder = module.params["rollback_folder"]
        self.rollback = Rollback(folder) if folder else None
        self.is_timer_started = False

    def run(self):
        """Apply all entries and exit with Ansible's result."""
        try:
            self.validate_all()
            self.resume_rollback()
            for entry in self.files:
                self.apply(entry)
        except host.EntryError as error:
            self.fail(error)
        has_changes = bool(self.rollback and self.rollback.has_changes)
        result = {
            "changed": bool(self.changed_paths),
            "changed_paths": self.changed_paths,
            "commands": self.rollback.index["commands"] if has_changes else self.commands,
            "unconfirmed": has_changes or bool(self.rollback and self.changed_paths),
        }
        if self.changed_paths and not self.is_check:
            os.sync()  # before anybody can confirm the changes
        if self.module._diff:
            result["diff"] = self.diffs
        self.module.exit_json(**result)

    def fail(self, error):
        """Exit with Ansible's failure."""
        message = "%s: %s" % (error.path, error)
        if self.is_timer_started:
            message += ". The host rolls back earlier changes unless another run comes first"
        self.module.fail_json(msg=message, changed_paths=self.changed_paths)

    def validate_all(self):
        """Find what differs, and validate it, before the first file is written."""
        for entry in self.files:
            entry["divert"] = entry["divert"] or entry["edits"] is not None
            if entry["state"] == "file":
                path = entry["path"]
                self.contents[path] = content.wanted_content(entry)
                if content.differs(path, self.contents[path]) and entry["validate"]:
                    self.validate(entry)

    def validate(self, entry):
        """Run an entry's own command on its new content. Raise EntryError if it fails."""
        path, command = entry["path"], entry["validate"]
        argv = shlex.split(command)
        if "%s" not in argv:
            raise host.EntryError(path, "validate must name the file as %s")
        if self.is_check and not self.module.get_bin_path(argv[0]):
            return  # On a fresh host the same run would install the program.
        handle, name = tempfile.mkstemp()
        with os.fdopen(handle, "wb") as temporary:
            temporary.write(self.contents[path])
        code, out, err = self.module.run_command([name if w == "%s" else w for w in argv])
        os.unlink(name)
        if code == 0:
            return
        message = "refused by `%s`: %s" % (command, (err or out).strip().replace(name, path))
        if not self.is_check:
            raise host.EntryError(path, message + " (nothing was written)")
        # The real run may first make what the content depends on, such as a user.
        self.module.warn("%s: %s" % (path, message))

    def resume_rollback(self):
        """Take an earlier call's unconfirmed changes over, or warn that they are unreadable."""
        if not self.rollback:
            return
        if self.rollback.damage:
            message = "an earlier run's changes cannot be rolled back: " + self.rollback.damage
            if not self.is_check:
                message += ". It is kept in " + self.rollback.set_aside()
            self.module.warn(message)
        if self.rollback.has_changes and not self.is_check:
            self.start_timer()

    def start_timer(self):
        """Start the timer that rolls everything back, once in a call."""
        command = self.module.params["rollback_timer"]
        if command and not self.is_timer_started:
            self.module.run_command(["/bin/sh", "-c", command], check_rc=True)
            self.is_timer_started = True

    def record(self, entry, before, after, path=None):
        """Note a change, and keep the path as it was, just before the change is made."""
        path = path or entry["path"]
        self.changed_paths.append(path)
        self.commands += [c for c in entry["on_change"] if c not in self.commands]
        self.diffs.append(
            {"before_header": path, "after_header": path, "before": before, "after": after}
        )
        if self.rollback and not self.is_check:
            self.start_timer()
            self.rollback.keep(path, after == ABSENT, entry["on_change"])

    def apply(self, entry):
        """Bring one path into its stated state. Raise EntryError if that is impossible."""
        getattr(self, "apply_" + entry["state"])(entry)

    def apply_attributes(self, entry):
        before, after = host.attribute_changes(entry, self.is_check)
        if after:
            self.record(entry, before, after)
            if not self.is_check:
                host.set_attributes(entry)

    def apply_existing(self, entry):
        if host.current_state(entry["path"]) != "absent":
            self.apply_attributes(entry)

    def apply_absent(self, entry):
        self.remove(entry, entry["path"])

    def remove(self, entry, path):
        state = host.current_state(path)
        if state == "absent":
            return
        self.record(entry, "%s\n" % state, ABSENT, path)
        if self.is_check:
            return
        if state == "directory":
            shutil.rmtree(path)
        else:
            os.unlink(path)

    def apply_directory(self, entry):
        path = entry["path"]
        state = host.current_state(path)
        if state == "link":
            state = host.current_state(os.path.realpath(path))
        if state == "absent":
            self.record(entry, ABSENT, "directory\n")
            if not self.is_check:
                os.makedirs(path)
                host.set_attributes(entry)
        elif state != "directory":
            raise host.EntryError(path, "is a %s, not a directory" % state)
        else:
            self.apply_attributes(entry)
        if entry["exclusive"] and os.path.isdir(path):
            self.remove_unlisted(entry)

    def remove_unlisted(self, entry):
        """Remove what matches a directory's glob and is not in the list of files."""
        listed = {os.path.normpath(other["path"]) for other in self.files}
        for name in sorted(os.listdir(entry["path"])):
            path = os.path.join(entry["path"], name)
            if fnmatch.fnmatch(name, entry["exclusive"]) and path not in listed:
                self.remove(entry, path)

    def apply_link(self, entry):
        path = entry["path"]
        state = host.current_state(path)
        before = os.readlink(path) if state == "link" else state
        if before == entry["target"]:
            return
        if state == "directory":
            raise host.EntryError(path, "is a directory, not a link")
        self.record(entry, "%s\n" % before, "%s\n" % entry["target"])
        if not self.is_check:
            temporary = path + ".new"
            if host.current_state(temporary) != "absent":
                os.unlink(temporary)
            os.symlink(entry["target"], temporary)
            os.replace(temporary, path)

    def apply_file(self, entry):
        path = entry["path"]
        if not content.differs(path, self.contents[path]):
            self.apply_attributes(entry)
            return
        before = host.read(path) if host.current_state(path) == "file" else b""
        self.record(entry, content.as_shown(before), content.as_shown(self.contents[path]))
        if not self.is_check:
            self.write(entry)

    def write(self, entry):
        """Replace a file in one step; divert the distribution's own file first."""
        path = entry["path"]
        handle, temporary = tempfile.mkstemp()
        with os.fdopen(handle, "wb") as new:
            new.write(self.contents[path])
        os.chown(temporary, *host.owner_ids(entry))
        os.chmod(temporary, host.permissions(entry))
        if entry["divert"] and not host.is_diverted(path):
            # A copy first, so that there is a file at every moment.
            if host.current_state(path) == "file":
                shutil.copy2(path, path + host.DIVERTED)
            self.divert("--divert", path + host.DIVERTED, "--add", path)
        self.module.atomic_move(temporary, path)
        host.set_attributes(entry)  # atomic_move keeps those of an existing file

    def apply_original(self, entry):
        """Give a diverted file back to the distribution."""
        path = entry["path"]
        if not host.is_diverted(path):
            return
        before = content.as_shown(host.read(path)) if os.path.exists(path) else ""
        self.record(entry, before, content.as_shown(host.read(path + host.DIVERTED)))
        if not self.is_check:
            os.replace(path + host.DIVERTED, path)
            self.divert("--remove", path)

    def divert(self, *arguments):
        command = ["dpkg-divert", "--quiet", "--local", "--no-rename", *arguments]
        self.module.run_command(command, check_rc=True)


FILE_OPTIONS = {
    "path": {"type": "path", "required": True},
    "state": {
        "type": "str",
        "choices": ["file", "directory", "link", "absent", "existing", "original"],
        "default": "file",
    },
    "edits": {
        "type": "list",
        "elements": "dict",
        "options": {"match": {"type": "str", "required": True}, "line": {"type": "str"}},
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
}


def main():
    module = AnsibleModule(
        argument_spec={
            "files": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": FILE_OPTIONS,
            },
            "rollback_folder": {"type": "path"},
            "rollback_timer": {"type": "str"},
        },
        supports_check_mode=True,
    )
    FileSet(module).run()


if __name__ == "__main__":
    main()
