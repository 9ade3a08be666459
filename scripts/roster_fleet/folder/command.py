"""The command `scripts/new-inventory`."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from roster_fleet.folder import moving
from roster_fleet.folder.layout import KEY_FILE, Folder, LayoutError
from roster_fleet.folder.settings import LINK, SettingsError

CHECKOUT = Path(__file__).resolve().parents[3]
DESCRIPTION = """\
Lay out your own folder for inventories, vault keys and outputs, outside of the checkout.

  scripts/new-inventory ~/rosters mydistrict     a new folder with an inventory
  scripts/new-inventory ~/rosters another        a second inventory in it
  scripts/new-inventory ~/rosters                after an update, or in a clone of your folder:
                                                 only the links and the settings of the project
  scripts/new-inventory ~/rosters --move inventories/mydistrict
                                                 move an inventory out of the checkout, with its
                                                 keys, outputs, receipts and vault ids

Existing files are not overwritten. You can run each command again.
"""


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    found = argparse.ArgumentParser(
        "new-inventory",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    found.add_argument("folder", metavar="FOLDER", type=Path, help="your folder")
    found.add_argument("name", metavar="NAME", nargs="?", default="", help="the inventory's name")
    found.add_argument(
        "--move", metavar="INVENTORY", type=Path, help="an inventory's folder to move to FOLDER"
    )
    return found


def main(arguments: Sequence[str] | None = None, checkout: Path = CHECKOUT) -> int:
    """Run the command. Return the exit code."""
    given = parser().parse_args(arguments)
    folder = Folder(given.folder.expanduser(), checkout)
    try:
        name = run(folder, given.name, given.move)
    except (LayoutError, SettingsError) as error:
        print(f"new-inventory: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        path = error.filename2 or error.filename or folder.root  # of a link, its own path
        reason = (error.strerror or str(error)).lower()
        print(
            f"new-inventory: {path} cannot be read or written: {reason}. Correct its owner or "
            "mode, or choose another folder. Then run this command again",
            file=sys.stderr,
        )
        return 1
    for line in folder.made or ["nothing to do. Everything is there already"]:
        print(f"new-inventory: {line}")
    if folder.has_new_key:
        print(next_steps(folder, name))
    if name and folder.lacks_key(name):
        key = folder.inventory(name) / KEY_FILE
        print(
            f"new-inventory: the key of {name} is not here. Copy it to {key}, or supply it in "
            "another way (scripts/vault-client --help)"
        )
    return 0


def run(folder: Folder, name: str, source: Path | None) -> str:
    """Lay out the folder, after moving an inventory into it. Return the inventory's name."""
    if source is None:
        if not name and not folder.inventories():
            raise LayoutError(f"{folder.root} has no inventory yet. Name one: FOLDER NAME")
        folder.lay_out(name)
        return name
    source = Path(os.path.abspath(source))  # noqa: PTH100 - it keeps links
    if name and name != source.name:
        raise LayoutError(
            f"the inventory keeps its name, {source.name}, since its vault files name it. Omit "
            f"{name!r}"
        )
    move = moving.Move(source, folder)
    move.check()
    folder.check(source.name)
    move.run()
    folder.lay_out(source.name, move.vault_ids(), move.own_settings())
    folder.made += move.remarks()
    return source.name


def next_steps(folder: Folder, name: str) -> str:
    """Return what to do with a new inventory."""
    option = "" if folder.inventories() == [name] else f" -i inventories/{name}"
    return f"""
Keep a copy of inventories/{name}/{KEY_FILE} in another safe place. Without it nobody can read your
vault files. Then go on in your folder:

    cd {shlex.quote(str(folder.root))}
    . {LINK}/.venv/bin/activate
    ansible-playbook playbooks/onboard.yml{option}"""
