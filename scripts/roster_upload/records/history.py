"""All receipts of a feed, and the answers that only several receipts give.

Only receipts are read here. They hold no personal data.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from roster_upload.records.night_result import NightResult
from roster_upload.records.parts import File, Notified, Target, Waiting
from roster_upload.records.receipt import Outcome, Receipt

FOR_PEOPLE = ("fault", "warning")  # severities of findings in a file that is sent
REMIND_NIGHTS = 7
GROWTH_PERCENT = 10  # smaller changes from day to day are usual
UNSURE_KEPT = 7  # packages that the vendor may hold, beside the last one sent
# Outcomes that end a hold: the guard or a person has judged again.
JUDGED = (Outcome.HELD, Outcome.APPROVED, Outcome.SENT, Outcome.REHEARSED)


@dataclass(frozen=True)
class History:
    """The receipts of a feed, oldest first."""

    receipts: tuple[Receipt, ...] = ()

    @classmethod
    def of(cls, receipts: Iterable[Receipt]) -> History:
        """Return the history of some receipts."""
        return cls(tuple(receipts))

    def __iter__(self) -> Iterator[Receipt]:
        return iter(self.receipts)

    def __len__(self) -> int:
        return len(self.receipts)

    def without(self, run: str) -> History:
        """Return the history without the receipts of a run."""
        return History.of(r for r in self.receipts if r.run != run)

    # ---- deliveries and nights -------------------------------------------------------------------

    @property
    def last(self) -> Receipt | None:
        """Return the last receipt of any kind."""
        return self.receipts[-1] if self.receipts else None

    def deliveries(self, night: str = "") -> list[Receipt]:
        """Return all deliveries, or those of one night.

        A delivery outside the window belongs to no night.
        """
        found = [receipt for receipt in self.receipts if receipt.is_delivery]
        return [r for r in found if r.night == night and r.in_window] if night else found

    def night(self, night: str) -> NightResult:
        """Return the result of a night."""
        return NightResult(night, tuple(self.deliveries(night)))

    def nights(self, last: str = "9999-12-31") -> list[NightResult]:
        """Return the result of each night with a delivery, oldest first.

        Nights after `last` come from a wrong clock and are excluded.
        """
        found: dict[str, list[Receipt]] = {}
        for receipt in self.receipts:
            if receipt.is_delivery and receipt.in_window and "" < receipt.night <= last:
                found.setdefault(receipt.night, []).append(receipt)
        return [NightResult(night, tuple(found[night])) for night in sorted(found)]

    # ---- files at the vendor ---------------------------------------------------------------------

    def sent(self) -> list[Receipt]:
        """Return the receipts of the files that the vendor received."""
        return [receipt for receipt in self.receipts if receipt.is_sent]

    def last_sent(self) -> Receipt | None:
        """Return the receipt of the last file that the vendor received."""
        return next((r for r in reversed(self.receipts) if r.is_sent), None)

    def last_sent_to(self, target: Target) -> Receipt | None:
        """Return the last nightly delivery to a target."""
        return next(
            (
                r
                for r in reversed(self.receipts)
                if r.command == "send" and r.is_sent and r.remote.target == target
            ),
            None,
        )

    def last_in_order(self) -> Receipt | None:
        """Return the last delivery that was sent, or skipped by plan."""
        return next((r for r in reversed(self.deliveries()) if r.is_in_order), None)

    def unsure(self) -> list[Receipt]:
        """Return the deliveries since the last one sent whose file the vendor may hold.

        Return one for each file, newest last, and at most `UNSURE_KEPT`.
        """
        found: dict[str, Receipt] = {}
        for receipt in self.receipts:
            if receipt.is_sent:
                found.clear()
            elif receipt.is_unsure and (sha256 := receipt.sent_file.sha256):
                found.pop(sha256, None)
                found[sha256] = receipt
        return list(found.values())[-UNSURE_KEPT:]

    # ---- holds and approvals ---------------------------------------------------------------------

    def held(self) -> list[Receipt]:
        """Return the receipts whose export an approval can let through."""
        return [receipt for receipt in self.receipts if receipt.can_be_approved]

    def open_hold(self) -> Receipt | None:
        """Return the receipt of an export that is still held, or whose removals wait.

        A later judgement, by the guard or a person, ends the hold.
        """
        judged = [receipt for receipt in self.receipts if receipt.outcome in JUDGED]
        return judged[-1] if judged and judged[-1].can_be_approved else None

    def approval_of(self, run: Receipt | None) -> Receipt | None:
        """Return the approval of a run's export if that is the last receipt."""
        latest = self.last
        if not run or not latest or not run.can_be_approved:
            return None
        is_it = latest.outcome is Outcome.APPROVED and bool(run.export_sha256)
        return latest if is_it and latest.digest == run.export_sha256 else None

    # ---- night after night -----------------------------------------------------------------------

    def unchanged_nights(self, source: File, night: str) -> int:
        """Return the number of nights in a row before `night` with the same export as `source`.

        Only nights with an accepted export, or one skipped as unchanged, count.
        """
        nights: set[str] = set()
        for receipt in reversed(self.receipts):
            if receipt.command != "send" or not receipt.source.sha256:
                continue
            if not receipt.source.is_same(source):
                break
            if receipt.is_in_order:
                nights.add(receipt.night)
        return len(nights - {night})

    def waiting(self, night: str, counts: Mapping[str, int]) -> Waiting:
        """Return the removals that wait, with the first night and the number of nights.

        A delivery without waiting removals ends the wait. A hold does not end it. Otherwise the
        next night would start another wait.
        """
        last = next(
            (r for r in reversed(self.deliveries()) if r.waiting or r.is_sent),
            None,
        )
        if not last or not last.waiting:
            return Waiting(night, 1, dict(counts))
        nights = last.waiting.nights + (last.night != night)
        return Waiting(last.waiting.since, nights, dict(counts))

    def new_findings(self, receipt: Receipt) -> tuple[Notified, ...]:
        """Return the findings of a delivery that need a notification.

        A finding is new when it first appears. It is new again when it has grown by a tenth since
        the last notification, and once a week.
        """
        tonight = dt.date.fromisoformat(receipt.night)
        recent: dict[tuple[str, str, str], int] = {}
        for earlier in self.receipts:
            for entry in (earlier.notified or ()) if earlier.night else ():
                age = tonight - dt.date.fromisoformat(earlier.night)
                if abs(age) < dt.timedelta(days=REMIND_NIGHTS):  # a wrong clock may have been ahead
                    recent[entry.key] = entry.count  # the newest count of the week
        return tuple(
            Notified(finding.rule, finding.file, finding.column, finding.count)
            for finding in receipt.findings
            if finding.severity in FOR_PEOPLE
            and 100 * finding.count >= (100 + GROWTH_PERCENT) * recent.get(finding.key, 0)
        )
