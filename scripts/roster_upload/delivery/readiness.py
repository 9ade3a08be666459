"""Whether a feed is ready for tonight, as far as that shows without changing anything."""

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
from roster_upload.host.schedule import next_starts, said
from roster_upload.records.night import Night, stamp
from roster_upload.records.receipt import Receipt
from roster_upload.spec import spec
from roster_upload.terminal.printable import path_text

# A delivery copies the export once, and the package store keeps some compressed ones.
LEAST_FREE_BYTES: int = spec("host")["least_free_bytes"]


@dataclass(frozen=True)
class Check:
    """One check of a feed. `code` is `Exit.OK`, or the exit code of the fault."""

    name: str
    code: Exit
    told: str

    def record(self) -> dict[str, object]:
        """Return the check as JSON values."""
        return {"check": self.name, "exit_code": int(self.code), "told": self.told}


def of_host(feed: Feed, now: dt.datetime) -> Iterator[Check]:
    """Yield the checks that need neither the credential nor the network."""
    for name, look in LOOKS.items():
        try:
            yield Check(name, Exit.OK, look(feed, now))
        except Failure as failure:
            yield Check(name, failure.code, failure.message)


def _zone(_feed: Feed, _now: dt.datetime) -> str:
    """Return the host's time zone. Raise Failure where it is not UTC, as its schedule is."""
    zone = said("timedatectl", "show", "--property=Timezone", "--value")
    if zone not in ("Etc/UTC", "UTC"):
        raise Failure(
            Exit.LOCAL, f"the host's time zone is {zone or 'not known'}, its schedule is in UTC"
        )
    return zone


def _clock(_feed: Feed, now: dt.datetime) -> str:
    """Return the time and how it is synchronised. Raise Failure."""
    if said("systemd-detect-virt", "--container") not in ("", "none"):
        return f"{stamp(now)}, kept by the machine that this container runs on"
    if said("timedatectl", "show", "--property=NTPSynchronized", "--value") != "yes":
        raise Failure(Exit.LOCAL, "the clock is not synchronised; look at chronyc sources")
    return f"{stamp(now)}, synchronised"


def _next(feed: Feed, now: dt.datetime) -> str:
    """Return the next start. Raise Failure where it is outside the window."""
    start = next_starts(now).get(feed.feed, {}).get("roster-upload")
    if not start:
        raise Failure(
            Exit.LOCAL, "neither cron nor a timer starts the delivery; run site.yml on this host"
        )
    night = Night.containing(feed, start)
    if not night.in_window:
        raise Failure(
            Exit.LOCAL,
            f"the next start, {stamp(start)}, lies outside of the window "
            f"({stamp(night.opened)} to {stamp(night.deadline)}); run site.yml on this host",
        )
    return f"{stamp(start)}, {night.minutes_to_deadline} min before the deadline"


def _room(feed: Feed, _now: dt.datetime) -> str:
    """Return the free space for copies and stored packages. Raise Failure."""
    try:
        size, _ = exports.find(feed.source, is_opaque=feed.is_opaque).written()
    except Failure:  # its own check reports it
        size = 0
    needed = max(LEAST_FREE_BYTES, 3 * size)
    told = []
    for folder in ("/var/tmp", "/var/lib"):  # noqa: S108 - it is only measured
        free = shutil.disk_usage(folder).free
        if free < needed:
            raise Failure(
                Exit.LOCAL,
                f"{folder} has {free // 10**6:,} MB free, {needed // 10**6:,} MB are needed",
            )
        told.append(f"{folder} {free // 10**6:,} MB")
    return ", ".join(told)


def _export(feed: Feed, now: dt.datetime) -> str:
    """Return the export. Raise Failure where it is missing, unreadable or stale."""
    export = exports.find(feed.source, is_opaque=feed.is_opaque)
    size, written = export.written()
    if written - now > dt.timedelta(minutes=AHEAD_MINUTES):
        raise Failure(Exit.STALE, ahead(path_text(export.path), written, now))
    if now - written > dt.timedelta(hours=feed.maximum_age_hours):
        raise Failure(
            Exit.STALE,
            f"{path_text(export.path)} was written {stamp(written)}; {feed.maximum_age_hours} h is "
            "the limit. Look at the SIS's own schedule",
        )
    return f"{path_text(export.path)}, {size:,} bytes, written {stamp(written)}"


PAUSED = "tonight nothing is sent, by plan"


def _blackout(feed: Feed, now: dt.datetime) -> str:
    """Return whether tonight is a blackout date."""
    for span in feed.blackouts:
        if Night.containing(feed, now).deadline.date() in span:
            return f"{PAUSED}: blackout {span}"
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
    """Log in once and look at the upload path. Return the findings.

    Where the feed allows it (`verify_by_writing`) a small file is written under a temporary name
    and removed. Raise Failure.
    """
    # Only this needs paramiko.
    from roster_upload.transfer.connect import remote_directory  # noqa: PLC0415
    from roster_upload.transfer.info import ConnectionInfo  # noqa: PLC0415
    from roster_upload.transfer.probe import inspect  # noqa: PLC0415
    from roster_upload.transfer.profile import METHODS, read_profile  # noqa: PLC0415

    info, profile = ConnectionInfo(), read_profile(profile_file)
    with remote_directory(feed, secret, info, profile=profile) as directory:
        inspect(directory, profile, 1)
    wrote = "writable" if feed.verify_by_writing else "there, not tried by writing"
    way = METHODS[profile.rename] if profile else "the first rehearsal or delivery learns how"
    return (
        f"logged in to {feed.remote_host} by {info.method}, host key {info.host_key}; the upload "
        f"path {feed.remote_dir} is {wrote}; {way}"
    )


def previous(folder: Path, feed: str) -> Path:
    """Return the slot of the credential from before a rotation."""
    return folder / "previous" / feed / "previous"


def is_outlived(path: Path, accepted: list[Receipt], now: dt.datetime) -> bool:
    """Return whether a delivery began, and was accepted, after a credential was put aside.

    A start later than `now` proves nothing: a clock was wrong.
    """
    if not accepted:
        return False
    began = dt.datetime.fromisoformat(accepted[-1].started)
    return path.stat().st_mtime < began.timestamp() <= now.timestamp()


def load(path: Path) -> tuple[Feed | None, Check]:
    """Return a feed's configuration, and the check of it."""
    try:
        feed = config.load(path)
    except config.ConfigError as error:
        return None, Check("configuration", error.code, error.message)
    return feed, Check("configuration", Exit.OK, f"{path} is good")
