"""How a feed's unit, which systemd runs, has ended: by itself, by a signal, or not even begun."""

from __future__ import annotations

from collections.abc import Mapping

from roster_upload.exits import Exit, Failure

# What `systemctl show` has to tell, one `NAME=value` a line.
PROPERTIES = ("ActiveState", "LoadState", "Result", "ExecMainStatus", "InvocationID", "Job")
SHOW = ("systemctl", "show", *(f"--property={name}" for name in PROPERTIES))
BUSY = ("activating", "active", "reloading", "deactivating")
OUT_OF_MEMORY = "oom-kill"
KILLED = ("signal", "core-dump", "timeout", "watchdog")
# Of the codes that systemd itself gives a process which it could not set up (systemd.exec(5)).
EXIT_CREDENTIALS = 243


def shown(text: str) -> dict[str, str]:
    """The properties by name, out of what `systemctl show` has printed."""
    lines = (line.partition("=") for line in text.splitlines())
    found = {name: value for name, _, value in lines if name in PROPERTIES}
    return dict.fromkeys(PROPERTIES, "") | found


def is_busy(properties: Mapping[str, str]) -> bool:
    """Whether a unit runs, or waits in systemd's queue for what it has to come after."""
    return properties["ActiveState"] in BUSY or properties["Job"] not in ("", "0", "[not set]")


def run_of(properties: Mapping[str, str]) -> str:
    """Which run of a unit is over, before another start; empty while one is under way."""
    return "" if is_busy(properties) else properties["InvocationID"]


def ended(unit: str, now: Mapping[str, str], former: str, *, started: bool, told: str = "") -> Exit:
    """The exit code of a unit's program; raises Failure where it has none of its own.

    `former` is what `run_of` said before the start; `started` is whether `systemctl start` had
    nothing to complain of, and `told` what it said.  A unit that went well may be forgotten by
    systemd at once: then all that is known of it is that nothing went wrong.
    """
    result, status = now["Result"], int(now["ExecMainStatus"] or 0)
    is_loaded = now["LoadState"] == "loaded"
    if is_loaded and started and result == "success":
        return Exit(status) if status in set(Exit) else Exit.INTERNAL
    # A failure that a former run has left says nothing of this one.
    if is_loaded and now["InvocationID"] != former:
        if result == "exit-code" and status in set(Exit):
            return Exit(status)
        if result == "exit-code" and status == EXIT_CREDENTIALS:
            raise Failure(
                Exit.CREDENTIAL,
                f"systemd could not decrypt a credential of {unit}; run site.yml for this host",
            )
        if result == OUT_OF_MEMORY:
            raise Failure(
                Exit.LOCAL,
                f"{unit} was killed for want of memory ({result}): it reached the limit of "
                "roster_upload_memory_mb, or the host has too little. Look at the export; if it is "
                "right, raise the limit, run site.yml, then again",
            )
        if result in KILLED:
            raise Failure(
                Exit.STOPPED, f"{unit} was killed ({result}); see journalctl -u {unit}, then again"
            )
    why = " ".join(told.split()) or f"load state {now['LoadState']}, result {result}"
    raise Failure(
        Exit.LOCAL, f"systemd did not run {unit}: {why}; see systemctl status {unit}, then again"
    )
