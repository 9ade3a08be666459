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

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.file_set.apply import OPTIONS, FileSet


def main():
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "files": {"type": "list", "elements": "dict", "required": True, "options": OPTIONS},
            "rollback_folder": {"type": "path"},
            "rollback_timer": {"type": "str"},
        },
        supports_check_mode=True,
    )
    given = module.params
    FileSet(
        module,
        given["files"],
        is_check=module.check_mode,
        folder=given["rollback_folder"],
        timer=given["rollback_timer"],
    ).run()


if __name__ == "__main__":
    main()
