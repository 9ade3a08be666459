"""Write the lines of a run into the ledger: its start, and its receipt at the end."""

from __future__ import annotations

from roster_upload.delivery.job import Draft, beside, now, reason
from roster_upload.exits import Exit, Failure
from roster_upload.records import evidence
from roster_upload.records.chain import break_text
from roster_upload.records.history import History
from roster_upload.records.receipt import Outcome, Receipt
from roster_upload.records.state import State
from roster_upload.terminal import output

NOTHING_SENT = "nothing was sent. The vendor still has what it had before"


class Recorder:
    """The writer of the lines of one run."""

    def __init__(self, state: State, draft: Draft) -> None:
        self.state = state
        self.ledger = state.ledger
        self.draft = draft
        self.has_begun = False  # the ledger has a line of this run
        self.leaves_receipt = True
        self.killed: list[Receipt] = []  # receipts of killed runs that this one has found

    def history(self) -> History:
        """Return the feed's receipts so far. Raise Failure."""
        try:
            return self.ledger.history()
        except OSError as error:
            raise Failure(
                Exit.LOCAL,
                f"{self.ledger.path} cannot be read ({error.strerror}). Run the feed as its unit: "
                f"systemctl start roster-upload@{self.draft.receipt.feed}.service",
            ) from None

    def look_back(self) -> History:
        """Record killed runs and missing receipts. Return the history. Raise Failure."""
        try:
            self.killed = self.ledger.close_killed()
            self.draft.update(lost=tuple(evidence.gaps(self.state.folder)))
            self._check_keys()
        except OSError as error:
            raise self._no_record(error) from None
        for receipt in self.killed:
            output.say(receipt.message)
        return self.history()  # another delivery may have ended meanwhile

    def _check_keys(self) -> None:
        """Check the lines so far with the host's key. A break stops no delivery."""
        if not (check := self.ledger.key_check()):
            return
        self.draft.update(checked=check)
        chain = self.ledger.chain()
        for found in check.breaks:
            output.say(f"{self.ledger.path}: {break_text(found, chain.number_of(found.position))}")

    def begin(self) -> None:
        """Record the start of this run, or of its transfer. Raise Failure."""
        try:
            self.ledger.append(self.draft.receipt.begun(now()))
        except OSError as error:
            raise self._no_record(error) from None
        self.has_begun = True

    def _no_record(self, error: OSError) -> Failure:
        return Failure(
            Exit.LOCAL,
            f"the receipts in {self.ledger.path} cannot be read or written ({error.strerror}), so "
            f"{NOTHING_SENT}",
        )

    def record(self, code: Exit, message: str) -> tuple[Exit, str]:
        """Write the receipt. Return the exit code and the message, or those of a failed write."""
        if not self.leaves_receipt:
            self._end_silently()
            return code, message
        self.draft.update(exit_code=int(code), message=message, finished=now())
        try:
            self.state.folder.mkdir(parents=True, exist_ok=True, mode=0o750)
            self._append()
        except Exception as error:  # noqa: BLE001 - the vendor may have the file
            code, message = Exit.LOCAL, (
                f"the receipt cannot be written to {self.ledger.path} ({reason(error)}). "
                f"The run ended with: {message}"
            )  # fmt: skip
            outcome = Outcome.SENT if self.draft.is_sent else Outcome.FAILED
            self.draft.update(outcome=outcome, exit_code=int(code), message=message)
        return code, message

    def _end_silently(self) -> None:
        """Record the end of this run without a receipt."""
        if not self.has_begun:
            return
        with beside("the end of the run could not be recorded"):
            self.ledger.append(self.draft.receipt.ended(now()))

    def _append(self) -> None:
        """Append the receipt, or else a brief one. Raise OSError, or the error of the brief one."""
        receipt = self.draft.receipt
        try:
            self.ledger.append(receipt)
        except OSError:
            raise
        except Exception as error:  # noqa: BLE001 - a smaller record is better than none
            output.say(f"the receipt is shortened, since it cannot be written: {reason(error)}")
            self.ledger.append(receipt.brief())
