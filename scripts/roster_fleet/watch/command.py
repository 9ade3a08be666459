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
    # Links stay as they are, since an operator's scripts/ is one. systemd takes no "..".
    script = os.path.abspath(called or CHECKOUT / "scripts" / "watch")  # noqa: PTH100
    folder = Path(script).parents[1]
    try:
        inventory = given.inventory or only_inventory(folder)
        if given.action != "remove":
            require(folder, inventory)
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
        raise WatchError(known_inventories(folder))
    return f"{outputs.INVENTORIES}/{names[0]}"


def require(folder: Path, inventory: str) -> None:
    """Raise WatchError if there is no such inventory."""
    if not (folder / inventory).exists():
        raise WatchError(f"there is no {folder / inventory}. {known_inventories(folder)}")


def known_inventories(folder: Path) -> str:
    """Return how to name an inventory, and which there are."""
    known = ", ".join(Folder(folder, CHECKOUT).inventories()) or "none"
    place = f" Run scripts/watch in your own folder ({CHECKOUT} is the checkout)."
    is_checkout = folder.resolve() == CHECKOUT
    return f"name the inventory: -i inventories/NAME. {folder} has: {known}.{place * is_checkout}"


def install(watch: Watch) -> int:
    """Install the units and start them. Return the exit code of the first run."""
    if not SYSTEMD.is_dir():
        raise WatchError(NO_SYSTEMD.format(line=units.cron_line(watch)))
    refuse_other_owner(watch)
    home = units.unit_folder()
    is_system = home == units.SYSTEM_UNITS
    text = units.service(watch, is_system=is_system)
    path = home / f"{watch.unit}.service"
    refuse_other_watch(path, watch)
    systemctl("daemon-reload")  # fails before anything is written if systemd does not answer
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
    print(
        f"watch: installed {watch.unit}.timer, which runs daily at {watch.at} UTC. The first run "
        "begins now and may take a while",
        flush=True,
    )
    done = systemctl("start", f"{watch.unit}.service", check=False)
    journal = f"journalctl {'' if os.getuid() == 0 else '--user '}-u {watch.unit}"
    if done:
        print(f"watch: the first run failed. See {journal}", file=sys.stderr)
        return 1
    print(f"watch: the first run worked. See {journal}")
    return 0


def refuse_other_watch(path: Path, watch: Watch) -> None:
    """Raise WatchError if a service belongs to another folder that exists, or inventory."""
    lines = path.read_text("utf-8").splitlines() if path.exists() else []
    place = next((line for line in lines if line.startswith(units.FOLDER)), "")
    folder = Path(place.removeprefix(units.FOLDER).replace("%%", "%"))
    if place and folder.is_dir() and not folder.samefile(watch.folder):
        raise WatchError(
            f"{path} belongs to {folder}. Remove it there first, with scripts/watch remove"
        )
    if place and units.described(watch) not in lines:
        raise WatchError(
            f"{path} belongs to another inventory, whose name differs by special characters only. "
            "Rename one of them"
        )


def remove(watch: Watch) -> int:
    """Remove the units. Return the exit code."""
    path = units.unit_folder() / f"{watch.unit}.service"
    if not path.exists():
        print(f"watch: {watch.unit} is not installed. Nothing is to do")
        return 0
    refuse_other_watch(path, watch)
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
