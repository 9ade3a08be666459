"""The texts of a receipt: the summary line, the next step, cautions and findings."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping

from roster_upload.records.night import clock_text, night_name, time_text
from roster_upload.records.parts import Change
from roster_upload.records.receipt import Receipt
from roster_upload.spec import spec

DIGEST_SHOWN = 16
STUDENTS = "users.student"
# Kinds of record in the summary, and their names.
COUNTED = ((STUDENTS, "students"), ("users.teacher", "teachers"), ("classes", "classes"))


def several(count: int, word: str) -> str:
    """Return a number with its noun: `1 row`, `1,200 rows`."""
    return f"{count:,} {word}{'s' if count != 1 else ''}"


def next_step(receipt: Receipt | None, code: int | None = None) -> str:
    """Return the next step for an exit code, by default for that of the receipt.

    Fill in the receipt's feed and digest. An approval needs the digest of the export.
    """
    receipt = receipt or Receipt()
    code = receipt.exit_code if code is None else code
    step: str = spec("exits").get(str(code), {}).get("do", "")
    names = {"FEED": receipt.feed_name, "SHA256": receipt.export_sha256[:DIGEST_SHOWN]}
    for placeholder, value in names.items():
        step = step.replace(placeholder, value or placeholder)
    return step


def counts(receipt: Receipt) -> str:
    """Return the numbers of records and their changes: `12,481 students (+14 −3), …`."""
    changes = receipt.changes
    texts = [_count(changes[kind], word) for kind, word in COUNTED if kind in changes]
    if not texts:
        texts = [f"{count:,} {name}" for name, count in receipt.rows.items() if count]
    return ", ".join(texts) or f"{receipt.sent_file.bytes or 0:,} bytes"


def _count(change: Change, word: str) -> str:
    return f"{change.now:,} {word} (+{change.added:,} −{change.removed:,})"


def summary_line(
    receipt: Receipt, before: Receipt | None, approval: Receipt | None = None, zone: str = ""
) -> str:
    """Return one line for the morning, with the roster that the vendor has.

    `before` is the last accepted delivery. `approval` lets a held export through. `zone` is the
    district's time zone.
    """
    name = receipt.district or receipt.feed
    if not receipt.is_sent:
        has = "the vendor has no roster"
        if before:
            has = f"the vendor has the roster {_when_sent(before, receipt, zone)}"
        why = receipt.message.removeprefix(f"{name}: ")
        if approval:
            why = f"the next start sends it, since {approval.message}"
        return f"{name}: {receipt.outcome_text}, {has}: {why}"
    when = clock_text(receipt.finished, zone)
    line = f"{name}: sent {when}, {_margin(receipt)}: {counts(receipt)}"
    if before:
        same = before.sent_file.is_same(receipt.sent_file)
        then = _since(before, receipt, zone)
        line += f", same file as {then}: {'yes' if same else 'no'}"
    return ". ".join([line, *_notes(receipt)])


def _when_sent(before: Receipt, receipt: Receipt, zone: str) -> str:
    """Return when an earlier roster was sent: in its night, or at the time of a manual delivery."""
    if before.in_window and before.night:
        return f"of {night_name(before.night, receipt.night)}"
    return f"sent {time_text(before.finished, zone)}"


def _since(before: Receipt, receipt: Receipt, zone: str) -> str:
    """Return the delivery that a file is compared with."""
    is_nightly = before.in_window and before.night and receipt.in_window and receipt.night
    if is_nightly and before.night == _day_before(receipt.night):
        return "yesterday"
    return f"the one {_when_sent(before, receipt, zone)}"


def _day_before(night: str) -> str:
    return (dt.date.fromisoformat(night) - dt.timedelta(days=1)).isoformat()


def _margin(receipt: Receipt) -> str:
    """Return the time from the end of a delivery to its deadline, as text."""
    left = receipt.seconds_to_deadline
    if not receipt.in_window or left is None:
        return "outside the nightly window"
    return f"{left // 60:.0f} min early" if left >= 0 else f"{-left / 60:.0f} min LATE"


def _notes(receipt: Receipt) -> Iterator[str]:
    """Yield the notes on a delivery, as sentences."""
    if faulty := sum(receipt.faulty_rows.values()):
        yield several(faulty, "faulty row")
    if warnings := sum(f.severity == "warning" for f in receipt.notified_findings):
        yield several(warnings, "new warning")
    if waits := waiting_text(receipt):
        yield waits.removesuffix(". ")
    if receipt.reset:
        yield f"The first delivery since the vendor's reset of {receipt.reset}"
    if changed := receipt.remote.server_changed:
        yield f"The server has changed: {', '.join(changed)}"


def waiting_text(receipt: Receipt) -> str:
    """Return a sentence with the removals that wait, "" if none does."""
    return f"Removals wait: {_by_kind(receipt.waiting.counts)}. " if receipt.waiting else ""


def _by_kind(counts: Mapping[str, int]) -> str:
    """Return numbers by kind of record: `12 users.student, 80 enrollments`."""
    return ", ".join(f"{count:,} {kind}" for kind, count in counts.items())


def cautions(receipt: Receipt | None) -> list[str]:
    """Return the reasons why the last delivery in order is amber instead of green."""
    if not receipt:
        return []
    feed, texts = receipt.feed_name or "FEED", []
    if waits := receipt.waiting:
        texts.append(
            f"removals wait since {night_name(waits.since)} ({several(waits.nights, 'night')}): "
            f"{_by_kind(waits.counts)}. Run roster-upload diff {feed} to see who"
        )
    if faulty := sum(receipt.faulty_rows.values()):
        faults = [finding for finding in receipt.findings if finding.severity == "fault"]
        first = f", first: {faults[0].text()}" if faults else ""
        texts.append(
            f"the export has {several(faulty, 'faulty row')}{first}. Run roster-upload "
            f"check {feed} to see all"
        )
    nights, limit = receipt.unchanged_nights or 0, receipt.unchanged_limit or 0
    if limit and nights >= limit:
        texts.append(
            f"no record has changed for {nights} school nights. Check that the SIS still exports"
        )
    return texts


def finding_texts(receipt: Receipt) -> list[str]:
    """Return the findings of a notification, a line each."""
    return [finding.text() for finding in receipt.notified_findings]
