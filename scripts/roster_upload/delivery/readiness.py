"""Check that a feed is ready for tonight, without changing anything."""

from __future__ import annotations

import contextlib
import datetime as dt
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from roster_upload import config
from roster_upload import export as exports
from roster_upload.config import Feed
from roster_upload.delivery import freshness
from roster_upload.exits import Exit, Failure
from roster_upload.host.schedule import next_starts, output
from roster_upload.records.night import Night, blackout, time_text
from roster_upload.records.season import Reset
from roster_upload.spec import spec
from roster_upload.terminal.printable import path_text

# A delivery copies the export once. The package store holds some compressed ones.
LEAST_FREE_BYTES: int = spec("host")["least_free_bytes"]


@dataclass(frozen=True)
class Check:
    """One check of a feed. `code` is `Exit.OK`, or the exit code of the fault.

    An open check found nothing for which somebody has to act, but cannot say how tonight ends.
    """

    name: str
    code: Exit
    text: str
    is_open: bool = False

    @property
    def is_ok(self) -> bool:
        """Return whether the check is good, so that nobody has to act."""
        return self.is_open or self.code in (Exit.OK, Exit.PAUSED)

    @property
    def is_ready(self) -> bool:
        """Return whether a delivery is planned tonight, and this check cannot stop it."""
        return self.code is Exit.OK and not self.is_open

    def record(self) -> dict[str, object]:
        """Return the check as JSON has it."""
        return {
            "check": self.name,
            "ok": self.is_ok,
            "ready": self.is_ready,
            "exit_code": int(self.code),
            "text": self.text,
        }


def of_host(feed: Feed, now: dt.datetime) -> Iterator[Check]:
    """Yield the checks of the host: time, next start, calendar and space."""
    for name, look in LOOKS.items():
        try:
            yield Check(name, Exit.OK, look(feed, now))
        except Failure as failure:
            yield Check(name, failure.code, failure.message)
    yield room(feed)


def pause(feed: Feed, now: dt.datetime) -> str:
    """Return that nothing is planned tonight, "" if a delivery is. A pause needs no export."""
    why = blackout(feed, Night.containing(feed, now).day)
    return f"nothing is planned tonight: {why}" if why else ""


def _zone(_feed: Feed, _now: dt.datetime) -> str:
    """Return the host's time zone. Raise Failure if it is not UTC, as its schedule is."""
    zone = output("timedatectl", "show", "--property=Timezone", "--value")
    if zone not in ("Etc/UTC", "UTC"):
        raise Failure(
            Exit.LOCAL, f"the host's time zone is {zone or 'unknown'}, but its schedule is in UTC"
        )
    return zone


def _clock(feed: Feed, now: dt.datetime) -> str:
    """Return the time and its source. Raise Failure if the clock is not synchronised."""
    if output("systemd-detect-virt", "--container") not in ("", "none"):
        return f"{time_text(now, feed.time_zone)}, kept by the machine that this container runs on"
    if output("timedatectl", "show", "--property=NTPSynchronized", "--value") != "yes":
        raise Failure(Exit.LOCAL, "the clock is not synchronised. Run chronyc sources")
    return f"{time_text(now, feed.time_zone)}, synchronised"


def _next(feed: Feed, now: dt.datetime) -> str:
    """Return the next start. Raise Failure if it is outside the window."""
    start = next_starts(now).get(feed.feed, {}).get("roster-upload")
    if not start:
        raise Failure(
            Exit.LOCAL, "neither cron nor a timer starts the delivery. Run site.yml for this host"
        )
    night = Night.containing(feed, start)
    if not night.in_window:
        raise Failure(
            Exit.LOCAL,
            f"the next start, {time_text(start, feed.time_zone)}, is outside the window "
            f"({time_text(night.opened, feed.time_zone)} to "
            f"{time_text(night.deadline, feed.time_zone)}). Run site.yml for this host",
        )
    return (
        f"{time_text(start, feed.time_zone)}, {night.minutes_to_deadline} min before the deadline"
    )


def room(feed: Feed) -> Check:
    """Return the check of the free space for copies and stored packages.

    It is a fault only if it stops a delivery. Little space is a warning.
    """
    copies, state = "/var/tmp", "/var/lib"  # noqa: S108 - they are only measured
    size = 0
    free = {folder: shutil.disk_usage(folder).free for folder in (copies, state)}
    if not free[state]:
        return Check("free space", Exit.LOCAL, f"{state} is full: no delivery can be recorded")
    try:
        with contextlib.suppress(Failure):  # its own check reports it. One to fetch has no size
            found = exports.find(exports.path_of(feed), is_opaque=feed.is_opaque)
            size, _ = found.written()
        if 0 < size <= feed.maximum_bytes:  # a larger one is refused before it is copied
            exports.require_room(found, size, Path(copies))
    except Failure as failure:
        return Check("free space", failure.code, failure.message)
    text = ", ".join(f"{folder} {left // 10**6:,} MB" for folder, left in free.items())
    needed = max(LEAST_FREE_BYTES, 3 * size)
    is_low = min(free.values()) < needed
    if is_low:
        text += (
            f". A disk should have {needed // 10**6:,} MB. Tonight's delivery is tried in any "
            "case. Make room on the disk"
        )
    return Check("free space", Exit.OK, text, is_open=is_low)


def export(feed: Feed, now: dt.datetime) -> Check:
    """Return the check of the export, without its content: missing, being written, or stale.

    It waits for nothing. So a file that is still being written is a fault only if a delivery would
    not wait for it either.
    """
    try:
        try:
            found = exports.wait_until_stable(feed, 0, lambda _text: None)
        except Failure as failure:
            if failure.code is Exit.GROWING and feed.settle_minutes:
                return Check("export", failure.code, _being_written(feed), is_open=True)
            raise
        size, written = found.written()
        path = path_text(found.path)
        to_come = freshness.require_tonights(feed, path, written, now)
    except Failure as failure:
        return Check("export", failure.code, failure.message)
    text = to_come or f"{path}, {size:,} bytes, written {time_text(written, feed.time_zone)}"
    return Check("export", Exit.OK, text, is_open=bool(to_come))


def _being_written(feed: Feed) -> str:
    return (
        f"the export is still being written. A delivery waits until it has been quiet for "
        f"{feed.quiet_seconds} s, for {feed.settle_minutes} min at most"
    )


def _blackout(feed: Feed, now: dt.datetime) -> str:
    """Return that tonight is no blackout date. Raise Failure if it is one."""
    if text := pause(feed, now):
        raise Failure(Exit.PAUSED, text)
    to_come = Reset.of(feed).announcement(Night.containing(feed, now).day)
    return "tonight is no blackout date" + (f", but {to_come}" if to_come else "")


LOOKS: dict[str, Callable[[Feed, dt.datetime], str]] = {
    "time zone": _zone,
    "clock": _clock,
    "next start": _next,
    "calendar": _blackout,
}


def login(feed: Feed, secret: bytes, profile_file: Path) -> str:
    """Log in once and check the upload path. Return the result as text. Raise Failure.

    If the feed has `verify_by_writing`, write a small file under a temporary name and remove it.
    """
    # Only this check needs paramiko.
    from roster_upload.transfer.connect import remote_directory  # noqa: PLC0415
    from roster_upload.transfer.info import ConnectionInfo  # noqa: PLC0415
    from roster_upload.transfer.probe import inspect  # noqa: PLC0415
    from roster_upload.transfer.profile import METHODS, read_profile  # noqa: PLC0415

    info, profile = ConnectionInfo(), read_profile(profile_file)
    with remote_directory(feed, secret, info, profile=profile) as directory:
        inspect(directory, profile, 1)
    wrote = "is writable" if feed.verify_by_writing else "exists, not tested by writing"
    way = METHODS[profile.rename] if profile else "the first rehearsal or delivery tests it"
    return (
        f"logged in to {feed.remote_host} by {info.method}, host key {info.host_key}. The upload "
        f"path {feed.remote_dir} {wrote}. Rename method: {way}"
    )


def load(path: Path) -> tuple[Feed | None, Check]:
    """Return a feed's configuration and its check."""
    try:
        feed = config.load(path)
    except config.ConfigError as error:
        return None, Check("configuration", error.code, error.message)
    return feed, Check("configuration", Exit.OK, f"{path} is good")
