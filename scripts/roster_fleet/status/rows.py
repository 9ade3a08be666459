"""The state of every feed of the fleet: red, amber or green, with the reasons."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from rich.filesize import decimal
from roster_upload import __version__, version
from roster_upload.host.sealing import Seal
from roster_upload.records.night import night_name, time_text
from roster_upload.records.night_result import Verdict, verdict
from roster_upload.records.receipt import Receipt
from roster_upload.records.summary import cautions
from roster_upload.spec import spec

from roster_fleet import commands
from roster_fleet import report as reports
from roster_fleet.report import Night

CREDENTIAL_WARNING_DAYS: int = spec("host")["credential_warning_days"]
SKEW_SECONDS = 60
LOW_FREE_BYTES: int = spec("host")["low_free_bytes"]
LONGEST_CALENDAR = 1100  # nights: three years
UNITS_SHOWN = 5
HOSTS_SHOWN = 5
# The worst first. New waits for its first night. A feed that is no longer configured is off.
STATES = ("red", "amber", "new", "green", "off")
MARKS = {"red": "✗", "amber": "!", "new": "○", "green": "✓", "off": "–"}


class Outcome(NamedTuple):
    """A possible outcome of a night: its letter in a history, its state, its name."""

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
    """A reason why a feed is not green."""

    state: str
    text: str


@dataclass(frozen=True)
class Host:
    """A host with its report, from this run or an earlier one, and its problem."""

    name: str
    report: Mapping[str, Any] | None  # None if there was never one
    seen: str  # the time of the report, or empty
    trouble: Problem | None = None  # why this run has no report
    maximum_days: int = 365  # of its credentials
    planned: Collection[str] | None = None  # its feeds by the inventory, None if unknown
    # Of each feed: how its receipts differ from those that were seen before.
    witnessed: Mapping[str, Sequence[Problem]] = field(default_factory=dict)


@dataclass(frozen=True)
class Row:
    """A feed as a row of the table. `nights` has no gaps, and the newest comes last."""

    host: Host
    feed: Mapping[str, Any]
    nights: Sequence[Night] = ()
    problems: Sequence[Problem] = ()
    credential_days: int | None = None
    command: str = ""  # to approve the held export

    @property
    def name(self) -> str:
        """Return the district's name, or the host's if it is unknown."""
        return self.feed.get("district") or self.host.name

    @property
    def state(self) -> str:
        """Return the state of its worst problem."""
        return min((p.state for p in self.problems), key=STATES.index, default="green")

    @property
    def outcome(self) -> str:
        """Return the name of the last night's outcome."""
        return OUTCOMES[self.nights[-1].outcome].word if self.nights else ""

    @property
    def next_start(self) -> str:
        """Return the next planned start, or an empty text."""
        return str((self.feed.get("starts") or {}).get("roster-upload", ""))

    @property
    def newest(self) -> Night | None:
        """Return the last night whose export was read."""
        return next((n for n in reversed(self.nights) if n.bytes is not None), None)


# ---- from reports to rows ------------------------------------------------------------------------


def moment(text: str) -> dt.datetime:
    """Return a time of a report."""
    return dt.datetime.fromisoformat(text)


def last_deadline(feed: Mapping[str, Any], now: dt.datetime) -> dt.datetime:
    """Return the feed's last deadline before `now`."""
    hour, minute = map(int, (feed["deadline"] or "09:00").split(":"))
    deadline = now.replace(hour=hour, minute=minute, second=0, microsecond=0)
    return deadline - dt.timedelta(days=deadline > now)


def _is_new(feed: Mapping[str, Any], due: dt.datetime) -> bool:
    """Return whether a feed was configured too late for the night that ended at `due`."""
    hour, minute = map(int, (feed["window_start"] or feed["deadline"] or "09:00").split(":"))
    opened = due.replace(hour=hour, minute=minute)
    opened -= dt.timedelta(days=opened > due)
    return moment(feed["configured"]) > opened


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
    """Return the problems of the last night."""
    if not nights:
        if not _is_new(feed, due):
            return [Problem("red", "nothing was ever delivered")]
        first = night_name((due + dt.timedelta(days=1)).date().isoformat())
        return [Problem("new", f"waits for its first night, {first}")]
    last, newest = nights[-1], feed.get("last") or {}
    if OUTCOMES[last.outcome].state == "green":
        is_later = newest.get("night") == last.night and newest.get("outcome") != last.outcome
        text = f"sent, but a later try was not: {newest.get('message')}"
        return [Problem("amber", text)] if is_later else []
    if last.outcome == "late":
        return [Problem("amber", f"sent {-(last.minutes or 0)} min past the deadline")]
    if last.outcome == "missed":
        watch = feed.get("watch") or {}
        why = watch["message"] if watch.get("night") == last.night else "no delivery was tried"
        return [Problem("red", f"missed {night_name(last.night)}: {why}")]
    text = str(newest.get("message") or last.outcome)
    return [Problem("red", text.removeprefix(f"{feed.get('district')}: "))]


def _rehearsal(feed: Mapping[str, Any]) -> Iterator[Problem]:
    """Yield the problem of a failed rehearsal, unless a delivery succeeded since."""
    rehearsal, sent = feed.get("rehearsal"), feed.get("last_sent")
    if rehearsal and rehearsal["exit_code"] and rehearsal["outcome"] != "skipped":
        if sent and sent["finished"] > rehearsal["finished"]:
            return
        last = feed.get("last")
        if not last or last["finished"] < rehearsal["finished"]:
            yield Problem("amber", f"the rehearsal {rehearsal['outcome']}: {rehearsal['message']}")


def _credential(feed: Mapping[str, Any], days: int | None, maximum: int) -> Iterator[Problem]:
    """Yield the problem of the login at the vendor."""
    if days is None:
        yield Problem("amber", "has no credential on the host")
    else:
        yield from _age(f"its {feed.get('auth', 'credential')}", days, maximum)


def _age(what: str, days: int, maximum: int) -> Iterator[Problem]:
    """Yield the problem of a credential's age."""
    if days < -1:  # a smaller difference can come from two clocks
        text = f"{what} was written ahead of the clock, so its age is not known"
        yield Problem("amber", text)
    elif days > maximum:
        yield Problem("amber", f"{what} is {days} days old, {maximum} are allowed")
    elif days > maximum - CREDENTIAL_WARNING_DAYS:
        yield Problem("amber", f"{what} is too old in {maximum - days + 1} days")


def seals(feed: Mapping[str, Any]) -> list[Seal]:
    """Return what seals a feed's secrets on its host."""
    return [Seal.named(entry["key"], entry["pcrs"]) for entry in feed.get("sealed") or ()]


def _sealing(feed: Mapping[str, Any]) -> Iterator[Problem]:
    """Yield the problem of secrets that a change of the host's firmware would lock."""
    for seal in seals(feed):
        if seal.changing_pcrs:
            yield Problem("amber", f"its secrets are sealed by {seal.text}. An update of Secure "
                                   "Boot would lock them. Run site.yml")  # fmt: skip


def _machine(host: Host, report: Mapping[str, Any]) -> Iterator[Problem]:
    """Yield the problems of the host itself."""
    # Reports of older releases do not have the time at which the host was asked.
    asked = report["asked"] or host.seen
    skew = abs((moment(report["time"] or host.seen) - moment(asked)).total_seconds())
    if skew > SKEW_SECONDS:
        yield Problem("amber", f"the host's clock is {skew / 60:.0f} min off")
    if report["clock_synced"] is False:
        yield Problem("amber", "the host's clock is not synchronised. Run `chronyc tracking` there")
    free = report["free_bytes"]
    if free is not None and free < LOW_FREE_BYTES:
        yield Problem("amber", f"the host has {decimal(free)} left on its disk")
    program = report["program"]
    if program and reports.release_of(program) != __version__:
        yield Problem("amber", reports.other_release(program))
    if failed := report["failed_units"]:
        more = len(failed) - UNITS_SHOWN
        names = ", ".join(failed[:UNITS_SHOWN]) + (f" and {more:,} more" if more > 0 else "")
        yield Problem("amber", f"failed on the host: {names}. Run `systemctl --failed` there")


def other_builds(rows: Sequence[Row]) -> str:
    """Return which hosts run another build of this release, or an empty text."""
    own = version()
    found = {row.host.name: str((row.host.report or {}).get("program") or "") for row in rows}
    others = [f"{host} ({program})" for host, program in found.items()
              if program != own and reports.release_of(program) == __version__]  # fmt: skip
    if not others:
        return ""
    more = len(others) - HOSTS_SHOWN
    names = ", ".join(others[:HOSTS_SHOWN]) + (f" and {more:,} more" if more > 0 else "")
    return f"Not the program of this checkout ({own}): {names}. site.yml installs it"


def _by_hand(
    feed: Mapping[str, Any], nights: Sequence[Night], problems: list[Problem]
) -> list[Problem]:
    """Return the problems of the last night, with manual deliveries since then."""
    last = feed.get("last")
    if not last or not last.get("night") or (nights and last["night"] <= nights[-1].night):
        return problems
    when = time_text(last["finished"], feed["time_zone"])
    if last["outcome"] == "sent":
        if any(problem.state == "new" for problem in problems):
            return [Problem("green", f"was sent by hand, {when}, and {problems[0].text}")]
        texts = [problem.text for problem in problems] if nights else ["no night yet"]
        return [Problem("amber", f"{text}, but sent by hand since, {when}") for text in texts]
    if OUTCOMES.get(last["outcome"], OUTCOMES["failed"]).state == "green":
        return problems
    text = f"{last['outcome']} by hand, {when}: {last.get('message')}"
    return [Problem("red", text), *(problems if nights else [])]


def row(host: Host, report: Mapping[str, Any], feed: Mapping[str, Any], inventory: str) -> Row:
    """Return the row of a host's feed, as of its report's time."""
    now = moment(report["time"] or host.seen)
    listed, ahead = _until(feed["nights"], now)
    witnessed = host.witnessed.get(feed["feed"], ())
    problems = [*([host.trouble] if host.trouble else []), *witnessed]
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
    if feed["broken_at"] and all(problem.state != "red" for problem in witnessed):
        problems.append(Problem("amber", f"its receipts were changed by hand, line "
                                         f"{feed['broken_at']}"))  # fmt: skip
    problems += _credential(feed, days, host.maximum_days)
    if written := feed["source_credential"]:
        age = (now - moment(written)).days
        problems += _age("its credential for the SIS's server", age, host.maximum_days)
    problems += _sealing(feed)
    problems += _machine(host, report)
    problems.sort(key=lambda problem: STATES.index(problem.state))
    return Row(host, feed, nights, problems, days, approval(host, feed, inventory))


def _until(listed: Sequence[Sequence[Any]], now: dt.datetime) -> tuple[list[Sequence[Any]], int]:
    """Return the nights up to `now`, and the number of nights after it."""
    tomorrow = (now + dt.timedelta(days=1)).date().isoformat()
    seen = [entry for entry in listed if entry[0] <= tomorrow]
    return seen, len(listed) - len(seen)


def _plan(host: Host, feed: Mapping[str, Any], ahead: int) -> Iterator[Problem]:
    """Yield the problems of the feed's plan, and the cautions of its last delivery."""
    is_planned = host.planned is None or feed["feed"] in host.planned
    if not is_planned:
        yield Problem("amber", "the inventory gives the host no feed of this name. Run site.yml")
    named = {**(feed["cautions"] or {}), "feed": feed["feed"] if is_planned else "FEED"}
    for text in cautions(Receipt.parse(named)):
        yield Problem("amber", text)
    if feed["starts"] is not None and not feed["starts"].get("roster-upload"):
        yield Problem("amber", "no delivery is planned")
    if ahead:
        yield Problem("amber", f"receipts of {ahead:,} nights lie ahead of the host's clock")


def approval(host: Host, feed: Mapping[str, Any], inventory: str) -> str:
    """Return the command that approves a feed's held export.

    It is empty if no export is held, or if the inventory does not name the feed.
    """
    held = feed["held"]
    if not held or feed["feed"] not in (host.planned or ()):
        return ""
    values = {
        "roster_feed": feed["feed"],
        "approve_digest": held["digest"],
        "approve_reason": "...",
    }
    return commands.playbook("approve", host.name, inventory, **values)


def _gone(host: Host, report: Mapping[str, Any]) -> Iterator[Row]:
    """Yield a row for each feed that was seen before, and that the host does not tell any more."""
    told = {feed["feed"] for feed in report["feeds"]}
    for name, problems in host.witnessed.items():
        if problems and name not in told:
            yield Row(host, {"feed": name}, problems=problems)


def build_rows(hosts: Sequence[Host], inventory: str) -> list[Row]:
    """Return a row for every feed of all hosts, the worst first, then by district."""
    found = []
    for host in hosts:
        if host.report and host.report["feeds"]:
            found += [row(host, host.report, feed, inventory) for feed in host.report["feeds"]]
            found += _gone(host, host.report)
        else:
            # Only the inventory decides this, since a host can claim anything.
            is_planned = host.report is not None and not host.report["time"] and not host.planned
            none = (
                Problem("off", "has no feed, by plan")
                if is_planned
                else Problem("amber", "the host has no feed. Run site.yml")
            )
            found.append(Row(host, {}, problems=[host.trouble or none]))
            found += _gone(host, host.report or {"feeds": ()})
    return sorted(found, key=lambda r: (STATES.index(r.state), r.name.casefold(), r.host.name))
