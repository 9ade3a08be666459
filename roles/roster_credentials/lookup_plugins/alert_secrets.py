"""Lookup: the secrets of a host's alerts, from the nearest alerts.vault."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleLookupError
from ansible.plugins.lookup import LookupBase

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "scripts"))

from roster_fleet import alerts, vault

DOCUMENTATION = """
name: alert_secrets
short_description: The secrets of a host's alerts, from the nearest alerts.vault
description:
  - Returns a mapping with those of C(heartbeat) (a text) and C(urls) (a list of Apprise URLs) that
    the file has. The mapping is empty if there is no file.
  - With C(path) as the term, returns the path of the file, or an empty text.
  - The host's own file takes precedence over those of its groups. Among groups, Ansible's own order
    decides.
  - Fails if these secrets are still encrypted among the variables.
  - No value is read as a template.
author: The Roster Delivery authors
options:
  _terms:
    description: Nothing, or C(path).
    required: false
  folder:
    description: The host's folder in C(host_vars).
    type: path
    required: true
"""

EXAMPLES = """
- name: Know the alerts' secrets
  ansible.builtin.set_fact:
    it: "{{ lookup('alert_secrets', folder=inventory_dir ~ '/host_vars/' ~ inventory_hostname) }}"
  no_log: true
"""

RETURN = """
_raw:
  description: One item, the mapping or the path.
  type: list
  elements: raw
"""


class LookupModule(LookupBase):  # type: ignore[misc]  # Ansible carries no types
    """Ansible's entry point."""

    def run(self, terms: list[Any], variables: Any = None, **kwargs: Any) -> list[Any]:
        """Return one item. Raise AnsibleLookupError, which shows no secret."""
        self.set_options(var_options=variables, direct=kwargs)
        folder = Path(self.get_option("folder"))
        inventory = Path(variables["inventory_dir"])
        groups = alerts.groups_of(variables["hostvars"], variables["inventory_hostname"])
        homes = alerts.folders(inventory, folder, groups)
        if terms == ["path"]:
            return [str(alerts.nearest(homes) or "")]
        try:
            keys = vault.keys_of(self._loader, inventory)
            alerts.refuse_old_homes(homes, variables, keys)
            return [alerts.read(homes, keys)]
        except vault.VaultError as error:
            raise AnsibleLookupError(str(error)) from None
