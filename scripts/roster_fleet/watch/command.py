"""The command `scripts/watch`."""

from __future__ import annotations

import argparse
import getpass
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from roster_fleet import outputs
from roster_fleet.folder.layout import Folder
from roster_fleet.watch import running, units
from roster_fleet.watch.units import Watch

CHECKOUT = Path(__file__).resolve().parents[3]
SYSTEMD = Path("/run/systemd/system")
LINGERING = Path("/var/lib/systemd/linger")
AT = "09:15"
DESCRIPTION = """\
Run status.yml each day after the deadline, keep the page, and notify the alert channels of red
districts and silent hosts. Run it in your own folder.

  scripts/watch install     install a timer of systemd, and run it for the first time
  scripts/watch remove      remove the timer
  scripts/watch run         run now
  scripts/watch cron        show the line for a crontab, for a machine without systemd

The timer belongs to the user who installs it: root's to the system, others' to the user.
"""
NO_SYSTEMD = """\
this machine does not run systemd. Add this line to your crontab (crontab -e):

    {line}
"""
LINGER = (
    "the timer stops when you log out. To let it run always: sudo loginctl enable-linger {user}"
)


class WatchError(Exception):
    """Nothing was installed. The text says why, and what to do."""


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    found = argparse.ArgumentParser(
        "watch", description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    found.add_argument("action", choices=[*ACTIONS, "run"], help="see above")
    found.add_argument(
        "-i", "--inventory", default="", help="the inventory, if your folder has several"
    )
    found.add_argument(
        "--at",
        metavar="HH:MM",
        type=time_of_day,
        default=None,
        help=f"time of day in UTC, after the last deadline. By default {AT}. With run: only if no "
        "run has worked since then",
    )
    return found


def time_of_day(text: str) -> str:
    """Return a time of day HH:MM. Raise ArgumentTypeError."""
    if not re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a time of day such as {AT}")
    return text


def main(arguments: Sequence[str] | None = None, called: Path | None = None) -> int:
    """Run the command. `called` is the script's path. Return the exit code."""
    given = parser().parse_args(arguments)
    folder = (called or CHECKOUT / "scripts" / "watch").absolute().parents[1]
    try:
        inventory = given.inventory or only_inventory(folder)
        own = outputs.of([str(folder / inventory)], folder / "ansible.cfg")
        if given.action == "run":
            play = running.player(folder, CHECKOUT, inventory)
            return running.run(own, inventory, given.at or "", play)
        watch = Watch(folder, CHECKOUT, inventory, own.name, given.at or AT)
        return ACTIONS[given.action](watch)
    except WatchError as error:
        print(f"watch: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"watch: {error.filename or folder}: {error.strerror or error}", file=sys.stderr)
        return 1


def only_inventory(folder: Path) -> str:
    """Return the single inventory of a folder. Raise WatchError."""
    names = Folder(folder, CHECKOUT).inventories()
    if len(names) != 1:
        known = ", ".join(names) or "none"
        raise WatchError(f"name the inventory: -i inventories/NAME. {folder} has: {known}")
    return f"{outputs.INVENTORIES}/{names[0]}"


def install(watch: Watch) -> int:
    """Install the units and start them. Return the exit code of the first run."""
    if not SYSTEMD.is_dir():
        raise WatchError(NO_SYSTEMD.format(line=units.cron_line(watch)))
    refuse_other_owner(watch)
    home = units.unit_folder()
    is_system = home == units.SYSTEM_UNITS
    text = units.service(watch, is_system=is_system)
    path = home / f"{watch.unit}.service"
    if path.exists() and not is_of(path.read_text("utf-8"), watch):
        raise WatchError(f"{path} belongs to another folder. Remove it there: scripts/watch remove")
    home.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    path.with_suffix(".timer").write_text(units.timer(watch), encoding="utf-8")
    systemctl("daemon-reload")
    systemctl("enable", "--now", f"{watch.unit}.timer")
    if not is_system:
        linger(getpass.getuser())
    return first_run(watch)


def linger(user: str) -> None:
    """Let a user's timer run while nobody is logged in, or print the command for it."""
    words = ["loginctl", "enable-linger", user]
    if (LINGERING / user).exists():
        return
    if subprocess.run(words, capture_output=True, check=False).returncode:
        print(f"watch: {LINGER.format(user=user)}")


def refuse_other_owner(watch: Watch) -> None:
    """Raise WatchError if somebody else could change what this user's timer runs."""
    for path in (watch.folder, watch.checkout):
        if owner_of(path) not in (0, os.getuid()):
            raise WatchError(
                f"{path} belongs to another user, who could change what your timer runs. Run this "
                "command as that user, without sudo"
            )


def owner_of(path: Path) -> int:
    """Return the number of the user who owns a file."""
    return path.stat().st_uid


def first_run(watch: Watch) -> int:
    """Run the installed service once, in its own surroundings. Return the exit code."""
    print(f"watch: installed {watch.unit}.timer. Its first run may take a while", flush=True)
    done = systemctl("start", f"{watch.unit}.service", check=False)
    journal = f"journalctl {'' if os.getuid() == 0 else '--user '}-u {watch.unit}"
    if done:
        print(f"watch: the first run failed. See {journal}", file=sys.stderr)
        return 1
    print(f"watch: the first run worked. See {journal}")
    return 0


def is_of(text: str, watch: Watch) -> bool:
    """Return whether a service's text belongs to the same folder."""
    return text.splitlines().count(f"WorkingDirectory={str(watch.folder).replace('%', '%%')}") == 1


def remove(watch: Watch) -> int:
    """Remove the units. Return the exit code."""
    path = units.unit_folder() / f"{watch.unit}.service"
    if not path.exists():
        print(f"watch: {watch.unit} is not installed. Nothing is to do")
        return 0
    if not is_of(path.read_text("utf-8"), watch):
        raise WatchError(f"{path} belongs to another folder. Run scripts/watch remove there")
    systemctl("disable", "--now", f"{watch.unit}.timer")
    path.unlink()
    path.with_suffix(".timer").unlink(missing_ok=True)
    systemctl("daemon-reload")
    print(f"watch: removed {watch.unit}")
    return 0


def show_cron(watch: Watch) -> int:
    """Print the line for a crontab. Return the exit code."""
    print(units.cron_line(watch))
    return 0


def systemctl(*words: str, check: bool = True) -> int:
    """Run systemctl for root's or for the user's units. Return its exit code, or raise."""
    scope = [] if os.getuid() == 0 else ["--user"]
    done = subprocess.run(["systemctl", *scope, *words], check=False)
    if check and done.returncode:
        advice = ". Log in as this user itself, not by su or sudo" if scope else ""
        raise WatchError(f"systemctl {' '.join(words)} ended with {done.returncode}{advice}")
    return done.returncode


ACTIONS = {"install": install, "remove": remove, "cron": show_cron}
