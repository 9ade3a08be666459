"""The private copy of tonight's export, or of an accepted package."""

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from roster_upload import export as exports
from roster_upload.delivery.job import Job, Outgoing, no_room
from roster_upload.exits import Exit, Failure
from roster_upload.export import Snapshot
from roster_upload.records import package_store
from roster_upload.records.night import stamp, time_text
from roster_upload.records.parts import File
from roster_upload.terminal import output
from roster_upload.terminal.printable import path_text
from roster_upload.validation.archive import content_digest

AHEAD_MINUTES = 60  # by which an export's time stamp may lie ahead of the clock


def ahead(path: str, written: dt.datetime, now: dt.datetime, zone: str = "") -> str:
    """Return the message about an export from the future. It would never become stale."""
    return (
        f"{path} was written {time_text(written, zone)}, which is ahead of this host's "
        f"clock ({time_text(now, zone)}). So its age is unknown. Compare the clock (timedatectl) "
        "with the SIS's. Then let the SIS write the export again"
    )


def file_of(file: Outgoing, known: File | None = None) -> File:
    """Return the entry of a file in a receipt, with the values of `known`."""
    return replace(
        known or File(),
        bytes=file.bytes,
        sha256=file.sha256,
        content=content_digest(file.path),
    )


@contextlib.contextmanager
def taken(job: Job) -> Iterator[Snapshot]:
    """Yield a private copy of the export, or of an accepted package. Raise Failure."""
    if job.command == "resend":
        with exports.workplace() as folder, job.draft.phase("snapshot"):
            yield _accepted_package(job, folder / "export")
        return
    left = job.night.seconds_left()
    with job.draft.phase("settle", min(job.feed.settle_minutes * 60, left)):
        export = exports.wait_until_stable(job.feed, left, output.say)
    job.draft.update(source=replace(job.receipt.source, path=path_text(export.path)))
    with contextlib.ExitStack() as stack:
        with job.draft.phase("snapshot"):
            copy = stack.enter_context(exports.snapshot(export, job.feed.maximum_bytes))
        yield copy


def _accepted_package(job: Job, copy: Path) -> Snapshot:
    """Decrypt a stored package: the one with the digest, or the last good one. Raise Failure."""
    packages = job.package_store()
    accepted = job.state.ledger.accepted()
    at_vendor = accepted[-1].sent_file.sha256 if accepted else ""
    kept = packages.entries()
    if job.digest:
        wanted = [entry for entry in kept if entry.sha256.startswith(job.digest)]
        none = f"no stored package begins with {job.digest}"
    else:
        wanted = [entry for entry in kept if entry.sha256 != at_vendor]
        none = "no earlier accepted package is stored"
    if not wanted:
        raise Failure(
            Exit.SOURCE, f"{none}. Run roster-upload history {job.receipt.feed} to see all"
        )
    entry = wanted[-1]
    try:
        packages.decrypt(entry, copy)
    except package_store.Damaged as error:
        raise Failure(Exit.LOCAL, f"{error}. Was the host set up anew?") from None
    except OSError as error:
        raise no_room(error) from None
    when = dt.datetime.strptime(entry.accepted, package_store.STAMP).replace(tzinfo=dt.UTC)
    return Snapshot(copy, copy.stat().st_size, entry.sha256, when)


def describe(job: Job, copy: Snapshot) -> None:
    """Record the digests of the export, and the number of nights with the same one."""
    source = replace(file_of(copy, job.receipt.source), modified=stamp(copy.modified))
    job.draft.update(source=source)
    if job.command == "send":
        job.draft.update(
            unchanged_nights=job.history.unchanged_nights(source, job.night.date),
            unchanged_limit=job.feed.unchanged_nights,
        )


def require_fresh(job: Job, copy: Snapshot) -> None:
    """Raise Failure for an export that is too old, or from the future."""
    age, feed = job.started - copy.modified, job.feed
    if -age > dt.timedelta(minutes=AHEAD_MINUTES):
        path = job.receipt.source.path
        raise Failure(Exit.STALE, ahead(path, copy.modified, job.started, feed.time_zone))
    if age > dt.timedelta(hours=feed.maximum_age_hours):
        when, hours = time_text(copy.modified, feed.time_zone), age // dt.timedelta(hours=1)
        raise Failure(
            Exit.STALE,
            f"the export was written {when}, {hours} h ago. The limit is "
            f"{feed.maximum_age_hours} h. Check the SIS's own schedule",
        )
