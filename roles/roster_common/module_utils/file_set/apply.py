"""Files of one call: compared with the host, and brought into their stated state."""

from __future__ import annotations

import fnmatch
import os
import shlex
import shutil
import tempfile

from ansible.module_utils.file_set import content, host
from ansible.module_utils.file_set.rollback import Rollback

ABSENT = "absent\n"
OPTIONS = {
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


class FileSet:
    """The files of one call, compared with the host and written to it."""

    def __init__(self, module, files, *, is_check, folder=None, timer=None):
        self.module = module
        self.files = files
        self.is_check = is_check
        self.timer = timer
        self.contents = {}  # bytes by path. Ansible shows the parameters, which hold text only.
        self.changed_paths = []
        self.commands = []
        self.diffs = []
        self.rollback = Rollback(folder) if folder else None
        self.is_timer_started = False

    def differences(self):
        """Return the paths that differ, without a look at new contents. Raise EntryError."""
        for entry in self.files:
            self.read(entry)
        for entry in self.files:
            self.apply(entry)
        return self.changed_paths

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
            self.read(entry)
            path = entry["path"]
            if not entry["validate"] or entry["state"] != "file":
                continue
            if content.differs(path, self.contents[path]):
                self.validate(entry)

    def read(self, entry):
        """Note what a file is to hold. Raise EntryError if the entry names nothing."""
        entry["divert"] = entry["divert"] or entry["edits"] is not None
        if entry["state"] == "file":
            self.contents[entry["path"]] = content.wanted_content(entry)

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
        if self.timer and not self.is_timer_started:
            self.module.run_command(["/bin/sh", "-c", self.timer], check_rc=True)
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
