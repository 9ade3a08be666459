"""Bring a folder's files to a host, with owner and mode. pyinfra runs this for bench.others."""

from __future__ import annotations

import json
from pathlib import Path

from pyinfra import host
from pyinfra.operations import files

FOLDER = Path(host.data.folder)

for file in json.loads((FOLDER / "files.json").read_text()):
    files.put(
        name=file["path"],
        src=str(FOLDER / file["path"].lstrip("/")),
        dest=file["path"],
        user=file["user"],
        group=file["group"],
        mode=file["mode"],
    )
