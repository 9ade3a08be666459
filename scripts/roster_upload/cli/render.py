"""Render `status` and `history`: as JSON values, and as text for people."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from roster_upload.exits import Exit
from roster_upload.records.chain import WHAT_TO_DO, break_text
from roster_upload.records.evidence import HOW_TO_GO_ON, lines_text
from roster_upload.records.history import History
from roster_upload.records.night import local_text, time_text
from roster_upload.records.parts import Break
from roster_upload.records.receipt import Outcome, Receipt
from roster_upload.records.summary import STUDENTS, cautions, next_step, summary_line
from roster_upload.terminal.printable import LONGEST_MESSAGE, printable
from roster_upload.terminal.width import DEFAULT, columns, fitted

WIDE = 90  # columns from which a table with times of two zones has all of its columns
LONGEST_OUTCOME = 9  # in letters: rehearsed
BARS = "▁▂▃▄▅▆▇█"
TREND_NIGHTS = 14


# ---- status --------------------------------------------------------------------------------------


def status(name: str, history: History, broken_at: int | None, zone: str = "") -> dict[str, Any]:
    """Return the state of a feed's last delivery, as JSON values.

    `zone` is the district's time zone.
    """
    runs = History.of(r for r in history if r.command != "approve")
    last, sent = runs.last, runs.last_sent()
    approval = history.approval_of(last)
    before = History.of(r for r in runs if r is not last).last_sent()
    has_name = last is not None and bool(last.district or last.feed)
    return {
        "feed": name,
        "deliveries": len(runs.deliveries()),
        "morning": summary_line(last, before, approval, zone) if last and has_name else None,
        "time_zone": zone,
        "last": last.to_json() if last else None,
        "last_sent": sent.to_json() if sent else None,
        "approved": approval.digest if approval else "",
        "next_step": _after(last, approval),
        "cautions": cautions(runs.last_in_order()),
        "ledger_broken_at_line": broken_at,
    }


def _after(last: Receipt | None, approval: Receipt | None) -> str:
    """Return the next step after a feed's last run. A held export may be approved by now."""
    if not last:
        return ""
    if approval:
        return f"{approval.message}: systemctl start roster-upload@{last.feed_name}.service"
    return next_step(last, Exit.HELD if last.waiting and not last.exit_code else None)


def status_text(entries: Sequence[Mapping[str, Any]]) -> str:
    """Return the status of feeds for people."""
    lines = []
    for entry in entries:
        lines.append(f"{entry['feed']}")
        last, sent = entry["last"], entry["last_sent"]
        if not last and not entry.get("lost"):
            lines.append("  no delivery yet")
        if last:
            lines.append(f"  {entry['morning'] or last['message']}")
        if sent:
            lines += _last_sent(Receipt.parse(sent), entry.get("time_zone", ""))
        lines += [f"  amber      {text}" for text in entry["cautions"]]
        if entry["next_step"]:
            lines.append(f"  next step  {entry['next_step']}")
        if entry["ledger_broken_at_line"]:
            lines.append(
                f"  LEDGER     was changed by hand at line {entry['ledger_broken_at_line']}"
            )
        lines += _keys(entry.get("chain"), entry.get("time_zone", ""))
        if begun := entry.get("under_way"):
            lines.append(f"  under way  since {time_text(begun['started'], entry['time_zone'])}")
        if damaged := lines_text(entry.get("ledger_damaged_lines", ())):
            lines.append(f"  LEDGER     is damaged in {damaged}")
        lines += [f"  LOST       {text}" for text in entry.get("lost", ())]
        if entry.get("lost"):
            lines.append(f"  next step  {HOW_TO_GO_ON}")
    return "\n".join(lines)


def _keys(chain: Mapping[str, Any] | None, zone: str) -> list[str]:
    """Return what the last run found in the lines' keys. Only the feed's unit can check them."""
    if not chain or not chain["checked"]:
        return []
    wrong = [one for one in chain["breaks"] if one["code"] != "link"]
    when = time_text(chain["checked"], zone)
    return [
        *(f"  LEDGER     {break_text(Break.parse(one), one['line'])}" for one in wrong),
        *([f"  next step  {WHAT_TO_DO}"] if wrong else []),
        f"  keys       last checked by the run of {when}",
    ]


def _last_sent(sent: Receipt, zone: str) -> list[str]:
    """Return the last accepted delivery, for people."""
    file, remote = sent.sent_file, sent.remote
    return [
        f"  last sent  {time_text(sent.finished, zone)}, {file.bytes or 0:,} bytes",
        f"  sha256     {file.sha256}",
        f"  remote     {remote.host}: {remote.dir}/{remote.name}",
    ]


# ---- history -------------------------------------------------------------------------------------


def trend(numbers: Sequence[int]) -> str:
    """Return numbers as a row of bars between their minimum and maximum."""
    low, high = min(numbers), max(numbers)
    span = max(high - low, 1)
    return "".join(BARS[(number - low) * (len(BARS) - 1) // span] for number in numbers)


def history(receipts: History, nights: int) -> list[dict[str, Any]]:
    """Return the last deliveries, approvals and alerts, the oldest first, as JSON values."""
    return [_row(receipt) for receipt in receipts.receipts[-nights:]]


def _row(receipt: Receipt) -> dict[str, Any]:
    change = receipt.changes.get(STUDENTS)
    # A resend needs the digest of the sent package, an approval that of the export.
    file = receipt.sent_file if receipt.is_sent else receipt.source
    return {
        "night": receipt.night,
        "finished": receipt.finished,
        "command": receipt.command,
        "outcome": receipt.outcome_text,
        "exit_code": receipt.exit_code,
        "students": change.now if change else None,
        "added": change.added if change else None,
        "removed": change.removed if change else None,
        "bytes": file.bytes,
        "sha256": file.sha256 or receipt.digest or None,
        "seconds": round(sum(receipt.seconds.values()), 1),
        "message": receipt.message,
    }


def history_text(receipts: History, nights: int, width: int | None = None, zone: str = "") -> str:
    """Return the last receipts as a table, the trend of the students, and reasons of failures.

    `width` is in columns. By default it is the terminal's width. `zone` is the district's.
    """
    shown = receipts.receipts[-nights:]
    if not shown:
        return "no delivery yet"
    width = width or columns(sys.stdout) or DEFAULT
    lines = _table(shown, width, zone)
    sent = [r.changes[STUDENTS].now for r in receipts if r.is_sent and STUDENTS in r.changes]
    if len(sent) > 1:
        recent = sent[-TREND_NIGHTS:]
        lines.append(f"students of the last {len(recent)} sent: {trend(recent)}")
        lines[-1] += f"  {min(recent):,} to {max(recent):,}"
    for receipt in shown:
        if not receipt.is_sent:
            why = printable(receipt.message, LONGEST_MESSAGE)
            lines.append(fitted(f"{time_text(receipt.finished, zone)}  {why}", width))
    return "\n".join(lines)


def _table(receipts: Sequence[Receipt], width: int, zone: str) -> list[str]:
    """Return the lines of a table of receipts."""
    from rich import box  # noqa: PLC0415 - only tables need it
    from rich.console import Console  # noqa: PLC0415
    from rich.filesize import decimal  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    has_zone = any(local_text(receipt.finished, zone) for receipt in receipts)
    is_narrow = has_zone and width < WIDE
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("UTC", no_wrap=True)
    if has_zone:
        table.add_column("Local", no_wrap=True)
    table.add_column("Outcome", overflow="fold", min_width=LONGEST_OUTCOME)
    for title in ("Students", "Change", "Size", *(() if is_narrow else ("Sec.",))):
        table.add_column(title, justify="right", no_wrap=title != "Change")
    table.add_column("SHA-256", no_wrap=True)
    for receipt in receipts:
        row = _row(receipt)
        has_students = row["students"] is not None
        is_red = receipt.exit_code and not receipt.is_in_order
        table.add_row(
            time_text(receipt.finished)[: -len(" UTC")],
            *([local_text(receipt.finished, zone)] if has_zone else []),
            Text(printable(_outcome(receipt)), style="red" if is_red else ""),
            f"{row['students']:,}" if has_students else "",
            f"+{row['added']:,} −{row['removed']:,}" if has_students else "",
            decimal(row["bytes"]) if row["bytes"] else "",
            *([] if is_narrow else [f"{row['seconds']:.1f}"]),
            Text(printable(row["sha256"] or "")[:12]),
        )
    has_colours = sys.stdout.isatty() and "NO_COLOR" not in os.environ
    out = Console(file=io.StringIO(), width=width, force_terminal=has_colours)
    out.print(table)
    text: str = out.file.getvalue()  # type: ignore[attr-defined]
    return [line.rstrip() for line in text.splitlines()]


def _outcome(receipt: Receipt) -> str:
    """Return an outcome in a few words: `sent`, `held 17`, `resend: sent`, `rehearsed`."""
    code = f" {receipt.exit_code}" if receipt.exit_code else ""
    is_plain = receipt.command == "send" or receipt.outcome in (
        Outcome.APPROVED,
        Outcome.REHEARSED,
    )
    return f"{'' if is_plain else receipt.command + ': '}{receipt.outcome_text}{code}"
