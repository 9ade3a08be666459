"""Lookup: a template, rendered without a copy of all variables."""

from __future__ import annotations

import uuid
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
ITEMS = "__rendered_items"


class LookupModule(LookupBase):  # type: ignore[misc]  # Ansible carries no types
    """Ansible's entry point."""

    def run(self, terms: list[str], variables: Any = None, **kwargs: Any) -> list[str]:
        """Return the rendered templates. Raise Ansible's own error for a missing or wrong one."""
        self.set_options(var_options=variables, direct=kwargs)
        known = {"ansible_managed": MANAGED, **variables, **self.get_option("template_vars")}
        items, name = self.get_option("items"), self.get_option("item_name")
        texts = []
        for term in terms:
            path = self.find_file_in_search_path(variables, "templates", term)
            text = self._loader.get_text_file_contents(path)
            templar = self._templar.copy_with_new_env(
                available_variables={**known, ITEMS: items}, searchpath=[str(Path(path).parent)]
            )
            texts += [render(templar, text)] if items is None else render_each(templar, text, name)
        return texts


def render(templar: Any, text: str) -> str:
    """Return a rendered template."""
    return str(templar.template(trust_as_template(text), escape_backslashes=False))


def render_each(templar: Any, text: str, name: str) -> list[str]:
    """Return a template rendered for each item, under a name. Jinja compiles it only once."""
    end = uuid.uuid4().hex
    # Jinja drops a line break behind a block. Ansible keeps those at the end of a text.
    looped = f"{{% for {name} in {ITEMS} %}}\n{text}{end}{{% endfor %}}"
    breaks = len(text) - len(text.rstrip("\n"))
    return [
        each + "\n" * (breaks - (len(each) - len(each.rstrip("\n"))))
        for each in render(templar, looped).split(end)[:-1]
    ]
