#!/usr/bin/python3
"""Ansible module: name what roles would change on a host, in one trip and without a change."""

from __future__ import annotations

DOCUMENTATION = r"""
module: host_differences
short_description: Name what roles would change on a host, in one trip and without a change
description:
  - Compares a host with what M(file_set), M(system_accounts) and M(systemd_credentials) would bring
    about, by their own code. A host without differences needs none of their tasks.
  - It changes nothing, in check mode or not.
options:
  roles:
    description: What each role brings about.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: The role's name.
        type: str
        required: true
      groups:
        description: As C(groups) of M(system_accounts).
        type: list
        elements: str
        default: []
      accounts:
        description: As C(accounts) of M(system_accounts).
        type: list
        elements: dict
        default: []
      files:
        description: For each call of M(file_set) a mapping with its C(files).
        type: list
        elements: dict
        default: []
      units:
        description: The units that must be active.
        type: list
        elements: str
        default: []
  with_key:
    description: As C(with_key) of M(systemd_credentials).
    type: str
    choices: [auto, host, tpm2, host+tpm2]
    default: auto
  credentials:
    description: As C(credentials) of M(systemd_credentials).
    type: list
    elements: dict
    default: []
  rollback_folder:
    description: The folder of M(file_set). Unconfirmed changes in it are a difference, too.
    type: path
    required: true
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
author: The Roster Delivery authors
"""

EXAMPLES = r"""
- name: Look at what a role would change
  host_differences:
    rollback_folder: /var/lib/district-hardening/undo
    roles:
      - name: example
        groups: [example]
        files:
          - files:
              - {path: /etc/example, content: "hello\n"}
"""

RETURN = r"""
differences:
  description: What differs, by role. A role without differences is missing.
  type: dict
  returned: always
credentials:
  description: What M(systemd_credentials) returns in check mode. It holds no secret.
  type: dict
  returned: always
"""

from ansible.module_utils import credential_store, system_accounts
from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.file_set import apply, host
from ansible.module_utils.file_set.rollback import Rollback

RUNNING = ("active", "activating")  # as the module systemd_service takes it
NO_LOCK = {"lock": None, "holder": None, "replace_lost": False}
FILES = {"type": "list", "elements": "dict", "required": True, "options": apply.OPTIONS}
OPTIONS = {
    "name": {"type": "str", "required": True},
    "groups": {"type": "list", "elements": "str", "default": []},
    "accounts": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": system_accounts.OPTIONS,
    },
    "files": {"type": "list", "elements": "dict", "default": [], "options": {"files": FILES}},
    "units": {"type": "list", "elements": "str", "default": []},
}


def account_differences(module, role):
    """Return the names of groups and accounts that differ."""
    accounts = system_accounts.Accounts(module, is_check=True)
    return accounts.apply(role["groups"], role["accounts"])


def file_differences(module, role):
    """Return the paths that differ, and those that cannot be compared."""
    found = []
    for call in role["files"]:
        try:
            found += apply.FileSet(module, call["files"], is_check=True).differences()
        except (host.EntryError, OSError, ValueError) as error:
            found.append(getattr(error, "path", None) or str(error))
    return found


def unit_differences(module, role):
    """Return the units that are not active."""
    units = role["units"]
    if not units:
        return []
    _, states, _ = module.run_command(["systemctl", "is-active", "--", *units])
    found = dict(zip(units, states.split()))  # noqa: B905 - a missing state is a difference
    return [unit for unit in units if found.get(unit) not in RUNNING]


def role_differences(module, role):
    """Return what a role would change."""
    return [
        *account_differences(module, role),
        *file_differences(module, role),
        *unit_differences(module, role),
    ]


def credential_differences(kept):
    """Return the names of the credentials that differ."""
    return kept["changed_names"] or ([kept["msg"]] if "msg" in kept else [])


def main():
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "roles": {"type": "list", "elements": "dict", "required": True, "options": OPTIONS},
            "credentials": {"default": [], **credential_store.OPTIONS},
            "with_key": {"type": "str", "choices": credential_store.KEYS, "default": "auto"},
            "rollback_folder": {"type": "path", "required": True},
        },
        supports_check_mode=True,
    )
    given = module.params
    found = {role["name"]: role_differences(module, role) for role in given["roles"]}
    rollback = Rollback(given["rollback_folder"])
    if rollback.has_changes or rollback.damage:
        found["roster_common"] = [rollback.folder]
    kept = credential_store.see_to({**given, **NO_LOCK}, check=True)
    found["roster_credentials"] = credential_differences(kept)
    differences = {name: names for name, names in found.items() if names}
    module.exit_json(changed=False, differences=differences, credentials=kept)


if __name__ == "__main__":
    main()
