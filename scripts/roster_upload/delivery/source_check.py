"""Check that the export can be fetched tonight: server, host key, login, match and age."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any

from roster_upload.config import Feed
from roster_upload.delivery import freshness
from roster_upload.exits import Exit, Failure
from roster_upload.records.history import History
from roster_upload.records.night import stamp, time_text
from roster_upload.records.parts import File
from roster_upload.spec.sources import SftpSource

LOOK_SECONDS = 120


@dataclass(frozen=True)
class Newest:
    """The newest file that a source names, as its server reports it."""

    name: str  # as people see it
    bytes: int | None
    modified: str  # ISO 8601

    @classmethod
    def parse(cls, values: Any) -> Newest | None:
        """Return the file in the JSON of a check, None without one."""
        try:
            return cls(str(values["name"]), values["bytes"], str(values["modified"]))
        except (KeyError, TypeError):
            return None


@dataclass(frozen=True)
class SourceCheck:
    """The result of a login to a source. An open check found nothing to act on."""

    feed: str
    source: str
    address: str
    host_key: str
    login: str
    matches: int
    newest: Newest | None
    open: bool
    text: str


def require_remote(feed: Feed) -> SftpSource:
    """Return the source of a feed on a server. Raise Failure for a path."""
    if isinstance(feed.source, SftpSource):
        return feed.source
    raise Failure(
        Exit.USAGE, f"the source of {feed.feed} is the path {feed.origin}, so it needs no login"
    )


def _removed(feed: Feed, history: History, now: dt.datetime) -> str:
    """Return that the last export was removed after its delivery, or "". Raise Failure.

    The folder is empty until the SIS writes the next one, which may be due.
    """
    last = history.last_sent()
    source = last.source if last else File()
    if source.after != "removed" or source.origin != feed.origin or not source.modified:
        return ""
    freshness.require_tonights(feed, source.path, dt.datetime.fromisoformat(source.modified), now)
    return f"The last export, {source.name}, was delivered and removed. The next is still to come"


def look(
    feed: Feed, secret: bytes, now: dt.datetime, history: History, *, needs_export: bool
) -> SourceCheck:
    """Log in once and look for the export. Raise Failure with the server's own exit code.

    Without `needs_export` only the login counts, as for a new credential.
    """
    from roster_upload.fetch.failure import ServerFailure  # noqa: PLC0415 - it needs paramiko
    from roster_upload.fetch.look import look as at_server  # noqa: PLC0415
    from roster_upload.transfer.info import ConnectionInfo  # noqa: PLC0415

    source, info = require_remote(feed), ConnectionInfo()
    try:
        found = at_server(feed, secret, info, limit=LOOK_SECONDS)
    except ServerFailure as failure:
        raise Failure(failure.reason, failure.message) from None
    gone = ""
    if needs_export and found.missing and not (gone := _removed(feed, history, now)):
        raise found.missing
    text = f"logged in to {source.host} by {info.method}, host key {info.host_key}. "
    newest, to_come, last = None, "", found.files[-1] if found.files else None
    if last and last.modified is not None:
        written = dt.datetime.fromtimestamp(last.modified, dt.UTC)
        newest, url = Newest(last.shown, last.size, stamp(written)), source.url_of(last.shown)
        if needs_export:
            to_come = freshness.require_tonights(feed, url, written, now)
        text += (
            f"{len(found.files):,} {'match' if len(found.files) == 1 else 'matches'}. The newest, "
            f"{last.shown}, was written {time_text(written, feed.time_zone)}, "
            f"{max((now - written) // dt.timedelta(hours=1), 0)} h ago"
        )
    else:
        missing = gone or (found.missing.message if found.missing else "")
        text += missing or "The newest file has no time"
    return SourceCheck(
        feed=feed.feed,
        source=source.url,
        address=info.address,
        host_key=info.host_key,
        login=info.method,
        matches=len(found.files),
        newest=newest,
        open=bool(to_come or gone),
        text=f"{text}. {to_come[:1].upper()}{to_come[1:]}" if to_come else text,
    )
