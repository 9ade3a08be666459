"""Compare a feed's last accepted package with its export of tonight."""

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import Iterator
from pathlib import Path

from roster_upload import export as exports
from roster_upload.config import Feed
from roster_upload.diff.package import Package
from roster_upload.diff.people import Diff, Wish, between
from roster_upload.exits import Exit, Failure
from roster_upload.fetch.kept import on_host
from roster_upload.host.credentials import credential
from roster_upload.package.outgoing import build_package
from roster_upload.records.ledger import Ledger
from roster_upload.records.night import Night
from roster_upload.records.package_store import Damaged, Entry, PackageStore
from roster_upload.spec.formats import ONEROSTER, record_kinds
from roster_upload.validation.check import check as check_package
from roster_upload.validation.options import ValidationOptions


def check(feed: Feed, wish: Wish) -> None:
    """Raise Failure if the feed has no such records."""
    if feed.format != ONEROSTER:
        raise Failure(Exit.USAGE, f"diff reads {ONEROSTER} only, but the feed has {feed.format}")
    kinds = record_kinds(feed.format)
    if wish.kind not in ("", *kinds):
        raise Failure(Exit.USAGE, f"{wish.kind!r} is not one of: {', '.join(kinds)}")


def owner(feed: Feed, state: Path) -> int:
    """Return the id of the user of the feed's units. Raise Failure."""
    try:
        return state.stat().st_uid
    except FileNotFoundError:
        raise _nothing_kept(feed) from None


def differences(feed: Feed, state: Path, wish: Wish) -> tuple[Diff, dict[str, str]]:
    """Return the changes by tonight's export, and the names of schools. Raise Failure."""
    night = Night.containing(feed, dt.datetime.now(dt.UTC)).deadline.date()
    with exports.workplace() as folder, _tonight(on_host(feed, state), night) as export:
        last = _package(
            feed, _last(feed, state, folder / "last"), "the last accepted package", night
        )
        new = _package(feed, export, "tonight's export", night)
        schools = {key: name for one in (last, new) for key, (name, _) in one.orgs.items()}
        return between(last, new, wish), schools


def _package(feed: Feed, path: Path, title: str, night: dt.date) -> Package:
    report = check_package(path, ValidationOptions.from_feed(feed), night=night)
    return Package(path, title, night, report.findings.faulty)


@contextlib.contextmanager
def _tonight(feed: Feed, night: dt.date) -> Iterator[Path]:
    """Yield a private copy of tonight's package. Raise Failure."""
    export = exports.find(exports.path_of(feed))
    with exports.snapshot(export, feed.maximum_bytes) as copy:
        out = copy.path.with_name("package.zip")
        built = build_package(feed, copy.path, out, night)
        yield built.path if built else copy.path


def _last(feed: Feed, state: Path, path: Path) -> Path:
    """Decrypt the last accepted package to a path and return it. Raise Failure."""
    packages = PackageStore(state / "packages", credential(feed.feed, "state"), feed.keep_packages)
    kept = packages.entries()
    if not kept:
        raise _nothing_kept(feed)
    _is_last(feed, state, kept[-1])
    try:
        packages.decrypt(kept[-1], path)
    except (Damaged, OSError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise Failure(Exit.LOCAL, f"the last accepted package cannot be read: {why}") from None
    return path


def _is_last(feed: Feed, state: Path, entry: Entry) -> None:
    """Raise Failure if the newest stored package is not the last accepted one."""
    accepted = Ledger(state).accepted()
    if accepted and accepted[-1].sent_file.sha256 != entry.sha256:
        raise _nothing_kept(feed)


def _nothing_kept(feed: Feed) -> Failure:
    """Return the failure of a comparison without a stored package."""
    remedy = (
        "The next accepted delivery will be stored"
        if feed.keep_packages
        else "Set roster_upload_keep_packages to 1 or more and run site.yml. The next accepted "
        "delivery will be stored"
    )
    return Failure(Exit.SOURCE, f"the last accepted package of {feed.feed} is not kept. {remedy}")
