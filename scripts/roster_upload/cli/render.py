"""What people and machines are shown of receipts: the morning's line, tables, explanations.

Everything here is made of receipts, which hold nothing personal.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import io
import os
import shutil
import socket
import sys
import textwrap
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from roster_upload.config import Feed
from roster_upload.exits import MEANINGS, Exit
from roster_upload.host.account import read_plain
from roster_upload.records.evidence import HOW_TO_GO_ON, lines_text
from roster_upload.records.receipts import (
    GREEN,
    Receipt,
    export_sha256,
    feed_name,
    is_delivery,
    is_held,
    is_same,
    sent_file,
    sent_sha256,
    told_findings,
)
from roster_upload.spec import spec
from roster_upload.terminal.printable import LONGEST_MESSAGE, printable

LONGEST_PROGRESS = 64  # bytes
LOOK_SECONDS = 0.2  # between two looks at how far a transfer is
WIDTH = 120  # of what is not shown on a terminal
DIGEST_SHOWN = 16
OF_THE_EXPORT = (Exit.REFUSED, Exit.HELD)  # whose letters are about the SIS's own file
LONGEST_OUTCOME = 9  # in letters: rehearsed
BARS = "▁▂▃▄▅▆▇█"
TREND_NIGHTS = 14
STUDENTS = "users.student"
# Kinds of the morning's line, and their words; the first of each pair that a package has.
TOLD_KINDS = ((STUDENTS, "students"), ("users.teacher", "teachers"), ("classes", "classes"))


def epoch(text: str) -> float:
    """A moment (ISO 8601, UTC) in seconds since 1970."""
    return dt.datetime.fromisoformat(text).timestamp()


def seconds_left(receipt: Receipt) -> float | None:
    """What was left to the deadline when a delivery was over; below zero where it was late."""
    if receipt.get("deadline"):
        return epoch(receipt["deadline"]) - epoch(receipt["finished"])
    minutes = receipt.get("minutes_to_deadline")  # of version 1, at its start
    return None if minutes is None else minutes * 60.0


def next_step(receipt: Receipt) -> str:
    """What to do about a receipt's exit code, its feed and digest filled in."""
    return _step(receipt, receipt.get("exit_code"))


def _step(receipt: Receipt, code: int | None) -> str:
    """Return the step of an exit code, filled in; approvals are for the export's digest."""
    told: str = spec("explain").get(str(code), {}).get("do", "")
    names = {"FEED": feed_name(receipt), "SHA256": export_sha256(receipt)[:DIGEST_SHOWN]}
    for placeholder, value in names.items():
        told = told.replace(placeholder, value or placeholder)
    return told


def mountain(text: str) -> tuple[str, str]:
    """A moment (ISO 8601, UTC) as date and time in the vendor's Mountain time, or in UTC."""
    moment = dt.datetime.fromisoformat(text)
    try:
        return f"{moment.astimezone(ZoneInfo('America/Denver')):%Y-%m-%d %H:%M}", "Mountain"
    except ZoneInfoNotFoundError:
        return f"{moment:%Y-%m-%d %H:%M}", "UTC"


def _count(change: Mapping[str, int], word: str) -> str:
    return f"{change['now']:,} {word} (+{change['added']:,} −{change['removed']:,})"


def counts(receipt: Receipt) -> str:
    """What an export holds and how it differs: `12,481 students (+14 −3), 611 classes (+0 −1)`."""
    changes = receipt.get("changes", {})
    told = [_count(changes[kind], word) for kind, word in TOLD_KINDS if kind in changes]
    if not told:
        told = [f"{count:,} {name}" for name, count in receipt.get("rows", {}).items() if count]
    return ", ".join(told) or f"{sent_file(receipt).get('bytes', 0):,} bytes"


def morning(receipt: Receipt, before: Receipt | None, approval: Receipt | None = None) -> str:
    """One line for the morning: what the vendor has.

    `before` is the last accepted delivery, `approval` what lets a held one through.
    """
    district = receipt["district"]
    if receipt["outcome"] != "sent":
        has = f"the vendor has the roster of {before['night']}" if before else "the vendor has none"
        why = receipt["message"].removeprefix(f"{district}: ")
        if approval:
            why = f"it goes with the next start, since {approval['message']}"
        return f"{district}: {receipt['outcome']}, {has}: {why}"
    when, zone = mountain(receipt["finished"])
    told = f"{district}: sent {when[11:]} {zone}, {_margin(receipt)}: {counts(receipt)}"
    if before:
        night = dt.date.fromisoformat(receipt["night"]) - dt.timedelta(days=1)
        then = "yesterday" if before["night"] == night.isoformat() else f"on {before['night']}"
        same = is_same(sent_file(before), sent_file(receipt))
        told += f", same file as {then}: {'yes' if same else 'no'}"
    return "; ".join([told, *_notes(receipt)])


def _notes(receipt: Receipt) -> Iterator[str]:
    """Yield what a delivery leaves to look at."""
    if faulty := sum(receipt.get("faulty_rows", {}).values()):
        yield f"{several(faulty, 'faulty row')} told"
    if warnings := sum(finding["severity"] == "warning" for finding in told_findings(receipt)):
        yield f"{several(warnings, 'warning')} told"
    if waits := receipt.get("waiting"):
        yield f"removals wait: {_by_kind(waits['counts'])}"
    if changed := receipt.get("remote", {}).get("server_changed"):
        yield f"the server has changed: {', '.join(changed)}"


def several(count: int, word: str) -> str:
    return f"{count:,} {word}{'s' if count != 1 else ''}"


def _by_kind(counts: Mapping[str, int]) -> str:
    """Return how many of which kind: `12 users.student, 80 enrollments`."""
    return ", ".join(f"{count:,} {kind}" for kind, count in counts.items())


def cautions(receipt: Receipt | None) -> list[str]:
    """Return what keeps the last delivery that went well from being green."""
    if not receipt:
        return []
    feed, texts = feed_name(receipt) or "FEED", []
    if waits := receipt.get("waiting"):
        texts.append(
            f"removals wait since {waits['since']} ({several(waits['nights'], 'night')}): "
            f"{_by_kind(waits['counts'])}; roster-upload diff {feed} shows who"
        )
    if faulty := sum(receipt.get("faulty_rows", {}).values()):
        faults = [f for f in receipt.get("findings", ()) if f["severity"] == "fault"]
        first = f", first: {_finding(faults[0])}" if faults else ""
        texts.append(
            f"the export has {several(faulty, 'faulty row')}{first}; roster-upload check {feed} "
            "shows all"
        )
    nights, limit = receipt.get("unchanged_nights", 0), receipt.get("unchanged_limit", 0)
    if limit and nights >= limit:
        texts.append(f"no record has changed for {nights} school nights; does the SIS export?")
    return texts


def _margin(receipt: Receipt) -> str:
    """How a delivery lay to its deadline."""
    left = seconds_left(receipt)
    if not receipt.get("in_window", True) or left is None:
        return "outside the nightly window"
    return f"{left // 60:.0f} min early" if left >= 0 else f"{-left / 60:.0f} min LATE"


def _approval(last: Receipt | None, receipts: Sequence[Receipt]) -> Receipt | None:
    """What lets a feed's last run, which was held, through; None where nobody did."""
    if not last or not is_held(last):
        return None
    latest = receipts[-1]
    digest = export_sha256(last)
    is_it = latest.get("outcome") == "approved" and digest and latest.get("digest") == digest
    return latest if is_it else None


def status(name: str, receipts: Sequence[Receipt], broken_at: int | None) -> dict[str, Any]:
    """What became of a feed's last delivery, as JSON values."""
    runs = [r for r in receipts if r.get("command") != "approve"]
    sent = [r for r in runs if r.get("outcome") == "sent"]
    last = runs[-1] if runs else None
    before, approval = None, _approval(last, receipts)
    if last:
        earlier = [r for r in sent if r is not last]
        before = earlier[-1] if earlier else None
    return {
        "feed": name,
        "deliveries": sum(map(is_delivery, runs)),
        "morning": morning(last, before, approval) if last and "district" in last else None,
        "last": last,
        "last_sent": sent[-1] if sent else None,
        "approved": approval["digest"] if approval else "",
        "next_step": _after(last, receipts),
        "cautions": cautions(went_well(runs)),
        "ledger_broken_at_line": broken_at,
    }


def went_well(receipts: Sequence[Receipt]) -> Receipt | None:
    """Return the last delivery that was sent, or skipped by plan; None where none was."""
    return next((r for r in reversed(receipts) if is_delivery(r) and r["outcome"] in GREEN), None)


def _after(last: Receipt | None, receipts: Sequence[Receipt]) -> str:
    """What to do after a feed's last run; what was held may have been approved since."""
    if not last:
        return ""
    if approval := _approval(last, receipts):
        return f"{approval['message']}: systemctl start roster-upload@{feed_name(last)}.service"
    return _step(last, Exit.HELD) if last.get("waiting") else next_step(last)


def status_text(told: Sequence[Mapping[str, Any]]) -> str:
    """The status of feeds for people."""
    lines = []
    for entry in told:
        lines.append(f"{entry['feed']}")
        last, sent = entry["last"], entry["last_sent"]
        if not last and not entry.get("lost"):
            lines.append("  no delivery yet")
        if last:
            lines.append(f"  {entry['morning'] or last['message']}")
        if sent:
            when, zone = mountain(sent["finished"])
            remote = sent["remote"]
            where = [remote.get(key, "") for key in ("host", "dir", "name")]
            lines.append(f"  last sent  {when} {zone}, {sent_file(sent).get('bytes', 0):,} bytes")
            lines.append(f"  sha256     {sent_sha256(sent)}")
            lines.append("  remote     {}: {}/{}".format(*where))
        lines += [f"  amber      {text}" for text in entry["cautions"]]
        if entry["next_step"]:
            lines.append(f"  next step  {entry['next_step']}")
        if entry["ledger_broken_at_line"]:
            lines.append(
                f"  LEDGER     was changed by hand at line {entry['ledger_broken_at_line']}"
            )
        if begun := entry.get("under_way"):
            lines.append(f"  under way  the run of {begun['started']}")
        if damaged := lines_text(entry.get("ledger_damaged_lines", ())):
            lines.append(f"  LEDGER     is damaged in {damaged}")
        lines += [f"  LOST       {text}" for text in entry.get("lost", ())]
        if entry.get("lost"):
            lines.append(f"  next step  {HOW_TO_GO_ON}")
    return "\n".join(lines)


def trend(numbers: Sequence[int]) -> str:
    """Numbers as a row of bars between the least and the most of them."""
    low, high = min(numbers), max(numbers)
    span = max(high - low, 1)
    return "".join(BARS[(number - low) * (len(BARS) - 1) // span] for number in numbers)


def history(receipts: Sequence[Receipt], nights: int) -> list[dict[str, Any]]:
    """The last deliveries, approvals and alerts, the oldest first, as JSON values."""
    rows = []
    for receipt in receipts[-nights:]:
        change = receipt.get("changes", {}).get(STUDENTS)
        # A resend asks for the digest of what was sent, an approval for that of the export.
        file = sent_file(receipt) if receipt["outcome"] == "sent" else receipt.get("source", {})
        rows.append(
            {
                "night": receipt.get("night", ""),
                "finished": receipt["finished"],
                "command": receipt.get("command", "send"),
                "outcome": receipt["outcome"],
                "exit_code": receipt.get("exit_code"),
                "students": change["now"] if change else None,
                "added": change["added"] if change else None,
                "removed": change["removed"] if change else None,
                "bytes": file.get("bytes"),
                "sha256": file.get("sha256") or receipt.get("digest"),
                "seconds": round(sum(receipt.get("seconds", {}).values()), 1),
                "message": receipt["message"],
            }
        )
    return rows


def history_text(receipts: Sequence[Receipt], nights: int, width: int | None = None) -> str:
    """The last deliveries as a table, the trend of the students, and why something was not sent.

    `width` in columns; without it, that of the terminal.
    """
    from rich import box  # noqa: PLC0415 - only tables need it
    from rich.console import Console  # noqa: PLC0415
    from rich.filesize import decimal  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    rows = history(receipts, nights)
    if not rows:
        return "no delivery yet"
    terminal = sys.stdout.isatty()
    width = width or (shutil.get_terminal_size().columns if terminal else WIDTH)
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    _, zone = mountain(rows[-1]["finished"])
    table.add_column(zone, no_wrap=True)
    table.add_column("Outcome", overflow="fold", min_width=LONGEST_OUTCOME)
    for title in ("Students", "Change", "Size", "Sec."):
        table.add_column(title, justify="right", no_wrap=title != "Change")
    table.add_column("SHA-256", no_wrap=True)
    for row in rows:
        has_students = row["students"] is not None
        table.add_row(
            mountain(row["finished"])[0],
            Text(
                printable(_outcome(row)),
                style="red" if row["exit_code"] and row["outcome"] not in GREEN else "",
            ),
            f"{row['students']:,}" if has_students else "",
            f"+{row['added']:,} −{row['removed']:,}" if has_students else "",
            decimal(row["bytes"]) if row["bytes"] else "",
            f"{row['seconds']:.1f}",
            Text(printable(row["sha256"] or "")[:12]),
        )
    has_colours = terminal and "NO_COLOR" not in os.environ
    out = Console(file=io.StringIO(), width=width, force_terminal=has_colours)
    out.print(table)
    text: str = out.file.getvalue()  # type: ignore[attr-defined]
    lines = [line.rstrip() for line in text.splitlines()]
    sent = [r["changes"][STUDENTS]["now"] for r in receipts
            if r["outcome"] == "sent" and STUDENTS in r.get("changes", {})]  # fmt: skip
    if len(sent) > 1:
        recent = sent[-TREND_NIGHTS:]
        lines.append(f"students of the last {len(recent)} sent: {trend(recent)}")
        lines[-1] += f"  {min(recent):,} to {max(recent):,}"
    for row in rows:
        if row["outcome"] != "sent":
            why = printable(row["message"], LONGEST_MESSAGE)
            told = f"{mountain(row['finished'])[0]}  {why}"
            lines += textwrap.wrap(told, width, subsequent_indent="  ", break_on_hyphens=False)
    return "\n".join(lines)


def _outcome(row: Mapping[str, Any]) -> str:
    """A row's outcome in a few words: `sent`, `held 17`, `resend: sent`, `rehearsed`."""
    code = f" {row['exit_code']}" if row["exit_code"] else ""
    is_plain = row["command"] == "send" or row["outcome"] in ("approved", "rehearsed")
    return f"{'' if is_plain else row['command'] + ': '}{row['outcome']}{code}"


def explain(code: Exit, receipt: Receipt | None, feed: Feed | None) -> dict[str, Any]:
    """Cause, evidence, who must act and a text for them, as JSON values."""
    told: Mapping[str, str] = spec("explain")[str(int(code))]
    known = {**(receipt or {}), "exit_code": int(code)}
    if feed:
        known["feed"] = feed.feed
    return {
        "exit_code": int(code),
        "meaning": MEANINGS[code],
        "cause": told["cause"],
        "evidence": _evidence(receipt) if receipt else [],
        "who": told["who"],
        "do": next_step(known),
        "letter": told["letter"].format_map(_Known(_facts(code, receipt, feed))),
    }


class _Known(dict[str, str]):
    """What is not known is said to be so."""

    def __missing__(self, key: str) -> str:
        return "unknown"


def _facts(code: Exit, receipt: Receipt | None, feed: Feed | None) -> dict[str, str]:
    """What a letter can tell."""
    receipt = receipt or {}
    remote = receipt.get("remote", {})
    file = receipt.get("source", {}) if code in OF_THE_EXPORT else sent_file(receipt)
    facts = {
        "district": receipt.get("district"),
        "feed": receipt.get("feed"),
        "message": receipt.get("message"),
        "when": receipt.get("finished"),
        "host": socket.gethostname(),
        "remote_host": remote.get("host"),
        "remote_dir": remote.get("dir"),
        "server": remote.get("server"),
        "host_key": remote.get("host_key"),
        "address": remote.get("address"),
        "exit_code": str(int(code)),
        "sha256": file.get("sha256"),
        "reasons": "\n".join(f"- {reason}" for reason in _reasons(receipt)),
    }
    if feed:
        facts |= {
            "district": feed.district,
            "feed": feed.feed,
            "username": feed.username,
            "remote_host": feed.remote_host,
            "remote_dir": feed.remote_dir,
        }
    return {key: str(value) for key, value in facts.items() if value}


def _reasons(receipt: Receipt) -> list[str]:
    """What was found in an export, and why it is held."""
    found = [f for f in receipt.get("findings", ()) if f["severity"] != "ignored"]
    return [*map(_finding, found), *receipt.get("held", ())]


def told_texts(receipt: Receipt) -> list[str]:
    """Return the findings of which people are told, a line each."""
    return list(map(_finding, told_findings(receipt)))


def _finding(record: Mapping[str, Any]) -> str:
    """A finding of a receipt for people; an older program's rule may not be known any more."""
    # Only findings need numpy, which takes long to import.
    from roster_upload.validation.findings import Finding, rules  # noqa: PLC0415

    if record["rule"] in rules():
        return Finding(**record).text()
    return f"{record['severity']}: {record['file']} [{record['rule']}]"


def _evidence(receipt: Receipt) -> list[str]:
    """What the receipt knows of the cause."""
    found = [str(receipt.get("message", "")), *_reasons(receipt)]
    seconds: Mapping[str, float] = receipt.get("seconds", {})
    if seconds:
        slowest = max(seconds, key=lambda phase: seconds[phase])
        found.append(f"the longest phase was {slowest}, {seconds[slowest]:.1f} s")
    return list(dict.fromkeys(filter(None, found)))


def explain_text(told: Mapping[str, Any]) -> str:
    """An explanation for people."""
    lines = [
        f"exit code {told['exit_code']}: {told['meaning']}",
        "",
        f"Cause         {told['cause']}",
        f"Who must act  {told['who']}",
        f"What to do    {told['do']}",
    ]
    if told["evidence"]:
        lines += ["", "Evidence", *(f"  {text}" for text in told["evidence"])]
    if told["letter"]:
        lines += [
            "",
            "A text to send",
            *(f"  {line}".rstrip() for line in told["letter"].splitlines()),
        ]
    return "\n".join(lines)


class Progress:
    """A bar of a transfer on a terminal."""

    def __init__(self, feed: str) -> None:
        from rich.console import Console  # noqa: PLC0415 - only a terminal needs it
        from rich.progress import (  # noqa: PLC0415
            BarColumn,
            DownloadColumn,
            Progress,
            TextColumn,
            TransferSpeedColumn,
        )

        self._bar = Progress(
            TextColumn(feed),
            BarColumn(),
            DownloadColumn(),
            TransferSpeedColumn(),
            console=Console(stderr=True),
            transient=True,
        )
        self._task: Any = None

    def __call__(self, done: int, size: int) -> None:
        """So many bytes of so many are acknowledged."""
        if self._task is None:
            self._task = self._bar.add_task("", total=size)
            self._bar.start()
        self._bar.update(self._task, completed=done)
        if done >= size:
            self.close()

    def close(self) -> None:
        """Takes the bar away."""
        if self._task is not None:
            self._bar.stop()
            self._task = None


class Left:
    """How far a transfer is, left in a file for whoever looks."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._told = 0.0

    def __call__(self, done: int, size: int) -> None:
        """So many bytes of so many are acknowledged."""
        now = time.monotonic()
        if now - self._told > LOOK_SECONDS or done >= size:
            self._told = now
            with contextlib.suppress(OSError):  # nobody may be harmed by it
                self._path.write_text(f"{done} {size}")


def follow(feed: str, path: Path, is_over: Callable[[], object]) -> None:
    """Show a bar of what is left in a file from now on, until it is over."""
    since = time.time()
    bar = Progress(feed)
    while is_over() is None:
        with contextlib.suppress(OSError, ValueError):
            done, size = map(int, read_plain(path, LONGEST_PROGRESS).split())
            # What is whole is only verified now.
            if done < size and path.lstat().st_mtime >= since:
                bar(done, size)
        time.sleep(LOOK_SECONDS)
    bar.close()
