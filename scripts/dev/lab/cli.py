"""District hosts and a vendor's SFTP server as containers that boot like machines.

  lab up              make what is missing, start the containers, return when they answer
  lab run -- CMD      the same, run CMD, and remove the lab again, even after a failure
  lab exec -- CMD     run CMD inside the running lab, where podman works
  lab sh NAME [CMD]   open a root shell, or run a command, in a container
  lab add NAME...     start further district hosts with Debian 13 in the running lab
  lab remove NAME...  remove further hosts
  lab restart NAME    reboot a container, which keeps its disk
  lab images          install the lab's tools and make the base images, without a start
  lab keep            keep the disks of all containers in build/provisioned, for --provisioned
  lab status          show the running containers
  lab down            remove the lab, or the remains of a killed one
  lab connect IP PORT connect ssh to a container, for .lab/ssh_config

The containers start as plain Debian servers. With --provisioned they start as site.yml leaves them.
Their disks are kept. After a change of the roles, the lab runs site.yml again first.

The lab has its own mount, network and process namespaces, and its files are in .lab. It does not
change the machine's firewall, kernel settings, mounts or users. It ends with one process.
You need root on Debian. The lab installs missing Debian packages.
"""

from __future__ import annotations

import argparse
import math
import os
import shlex
import signal
import sys
from collections.abc import Callable
from typing import Any, NoReturn

from lab import containers, disks, images, lifetime, namespace, relay, settings
from lab.process import LabError, become, say
from lab.running import holder, inside, within


def up_command(_: list[str], **options: Any) -> int:
    """Start the lab, or say that it is up."""
    if within() or not lifetime.up(tied=False, **options):
        say("is up already")
    return 0


def images_command(_: list[str]) -> int:
    """Install the tools and make the base images."""
    images.prepare()
    return 0


def enter(*words: str) -> None:
    """Continue inside of the lab with the same command, unless this process is there."""
    if not within():
        become(inside([str(settings.SCRIPT), *words]))


def keep_command(_: list[str]) -> int:
    """Keep the disks of the containers."""
    enter("keep")
    disks.keep()
    return 0


def exec_command(words: list[str]) -> int:
    """Become a command inside of the lab."""
    become(inside(words))


def sh_command(words: list[str]) -> int:
    """Become a shell or a command in a container."""
    name, *command = words
    terminal = ["--tty"] if sys.stdin.isatty() else []
    within_it = [*containers.WITHOUT.split(), *(command or ["bash"])]
    become(inside(["podman", "exec", "--interactive", *terminal, name, *within_it]))


def add_command(names: list[str], *, provisioned: bool = False) -> int:
    """Start further hosts."""
    enter(*(["--provisioned"] if provisioned else []), "add", *names)
    containers.add(names, provisioned=provisioned)
    return 0


def remove_command(names: list[str]) -> int:
    """Remove further hosts."""
    enter("remove", *names)
    containers.remove(names)
    return 0


def restart_command(words: list[str]) -> int:
    """Reboot a container."""
    containers.restart(words[0])
    return 0


def status_command(_: list[str]) -> int:
    """Print the running containers. Return 0 if a lab runs, 1 if none does."""
    if within() or holder():
        become(inside(["podman", "ps"]))
    remains = ". To remove the files of a killed one, type: scripts/lab down"
    print("no lab is running" + (remains if settings.STATE.exists() else ""))
    return 1


def down_command(_: list[str]) -> int:
    """Remove the lab, unless this process runs in it."""
    if within():
        say("stays up until `lab run` has ended")
    else:
        lifetime.down()
    return 0


def connect_command(words: list[str]) -> int:
    """Relay standard input and output to a container's port."""
    address, port = words
    if not port.isdigit():
        raise LabError(f"{port!r} is not a port")
    relay.connect(address, int(port))
    return 0


def hold_command(_: list[str]) -> int:
    """Hold the lab's namespaces. Only `up` and `run` start this."""
    namespace.hold()


# Command: its function, and the least and the greatest number of arguments.
COMMANDS: dict[str, tuple[Callable[..., int], int, float]] = {
    "up": (up_command, 0, 0),
    "run": (lifetime.run_command, 1, math.inf),
    "exec": (exec_command, 1, math.inf),
    "sh": (sh_command, 1, math.inf),
    "add": (add_command, 1, math.inf),
    "remove": (remove_command, 1, math.inf),
    "restart": (restart_command, 1, 1),
    "keep": (keep_command, 0, 0),
    "images": (images_command, 0, 0),
    "status": (status_command, 0, 0),
    "down": (down_command, 0, 0),
    "connect": (connect_command, 2, 2),
    "_hold": (hold_command, 0, 0),
}

# Command: the options that it takes.
OPTIONS = {"up": {"provisioned", "only"}, "run": {"provisioned", "only"}, "add": {"provisioned"}}


def stop(number: int, _frame: object) -> NoReturn:
    """Turn a signal into an exception, so that the lab is removed on this way out, too."""
    sys.exit(128 + number)


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    made = argparse.ArgumentParser(
        prog="lab", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("--provisioned", action="store_true", help="for up, run and add")
    made.add_argument(
        "--only", metavar="NAME,...", help="for up and run: these of the containers, or none"
    )
    made.add_argument("command", metavar="COMMAND", choices=COMMANDS)
    made.add_argument("words", metavar="ARG", nargs=argparse.REMAINDER)
    return made


def options_of(made: argparse.ArgumentParser, given: argparse.Namespace) -> dict[str, Any]:
    """Return the given options by name. End with a usage error if one does not fit."""
    found: dict[str, Any] = {"provisioned": True} if given.provisioned else {}
    if given.only is not None:
        found["only"] = [name for name in given.only.split(",") if name not in {"", "none"}]
        if unknown := set(found["only"]) - settings.CONTAINERS.keys():
            made.error(f"no container {', '.join(sorted(unknown))}")
    if wrong := found.keys() - OPTIONS.get(given.command, set()):
        made.error(f"{given.command} takes no --{', --'.join(sorted(wrong))}")
    return found


def main() -> int:
    """Run the command of the command line. Return the exit code."""
    made = parser()
    given = made.parse_args()
    words = given.words[1:] if given.words[:1] == ["--"] else given.words
    command, least, most = COMMANDS[given.command]
    if not least <= len(words) <= most:
        made.error(f"{given.command}: wrong number of arguments")
    options = options_of(made, given)
    if os.geteuid() != 0:
        again = "sudo make ..." if "MAKELEVEL" in os.environ else "sudo " + shlex.join(sys.argv)
        raise LabError(f"the lab's containers need root. Type: {again}")
    # In a root shell of plain `su`, netavark would not find iptables.
    os.environ["PATH"] = os.environ.get("PATH", os.defpath) + ":/usr/sbin:/sbin"
    if given.command in {"up", "run", "down"}:
        for number in lifetime.STOP_SIGNALS - {signal.SIGINT}:
            signal.signal(number, stop)
    return command(words, **options)


def command_line() -> int | str:
    """Run `main`, and return an exit code or an error for sys.exit."""
    try:
        return main()
    except LabError as error:
        return f"lab: {error}"
    except KeyboardInterrupt:
        return 130
