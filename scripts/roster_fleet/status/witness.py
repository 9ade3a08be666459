"""The head of each feed's receipts as the control node saw it last, and what has changed since.

A host can rewrite its receipts as it likes. It cannot change what is kept here.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import urllib.parse
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

from roster_upload.host import atomic
from roster_upload.records.chain import WHAT_TO_DO, break_text
from roster_upload.records.night import time_text
from roster_upload.records.parts import Break
from roster_upload.spec.checks import is_feed_name

from roster_fleet import report as reports
from roster_fleet.status.rows import Host, Problem

FOLDER_MODE = 0o700
SUFFIX = ".head.json"
LONGEST_RUN = dt.timedelta(hours=1)


class Code(StrEnum):
    """A way in which a feed's receipts differ from what was seen before."""

    REWRITTEN = "rewritten"  # the line that was seen last has another content
    SHORTENED = "shortened"  # there are fewer lines than before
    NOT_COMPARABLE = "not_comparable"  # the line that was seen last was pruned
    SILENT = "silent"  # the host no longer reports the head
    CHANGED = "changed"  # a line was changed by hand
    UNREADABLE = "unreadable"  # the head that is kept here
    ACCEPTED = "accepted"  # a line was changed by hand, and the operator has accepted that


RED = (Code.REWRITTEN, Code.SHORTENED, Code.NOT_COMPARABLE, Code.SILENT, Code.CHANGED)


@dataclass(frozen=True)
class Finding:
    """A difference, with a text for the operator."""

    code: Code
    text: str

    @property
    def state(self) -> str:
        """Return the state of its feed."""
        return "red" if self.code in RED else "amber"


@dataclass(frozen=True)
class Head:
    """The last line of a feed's receipts, as it was seen, and the breaks that are accepted."""

    lines: int
    digest: str
    seen: str
    breaks: frozenset[tuple[str, int]] = field(default_factory=frozenset)

    def to_json(self) -> dict[str, Any]:
        """Return the head as JSON values, in an order that does not change."""
        return {
            "lines": self.lines,
            "digest": self.digest,
            "seen": self.seen,
            "breaks": [list(one) for one in sorted(self.breaks)],
        }


def _entry(value: Any, where: str) -> tuple[str, int]:
    """Return a break by its code and its position."""
    code, position = value if isinstance(value, list) and len(value) == 2 else (None, None)
    return reports.word(code, where), reports.count(position, where)


KEPT = reports.table(
    {
        "lines": reports.count,
        "digest": reports.empty_or(reports.digest),
        "seen": reports.moment,
        "breaks": reports.maybe(reports.several(_entry), []),
    }
)


class Witness:
    """The heads of all feeds, one file each: `HOST/FEED.head.json`.

    They are beside the receipts of decommissioned districts. None is ever removed.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, host: str, feed: str) -> Path:
        """Return the file of a feed's head."""
        return self.folder / urllib.parse.quote(host, safe="") / f"{feed}{SUFFIX}"

    def head(self, host: str, feed: str) -> Head | None:
        """Return the head of a feed, or None if it was never seen. Raise ValueError."""
        path = self.path(host, feed)
        try:
            kept = KEPT(reports.loaded(path.read_text("utf-8")), "")
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise ValueError(f"{path} cannot be read: {error}") from None
        return Head(kept["lines"], kept["digest"], kept["seen"], frozenset(kept["breaks"]))

    def positions(self, host: str, feeds: Collection[str]) -> dict[str, int]:
        """Return the position of the last line that was seen of each feed."""
        found = {}
        for feed in filter(is_feed_name, feeds):
            with contextlib.suppress(ValueError):  # `look` tells it
                if head := self.head(host, feed):
                    found[feed] = head.lines
        return found

    def look_at_all(
        self, hosts: Sequence[Host], now: str, accepted: Collection[str], *, is_check: bool
    ) -> tuple[list[Host], list[dict[str, str]]]:
        """Return the hosts with all findings, and the findings' codes. Keep the new heads.

        `accepted` has `HOST/FEED` for each feed whose receipts the operator accepts as they are.
        """
        seen, codes = [], []
        for host in hosts:
            own = [
                e.removeprefix(f"{host.name}/") for e in accepted if e.startswith(f"{host.name}/")
            ]
            found = self.look(host, now, own, is_check=is_check)
            seen.append(seen_by(host, found))
            codes += [
                {"host": host.name, "feed": feed, "code": one.code.value}
                for feed, findings in found.items() for one in findings
            ]  # fmt: skip
        return seen, codes

    def look(
        self, host: Host, now: str, accepted: Collection[str] = (), *, is_check: bool = False
    ) -> dict[str, list[Finding]]:
        """Return the findings of each planned feed of a host, and keep the new heads.

        `accepted` names feeds whose receipts the operator accepts as they are. Without a report of
        this run there is nothing to compare. A feed that the inventory does not give the host has
        no head, so that no host can fill this folder.
        """
        if not host.report or host.trouble:
            return {}
        told = {feed["feed"]: feed for feed in host.report["feeds"]}
        found = {}
        for name in filter(is_feed_name, host.planned or ()):
            judgement = self._judge(host, name, told.get(name), now, name in accepted)
            findings = [*judgement.findings]
            try:
                if judgement.head and not is_check:
                    self._keep(host.name, name, judgement.head)
            except OSError as error:
                text = f"its last receipt line cannot be saved: {error}"
                findings.append(Finding(Code.UNREADABLE, text))
            found[name] = findings
        return found

    def _judge(
        self, host: Host, name: str, feed: Mapping[str, Any] | None, now: str, is_accepted: bool
    ) -> Judgement:
        """Return the findings about a feed, and its head to keep."""
        try:
            before, trouble = self.head(host.name, name), []
        except ValueError as error:
            before = None
            trouble = [
                Finding(Code.UNREADABLE, f"{error}. Nothing was compared. This run begins anew")
            ]
        asked = (host.report or {}).get("asked") or ""
        if before and asked and asked <= before.seen <= _soon(now) and not is_accepted:
            return Judgement()  # another run has looked meanwhile
        found = judge(feed or NO_RECEIPTS, before, now, is_accepted=is_accepted)
        return replace(found, findings=[*trouble, *found.findings])

    def _keep(self, host: str, feed: str, head: Head) -> None:
        """Save the head of a feed. Raise OSError."""
        path = self.path(host, feed)
        path.parent.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
        atomic.replace(path, (json.dumps(head.to_json(), indent=2) + "\n").encode(), lasting=False)

    def put_aside(self, host: str, feed: str, day: str) -> None:
        """Add a date to the name of a decommissioned feed's head. Raise OSError.

        The feed can come back with new receipts.
        """
        path = self.path(host, feed)
        with contextlib.suppress(FileNotFoundError):
            path.rename(path.with_name(f"{feed}-{day}{SUFFIX}"))

    def carry(self, old: str, new: str, feed: str) -> None:
        """Keep the head of a feed that moves to another host. Raise OSError or ValueError."""
        if head := self.head(old, feed):
            self._keep(new, feed, head)


def seen_by(host: Host, found: Mapping[str, Sequence[Finding]]) -> Host:
    """Return a host with the findings about its feeds."""
    problems = {
        feed: [Problem(one.state, one.text) for one in findings] for feed, findings in found.items()
    }
    return replace(host, witnessed=problems)


def not_reported(accepted: Collection[str], hosts: Collection[Host]) -> str:
    """Return which accepted feeds have no report of this run, as an error, or an empty text."""
    asked = [host for host in hosts if host.report and not host.trouble]
    known = {f"{host.name}/{feed}" for host in asked for feed in host.planned or ()}
    wrong = [entry for entry in accepted if entry not in known]
    if not wrong:
        return ""
    return (
        f"roster_status_accept names {', '.join(wrong)}, but this run has no report of it. Write "
        "HOST/FEED: a host of this run that answers, and a feed that the inventory gives it"
    )


# Of a planned feed that the report lacks.
NO_RECEIPTS = {"chain": None, "fault": "", "trouble": ""}


@dataclass(frozen=True)
class Judgement:
    """The findings about a feed's receipts, and the head to keep, or None to keep the old one."""

    findings: Sequence[Finding] = ()
    head: Head | None = None


def judge(
    feed: Mapping[str, Any], before: Head | None, now: str, *, is_accepted: bool = False
) -> Judgement:
    """Return the findings about a feed of a report, compared with the head that was seen before.

    `is_accepted` says that the operator accepts the receipts as they are.
    """
    chain = feed["chain"]
    if not chain:  # of an older release, or of receipts that cannot be read
        if not before or not before.lines or feed["fault"] or feed["trouble"]:
            return Judgement()
        return Judgement([], Head(0, "", now)) if is_accepted else Judgement([_silent(before)])
    new = Head(chain["lines"], chain["digest"], now, _breaks(chain))
    if is_accepted or not before:
        # Breaks of the chain that are older than the first look are amber, as before.
        known = new.breaks if is_accepted else _links(new.breaks)
        new = Head(new.lines, new.digest, now, known)
        return Judgement([*_changes(chain, known)], new)
    found = [*_difference(chain, before), *_changes(chain, before.breaks)]
    if any(one.state == "red" for one in found):
        return Judgement(found)
    kept = before.breaks & new.breaks
    same = (before.lines, before.digest, before.breaks) == (new.lines, new.digest, kept)
    return Judgement(found, None if same else Head(new.lines, new.digest, now, kept))


def _soon(now: str) -> str:
    """Return the latest time of another run. A later head comes from a clock that was ahead."""
    return reports.stamp(dt.datetime.fromisoformat(now) + LONGEST_RUN)


def _breaks(chain: Mapping[str, Any]) -> frozenset[tuple[str, int]]:
    return frozenset((one["code"], one["position"]) for one in chain["breaks"])


def _links(breaks: Collection[tuple[str, int]]) -> frozenset[tuple[str, int]]:
    return frozenset(one for one in breaks if one[0] == "link")


def _silent(before: Head) -> Finding:
    text = f"the host no longer reports its last receipt line, as it did {_when(before)}"
    return Finding(Code.SILENT, f"{text}. {WHAT_TO_DO}")


def _when(before: Head) -> str:
    return time_text(before.seen)


def _difference(chain: Mapping[str, Any], before: Head) -> Iterator[Finding]:
    """Yield how the receipts differ from the head that was seen before."""
    if not before.lines:
        return
    there, seen = chain["digest_there"], f"receipt line {before.lines:,}, seen {_when(before)},"
    if chain["lines"] < before.lines:
        text = f"history was rewritten: {seen} is missing. The host has {chain['lines']:,}"
        yield Finding(Code.SHORTENED, f"{text}. {WHAT_TO_DO}")
    elif chain["position"] != before.lines:
        yield _silent(before)
    elif not there:
        text = f"its history cannot be compared: {seen} was pruned"
        yield Finding(Code.NOT_COMPARABLE, f"{text}. {WHAT_TO_DO}")
    elif not before.digest.startswith(there):
        text = f"history was rewritten: {seen} has another content"
        yield Finding(Code.REWRITTEN, f"{text}. {WHAT_TO_DO}")


def _changes(chain: Mapping[str, Any], accepted: Collection[tuple[str, int]]) -> Iterator[Finding]:
    """Yield each line that was changed by hand. Accepted breaks of the chain are the row's."""
    for one in chain["breaks"]:
        found = Break(code=one["code"], position=one["position"], night=one["night"])
        text = f"its receipts were changed by hand: {break_text(found, one['line'])}"
        if (found.code, found.position) not in accepted:
            yield Finding(Code.CHANGED, f"{text}. {WHAT_TO_DO}")
        elif found.code != "link":
            yield Finding(Code.ACCEPTED, f"{text}. This was accepted")
