"""Jinja2 filters of decommission.yml: the paths that it removes, and its report."""

from __future__ import annotations

import posixpath
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ansible import constants

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))

from roster_fleet import outputs

Feeds = Sequence[Mapping[str, Any]]
EXPORTS = "/srv/roster-upload/"
INBOXES = ("/srv/sis-inbox/", "/srv/dropbox/")
SETTINGS = "/etc/roster-upload"
# Removed together with the last feed of a host.
PROGRAM = (
    "/usr/local/bin/roster-upload",
    "/etc/cron.d/roster-upload",
    f"{SETTINGS}/pending",
    f"{SETTINGS}/previous",
    "/etc/tmpfiles.d/roster-upload.conf",
    "/var/cache/roster-upload",
    "/run/roster-upload",
    "/srv/roster-upload",
    "/srv/roster-source",
)


def removed_exports(going: Feeds, staying: Feeds) -> list[str]:
    """Return the exports to remove, as folders unless another feed reads from there.

    Only folders below /srv/roster-upload belong to this project.
    """
    others = [feed["source"] for feed in staying]
    found = []
    for source in dict.fromkeys(feed["source"] for feed in going):
        folder = posixpath.dirname(source)
        is_own = folder.startswith(EXPORTS) and folder == posixpath.normpath(folder)
        if not is_own or source in others:
            continue
        is_shared = any(other.startswith(f"{folder}/") for other in others)
        found.append(source if is_shared else folder)
    return found


def removed_paths(
    going: Feeds, staying: Feeds, units: Sequence[str], folders: Sequence[str] = ()
) -> list[str]:
    """Return all paths to remove with the feeds, and with the last feed also the program's.

    `units` are the paths of the program's units on the host. `folders` are removed, too.
    """
    names = [feed["feed"] for feed in going]
    drop_in = re.compile(f".*@({'|'.join(map(re.escape, names))})[.]service[.]d")
    found = [
        *(f"/var/lib/roster-upload/{name}" for name in names),
        *(f"{root}/roster-upload/{name}" for root in ("/var/cache", "/run") for name in names),
        *(path for path in units if names and drop_in.fullmatch(path)),
        *(f"{SETTINGS}/{name}.toml" for name in names),
        *(
            f"{SETTINGS}/{slot}/{name}"
            for slot in ("credentials", "pending", "previous")
            for name in names
        ),
        *removed_exports(going, staying),
        *folders,
    ]
    return found if staying else [*found, *PROGRAM, *units]


def decommission_rows(
    going: Feeds,
    fetched: Sequence[Mapping[str, Any]],
    inventory_note: str,
    is_check: bool = False,
) -> list[dict[str, Any]]:
    """Return the rows of the closing table, from the results of fetching the receipts.

    `inventory_note` says what has become of the host's entries in the inventory.
    """
    receipts = {it["item"]["item"]["feed"]: it.get("dest", "") for it in fetched if "item" in it}
    rows = []
    for feed in going:
        name, source = feed["feed"], feed["source"]
        if name not in receipts:
            note = "it had no receipts"
        else:
            would = "its receipts would be fetched"
            note = would if is_check else f"its receipts: {receipts[name]}"
        note += f". {inventory_note}. Ask the vendor to close its account"
        if "://" in source:
            note += f". Its export at {source} stays. Ask for the end of the host's access to it"
        elif not source.startswith((EXPORTS, *INBOXES)):
            note += f". Its export at {source} stays, since site.yml did not make that folder"
        did = "would be removed" if is_check else "removed"
        rows.append({"district": feed["district"], "feed": name, "did": did, "note": note})
    return rows


def receipts_folder(sources: Sequence[str]) -> str:
    """Return the folder for the receipts of an inventory's hosts."""
    return str(outputs.of(sources, constants.CONFIG_FILE).receipts)


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Any]:
        """Return the filters by name."""
        return {
            "removed_exports": removed_exports,
            "removed_paths": removed_paths,
            "decommission_rows": decommission_rows,
            "receipts_folder": receipts_folder,
        }
