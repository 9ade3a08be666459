"""Make a package of the export, validate it, and compare it with the last one.

The judged file is sent byte for byte.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import cast

from roster_upload.config import Feed
from roster_upload.delivery.at_vendor import require_news
from roster_upload.delivery.job import Job, Outgoing, no_room, reason
from roster_upload.delivery.private_copy import file_of
from roster_upload.exits import Exit, Failure
from roster_upload.export import Snapshot
from roster_upload.guard import guard, season
from roster_upload.guard.baseline import Baseline
from roster_upload.package.built import Built, require_scope
from roster_upload.records import evidence, package_store
from roster_upload.records.parts import Approval, Change
from roster_upload.validation.check import check
from roster_upload.validation.findings import Findings, Report
from roster_upload.validation.options import ValidationOptions

# Fields of a receipt that describe the file to send.
OF_THE_FILE = ("package", "rows", "faulty_rows", "findings", "changes")


def refusal(report: Report, feed: str) -> Failure:
    """Return the failure of an export that breaks rules of severity `error`."""
    errors = report.findings.errors
    return Failure(
        Exit.REFUSED,
        f"the export breaks {len(errors)} rule{'s' if len(errors) > 1 else ''} and was not "
        f"sent. The first: {errors[0].text()}. Run roster-upload check {feed} to see all",
    )


class CannotWait(Exception):
    """The reason why removals cannot wait, or no longer."""


def _report(file: Outgoing) -> Report | None:
    """Return the report from the making of a file, or None without a check."""
    return cast("Report | None", file.report) if isinstance(file, Built) else None


def _unscoped(file: Outgoing) -> tuple[str, ...]:
    """Return the names of files that may exceed the feed's scope. They must not be sent."""
    return file.unscoped if isinstance(file, Built) else ()


class Judge:
    """The judge of one export: makes its package and decides whether to send it."""

    def __init__(self, job: Job, copy: Snapshot) -> None:
        self.job = job
        self.feed: Feed = job.feed
        self.copy = copy
        self.report = Report(Findings(), Baseline())
        self.of_export: Report | None = None  # if faulty rows are removed

    # ---- the package -----------------------------------------------------------------------------

    def package(self, previous: Path | None = None) -> Outgoing:
        """Return the file to send: the export, or the package made by the feed's declared steps.

        Rows of `previous`, an accepted package, stay in it. Raise Failure.
        """
        if self.job.command == "resend":
            return self.copy  # the store has the finished package
        # Only a delivery needs this module.
        from roster_upload.package.build import build  # noqa: PLC0415

        def look(path: Path) -> Report:
            report = self._read(path)
            self.of_export = replace(report, baseline=Baseline())  # the findings alone
            return report

        export = self.copy.path
        out = export.with_name("waiting.zip" if previous else "package.zip")
        with self.job.draft.phase("package"):
            try:
                built = build(self.feed, export, out, previous, check=look, night=self.job.day)
            except OSError as error:
                raise no_room(error) from None
        if not built:
            return self.copy
        if built.report:
            self.of_export = None  # no row was removed
        self.job.draft.update(package=replace(file_of(built), steps=built.steps))
        return built

    # ---- validation ------------------------------------------------------------------------------

    def validate(self, file: Outgoing) -> None:
        """Validate a file. Raise Failure if it breaks a rule of severity `error`."""
        self._check(file)
        if not self.report.accepted:
            raise refusal(self.report, self.job.receipt.feed)
        if isinstance(file, Built):
            require_scope(file)

    def _check(self, file: Outgoing) -> None:
        """Validate a file, and record the findings, including those of removed rows."""
        self.report = Report(Findings(), Baseline())  # frees the memory of an earlier one
        with self.job.draft.phase("validate"):
            known = _report(file)
            self.report = report = known or self._read(file.path)
        export = self.of_export or Report(Findings(), Baseline())
        faults = [finding for finding in export.findings if finding.severity == "fault"]
        self.job.draft.update(
            rows=report.rows,
            faulty_rows={**export.faulty_rows, **report.faulty_rows},
            findings=(*report.findings, *faults),
        )

    def _read(self, path: Path) -> Report:
        return check(
            path,
            ValidationOptions.from_feed(self.feed),
            name=Path(self.job.receipt.source.path).name,
            key=self.job.secret("state"),
            night=self.job.day,
        )

    # ---- the guard -------------------------------------------------------------------------------

    def let_through(self, package: Outgoing) -> tuple[Outgoing, Baseline]:
        """Compare a package with the last accepted one.

        Return the file to send, and the baseline after its delivery. Raise Failure.
        """
        job = self.job
        with job.draft.phase("guard"):
            olds, lost = self._last_baselines()
        verdict = self._compare(olds)
        reasons = (*lost, *self._unrenewed(), *verdict.texts)
        job.draft.update(lost=tuple(lost), reasons=reasons)
        if span := guard.expected(self.feed, job.day):
            job.draft.update(expected_change=str(span))
        job.draft.update(reset=str(job.reset or ""))
        if reasons and job.command != "resend":
            if approval := job.state.ledger.approval(self.copy.sha256, job.receipt.reset):
                approved = Approval(approval.who, approval.why, approval.finished)
                job.draft.update(approved=approved)
            elif self._may_wait(verdict) and not lost:
                try:
                    package = self._let_wait(olds, verdict)
                except CannotWait as why:
                    raise self._held(f"{why}. ") from None
            else:
                raise self._held(f"{evidence.HOW_TO_GO_ON}. " if lost else "")
        return package, guard.accepted(olds[-1] if olds else None, self.report.baseline)

    def _unrenewed(self) -> list[str]:
        """Return the reason against an export that is still that of before the reset."""
        job = self.job
        last = job.history.last_sent()
        if not job.reset or not last or not last.source.is_same(job.receipt.source):
            return []
        return [
            f"the export is the same as the last delivery. {season.NOT_RENEWED.format(job.reset)}"
        ]

    def _last_baselines(self) -> tuple[list[Baseline], list[str]]:
        """Return the baselines of all files that the vendor may hold, newest last, and the gaps.

        It is the last file sent, and the files of later transfers that failed.
        """
        state = self.job.state
        lost = list(self.job.receipt.lost)
        maybe = self.job.history.unsure()
        if maybe and self.report.baseline.is_incremental:
            lost.append("the export has only changes, and the last ones may not have arrived")
        olds = []
        for receipt in (*state.ledger.accepted()[-1:], *maybe):
            try:
                olds.append(state.baseline(receipt, self.job.secret("state")))
            except (OSError, ValueError) as error:
                lost.append(f"the baseline of an earlier package is unusable ({reason(error)})")
        return olds, list(dict.fromkeys(lost))

    def _compare(self, olds: list[Baseline]) -> guard.Verdict:
        """Return the changes since the first baseline, and the reasons against any of them."""
        with self.job.draft.phase("guard"):
            known: list[Baseline | None] = [*olds] or [None]
            first, *others = (
                guard.judge(
                    self.feed, old, self.report.baseline, self.job.day, reset=self.job.reset
                )
                for old in known
            )
            verdict = guard.joined(first, others)
        changes = {kind: Change(**counts) for kind, counts in verdict.record().items()}
        self.job.draft.update(changes=changes)
        return verdict

    def _held(self, why: str = "") -> Failure:
        """Return the failure of a held export. `why` explains why its removals do not wait."""
        first, *others = self.job.receipt.reasons
        more = f" (and {len(others)} more)" if others else ""
        name = self.job.receipt.feed
        return Failure(
            Exit.HELD,
            f"the guard holds the export: {first}{more}. {why}Nothing was sent. The vendor keeps "
            f"the last roster. Run roster-upload diff {name} on the host as root to see who is "
            "affected. Then correct the data in the SIS, or let this export through: "
            f"roster-upload approve {name} --digest {self.copy.sha256[:16]} "
            '--reason "..."',
        )

    # ---- removals that wait ----------------------------------------------------------------------

    def _may_wait(self, verdict: guard.Verdict) -> bool:
        """Return whether removals may wait. Nobody of last year stays after a reset."""
        is_declared = self.feed.removals == "wait" and not self.job.reset
        return is_declared and verdict.is_removals_only

    def _let_wait(self, olds: list[Baseline], verdict: guard.Verdict) -> Outgoing:
        """Return a package that removes nobody. Raise CannotWait or AtVendor."""
        job = self.job
        removed = {kind: c.removed for kind, c in verdict.changes.items() if c.removed}
        waits = job.history.waiting(job.night.date, removed)
        if waits.nights > self.feed.wait_nights:
            job.draft.update(waiting=waits)  # otherwise tomorrow would start another wait
            raise CannotWait(
                f"The removals have waited {self.feed.wait_nights} nights, the limit of wait_nights"
            )
        of_export = {name: getattr(job.receipt, name) for name in OF_THE_FILE}
        package = self.package(self._last_package())
        job.draft.update(waiting=waits)
        require_news(job)
        self._check(package)
        is_good = self.report.accepted and not _unscoped(package)
        if not is_good or self._compare(olds).reasons:
            job.draft.update(**of_export, waiting=None)
            raise CannotWait("The removals cannot wait: the package without them is refused, too")
        return package

    def _last_package(self) -> Path:
        """Return the last accepted package, decrypted beside the copy. Raise CannotWait."""
        packages, path = self.job.package_store(), self.copy.path.with_name("previous.zip")
        sha256 = self.job.state.ledger.accepted()[-1].sent_file.sha256
        entry = next((entry for entry in packages.entries() if entry.sha256 == sha256), None)
        if not entry:
            raise CannotWait("The removals cannot wait: the last accepted package is not kept")
        try:
            packages.decrypt(entry, path)
        except package_store.Damaged as error:
            raise CannotWait(f"The removals cannot wait: {error}") from None
        except OSError as error:
            raise no_room(error) from None
        return path
