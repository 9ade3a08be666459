"""The watch's units for systemd, and its line for cron."""

from __future__ import annotations

import os
import re
import shlex
from dataclasses import dataclass
from pathlib import Path

SYSTEM_UNITS = Path("/etc/systemd/system")
TRIES = 4  # an hour apart: a failed run is tried again
LAST_HOUR = 23

SERVICE = """\
# Written by scripts/watch install. Remove it with scripts/watch remove.
[Unit]
{description}
{network}
[Service]
Type=oneshot
{folder}
ExecStart={command}
UMask=0077
TimeoutStartSec=3h
"""
FOLDER = "WorkingDirectory="
NETWORK = "Wants=network-online.target\nAfter=network-online.target\n"
TIMER = """\
# Written by scripts/watch install. Remove it with scripts/watch remove.
[Unit]
Description=Status of the roster deliveries of {name} after their deadline

[Timer]
OnCalendar=*-*-* {hours}:{minute}:00 UTC
Persistent=true

[Install]
WantedBy=timers.target
"""


@dataclass(frozen=True)
class Watch:
    """Hold one inventory's watch: where it runs, and when."""

    folder: Path  # the operator's
    checkout: Path
    inventory: str  # as typed in the folder
    name: str  # of the inventory
    at: str  # HH:MM in UTC

    @property
    def unit(self) -> str:
        """Return the units' name without its ending."""
        return f"roster-watch-{re.sub(r'[^A-Za-z0-9_.-]', '_', self.name)}"

    @property
    def command(self) -> list[str]:
        """Return the command that the units and cron run."""
        python = self.checkout / ".venv" / "bin" / "python"
        script = self.folder / "scripts" / "watch"
        return [str(python), str(script), "run", "-i", self.inventory, "--at", self.at]


def unit_folder() -> Path:
    """Return the folder of the units of this user: the system's own for root."""
    if os.getuid() == 0:
        return SYSTEM_UNITS
    config = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    return config / "systemd" / "user"


def service(watch: Watch, *, is_system: bool) -> str:
    """Return the text of the service."""
    return SERVICE.format(
        description=described(watch),
        network=NETWORK if is_system else "",
        folder=FOLDER + _escaped(str(watch.folder)),
        command=" ".join(map(quoted, watch.command)),
    )


def described(watch: Watch) -> str:
    """Return the service's line that names the inventory."""
    return f"Description=Status of the roster deliveries of {_escaped(watch.name)}, with alerts"


def timer(watch: Watch) -> str:
    """Return the text of the timer. Later hours try again what failed."""
    hour, minute = map(int, watch.at.split(":"))
    last = hour + TRIES - 1
    hours = f"{hour:02}..{last:02}"
    if last > LAST_HOUR:
        hours = f"{hour:02}..{LAST_HOUR},00..{last - LAST_HOUR - 1:02}"
    return TIMER.format(name=_escaped(watch.name), hours=hours, minute=f"{minute:02}")


def cron_line(watch: Watch) -> str:
    """Return the line for a crontab. Each hour it looks whether a run is due.

    So it needs no time zone, and a run follows after the machine was off. Cron mails what a line
    prints, so this one prints failures only.
    """
    words = shlex.join(watch.command).replace("%", r"\%")  # which is a line's end for cron
    folder = shlex.quote(str(watch.folder)).replace("%", r"\%")
    return f"{int(watch.at[3:])} * * * * cd {folder} && {words} >/dev/null"


def quoted(word: str) -> str:
    """Return a word of a command for systemd."""
    text = word.replace("\\", "\\\\").replace('"', '\\"').replace("$", "$$")
    return f'"{_escaped(text)}"'


def _escaped(text: str) -> str:
    """Return a text without specifiers of systemd."""
    return text.replace("%", "%%")
