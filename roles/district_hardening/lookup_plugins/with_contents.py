"""Lookup: entries for file_set, with the contents that their sources in the role hold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible.errors import AnsibleLookupError
from ansible.plugins.loader import lookup_loader
from ansible.plugins.lookup import LookupBase

DOCUMENTATION = """
name: with_contents
short_description: Entries for file_set, with the contents that their sources in the role hold
description:
  - An entry with C(source) gets C(content) instead. Other entries stay as they are.
  - The file lies in the role as on the host, below C(files) or C(templates).
author: The Roster Delivery authors
options:
  _terms:
    description:
      - Entries for C(file_set). C(source) is C(file), C(settings) (a file that gets the header) or
        C(template) (C(.j2) is added to its name).
      - C(source_path) names the source if it is not the same as C(path).
    type: list
    elements: dict
    required: true
  header:
    description: The text above the content of C(settings), without the last line break.
    type: str
    default: ""
"""

EXAMPLES = """
- name: Write a file
  file_set:
    files: "{{ query('with_contents', {'path': '/etc/example', 'source': 'file'}) }}"
"""

RETURN = """
_raw:
  description: The entries.
  type: list
  elements: dict
"""


class LookupModule(LookupBase):  # type: ignore[misc]  # Ansible carries no types
    """Ansible's entry point."""

    def run(
        self, terms: list[Mapping[str, Any]], variables: Any = None, **kwargs: Any
    ) -> list[dict[str, Any]]:
        """Return the entries. Raise Ansible's own error for a missing or a wrong source."""
        self.set_options(var_options=variables, direct=kwargs)
        rendered = lookup_loader.get("rendered", loader=self._loader, templar=self._templar)
        found = []
        for term in terms:
            entry = dict(term)
            kind = entry.pop("source", None)
            name = entry.pop("source_path", entry["path"]).lstrip("/")
            if kind == "template":
                (entry["content"],) = rendered.run([f"{name}.j2"], variables)
            elif kind in ("file", "settings"):
                entry["content"] = self._read(name, variables)
                if kind == "settings":
                    entry["content"] = f"{self.get_option('header')}\n{entry['content']}"
            elif kind:
                raise AnsibleLookupError(f"{entry['path']}: unknown source: {kind}")
            found.append(entry)
        return found

    def _read(self, name: str, variables: Any) -> str:
        path = self.find_file_in_search_path(variables, "files", name)
        return str(self._loader.get_text_file_contents(path))
