"""Find out how a feed's unit ended: by itself, by a signal, or without a start."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping

from roster_upload.exits import Exit, Failure

# Properties that `systemctl show` prints, one `NAME=value` a line.
PROPERTIES = ("ActiveState", "LoadState", "Result", "ExecMainStatus", "InvocationID", "Job")
SHOW = ("systemctl", "show", *(f"--property={name}" for name in PROPERTIES))
BUSY = ("activating", "active", "reloading", "deactivating")
OUT_OF_MEMORY = "oom-kill"
KILLED = ("signal", "core-dump", "timeout", "watchdog")
# systemd's own exit code for a process whose credentials it could not set up (systemd.exec(5)).
EXIT_CREDENTIALS = 243


def properties(text: str) -> dict[str, str]:
    """Return the properties by name from the output of `systemctl show`."""
    lines = (line.partition("=") for line in text.splitlines())
    found = {name: value for name, _, value in lines if name in PROPERTIES}
    return dict.fromkeys(PROPERTIES, "") | found


def of_several(text: str) -> dict[str, dict[str, str]]:
    """Return the properties of several units by the units' names without feed and suffix.

    `text` is the output of `systemctl show`, with an empty line between two units.
    """
    found = {}
    for block in text.split("\n\n"):
        lines = dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
        name = lines.get("Id", "").partition("@")[0]
        if name:
            found[name] = properties(block) | {"Started": lines.get("InactiveExitTimestamp", "")}
    return found


def start_of(now: Mapping[str, str]) -> dt.datetime:
    """Return the last start of a unit from `of_several`, or the present if it is unknown."""
    seconds = now.get("Started", "").removeprefix("@")
    if not seconds.isdecimal():
        return dt.datetime.now(dt.UTC)
    return dt.datetime.fromtimestamp(int(seconds), dt.UTC)


def is_busy(now: Mapping[str, str]) -> bool:
    """Return whether a unit runs, or waits in systemd's queue."""
    return now["ActiveState"] in BUSY or now["Job"] not in ("", "0", "[not set]")


def run_of(now: Mapping[str, str]) -> str:
    """Return the id of a unit's last run before a start, or "" while a run is under way."""
    return "" if is_busy(now) else now["InvocationID"]


def ended(
    unit: str, now: Mapping[str, str], former: str, *, started: bool, errors: str = ""
) -> Exit:
    """Return the exit code of a unit's program. Raise Failure if the program did not end by itself.

    `former` is the result of `run_of` before the start. `started` is true if
    `systemctl start` succeeded, and `errors` is its error output. systemd may forget a successful
    unit at once. Then only its success is known.
    """
    result, status = now["Result"], int(now["ExecMainStatus"] or 0)
    is_loaded = now["LoadState"] == "loaded"
    if is_loaded and started and result == "success":
        return Exit(status) if status in set(Exit) else Exit.INTERNAL
    # A failure of a former run says nothing about this one.
    if is_loaded and now["InvocationID"] != former:
        if result == "exit-code" and status in set(Exit):
            return Exit(status)
        if result == "exit-code" and status == EXIT_CREDENTIALS:
            raise Failure(
                Exit.CREDENTIAL,
                f"systemd could not decrypt a credential of {unit}. Run site.yml for this host",
            )
        if result == OUT_OF_MEMORY:
            raise Failure(
                Exit.LOCAL,
                f"{unit} was killed because memory ran out ({result}): it reached the limit of "
                "roster_upload_memory_mb, or the host has too little. Look at the export. If it is "
                "right, raise the limit, run site.yml, and try again",
            )
        if result in KILLED:
            raise Failure(
                Exit.STOPPED,
                f"{unit} was killed ({result}). See journalctl -u {unit}, and try again",
            )
    reason = " ".join(errors.split()) or f"load state {now['LoadState']}, result {result}"
    raise Failure(
        Exit.LOCAL,
        f"systemd did not run {unit}: {reason}. See systemctl status {unit}, and try again",
    )
