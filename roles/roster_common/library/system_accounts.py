#!/usr/bin/python3
"""Ansible module: make, change and remove groups and accounts of services."""

from __future__ import annotations

DOCUMENTATION = r"""
module: system_accounts
short_description: Make groups and accounts of services
description:
  - A host has an account for each feed and each inbox. This module makes all of them in one trip.
  - The accounts are system accounts without a home or a shell. They have no password unless
    C(password_hash) gives them one.
options:
  groups:
    description: Groups that are made first.
    type: list
    elements: str
    default: []
  accounts:
    description: The accounts.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: The account's name, at most 31 characters.
        type: str
        required: true
      group:
        description: Its primary group. The module makes it if it is missing.
        type: str
        required: true
      groups:
        description:
          - The account's other groups. It leaves all groups that are not listed.
          - The module makes missing groups. Without this option the account keeps its groups.
        type: list
        elements: str
      password_hash:
        description:
          - The hash of the account's password, as crypt(5) describes it.
          - If it is empty, the account is locked for passwords. Without this option it stays as it
            is.
        type: str
  absent:
    description: Accounts that are removed, together with the groups of the same name.
    type: list
    elements: str
    default: []
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
author: The Roster Delivery authors
"""

EXAMPLES = r"""
- name: Make two accounts that cannot read each other's files
  system_accounts:
    groups: [roster-upload]
    accounts:
      - {name: rf-birch-hill, group: roster-upload, groups: [rf-birch-hill]}
      - {name: rf-cedar-creek, group: roster-upload, groups: [rf-cedar-creek, sis-cedar]}
"""

RETURN = r"""
changed_names:
  description: The changed groups and accounts. In check mode, those that would change.
  type: list
  elements: str
  returned: always
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.system_accounts import OPTIONS, Accounts


def main():
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "groups": {"type": "list", "elements": "str", "default": []},
            "accounts": {"type": "list", "elements": "dict", "default": [], "options": OPTIONS},
            "absent": {"type": "list", "elements": "str", "default": []},
        },
        supports_check_mode=True,
    )
    found = Accounts(module, is_check=module.check_mode)
    given = module.params
    changed = found.apply(given["groups"], given["accounts"], given["absent"])
    result = {"changed": bool(changed), "changed_names": changed}
    if module._diff:
        result["diff"] = found.diffs
    module.exit_json(**result)


if __name__ == "__main__":
    main()
