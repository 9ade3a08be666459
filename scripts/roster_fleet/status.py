"""What became of every feed of the fleet: red, amber or green, why, and since when."""

from __future__ import annotations

import datetime as dt
import io
import json
import re
import urllib.parse
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from rich import box
from rich.console import Console
from rich.filesize import decimal
from rich.table import Table
from rich.text import Text
from roster_upload import __version__
from roster_upload.host import atomic
from roster_upload.records.night_result import Verdict, verdict
from roster_upload.records.receipt import Receipt
from roster_upload.records.summary import cautions
from roster_upload.spec import spec
from roster_upload.terminal.printable import printable

from roster_fleet import commands
from roster_fleet import report as reports
from roster_fleet.report import LONGEST_MESSAGE, Night, UnfitError, loaded, parsed

CREDENTIAL_WARNING_DAYS: int = spec("host")["credential_warning_days"]
SKEW_SECONDS = 60
LOW_FREE_BYTES: int = spec("host")["low_free_bytes"]
LONGEST_CALENDAR = 1100  # nights: three years
UNITS_SHOWN = 5
CACHE_MODE = 0o700
NO_PROGRAM, OTHER_RELEASE = "no_program", "other_release"  # problems of `roster_report`
STATES = ("red", "amber", "green", "off")  # the worst first; off: delivers nothing any more
MARKS = {"red": "✗", "amber": "!", "green": "✓", "off": "–"}


class Outcome(NamedTuple):
    """What a night can come to: its letter in a history, its state, its name."""

    letter: str
    state: str
    word: str


OUTCOMES: Mapping[str, Outcome] = {
    Verdict.SENT: Outcome("s", "green", "sent"),
    Verdict.SKIPPED: Outcome("k", "green", "skipped"),
    Verdict.LATE: Outcome("l", "amber", "sent late"),
    Verdict.HELD: Outcome("h", "red", "held"),
    Verdict.REFUSED: Outcome("r", "red", "refused"),
    Verdict.STALE: Outcome("t", "red", "stale"),
    Verdict.FAILED: Outcome("f", "red", "failed"),
    Verdict.MISSED: Outcome("m", "red", "missed"),
}


class Problem(NamedTuple):
    """Something that keeps a feed from being green."""

    state: str
    text: str


@dataclass(frozen=True)
class Host:
    """What is known of a host: its report, from this run or an earlier one, and what is wrong."""

    name: str
    report: Mapping[str, Any] | None  # None: nothing was ever collected
    seen: str  # when the report was collected; empty without one
    trouble: Problem | None = None  # why the report is none of this run
    maximum_days: int = 365  # of its credentials
    planned: Collection[str] | None = None  # its feeds by the inventory; None: not known


@dataclass(frozen=True)
class Row:
    """A feed as it is shown; `nights` has no gaps, and the last one comes last."""

    host: Host
    feed: Mapping[str, Any]
    nights: Sequence[Night] = ()
    problems: Sequence[Problem] = ()
    credential_days: int | None = None
    command: str = ""  # that lets the held export through

    @property
    def name(self) -> str:
        """The district's name, or the host's where the district's is not known."""
        return self.feed.get("district") or self.host.name

    @property
    def state(self) -> str:
        """The worst of its problems'."""
        return min((p.state for p in self.problems), key=STATES.index, default="green")

    @property
    def outcome(self) -> str:
        """The last night's word."""
        return OUTCOMES[self.nights[-1].outcome].word if self.nights else ""

    @property
    def next_start(self) -> str:
        """When it is delivered next; empty where nothing is planned."""
        return str((self.feed.get("starts") or {}).get("roster-upload", ""))

    @property
    def newest(self) -> Night | None:
        """The last night whose export was read."""
        return next((n for n in reversed(self.nights) if n.bytes is not None), None)


# ---- from reports to rows ------------------------------------------------------------------------


def moment(text: str) -> dt.datetime:
    """A moment of a report."""
    return dt.datetime.fromisoformat(text)


def last_deadline(feed: Mapping[str, Any], now: dt.datetime) -> dt.datetime:
    """The feed's last deadline that is past."""
    hour, minute = map(int, (feed["deadline"] or "09:00").split(":"))
    deadline = now.replace(hour=hour, minute=minute, second=0, microsecond=0)
    return deadline - dt.timedelta(days=deadline > now)


def calendar(listed: Sequence[Sequence[Any]], due: str) -> list[Night]:
    """Return every night from the first in the list to the last, which is `due` or later.

    A night without a receipt was missed. One that was sent past its deadline is late.
    """
    known = {entry[0]: Night(*entry) for entry in listed}
    if not known:
        return []
    first, last = _ordinal(min(known)), _ordinal(max(*known, due))
    found = []
    for day in range(max(first, last - LONGEST_CALENDAR + 1), last + 1):
        name = dt.date.fromordinal(day).isoformat()
        night = known.get(name) or Night(name, Verdict.MISSED)
        found.append(night._replace(outcome=verdict(night.outcome, night.minutes)))
    return found


def _ordinal(date: str) -> int:
    return dt.date.fromisoformat(date).toordinal()


def _delivery(feed: Mapping[str, Any], nights: Sequence[Night], due: dt.datetime) -> list[Problem]:
    """What is wrong with the last night."""
    if not nights:
        is_new = moment(feed["configured"]) > due
        return [Problem("amber", "waits for its first night") if is_new else
                Problem("red", "nothing was ever delivered")]  # fmt: skip
    last, told = nights[-1], feed.get("last") or {}
    if OUTCOMES[last.outcome].state == "green":
        is_later = told.get("night") == last.night and told.get("outcome") != last.outcome
        text = f"sent, but a later try was not: {told.get('message')}"
        return [Problem("amber", text)] if is_later else []
    if last.outcome == "late":
        return [Problem("amber", f"sent {-(last.minutes or 0)} min past the deadline")]
    if last.outcome == "missed":
        watch = feed.get("watch") or {}
        why = watch["message"] if watch.get("night") == last.night else "no delivery was tried"
        return [Problem("red", f"missed the night of {last.night}: {why}")]
    text = str(told.get("message") or last.outcome)
    return [Problem("red", text.removeprefix(f"{feed.get('district')}: "))]


def _rehearsal(feed: Mapping[str, Any]) -> Iterator[Problem]:
    """A rehearsal that failed, unless something was sent since."""
    rehearsal, sent = feed.get("rehearsal"), feed.get("last_sent")
    if rehearsal and rehearsal["exit_code"] and rehearsal["outcome"] != "skipped":
        if sent and sent["finished"] > rehearsal["finished"]:
            return
        last = feed.get("last")
        if not last or last["finished"] < rehearsal["finished"]:
            yield Problem("amber", f"the rehearsal {rehearsal['outcome']}: {rehearsal['message']}")


def _credential(feed: Mapping[str, Any], days: int | None, maximum: int) -> Iterator[Problem]:
    if days is None:
        yield Problem("amber", "has no credential on the host")
    elif days < -1:  # what is less can be two clocks that differ
        yield Problem("amber", f"its {feed.get('auth', 'credential')} was written ahead of the "
                               "clock, so its age is not known")  # fmt: skip
    elif days > maximum:
        yield Problem("amber", f"its {feed.get('auth', 'credential')} is {days} days old, "
                               f"{maximum} are allowed")  # fmt: skip
    elif days > maximum - CREDENTIAL_WARNING_DAYS:
        yield Problem("amber", f"its {feed.get('auth', 'credential')} is too old in "
                               f"{maximum - days + 1} days")  # fmt: skip


def _machine(host: Host, report: Mapping[str, Any]) -> Iterator[Problem]:
    """What is wrong with the host itself; the clock is only compared at once."""
    # An older host's report does not say when it was asked for.
    asked = report["asked"] or host.seen
    skew = abs((moment(report["time"] or host.seen) - moment(asked)).total_seconds())
    if skew > SKEW_SECONDS:
        yield Problem("amber", f"the host's clock is {skew / 60:.0f} min off")
    if report["clock_synced"] is False:
        yield Problem("amber", "the host's clock is not synchronised; see chronyc tracking")
    free = report["free_bytes"]
    if free is not None and free < LOW_FREE_BYTES:
        yield Problem("amber", f"the host has {decimal(free)} left on its disk")
    program = report["program"]
    if program and program != __version__:
        yield Problem("amber", reports.other_release(program))
    if failed := report["failed_units"]:
        more = len(failed) - UNITS_SHOWN
        names = ", ".join(failed[:UNITS_SHOWN]) + (f" and {more:,} more" if more > 0 else "")
        yield Problem("amber", f"failed on the host: {names}; see systemctl status")


def _by_hand(
    feed: Mapping[str, Any], nights: Sequence[Night], problems: list[Problem]
) -> list[Problem]:
    """What is wrong with the last night, given what somebody has tried by day since then."""
    last = feed.get("last")
    if not last or not last.get("night") or (nights and last["night"] <= nights[-1].night):
        return problems
    when = f"{last['finished'].replace('T', ' ')[:16]} UTC"
    if last["outcome"] == "sent":
        texts = [problem.text for problem in problems] if nights else ["no night yet"]
        return [Problem("amber", f"{text}; sent by hand since, {when}") for text in texts]
    if OUTCOMES.get(last["outcome"], OUTCOMES["failed"]).state == "green":
        return problems
    text = f"{last['outcome']} by hand, {when}: {last.get('message')}"
    return [Problem("red", text), *(problems if nights else [])]


def row(host: Host, report: Mapping[str, Any], feed: Mapping[str, Any], inventory: str) -> Row:
    """A feed of a host as it is shown, as of its report's time."""
    now = moment(report["time"] or host.seen)
    listed, ahead = _until(feed["nights"], now)
    problems = [host.trouble] if host.trouble else []
    if feed["fault"]:
        text = f"report not understood: {feed['fault']}"
        return Row(host, feed, problems=[*problems, Problem("red", text)])
    if not feed["configured"]:
        nights = calendar(listed, "")
        return Row(host, feed, nights, [*problems, Problem("off", "is not delivered any more")])
    due = last_deadline(feed, now)
    nights = calendar(listed, due.date().isoformat())
    changed = feed["credential"]
    days = (now - moment(changed)).days if changed else None
    if feed["trouble"]:
        problems.append(Problem("red", feed["trouble"]))
    problems += _by_hand(feed, nights, _delivery(feed, nights, due))
    problems += _plan(host, feed, ahead)
    problems += _rehearsal(feed)
    if feed["broken_at"]:
        problems.append(Problem("amber", f"its receipts were changed by hand, line "
                                         f"{feed['broken_at']}"))  # fmt: skip
    problems += _credential(feed, days, host.maximum_days)
    problems += _machine(host, report)
    problems.sort(key=lambda problem: STATES.index(problem.state))
    return Row(host, feed, nights, problems, days, approval(host, feed, inventory))


def _until(listed: Sequence[Sequence[Any]], now: dt.datetime) -> tuple[list[Sequence[Any]], int]:
    """The nights that a clock can have seen, and how many lie ahead of it."""
    tomorrow = (now + dt.timedelta(days=1)).date().isoformat()
    seen = [entry for entry in listed if entry[0] <= tomorrow]
    return seen, len(listed) - len(seen)


def _plan(host: Host, feed: Mapping[str, Any], ahead: int) -> Iterator[Problem]:
    """What is to be looked at in the feed's plan, and in its last delivery that went well."""
    is_planned = host.planned is None or feed["feed"] in host.planned
    if not is_planned:
        yield Problem("amber", "the inventory gives the host no feed of this name; run site.yml")
    named = {**(feed["cautions"] or {}), "feed": feed["feed"] if is_planned else "FEED"}
    for text in cautions(Receipt.parse(named)):
        yield Problem("amber", text)
    if feed["starts"] is not None and not feed["starts"].get("roster-upload"):
        yield Problem("amber", "no delivery is planned")
    if ahead:
        yield Problem("amber", f"receipts of {ahead:,} nights lie ahead of the host's clock")


def approval(host: Host, feed: Mapping[str, Any], inventory: str) -> str:
    """Return the command that lets a feed's held export through.

    It is empty where none is held, or where the inventory does not name the feed.
    """
    held = feed["held"]
    if not held or feed["feed"] not in (host.planned or ()):
        return ""
    values = {"feed": feed["feed"], "digest": held["digest"], "why": "..."}
    return commands.playbook("approve", host.name, inventory, **values)


def rows(hosts: Sequence[Host], inventory: str) -> list[Row]:
    """All feeds of all hosts, the worst first, then by district."""
    found = []
    for host in hosts:
        if host.report and host.report["feeds"]:
            found += [row(host, host.report, feed, inventory) for feed in host.report["feeds"]]
        else:
            # Only the inventory decides that. A host may claim anything.
            is_planned = host.report is not None and not host.report["time"] and not host.planned
            none = (
                Problem("off", "has no feed, by plan")
                if is_planned
                else Problem("amber", "the host has no feed; run site.yml")
            )
            found.append(Row(host, {}, problems=[host.trouble or none]))
    return sorted(found, key=lambda r: (STATES.index(r.state), r.name.casefold(), r.host.name))


# ---- from what Ansible has registered to hosts, and what is kept of them -------------------------


CACHED = reports.table(
    {
        "seen": reports.moment,
        "maximum_days": reports.whole,
        "planned": reports.maybe(reports.several(reports.feed_name)),
        "report": lambda value, _: value,
    }
)


class Cache:
    """The last report of each host, a file each, so that an unreachable host's still shows."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def _path(self, host: str) -> Path:
        return self.folder / f"{urllib.parse.quote(host, safe='')}.json"

    def load(self, name: str) -> Host:
        """Return a host as it was seen last; without a usable file, one that never was."""
        try:
            kept = CACHED(loaded(self._path(name).read_text("utf-8")), "")
            return Host(name, parsed(kept.pop("report")), **kept)
        except (OSError, ValueError):
            return Host(name, None, "")

    def keep(self, hosts: Sequence[Host]) -> list[str]:
        """Keep the reports of this run, and return what could not be kept."""
        try:
            self.folder.mkdir(mode=CACHE_MODE, parents=True, exist_ok=True)
            self.folder.chmod(CACHE_MODE)
        except OSError as error:
            return [f"the reports cannot be kept: {error}"]
        return [trouble for host in hosts for trouble in self._keep(host)]

    def _keep(self, host: Host) -> Iterator[str]:
        """Keep a host's report if it was understood; yield why it could not be."""
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
            yield f"the report of {host.name} cannot be kept: {error}"


def host(
    name: str,
    result: Mapping[str, Any] | None,
    cache: Cache,
    now: str,
    maximum_days: int = 365,
    planned: Collection[str] | None = None,
) -> Host:
    """A host by what Ansible has registered of it; None where it was not asked in this run."""
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
    since = f"last seen {last.seen.replace('T', ' ')[:16]} UTC" if last.seen else "never seen"
    return replace(last, trouble=trouble._replace(text=f"{trouble.text} ({since})"))


def _reason(result: Mapping[str, Any]) -> str:
    """Why a host told nothing; of what ssh says, the reason comes last."""
    lines = [line.strip() for line in str(result.get("msg", "")).splitlines() if line.strip()]
    if result.get("problem") in (NO_PROGRAM, OTHER_RELEASE):
        return printable(" ".join(lines), LONGEST_MESSAGE)
    if not result.get("unreachable"):
        reason = printable(" ".join(lines), LONGEST_MESSAGE)
        return f"could not be read: {reason or 'no reason is known'}"
    last = lines[-1] if lines else ""
    reason = printable(re.sub(r".*\b(via|over) ssh: ", "", last, flags=re.IGNORECASE))
    return f"unreachable: {reason or 'no reason is known'}"


# ---- the terminal's table ------------------------------------------------------------------------

STYLES = {"red": "red", "amber": "yellow", "green": "green", "off": "dim"}


def table(listed: Sequence[Row], width: int, *, colours: bool) -> str:
    """The rows as a table of `width` columns, and a line that counts them."""
    shown = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    for title in ("", "District", "Feed", "Host", "Night", "Outcome"):
        shown.add_column(title, no_wrap=title in ("", "Night"), overflow="fold")
    for title in ("Students", "Size", "Cred."):
        shown.add_column(title, justify="right", no_wrap=True)
    shown.add_column("Next start", no_wrap=True)
    shown.add_column("Note", overflow="fold", ratio=1)
    for entry in listed:
        newest = entry.newest
        students = newest.students if newest else None
        days = entry.credential_days
        shown.add_row(
            Text(MARKS[entry.state], style=STYLES[entry.state]),
            Text(entry.name),
            Text(str(entry.feed.get("feed", ""))),
            Text(entry.host.name),
            entry.nights[-1].night[5:] if entry.nights else "",
            Text(entry.outcome, style=STYLES[entry.state]),
            f"{students:,}" if students is not None else "",
            decimal(newest.bytes) if newest and newest.bytes is not None else "",
            f"{days} d" if days is not None else "",
            entry.next_start.replace("T", " ")[5:16],
            Text("; ".join(problem.text for problem in entry.problems)),
        )
    out = Console(
        file=io.StringIO(), width=width, force_terminal=colours, no_color=not colours,
        color_system="standard" if colours else None,
    )  # fmt: skip
    out.print(shown)
    text: str = out.file.getvalue()  # type: ignore[attr-defined]
    lines = [line.rstrip() for line in text.splitlines()]
    return "\n".join([*lines, "", summary(listed)])


def summary(listed: Sequence[Row]) -> str:
    """How many are of which state: `1 red, 2 amber, 40 green`."""
    counts = {state: sum(entry.state == state for entry in listed) for state in STATES}
    return ", ".join(f"{count:,} {state}" for state, count in counts.items() if count) or "no feed"
