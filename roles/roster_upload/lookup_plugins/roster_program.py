"""Lookup: the upload program as one file, built from `scripts/roster_upload`.

The same sources give the same bytes. So a host's copy changes only if the program does.
"""

from __future__ import annotations

import base64
import functools
import io
import sys
import zipfile
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleLookupError
from ansible.plugins.lookup import LookupBase

# A role that is installed elsewhere finds the program by PYTHONPATH.
sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "scripts"))

DOCUMENTATION = """
name: roster_program
short_description: The upload program as one file
description:
  - Builds the program into a zip that Python runs, and returns it in base64.
author: The Roster Delivery authors
options: {}
"""

EXAMPLES = """
- name: Install the program
  file_set:
    files:
      - path: /usr/local/bin/roster-upload
        content_base64: "{{ lookup('roster_program') }}"
        mode: "0755"
"""

RETURN = """
_raw:
  description: One item, the program in base64.
  type: list
  elements: str
"""

# Isolated (-I): the environment and the user's own packages cannot change what runs.
INTERPRETER = b"#!/usr/bin/python3 -I\n"
MAIN = b"import sys\n\nfrom roster_upload.cli.parser import main\n\nsys.exit(main())\n"


@functools.cache
def build() -> bytes:
    """Return the program: the interpreter's line, then a zip that Python can run.

    Raise AnsibleLookupError.
    """
    try:
        import roster_upload  # noqa: PLC0415 - a lookup without it must load
    except ModuleNotFoundError:
        raise AnsibleLookupError(
            "the upload program's sources were not found. Set PYTHONPATH=CHECKOUT/scripts"
        ) from None
    files = roster_upload.sources()
    build = roster_upload.build_of(files).encode()
    members = {"__main__.py": MAIN, **files, f"roster_upload/{roster_upload.BUILD_FILE}": build}
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as out:
        for name, content in members.items():
            info = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            info.external_attr = 0o644 << 16
            out.writestr(info, content, zipfile.ZIP_DEFLATED)
    return INTERPRETER + archive.getvalue()


class LookupModule(LookupBase):  # type: ignore[misc]
    """Ansible's entry point."""

    def run(self, terms: list[str], variables: Any = None, **kwargs: Any) -> list[str]:
        """Return the program in base64, as the only item."""
        return [base64.b64encode(build()).decode()]
