"""Lookup: the hashes of the passwords of a host's inboxes, or what is wrong with the passwords."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleLookupError
from ansible.plugins.lookup import LookupBase

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "scripts"))

from roster_fleet import alerts, inbox_passwords, kept_hashes, vault

DOCUMENTATION = """
name: inbox_passwords
short_description: The hashes of the passwords of a host's inboxes, or what is wrong with them
description:
  - Reads the nearest C(inboxes.vault). The host's own file takes precedence over those of its
    groups. Among groups, Ansible's own order decides.
  - Needs no vault key if no account logs in by password.
  - No value is read as a template.
author: The Roster Delivery authors
options:
  _terms:
    description: The accounts, as one list.
    type: list
    elements: dict
    required: true
  folder:
    description: The host's folder in C(host_vars).
    type: path
    required: true
  problems:
    description: Return what is wrong with the passwords instead of their hashes.
    type: bool
    default: false
"""

EXAMPLES = """
- name: Know the hashes
  ansible.builtin.set_fact:
    it: "{{ lookup('inbox_passwords', sis_inbox_accounts, folder=sis_inbox_vault_folder) }}"
  no_log: true
"""

RETURN = """
_raw:
  description: One item, a mapping of accounts to hashes. With C(problems) a list of messages.
  type: list
  elements: raw
"""


class LookupModule(LookupBase):  # type: ignore[misc]  # Ansible carries no types
    """Ansible's entry point."""

    def run(self, terms: list[Any], variables: Any = None, **kwargs: Any) -> list[Any]:
        """Return the only item. Raise AnsibleLookupError, which shows no password."""
        self.set_options(var_options=variables, direct=kwargs)
        accounts, folder = terms[0], Path(self.get_option("folder"))
        host = variables["inventory_hostname"]
        inventory = Path(variables.get("inventory_dir") or folder.parents[1])
        groups = alerts.groups_of(variables["hostvars"], host)
        homes = alerts.folders(inventory, folder, groups)
        is_check = self.get_option("problems")
        try:
            keys = vault.keys_of(self._loader, inventory)
            if not is_check:
                return [kept_hashes.hashes(accounts, homes, keys, host)]
            found = inbox_passwords.for_accounts(accounts, homes, keys)
        except vault.VaultError as error:
            if is_check:
                return [[str(error)]]
            raise AnsibleLookupError(str(error)) from None
        if not inbox_passwords.users_by_password(accounts):
            return [[]]
        vault_id = self._templar.template(variables.get("roster_credentials_vault_id"))
        return [inbox_passwords.problems(accounts, found, folder, vault_id or inventory.name)]
