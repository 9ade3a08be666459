"""The last report of each host, also of those that are unreachable now."""

from __future__ import annotations

import json
import urllib.parse
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from roster_upload.host import atomic
from roster_upload.records.night import time_text
from roster_upload.terminal.printable import printable

from roster_fleet import report as reports
from roster_fleet import unreachable
from roster_fleet.report import LONGEST_MESSAGE, UnfitError, loaded, parsed
from roster_fleet.status.rows import Host, Problem

CACHE_MODE = 0o700
NO_PROGRAM, OTHER_RELEASE = "no_program", "other_release"  # problems of `roster_report`

CACHED = reports.table(
    {
        "seen": reports.moment,
        "maximum_days": reports.whole,
        "planned": reports.maybe(reports.several(reports.feed_name)),
        "report": lambda value, _: value,
    }
)


class Cache:
    """The last report of each host, one file each. It is shown while the host is unreachable."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def _path(self, host: str) -> Path:
        return self.folder / f"{urllib.parse.quote(host, safe='')}.json"

    def load(self, name: str) -> Host:
        """Return a host with its last report. Without a usable file, it was never seen."""
        try:
            kept = CACHED(loaded(self._path(name).read_text("utf-8")), "")
            return Host(name, parsed(kept.pop("report")), **kept)
        except (OSError, ValueError):
            return Host(name, None, "")

    def keep(self, hosts: Sequence[Host]) -> list[str]:
        """Save the reports of this run. Return the failures."""
        try:
            self.folder.mkdir(mode=CACHE_MODE, parents=True, exist_ok=True)
            self.folder.chmod(CACHE_MODE)
        except OSError as error:
            return [f"the reports cannot be saved: {error}"]
        return [trouble for host in hosts for trouble in self._keep(host)]

    def _keep(self, host: Host) -> Iterator[str]:
        """Save a host's report if it fits the schema. Yield the failure."""
        if not host.report or host.trouble or any(feed["fault"] for feed in host.report["feeds"]):
            return
        kept = {
            "seen": host.seen,
            "maximum_days": host.maximum_days,
            "planned": None if host.planned is None else [*host.planned],
            "report": host.report,
        }
        text = json.dumps(kept, ensure_ascii=False, separators=(",", ":"))
        try:
            atomic.replace(self._path(host.name), text.encode(), lasting=False)
        except OSError as error:
            yield f"the report of {host.name} cannot be saved: {error}"


def host(
    name: str,
    result: Mapping[str, Any] | None,
    cache: Cache,
    now: str,
    maximum_days: int = 365,
    planned: Collection[str] | None = None,
) -> Host:
    """Return a host by the result that Ansible registered. None: it was not asked in this run."""
    trouble = Problem("amber", "was not asked in this run")
    if result:
        try:
            if isinstance(source := result.get("report"), str):
                # The host's own word on when it was asked counts for nothing.
                report = parsed(loaded(source)) | {"asked": result.get("asked") or ""}
                return Host(name, report, now, None, maximum_days, planned)
            trouble = Problem("red", _reason(result))
        except UnfitError as error:
            trouble = Problem("red", f"report not understood: {error}")
    last = cache.load(name)
    since = f"last seen {time_text(last.seen)}" if last.seen else "never seen"
    return replace(last, trouble=trouble._replace(text=f"{trouble.text} ({since})"))


def _reason(result: Mapping[str, Any]) -> str:
    """Return why a host gave no report."""
    lines = [line.strip() for line in str(result.get("msg", "")).splitlines() if line.strip()]
    if result.get("problem") in (NO_PROGRAM, OTHER_RELEASE):
        return printable(" ".join(lines), LONGEST_MESSAGE)
    if not result.get("unreachable"):
        reason = printable(" ".join(lines), LONGEST_MESSAGE)
        return f"could not be read: {reason or 'no reason is known'}"
    reason = unreachable.reason(str(result.get("msg", "")))
    return f"unreachable: {reason or 'no reason is known'}"
