"""One delivery of one feed: the steps in their order, and the receipt at its end.

No step before the transfer uses the network, except the heartbeat and the fetch. Any step can end
the delivery. The vendor then keeps yesterday's roster.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import secrets
from dataclasses import replace
from pathlib import Path

from roster_upload import __version__
from roster_upload.config import load
from roster_upload.delivery import closing, fetching, private_copy, readiness
from roster_upload.delivery.at_vendor import AtVendor, require_news
from roster_upload.delivery.job import Draft, Job, Outgoing, beside, now
from roster_upload.delivery.judging import Judge
from roster_upload.delivery.private_copy import source_of
from roster_upload.delivery.recorder import NOTHING_SENT, Recorder
from roster_upload.delivery.sending import Sender
from roster_upload.exits import Exit, Failure
from roster_upload.guard.baseline import Baseline
from roster_upload.host import stop
from roster_upload.host.credentials import secrets_folder
from roster_upload.host.locks import feed_lock
from roster_upload.host.memory import exhausted
from roster_upload.notify.channels import heartbeat
from roster_upload.records.chain import LedgerKey
from roster_upload.records.history import History
from roster_upload.records.night import Night, stamp
from roster_upload.records.receipt import Outcome, Receipt
from roster_upload.records.state import State
from roster_upload.records.summary import summary_line


class Delivery:
    """A delivery under way. Each end of it leads to a receipt.

    `command` is `send`, `rehearse` (all steps except the transfer) or `resend` (an accepted package
    again: that of `digest`, or the last good one).
    """

    def __init__(
        self, name: str, config_file: Path, state: Path, command: str = "send", digest: str = ""
    ) -> None:
        self.config_file = config_file
        self.state = State(state, LedgerKey.of_unit(name))
        self.command = command
        self.digest = digest
        self.started = dt.datetime.now(dt.UTC)
        self.job: Job | None = None  # after the configuration is read
        self.package: Outgoing | None = None  # the file that the vendor may have
        self.draft = Draft(
            Receipt(
                run=secrets.token_hex(8),
                feed=name,
                command=command,
                outcome=Outcome.FAILED,
                exit_code=int(Exit.INTERNAL),
                started=stamp(self.started),
                in_window=False,
                program=__version__,
            )
        )
        self.recorder = Recorder(self.state, self.draft)

    @property
    def receipt(self) -> Receipt:
        """Return the receipt as it is now."""
        return self.draft.receipt

    def execute(self) -> tuple[Exit, str]:
        """Deliver and write the receipt. Return the exit code and the message to the operator."""
        try:
            # The lock and the private copies are released after the receipt.
            with contextlib.ExitStack() as held:
                end = Exit.INTERNAL, "the program failed. Please report it"
                try:
                    end = self._ended(held)
                finally:
                    end = self.recorder.record(*end)
                    if self.draft.is_sent:
                        self._keep()
        finally:
            if self.recorder.leaves_receipt:
                with contextlib.suppress(stop.Stopped), stop.heard():
                    self._close()
        return end

    def _ended(self, held: contextlib.ExitStack) -> tuple[Exit, str]:
        """Deliver. Return the exit code and the message. Raise errors of the program itself."""
        try:
            with stop.heard():
                return Exit.OK, self._deliver(held)
        except AtVendor as end:
            self.recorder.leaves_receipt = end.leaves_receipt
            if self.job:
                self.job.is_at_vendor = True
            return Exit.OK, end.message
        except stop.Stopped as stopped:
            return self._stopped(stopped)
        except Failure as failure:
            source = replace(self.receipt.source, cause=failure.cause)
            self.draft.update(outcome=Outcome.of_failure(failure.code), source=source)
            if failure.code is Exit.PAUSED:
                self.recorder.leaves_receipt = not self._is_recorded_tonight()
            return failure.code, failure.message
        except Exception as error:
            if self.draft.is_sent:
                return Exit.OK, self._summary()
            if lack := exhausted(error):
                return lack.code, lack.message
            raise

    def _stopped(self, stopped: stop.Stopped) -> tuple[Exit, str]:
        """Return the exit code and the message of a run that was stopped by a signal."""
        if self.draft.is_sent:
            return Exit.OK, self._summary()
        holds = self.job.holds if self.job else ""
        return Exit.STOPPED, f"stopped by {stopped.name}: {holds or NOTHING_SENT}"

    def _is_recorded_tonight(self) -> bool:
        """Return whether tonight already has a receipt of the blackout."""
        same = self.receipt.night, self.command, int(Exit.PAUSED)
        known = self.job.history if self.job else ()
        return any((r.night, r.command, r.exit_code) == same for r in known)

    def _deliver(self, held: contextlib.ExitStack) -> str:
        """Run the steps in their order. Return the message. Raise AtVendor or Failure.

        `held` keeps the lock and the private copies until the receipt is written.
        """
        job = self._job()
        feed = job.feed
        held.enter_context(feed_lock(self.state.folder))
        job.history = self.recorder.look_back()
        self._blackout(job)
        self.recorder.begin()
        if self.command == "send":
            heartbeat.beat(feed, secrets_folder(), None)
        copy = held.enter_context(private_copy.taken(job))
        private_copy.describe(job, copy)
        to_come = private_copy.require_fresh(job, copy)
        judge = Judge(job, copy)
        package = judge.package()
        require_news(job)
        judge.validate(package)
        package, baseline = judge.let_through(package)
        self._prepare(job, baseline, package)
        if self.command == "rehearse":
            return Sender(job).rehearse(package, to_come)
        Sender(job).transfer(package, lambda: self._begin_transfer(package))
        fetching.tidy(job)
        return self._summary() + fetching.left_text(job)

    def _job(self) -> Job:
        """Return the job from the configuration and the ledger. Raise Failure."""
        feed = load(self.config_file)
        night = Night.containing(feed, self.started)
        self.draft.update(
            district=feed.district,
            night=night.date,
            deadline=stamp(night.deadline),
            in_window=night.in_window,
            minutes_to_deadline=night.minutes_to_deadline,
            source=source_of(feed),
        )
        self.job = job = Job(
            feed=feed,
            night=night,
            state=self.state,
            draft=self.draft,
            history=History(),
            command=self.command,
            digest=self.digest,
            started=self.started,
            config_file=self.config_file,
        )
        job.history = self.recorder.history()
        return job

    @staticmethod
    def _blackout(job: Job) -> None:
        """Raise Failure on a blackout date."""
        if text := readiness.pause(job.feed, job.started):
            raise Failure(
                Exit.PAUSED, f"{job.feed.district}: {text}. The vendor keeps the last roster"
            )

    def _prepare(self, job: Job, baseline: Baseline, package: Outgoing) -> None:
        """Save the baseline before the transfer, which a full disk must not follow.

        A rehearsal only tests whether there is room.
        """
        baseline.night = job.night.date
        key = job.secret("state")
        try:
            if self.command == "rehearse":
                self.state.rehearse(baseline, key)
            else:
                self.state.prepare(baseline, package.sha256, key)
        except OSError as error:
            raise Failure(
                Exit.LOCAL,
                f"no room for the feed's state in {self.state.folder} ({error.strerror}), so "
                "nothing was sent",
            ) from None

    def _begin_transfer(self, package: Outgoing) -> None:
        """Record that the package may reach the vendor from now on. Raise Failure."""
        self.recorder.begin()
        self.package = package

    def _summary(self) -> str:
        """Return the summary line of a delivery that is sent, and record its new findings."""
        self.draft.update(finished=now())
        history = self.job.history if self.job else History()
        with beside("the new findings could not be determined"):
            if self.command == "send":
                self.draft.update(notified=history.new_findings(self.receipt))
        with beside("the summary could not be made"):
            accepted = self.state.ledger.accepted()
            zone = self.job.feed.time_zone if self.job else ""
            return summary_line(self.receipt, accepted[-1] if accepted else None, zone=zone)
        return f"{self.receipt.district}: sent"

    def _keep(self) -> None:
        """Store the data that later runs need of a delivery that is sent and recorded."""
        with contextlib.suppress(stop.Stopped), stop.heard():
            if self.job and self.package:
                closing.keep(self.job, self.package)

    def _close(self) -> None:
        """Notify people, prune receipts and write metrics."""
        if self.job:
            closing.close(self.job, self.recorder.killed)
