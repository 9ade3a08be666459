"""Lookup: the secrets of feeds, from their vault files."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleLookupError
from ansible.plugins.lookup import LookupBase

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "scripts"))

from roster_fleet import vault

DOCUMENTATION = """
name: feed_secrets
short_description: The secrets of feeds, from their vault files
description:
  - Returns a mapping of each feed to the content of its vault file (C(secret), C(since), C(next),
    and the same below C(source) for the server of its source). Feeds without a file are skipped.
  - No value is read as a template.
author: The Roster Delivery authors
options:
  _terms:
    description: The feeds' names, as one list.
    type: list
    elements: str
    required: true
  folder:
    description: The folder of the files C(FEED.vault).
    type: path
    required: true
"""

EXAMPLES = """
- name: Know a feed's secret
  ansible.builtin.set_fact:
    it: "{{ lookup('feed_secrets', ['alder-valley'], folder='inventories/x/host_vars/y') }}"
  no_log: true
"""

RETURN = """
_raw:
  description: One item, the mapping.
  type: list
  elements: dict
"""


class LookupModule(LookupBase):  # type: ignore[misc]  # Ansible carries no types
    """Ansible's entry point."""

    def run(
        self, terms: list[list[str]], variables: Any = None, **kwargs: Any
    ) -> list[dict[str, dict[str, Any]]]:
        """Return the mapping as the only item. Raise AnsibleLookupError, which shows no secret."""
        self.set_options(var_options=variables, direct=kwargs)
        folder = Path(self.get_option("folder"))
        inventory = Path((variables or {}).get("inventory_dir") or folder.parents[1])
        try:
            keys = vault.keys_of(self._loader, inventory)
            paths = {feed: vault.path_of(folder, feed) for feed in terms[0]}
            found = {
                feed: dict(vault.parse(keys.read(path)[1], path))
                for feed, path in paths.items()
                if path.exists()
            }
            for read_by_ansible in (inventory / "group_vars", folder):
                vault.refuse_open_to_all(read_by_ansible, keys)
        except vault.VaultError as error:
            raise AnsibleLookupError(str(error)) from None
        return [found]
