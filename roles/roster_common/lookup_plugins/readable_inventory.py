"""Lookup: one host for a play, if the inventory can be read and has some."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from ansible import context
from ansible.errors import AnsibleLookupError
from ansible.plugins.lookup import LookupBase
from ansible.utils.display import Display

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "scripts"))

from roster_fleet.check import readable

DOCUMENTATION = """
name: readable_inventory
short_description: One host for a play, if the inventory can be read and has some
description:
  - For a play's C(hosts). Ansible evaluates it before it loads the variables of any host. Later a
    file that is not YAML ends the run without the file's name.
  - Returns the first host of the group within C(--limit), or fails with all problems. Problems of
    hosts outside of it are warnings.
  - It is one host, since Ansible takes half a minute for a play with thousands.
author: The Roster Delivery authors
options:
  _terms:
    description: The group that must have hosts.
    type: list
    elements: str
    required: true
"""

EXAMPLES = """
- name: Do something with the districts
  hosts: "{{ lookup('readable_inventory', 'district_hosts') }}"
"""

RETURN = """
_raw:
  description: One item, the host's name.
  type: list
  elements: str
"""


class LookupModule(LookupBase):  # type: ignore[misc]  # Ansible carries no types
    """Ansible's entry point."""

    def run(self, terms: list[str], variables: Any = None, **kwargs: Any) -> list[str]:
        """Return a host as the only item. Raise AnsibleLookupError with all problems."""
        if context.CLIARGS.get("syntax"):  # it reads the playbooks only
            return [terms[0]]
        limited = variables.get("ansible_play_hosts_all", ())
        groups = variables.get("groups") or {}
        sources = variables.get("ansible_inventory_sources") or ()
        found = readable.problems(sources, groups, terms[0], limited)
        for text in readable.others(found, limited):
            Display().warning(f"{text} (not in this run's --limit)")
        if texts := readable.blocking(found, limited):
            raise AnsibleLookupError("\n".join(["no host was touched.", *texts]))
        within = set(limited)
        return [next(host for host in groups[terms[0]] if host in within)]
