"""The private copy of tonight's export, or of an accepted package."""

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from roster_upload import export as exports
from roster_upload.config import Feed
from roster_upload.delivery import fetching, freshness
from roster_upload.delivery.job import Job, Outgoing, beside, no_room
from roster_upload.exits import Exit, Failure
from roster_upload.export import Snapshot
from roster_upload.fetch import kept
from roster_upload.records import package_store
from roster_upload.records.night import stamp
from roster_upload.records.parts import File
from roster_upload.records.season import Reset
from roster_upload.spec.sources import SftpSource
from roster_upload.terminal import output
from roster_upload.terminal.printable import path_text
from roster_upload.validation.archive import content_digest


def file_of(file: Outgoing, known: File | None = None) -> File:
    """Return the entry of a file in a receipt, with the values of `known`."""
    return replace(
        known or File(),
        bytes=file.bytes,
        sha256=file.sha256,
        content=content_digest(file.path),
    )


def source_of(feed: Feed) -> File:
    """Return the entry of a feed's source in a receipt, before the export is found."""
    if isinstance(feed.source, SftpSource):
        return File(path=feed.origin, origin=feed.origin)
    return File(path=path_text(feed.source), origin=feed.source_origin)


@contextlib.contextmanager
def taken(job: Job) -> Iterator[Snapshot]:
    """Yield a private copy of the export, or of an accepted package. Raise Failure."""
    if job.command == "resend":
        with exports.workplace() as folder, job.draft.phase("snapshot"):
            yield _accepted_package(job, folder / "export")
        return
    if isinstance(job.feed.source, SftpSource):
        with fetching.fetched(job) as copy:
            yield copy
        return
    with beside("an export of a former source could not be removed from this host"):
        kept.drop(job.state.folder)
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
        if day := Reset.of(job.feed).last_before(job.day):
            sent = Reset.of(job.feed).sent_since(job.day, accepted)
            known = {receipt.sent_file.sha256 for receipt in sent}
            wanted = [entry for entry in wanted if entry.sha256 in known]
            none += f" since the vendor's reset of {day}. --digest names an older one"
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


def require_fresh(job: Job, copy: Snapshot) -> str:
    """Raise Failure for an export that is too old, or from the future.

    A delivery judges it for now, a rehearsal for tonight. It returns a text if tonight's export is
    still to come, "" otherwise. An accepted package has no age.
    """
    age_of = job.feed, job.receipt.source.path, copy.modified, job.started
    if job.command == "send":
        freshness.require_fresh(*age_of)
    elif job.command == "rehearse":
        return freshness.require_tonights(*age_of)
    return ""
