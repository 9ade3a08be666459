"""Check that a feed is ready for tonight, without changing anything."""

from __future__ import annotations

import datetime as dt
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from roster_upload import config
from roster_upload import export as exports
from roster_upload.config import Feed
from roster_upload.delivery.private_copy import AHEAD_MINUTES, ahead
from roster_upload.exits import Exit, Failure
from roster_upload.host.schedule import next_starts, output
from roster_upload.records.night import Night, time_text
from roster_upload.spec import spec
from roster_upload.terminal.printable import path_text

# A delivery copies the export once. The package store holds some compressed ones.
LEAST_FREE_BYTES: int = spec("host")["least_free_bytes"]


@dataclass(frozen=True)
class Check:
    """One check of a feed. `code` is `Exit.OK`, or the exit code of the fault."""

    name: str
    code: Exit
    text: str

    @property
    def is_ok(self) -> bool:
        """Return whether the check is good, so that nobody has to act."""
        return self.code in (Exit.OK, Exit.PAUSED)

    def record(self) -> dict[str, object]:
        """Return the check as JSON has it."""
        return {
            "check": self.name, "ok": self.is_ok, "exit_code": int(self.code), "text": self.text,
        }  # fmt: skip


def of_host(feed: Feed, now: dt.datetime) -> Iterator[Check]:
    """Yield the checks that need neither the credential nor the network."""
    for name, look in LOOKS.items():
        try:
            yield Check(name, Exit.OK, look(feed, now))
        except Failure as failure:
            yield Check(name, failure.code, failure.message)


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


def _room(feed: Feed, _now: dt.datetime) -> str:
    """Return the free space for copies and stored packages. Raise Failure."""
    try:
        size, _ = exports.find(feed.source, is_opaque=feed.is_opaque).written()
    except Failure:  # its own check reports it
        size = 0
    needed = max(LEAST_FREE_BYTES, 3 * size)
    texts = []
    for folder in ("/var/tmp", "/var/lib"):  # noqa: S108 - it is only measured
        free = shutil.disk_usage(folder).free
        if free < needed:
            raise Failure(
                Exit.LOCAL,
                f"{folder} has {free // 10**6:,} MB free, but {needed // 10**6:,} MB are needed",
            )
        texts.append(f"{folder} {free // 10**6:,} MB")
    return ", ".join(texts)


def _export(feed: Feed, now: dt.datetime) -> str:
    """Return the export. Raise Failure if it is missing, unreadable or stale."""
    export = exports.find(feed.source, is_opaque=feed.is_opaque)
    size, written = export.written()
    when = time_text(written, feed.time_zone)
    if written - now > dt.timedelta(minutes=AHEAD_MINUTES):
        raise Failure(Exit.STALE, ahead(path_text(export.path), written, now, feed.time_zone))
    if now - written > dt.timedelta(hours=feed.maximum_age_hours):
        raise Failure(
            Exit.STALE,
            f"{path_text(export.path)} was written {when}. The limit is "
            f"{feed.maximum_age_hours} h. Check the SIS's own schedule",
        )
    return f"{path_text(export.path)}, {size:,} bytes, written {when}"


def _blackout(feed: Feed, now: dt.datetime) -> str:
    """Return that tonight is no blackout date. Raise Failure if it is one."""
    for span in feed.blackouts:
        if Night.containing(feed, now).deadline.date() in span:
            raise Failure(Exit.PAUSED, f"nothing is sent tonight: blackout {span}")
    return "tonight is no blackout date"


LOOKS: dict[str, Callable[[Feed, dt.datetime], str]] = {
    "time zone": _zone,
    "clock": _clock,
    "next start": _next,
    "calendar": _blackout,
    "free space": _room,
    "export": _export,
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
