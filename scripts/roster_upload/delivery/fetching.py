"""The step that fetches tonight's export, and the removal of the delivered one from its server."""

from __future__ import annotations

import contextlib
import datetime as dt
import random
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from roster_upload import __version__
from roster_upload.delivery import freshness
from roster_upload.delivery.at_vendor import AtVendor, sent_tonight
from roster_upload.delivery.job import Job, beside
from roster_upload.exits import Exit, Failure, SourceFailure
from roster_upload.export import Snapshot
from roster_upload.fetch import kept
from roster_upload.records.night import stamp, time_text
from roster_upload.records.parts import File
from roster_upload.spec.sources import SftpSource
from roster_upload.terminal import output

if TYPE_CHECKING:
    from roster_upload.fetch.folder import RemoteFile

SLOT = "source_current"
LONGEST_WAIT_SECONDS = 600
REMOVE_SECONDS = 120
# What became of the file on its server.
REMOVED, LEFT = "removed", "left"


@contextlib.contextmanager
def fetched(job: Job) -> Iterator[Snapshot]:
    """Yield the export that was fetched for this run. Raise AtVendor or Failure.

    It is kept for `check` and `diff` until the vendor has it.
    """
    state = job.state.folder
    with kept.workplace(state) as folder:
        try:
            with job.draft.phase("fetch", job.night.seconds_left()):
                copy = _fetch(job, folder / "export")
        except SourceFailure as failure:
            if sent_tonight(job):  # the first start of the night may have removed it
                raise AtVendor(
                    f"{job.feed.district}: the vendor already has tonight's delivery. "
                    f"{failure.message}",
                    leaves_receipt=False,
                ) from None
            raise
        try:
            yield copy
        finally:
            if job.draft.is_sent or job.is_at_vendor:
                with beside("the fetched export could not be removed from this host"):
                    kept.drop(state)


def _fetch(job: Job, copy: Path) -> Snapshot:
    """Fetch the export. Retry temporary failures, but never a refused login. Raise Failure."""
    # Only this step needs paramiko.
    from roster_upload.fetch.failure import Changed, ServerFailure  # noqa: PLC0415
    from roster_upload.fetch.fetch import Watcher, fetch  # noqa: PLC0415
    from roster_upload.transfer.info import ConnectionInfo  # noqa: PLC0415

    feed, night = job.feed, job.night
    secret = job.secret(SLOT)
    watcher = Watcher(
        accept=lambda file, modified: _accept(job, file, modified),
        log=output.say,
        progress=lambda done, size: job.draft.steps(done, size, "fetch"),
    )
    for attempt in range(1, feed.attempts + 1):
        info = ConnectionInfo(begin=job.draft.steps.begin)
        try:
            found = fetch(feed, secret, copy, info, watcher, limit=night.seconds_left())
            break
        except (Changed, ServerFailure) as failure:
            is_retried = isinstance(failure, Changed) or failure.reason.is_retried
            wait = min(feed.retry_seconds * 2 ** (attempt - 1), LONGEST_WAIT_SECONDS)
            wait *= random.uniform(0.5, 1.5)  # noqa: S311 - no secret
            if not is_retried or attempt == feed.attempts or wait > night.seconds_left():
                raise
            output.say(
                f"attempt {attempt} of {feed.attempts}: {failure.message}. Retry in {wait:.0f} s"
            )
            job.draft.steps.begin("retry", wait)
            time.sleep(wait)
    _keep(job, found)
    return found


def _accept(job: Job, file: RemoteFile, modified: dt.datetime) -> None:
    """Record the file that is about to be read. Raise AtVendor, or Failure for a stale one."""
    source, feed = job.feed.source, job.feed
    if not isinstance(source, SftpSource):
        raise TypeError(source)
    job.fetched = file
    seen = replace(
        job.receipt.source,
        path=source.url_of(file.shown),
        name=file.shown,
        bytes=file.size,
        modified=stamp(modified),
    )
    job.draft.update(source=seen)
    last = sent_tonight(job)
    if last and last.source.is_same_remote(seen) and _is_unchanged(job, last.program, last.started):
        raise AtVendor(
            f"{feed.district}: the vendor already has tonight's delivery of this export",
            leaves_receipt=False,
        )
    age_of = feed, seen.path, modified, job.started
    if job.command == "send":
        if source.is_pattern:
            _require_newer(job, seen, is_tonights=bool(last))
        freshness.require_fresh(*age_of)
    else:
        freshness.require_tonights(*age_of)


def _require_newer(job: Job, seen: File, *, is_tonights: bool) -> None:
    """Raise AtVendor or Failure for a match that is older than the export that was delivered.

    It was left in the folder when the newer one was removed.
    """
    former = [job.history.last_sent_to(job.target), *job.history.unsure()]
    delivered = [one.source.modified for one in former if one and one.source.origin == seen.origin]
    latest = max(delivered, default="")
    if seen.modified >= latest:
        return
    if is_tonights:
        raise AtVendor(
            f"{job.feed.district}: the vendor already has tonight's delivery. {seen.path} is older",
            leaves_receipt=False,
        )
    zone = job.feed.time_zone
    raise Failure(
        Exit.STALE,
        f"{seen.path} was written {time_text(seen.modified, zone)}, before the export of "
        f"{time_text(latest, zone)} that was delivered. Check the SIS's own schedule, and remove "
        "older files from the folder",
    )


def _is_unchanged(job: Job, program: str, started: str) -> bool:
    """Return whether neither the program nor the configuration has changed since a delivery."""
    with contextlib.suppress(OSError):
        since = dt.datetime.fromtimestamp(job.config_file.stat().st_mtime, dt.UTC)
        return program == __version__ and started >= stamp(since)
    return False


def _keep(job: Job, copy: Snapshot) -> None:
    """Keep the export for commands that have no network."""
    if (file := job.fetched) and file.modified is not None:
        about = kept.Fetched(job.feed.origin, file.name, copy.bytes, file.modified, copy.sha256)
        kept.keep(job.state.folder, copy, about)


def tidy(job: Job) -> None:
    """Remove the delivered file from its server, if the feed says so. Record what became of it."""
    feed, file = job.feed, job.fetched
    if not (file and feed.source_after == "remove" and job.draft.is_sent):
        return
    with beside("the export could not be removed from its server"):
        from roster_upload.fetch.remove import remove  # noqa: PLC0415 - as in _fetch
        from roster_upload.transfer.info import ConnectionInfo  # noqa: PLC0415

        _note(job, LEFT, "the run ended before its removal")  # until it is known
        job.draft.steps.begin("remove")
        try:
            why = remove(feed, job.secret(SLOT), file, ConnectionInfo(), limit=REMOVE_SECONDS)
        except Failure as failure:
            why = failure.message
        _note(job, LEFT if why else REMOVED, why)


def _note(job: Job, after: str, note: str) -> None:
    job.draft.update(source=replace(job.receipt.source, after=after, note=note))


def left_text(job: Job) -> str:
    """Return that the file was left on its server, and why, or ""."""
    source = job.receipt.source
    return f". The export was left on its server: {source.note}" if source.after == LEFT else ""
