"""Lookup: a template, rendered without a copy of all variables."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible.plugins.lookup import LookupBase
from ansible.template import trust_as_template

DOCUMENTATION = """
name: rendered
short_description: A template, rendered without a copy of all variables
description:
  - Renders like C(ansible.builtin.template), but does not copy all variables of the host for each
    file. Such a copy takes as long as a small task.
author: The Roster Delivery authors
options:
  _terms:
    description: Files in the role's C(templates).
    type: list
    elements: str
    required: true
  template_vars:
    description: Variables for the template alone.
    type: dict
    default: {}
  items:
    description: Renders each template once for each item, under the name I(item_name).
    type: list
  item_name:
    description: Name of an item in the template.
    type: str
    default: item
"""

EXAMPLES = """
- name: Write a file
  file_set:
    files:
      - path: /etc/example
        content: "{{ lookup('rendered', 'example.j2', template_vars={'a': 1}) }}"
"""

RETURN = """
_raw:
  description: The rendered templates.
  type: list
  elements: str
"""

MANAGED = "Ansible managed"  # as the module `template` has it


class LookupModule(LookupBase):  # type: ignore[misc]  # Ansible carries no types
    """Ansible's entry point."""

    def run(self, terms: list[str], variables: Any = None, **kwargs: Any) -> list[str]:
        """Return the rendered templates. Raise Ansible's own error for a missing or wrong one."""
        self.set_options(var_options=variables, direct=kwargs)
        known = {"ansible_managed": MANAGED, **variables, **self.get_option("template_vars")}
        items, name = self.get_option("items"), self.get_option("item_name")
        each = [known] if items is None else [{**known, name: item} for item in items]
        texts = []
        for term in terms:
            path = self.find_file_in_search_path(variables, "templates", term)
            text = trust_as_template(self._loader.get_text_file_contents(path))
            for values in each:
                templar = self._templar.copy_with_new_env(
                    available_variables=values, searchpath=[str(Path(path).parent)]
                )
                texts.append(templar.template(text, escape_backslashes=False))
        return texts
