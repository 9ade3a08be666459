"""One delivery of one feed: the steps in their order, and the receipt at its end.

Everything before the transfer happens without the network, and any step can stop the line; the
vendor then keeps yesterday's roster.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import random
import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from roster_upload import __version__
from roster_upload import export as settle
from roster_upload.cli import render as views
from roster_upload.config import Feed, load
from roster_upload.exits import RETRYABLE, Exit, Failure
from roster_upload.guard import guard
from roster_upload.guard.baseline import Baseline
from roster_upload.host import atomic, stop
from roster_upload.host.credentials import credential, secrets_folder
from roster_upload.host.locks import feed_lock, transfer_slot
from roster_upload.host.memory import exhausted
from roster_upload.notify import alerts as tell
from roster_upload.package.built import Built, require_scope
from roster_upload.records import evidence, receipts
from roster_upload.records import package_store as ring
from roster_upload.records.ledger import BEGUN, ENDED, Ledger
from roster_upload.records.night import MARGIN_SECONDS, Night, stamp
from roster_upload.records.record import path_text
from roster_upload.terminal.output import say
from roster_upload.terminal.printable import printable
from roster_upload.validation.archive import content_digest
from roster_upload.validation.check import ValidationOptions, check
from roster_upload.validation.findings import Findings, Report

LONGEST_WAIT_SECONDS = 600
AHEAD_MINUTES = 60  # by which an export's time stamp may lie ahead of the clock
STATE_MODE = 0o640  # as the receipts
PROBE_SECONDS = 60  # behind a delivery that is in, and not recorded yet
SHORT_WAIT_SECONDS = 5  # where the vendor has no file until the next try
UNKNOWN_AT_VENDOR = "unknown"  # as `transfer.info.Holds`, until a transfer has ended
NOTHING_SENT = "nothing was sent, the vendor still has what it had before"
# What a receipt says of the file that would be sent.
OF_THE_FILE = ("package", "rows", "faulty_rows", "findings", "changes")
# What is written down of a run before it ends, so that it is known if it is killed.
OF_THE_BEGINNING = ("run", "feed", "district", "command", "started", "night", "deadline",
                    "in_window", "minutes_to_deadline", "source", "package", "remote", "at_vendor",
                    "lost", "program")  # fmt: skip
# What is written of a run whose receipt cannot be.
OF_THE_LEAST = (*OF_THE_BEGINNING, "outcome", "exit_code", "message", "finished")
OUTCOMES = {Exit.STALE: "stale", Exit.HELD: "held", Exit.REFUSED: "refused", Exit.PAUSED: "skipped"}

Outgoing = settle.Snapshot | Built  # what is sent: the export itself, or what was made of it


class AtVendor(Exception):
    """The vendor has the file already. `leaves_receipt`: whether that is worth a receipt."""

    def __init__(self, message: str, *, leaves_receipt: bool) -> None:
        super().__init__(message)
        self.message = message
        self.leaves_receipt = leaves_receipt


class CannotWait(Exception):
    """Why removals may not wait, or no longer."""


def ahead(path: str, written: dt.datetime, now: dt.datetime) -> str:
    """Return what to say of an export from the future, which would never become stale."""
    return (
        f"{path} was written {stamp(written)}, which is ahead of this host's clock "
        f"({stamp(now)}), so its age is not known. Compare the clock (timedatectl) with the SIS's, "
        "then let the SIS write the export again"
    )


class State:
    """What is kept of a feed between its deliveries, besides the receipts."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ledger = Ledger(folder)

    @property
    def profile(self) -> Path:
        """What was learned of the server."""
        return self.folder / evidence.PROFILE

    def baseline(self, accepted: receipts.Receipt, key: bytes) -> Baseline:
        """Return what the vendor holds after a delivery. Raise OSError or ValueError."""
        return Baseline.load(evidence.baseline(self.folder, receipts.sent_sha256(accepted)), key)

    def keep_profile(self, profile: Any) -> None:
        """Write down what was learned of the server. Raise OSError."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o750)
        atomic.replace(self.profile, profile.to_json().encode(), mode=STATE_MODE)

    def prepare(self, baseline: Baseline, sha256: str, key: bytes) -> None:
        """Write down what the vendor will hold, before it does: a power cut loses nothing.

        Remove what belongs to nothing that the vendor may hold. Raise OSError.
        """
        before = self.ledger.receipts()
        kept = {
            evidence.baseline(self.folder, receipts.sent_sha256(receipt))
            for receipt in (*self.ledger.accepted()[-1:], *receipts.unsure(before))
        }
        for path in (*self.folder.glob("accepted-*"), *self.folder.glob(".accepted-*")):
            if path not in kept:
                path.unlink(missing_ok=True)
        baseline.save(evidence.baseline(self.folder, sha256), key)


def _file(file: Outgoing) -> dict[str, Any]:
    """Return what a receipt says of a file."""
    return {"bytes": file.bytes, "sha256": file.sha256, "content": content_digest(file.path)}


def _report(file: Outgoing) -> Report | None:
    """Return what was found when that very file was made; None where it was not looked at."""
    return cast("Report | None", file.report) if isinstance(file, Built) else None


def _unscoped(file: Outgoing) -> tuple[str, ...]:
    """Return the files that may hold more than the feed's scope, which must not be sent."""
    return file.unscoped if isinstance(file, Built) else ()


@contextlib.contextmanager
def _beside(what: str) -> Iterator[None]:
    """Let nothing in the block end a delivery: it is no part of it, and the vendor has its file."""
    try:
        yield
    except Exception as error:  # noqa: BLE001 - whatever it is, the record comes first
        say(f"{what}: {_reason(error)}")


def _reason(error: Exception) -> str:
    return printable(getattr(error, "strerror", None) or str(error) or type(error).__name__)


def _no_room(error: OSError) -> Failure:
    return Failure(Exit.LOCAL, f"no room for a private copy: {error.strerror}")


class Run:
    """A delivery under way; what it has learned becomes its receipt, wherever it stops.

    `command` is `send`; `rehearse`, which does all but the sending; or `resend`, which sends a
    package that was accepted before, `digest` or the last good one.
    """

    def __init__(
        self, name: str, config_file: Path, state: Path, command: str = "send", digest: str = ""
    ) -> None:
        self.name = name
        self.config_file = config_file
        self.state = State(state)
        self.ledger = self.state.ledger
        self.command = command
        self.digest = digest
        self.started = dt.datetime.now(dt.UTC)
        self.report = Report(Findings(), Baseline())
        self.of_export: Report | None = None  # where faulty rows are left out of what is sent
        self.feed: Feed | None = None
        self.before: list[dict[str, Any]] = []  # the feed's receipts so far
        self.killed: list[dict[str, Any]] = []  # those of runs that this one has found killed
        self.package: Outgoing | None = None  # that the vendor has
        self.leaves_receipt = True
        self.has_begun = False  # whether the ledger knows of this run
        self.holds = ""  # what the vendor has, where a transfer has begun
        self.left: Any = None  # the same, as a try leaves it to the next one
        self.progress: Callable[[int, int], None] = lambda _done, _size: None
        self.receipt: dict[str, Any] = {
            "run": secrets.token_hex(8),
            "feed": name,
            "district": "",
            "command": command,
            "outcome": "failed",
            "exit_code": int(Exit.INTERNAL),
            "message": "",
            "started": stamp(self.started),
            "finished": "",
            "night": "",
            "deadline": "",
            "in_window": False,
            "minutes_to_deadline": None,
            "source": {},
            "package": {},
            "rows": {},
            "faulty_rows": {},
            "findings": [],
            "changes": {},
            "held": [],
            "remote": {},
            "attempts": 0,
            "seconds": {},
            "program": __version__,
        }

    def execute(self) -> tuple[Exit, str]:
        """Delivers, writes the receipt; returns the exit code and the sentence for the operator."""
        try:
            # The lock and the private copies are let go behind the receipt.
            with contextlib.ExitStack() as held:
                end = Exit.INTERNAL, "the program failed; please report it"
                try:
                    end = self._ended(held)
                finally:
                    end = self._recorded(*end)
                    if self.is_sent:
                        self._keep()
        finally:
            if self.leaves_receipt:
                with contextlib.suppress(stop.Stopped), stop.heard():
                    self._tell()
        return end

    def _ended(self, held: contextlib.ExitStack) -> tuple[Exit, str]:
        """Deliver. Return the exit code and the message; raise what is an error of the program."""
        try:
            with stop.heard():
                return Exit.OK, self._deliver(held)
        except AtVendor as end:
            self.leaves_receipt = end.leaves_receipt
            return Exit.OK, end.message
        except stop.Stopped as stopped:
            return self._stopped(stopped)
        except Failure as failure:
            self.receipt["outcome"] = OUTCOMES.get(failure.code, "failed")
            if failure.code is Exit.PAUSED:
                self.leaves_receipt = not self._is_told()
            return failure.code, failure.message
        except Exception as error:
            if self.is_sent:
                return Exit.OK, self._summary()
            if lack := exhausted(error):
                return lack.code, lack.message
            raise

    @property
    def is_sent(self) -> bool:
        """Whether the vendor has the file. Nothing that comes later changes that."""
        return bool(self.receipt["outcome"] == "sent")

    def _stopped(self, stopped: stop.Stopped) -> tuple[Exit, str]:
        """Return what to tell of a stop; what was delivered before it stays delivered."""
        if self.is_sent:
            return Exit.OK, self._summary()
        return Exit.STOPPED, f"stopped by {stopped.name}; {self.holds or NOTHING_SENT}"

    def _receipts(self) -> list[dict[str, Any]]:
        try:
            return self.ledger.receipts()
        except OSError as error:
            raise Failure(
                Exit.LOCAL,
                f"{self.ledger.path} cannot be read ({error.strerror}); run the feed as its unit: "
                f"systemctl start roster-upload@{self.name}.service",
            ) from None

    def _is_told(self) -> bool:
        """Whether tonight's receipt says already that nothing is sent by plan."""
        same = ("night", "command", "exit_code")
        self.receipt["exit_code"] = int(Exit.PAUSED)
        return any(all(r.get(key) == self.receipt[key] for key in same) for r in self.before)

    def _deliver(self, held: contextlib.ExitStack) -> str:
        """Take the steps in their order. Return the message; raise AtVendor or Failure.

        `held` keeps the lock and the private copies until the receipt is written.
        """
        self.feed = feed = load(self.config_file)
        self.before = self._receipts()
        night = Night.of(feed, self.started)
        self.receipt |= {
            "district": feed.district,
            "night": night.date,
            "deadline": stamp(night.deadline),
            "in_window": night.in_window,
            "minutes_to_deadline": night.minutes_to_deadline,
            "source": {"path": path_text(feed.source)},
        }
        held.enter_context(feed_lock(self.state.folder))
        self._look_back()
        self._blackout(feed, night)
        self._begin()
        if self.command == "send":
            tell.heartbeat(feed, secrets_folder(), None)
        copy = held.enter_context(self._taken(feed, night))
        self._describe(feed, copy)
        if self.command == "send":
            self._fresh(feed, copy)
        package = self._package(feed, copy, night)
        self._unless_at_vendor(feed, night)
        self._validate(feed, package, night)
        package, baseline = self._guard(feed, copy, package, night)
        if self.command == "rehearse":
            return self._rehearse(feed, night, package)
        self._prepare(feed, baseline, package)
        return self._transfer(feed, package, night)

    def _look_back(self) -> None:
        """Read what was before this run: receipts, killed runs, what is lost. Raise Failure."""
        try:
            self.killed = self.ledger.close_killed()
            self.receipt["lost"] = evidence.gaps(self.state.folder)
        except OSError as error:
            raise self._no_record(error) from None
        for receipt in self.killed:
            say(receipt["message"])
        self.before = self._receipts()  # another delivery may have ended meanwhile

    def _begin(self) -> None:
        """Write down what this run is about to do. Raise Failure."""
        begun = {key: self.receipt[key] for key in OF_THE_BEGINNING if key in self.receipt}
        now = stamp(dt.datetime.now(dt.UTC))
        try:
            # An older program shows lines of every kind, and wants a message.
            self.ledger.append({**begun, "outcome": BEGUN, "finished": now, "message": ""})
        except OSError as error:
            raise self._no_record(error) from None
        self.has_begun = True

    def _no_record(self, error: OSError) -> Failure:
        return Failure(
            Exit.LOCAL,
            f"the receipts in {self.ledger.path} cannot be read or written ({error.strerror}); "
            f"{NOTHING_SENT}",
        )

    def _end_silently(self) -> None:
        """Write down that this run is over, though it has nothing to tell."""
        if not self.has_begun:
            return
        end = {key: self.receipt[key] for key in ("run", "feed", "command", "started")}
        with _beside("the end of the run could not be recorded"):
            now = stamp(dt.datetime.now(dt.UTC))
            self.ledger.append({**end, "outcome": ENDED, "finished": now, "message": ""})

    def _describe(self, feed: Feed, copy: settle.Snapshot) -> None:
        """Record what the export is, and for how long it has been the same."""
        self.receipt["source"] |= {**_file(copy), "modified": stamp(copy.modified)}
        if self.command == "send":
            source, night = self.receipt["source"], self.receipt["night"]
            self.receipt["unchanged_nights"] = receipts.unchanged_nights(self.before, source, night)
            self.receipt["unchanged_limit"] = feed.unchanged_nights

    def _package(
        self, feed: Feed, copy: settle.Snapshot, night: Night, previous: Path | None = None
    ) -> Outgoing:
        """Return the file to send: the export, or what the feed's declared steps make of it.

        `previous` is the accepted package whose rows stay in it.
        """
        if self.command == "resend":
            return copy  # it was made when it was accepted
        # Only a delivery needs it.
        from roster_upload.package.build import build  # noqa: PLC0415

        day = night.deadline.date()

        def look(path: Path) -> Report:
            report = self._read(feed, path, day)
            self.of_export = replace(report, baseline=Baseline())  # what was found, and no more
            return report

        out = copy.path.with_name("waiting.zip" if previous else "package.zip")
        with self._phase("package"):
            try:
                built = build(feed, copy.path, out, previous, check=look, night=day)
            except OSError as error:
                raise _no_room(error) from None
        if not built:
            return copy
        if built.report:
            self.of_export = None  # no row was left out
        self.receipt["package"] = {**_file(built), "steps": built.steps}
        return built

    def _unless_at_vendor(self, feed: Feed, night: Night) -> None:
        """Raise AtVendor where nothing has to be sent: tonight's is in, or nothing has changed.

        Another start in a window brings nothing again that somebody has replaced by hand.
        """
        if self.command != "send":
            return
        if receipts.unsure(self.before):
            return  # what the vendor has is not known
        file, target = receipts.sent_file(self.receipt), self._target(feed)
        accepted = [r for r in self.before if r.get("outcome") == "sent"]
        last = receipts.sent_last(accepted, target)
        window = stamp(night.opened), stamp(night.deadline)
        is_tonights = night.in_window and last and window[0] <= last.get("started", "") <= window[1]
        if last and is_tonights and receipts.is_same(receipts.sent_file(last), file):
            raise AtVendor(
                f"{feed.district}: tonight's delivery of this export is in already",
                leaves_receipt=False,
            )
        if feed.unchanged == "skip" and any(
            receipts.is_same(receipts.sent_file(r), file) and receipts.is_target(r, target)
            for r in accepted[-1:]
        ):
            self.receipt["outcome"] = "skipped"
            raise AtVendor(
                f"{feed.district}: the vendor has this very export already", leaves_receipt=True
            )

    def _prepare(self, feed: Feed, baseline: Baseline, package: Outgoing) -> None:
        """Write down what the vendor will hold, while there is still time to fail."""
        baseline.night = self.receipt["night"]
        try:
            self.state.prepare(baseline, package.sha256, credential(feed.feed, "state"))
        except OSError as error:
            raise Failure(
                Exit.LOCAL,
                f"no room for the feed's state in {self.state.folder}: {error.strerror}; nothing "
                "was sent",
            ) from None

    @contextlib.contextmanager
    def _phase(self, name: str) -> Iterator[None]:
        start = time.monotonic()
        try:
            yield
        finally:
            seconds = self.receipt["seconds"]
            seconds[name] = round(seconds.get(name, 0) + time.monotonic() - start, 4)

    @staticmethod
    def _blackout(feed: Feed, night: Night) -> None:
        for span in feed.blackouts:
            if night.deadline.date() in span:
                raise Failure(
                    Exit.PAUSED,
                    f"{feed.district}: nothing is sent tonight, by plan: blackout {span}; the "
                    "vendor keeps the last roster",
                )

    @contextlib.contextmanager
    def _taken(self, feed: Feed, night: Night) -> Iterator[settle.Snapshot]:
        """A private copy of what is to be sent."""
        if self.command == "resend":
            with settle.workplace() as folder, self._phase("snapshot"):
                yield self._kept(feed, folder / "export")
            return
        with self._phase("settle"):
            export = settle.settled(feed, night.seconds_left(), say)
        self.receipt["source"]["path"] = path_text(export.path)
        with contextlib.ExitStack() as stack:
            with self._phase("snapshot"):
                copy = stack.enter_context(settle.snapshot(export, feed.maximum_bytes))
            yield copy

    def _kept(self, feed: Feed, copy: Path) -> settle.Snapshot:
        """A package of the ring: the one that was named, or the last good one."""
        packages = self._ring(feed)
        accepted = self.ledger.accepted()
        at_vendor = receipts.sent_sha256(accepted[-1]) if accepted else ""
        kept = packages.entries()
        if self.digest:
            wanted = [entry for entry in kept if entry.sha256.startswith(self.digest)]
            none = f"no kept package begins with {self.digest}"
        else:
            wanted = [entry for entry in kept if entry.sha256 != at_vendor]
            none = "no earlier accepted package is kept"
        if not wanted:
            raise Failure(Exit.SOURCE, f"{none}; see roster-upload history {self.name}")
        entry = wanted[-1]
        try:
            packages.decrypt(entry, copy)
        except ring.Damaged as error:
            raise Failure(Exit.LOCAL, f"{error}; was the host set up anew?") from None
        except OSError as error:
            raise _no_room(error) from None
        when = dt.datetime.strptime(entry.accepted, ring.STAMP).replace(tzinfo=dt.UTC)
        return settle.Snapshot(copy, copy.stat().st_size, entry.sha256, when)

    def _ring(self, feed: Feed) -> ring.Ring:
        key = credential(feed.feed, "state")
        return ring.Ring(evidence.packages(self.state.folder), key, feed.keep_packages)

    def _fresh(self, feed: Feed, copy: settle.Snapshot) -> None:
        age = self.started - copy.modified
        path = self.receipt["source"]["path"]
        if -age > dt.timedelta(minutes=AHEAD_MINUTES):
            raise Failure(Exit.STALE, ahead(path, copy.modified, self.started))
        if age > dt.timedelta(hours=feed.maximum_age_hours):
            raise Failure(
                Exit.STALE,
                f"the export was written {stamp(copy.modified)}, {age // dt.timedelta(hours=1)} h "
                f"ago; {feed.maximum_age_hours} h is the limit. Look at the SIS's own schedule",
            )

    def _validate(self, feed: Feed, file: Outgoing, night: Night) -> None:
        """Check a file by the rules. Raise Failure where it breaks one that refuses it."""
        self._check(feed, file, night)
        if not self.report.accepted:
            errors = self.report.findings.errors
            raise Failure(
                Exit.REFUSED,
                f"the export breaks {len(errors)} rule{'s' if len(errors) > 1 else ''} and was not "
                f"sent; first: {errors[0].text()}. The whole list: roster-upload check {self.name}",
            )
        if isinstance(file, Built):
            require_scope(file)

    def _check(self, feed: Feed, file: Outgoing, night: Night) -> None:
        """Check a file by the rules, and record what is found: also in rows that were left out."""
        self.report = Report(Findings(), Baseline())  # frees what was read before
        with self._phase("validate"):
            known = _report(file)
            self.report = report = known or self._read(feed, file.path, night.deadline.date())
        export = self.of_export or Report(Findings(), Baseline())
        faults = [finding for finding in export.findings if finding.severity == "fault"]
        self.receipt["rows"] = report.rows
        self.receipt["faulty_rows"] = {**export.faulty_rows, **report.faulty_rows}
        self.receipt["findings"] = [f.record() for f in (*report.findings, *faults)]

    def _read(self, feed: Feed, path: Path, day: dt.date) -> Report:
        return check(
            path,
            ValidationOptions.from_feed(feed),
            name=Path(self.receipt["source"]["path"]).name,
            key=credential(feed.feed, "state"),
            night=day,
        )

    def _guard(
        self, feed: Feed, copy: settle.Snapshot, package: Outgoing, night: Night
    ) -> tuple[Outgoing, Baseline]:
        """Compare with the last accepted delivery.

        Return the file that may be sent, and what the vendor holds then. Raise Failure.
        """
        with self._phase("guard"):
            olds, lost = self._last_baselines(feed)
        verdict = self._compare(feed, olds, night)
        self.receipt["lost"] = lost
        self.receipt["held"] = reasons = [*lost, *verdict.texts]
        if span := guard.expected(feed, night.deadline.date()):
            self.receipt["expected_change"] = str(span)
        if reasons and self.command != "resend":
            if approval := self.ledger.approval(copy.sha256):
                self.receipt["approved"] = {
                    key: approval.get(key, "") for key in ("who", "why", "finished")
                }
            elif feed.removals == "wait" and verdict.is_removals_only and not lost:
                try:
                    package = self._let_wait(feed, copy, olds, verdict, night)
                except CannotWait as why:
                    raise self._held(copy, f"{why}. ") from None
            else:
                raise self._held(copy, f"{evidence.HOW_TO_GO_ON}. " if lost else "")
        return package, guard.accepted(olds[-1] if olds else None, self.report.baseline)

    def _last_baselines(self, feed: Feed) -> tuple[list[Baseline], list[str]]:
        """Return all that the vendor may hold, the newest last, and why something is not known.

        It is what was sent last, unless a later transfer has not ended well.
        """
        lost = list(self.receipt["lost"])
        maybe = receipts.unsure(self.before)
        if maybe and self.report.baseline.is_incremental:
            lost.append("it only has changes, and whether the last ones have arrived is not known")
        olds = []
        for receipt in (*self.ledger.accepted()[-1:], *maybe):
            try:
                olds.append(self.state.baseline(receipt, credential(feed.feed, "state")))
            except (OSError, ValueError) as error:
                lost.append(f"what was accepted before cannot be compared with ({_reason(error)})")
        return olds, list(dict.fromkeys(lost))

    def _compare(self, feed: Feed, olds: list[Baseline], night: Night) -> guard.Verdict:
        """Return what changes against what was sent last, and each reason against any of them."""
        with self._phase("guard"):
            known: list[Baseline | None] = [*olds] or [None]
            first, *others = (
                guard.judge(feed, old, self.report.baseline, night.deadline.date()) for old in known
            )
            verdict = guard.joined(first, others)
        self.receipt["changes"] = verdict.record()
        return verdict

    def _held(self, copy: settle.Snapshot, why: str = "") -> Failure:
        """Return the failure of an export that the guard holds. `why`: why it does not wait."""
        first, *others = self.receipt["held"]
        more = f" (and {len(others)} more)" if others else ""
        return Failure(
            Exit.HELD,
            f"the guard holds the export: {first}{more}. {why}Nothing was sent, the vendor keeps "
            f"the last roster. See who is affected: roster-upload diff {self.name} (on the host, "
            "as root). Then either correct it in the SIS or let this very file through: "
            f"roster-upload approve {self.name} --digest {copy.sha256[:16]} "
            '--reason "..."',
        )

    def _let_wait(
        self,
        feed: Feed,
        copy: settle.Snapshot,
        olds: list[Baseline],
        verdict: guard.Verdict,
        night: Night,
    ) -> Outgoing:
        """Return a package from which nobody is removed yet. Raise CannotWait or AtVendor."""
        removed = {kind: c.removed for kind, c in verdict.changes.items() if c.removed}
        waits = receipts.waiting(self.before, night.date, removed)
        if waits["nights"] > feed.wait_nights:
            self.receipt["waiting"] = waits  # else tomorrow would begin another wait
            raise CannotWait(
                f"The removals have waited {feed.wait_nights} nights, as wait_nights allows"
            )
        of_export = {key: self.receipt[key] for key in OF_THE_FILE}
        package = self._package(feed, copy, night, self._last_package(feed, copy))
        self.receipt["waiting"] = waits
        self._unless_at_vendor(feed, night)
        self._check(feed, package, night)
        is_good = self.report.accepted and not _unscoped(package)
        if not is_good or self._compare(feed, olds, night).reasons:
            self.receipt |= of_export
            del self.receipt["waiting"]
            raise CannotWait("The removals cannot wait: the rest may not be sent without them")
        return package

    def _last_package(self, feed: Feed, copy: settle.Snapshot) -> Path:
        """Return the last accepted package in the clear, beside the copy. Raise CannotWait."""
        packages, path = self._ring(feed), copy.path.with_name("previous.zip")
        sha256 = receipts.sent_sha256(self.ledger.accepted()[-1])
        entry = next((entry for entry in packages.entries() if entry.sha256 == sha256), None)
        if not entry:
            raise CannotWait("The removals cannot wait: the last accepted package is not kept")
        try:
            packages.decrypt(entry, path)
        except ring.Damaged as error:
            raise CannotWait(f"The removals cannot wait: {error}") from None
        except OSError as error:
            raise _no_room(error) from None
        return path

    @staticmethod
    def _target(feed: Feed) -> dict[str, Any]:
        return {
            "host": feed.remote_host,
            "port": feed.remote_port,
            "dir": feed.remote_dir,
            "name": feed.remote_name,
        }

    def _rehearse(self, feed: Feed, night: Night, package: Outgoing) -> str:
        """Look at the upload path, and learn the server's ways where they are not known."""
        from roster_upload.transfer import connect, probe  # noqa: PLC0415 - as in _send

        profile = self._profile()
        with (
            transfer_slot(self._turns(), feed, night.seconds_left(), say),
            self._connected(feed) as info,
            connect.remote_directory(
                feed, credential(feed.feed, "current"), info, profile=profile
            ) as directory,
        ):
            if not profile or profile.server != info.server:
                info.learned = probe.Probe(directory).run()
            probe.inspect(directory, info.learned or profile, package.bytes)
        self.receipt["outcome"] = "rehearsed"
        return f"{feed.district}: all is ready for tonight; nothing was sent"

    def _turns(self) -> Path:
        """Where the locks that all feeds of the host share lie."""
        if own := os.environ.get("RUNTIME_DIRECTORY"):
            return Path(own).parent / "turns"
        return self.state.folder.parent / ".turns"

    @contextlib.contextmanager
    def _connected(self, feed: Feed) -> Iterator[Any]:
        """Give what is learned of a connection, which comes into the receipt however it ends."""
        from roster_upload.transfer.info import ConnectionInfo  # noqa: PLC0415 - as in _send

        info = ConnectionInfo(holds=self.left or ConnectionInfo.holds)
        try:
            yield info
        finally:
            self.left, self.holds = info.holds, info.holds.words
            if "at_vendor" in self.receipt:
                self.receipt["at_vendor"] = info.holds.name.lower()
            self.receipt["remote"] = {
                **self._target(feed),
                "address": info.address,
                "server": info.server,
                "host_key": info.host_key,
                "login": info.method,
            }
            self.receipt["seconds"] |= info.seconds
            if info.learned:
                self._keep_profile(info.learned)

    def _transfer(self, feed: Feed, package: Outgoing, night: Night) -> str:
        secret = credential(feed.feed, "current")
        with transfer_slot(self._turns(), feed, night.seconds_left(), say):
            self.receipt |= {"at_vendor": UNKNOWN_AT_VENDOR, "remote": self._target(feed)}
            self._begin()
            self.package = package
            self._send(feed, secret, package, night)
        return self._summary()

    def _summary(self) -> str:
        """Return the morning's line of a delivery that is sent, and record what it has to tell."""
        self.receipt["finished"] = stamp(dt.datetime.now(dt.UTC))
        with _beside("what is new of the findings is not known"):
            if self.command == "send":
                self.receipt["told"] = receipts.news(self.before, self.receipt)
        with _beside("the delivery could not be summed up"):
            accepted = self.ledger.accepted()
            return views.morning(self.receipt, accepted[-1] if accepted else None)
        return f"{self.receipt['district']}: sent"

    def _keep(self) -> None:
        """Keep what the next runs need of a delivery that is sent and recorded."""
        with contextlib.suppress(stop.Stopped), stop.heard():
            if not self.feed or not self.package:
                return
            with _beside("that the package was delivered could not be marked"):
                evidence.mark(self.state.folder, self.package.sha256)
            with _beside("the package could not be kept for a later resend"):
                self._ring(self.feed).add(self.package.path, self.package.sha256)

    def _send(self, feed: Feed, secret: bytes, package: Outgoing, night: Night) -> None:
        """Send; try again what may be cured by it, with longer and longer waits."""
        # Only a transfer needs paramiko.
        from roster_upload.transfer import upload  # noqa: PLC0415
        from roster_upload.transfer.info import Holds  # noqa: PLC0415
        from roster_upload.transfer.watchdog import Times  # noqa: PLC0415

        profile = known = self._profile()
        has_nothing = False  # whether the vendor finds no file until the next try
        for attempt in range(1, feed.attempts + 1):
            self.receipt["attempts"] = attempt
            try:
                with self._connected(feed) as info:
                    done = upload.deliver(
                        feed,
                        secret,
                        package.path,
                        package.bytes,
                        info,
                        profile=profile,
                        learns=attempt == 1,  # a server that it breaks is sent to without
                        restores_first=has_nothing,
                        sha256=package.sha256,
                        progress=lambda count: self.progress(count, package.bytes),
                        limit=night.seconds_left() + MARGIN_SECONDS,
                        times=Times(finish=feed.finish_seconds),
                    )
                    self.receipt["outcome"] = "sent"
                break
            except Failure as failed:
                failure = failed
                if info.holds is not Holds.OLD and info.holds.words not in failed.message:
                    failure = Failure(failed.code, f"{failed.message}; {info.holds.words}")
                profile = info.learned or profile
                has_nothing = info.holds is Holds.NOTHING
                wait = min(feed.retry_seconds * 2 ** (attempt - 1), LONGEST_WAIT_SECONDS)
                wait *= random.uniform(0.5, 1.5)  # noqa: S311 - no secret
                if has_nothing:
                    wait = min(wait, SHORT_WAIT_SECONDS)
                if (
                    failure.code not in RETRYABLE
                    or attempt == feed.attempts
                    or wait > night.seconds_left()
                ):
                    raise failure from None
                say(f"try {attempt} of {feed.attempts}: {failure.message}. Again in {wait:.0f} s")
                time.sleep(wait)
        self.receipt["remote"] |= {
            "bytes": done.bytes,
            "method": done.method,
            "verified": done.verified,
        }
        with _beside("what has changed of the server could not be learned"):
            if known and known.server != info.server and not info.learned:
                self.receipt["remote"]["server_changed"] = self._learn(feed, secret, known)

    def _profile(self) -> Any:
        """What was learned of the server, None where nothing is known."""
        from roster_upload.transfer.profile import read_profile  # noqa: PLC0415 - as in _send

        return read_profile(self.state.profile)

    def _keep_profile(self, profile: Any) -> None:
        """Write down what was learned of the server; the delivery does not depend on it."""
        with _beside("what was learned of the server could not be kept"):
            self.state.keep_profile(profile)

    def _learn(self, feed: Feed, secret: bytes, old: Any) -> list[str]:
        """Probe a server that shows another version; the file is delivered already."""
        from roster_upload.transfer import probe, profile  # noqa: PLC0415 - as in _send
        from roster_upload.transfer.info import ConnectionInfo  # noqa: PLC0415

        try:
            new = probe.probe(feed, secret, ConnectionInfo(), limit=PROBE_SECONDS)
        except Failure as error:
            return [f"its version is another one, and it could not be probed: {error}"]
        self._keep_profile(new)
        return profile.changes(old, new)

    def _recorded(self, code: Exit, message: str) -> tuple[Exit, str]:
        """Writes the receipt; returns what to tell, which is another failure where that fails."""
        if not self.leaves_receipt:
            self._end_silently()
            return code, message
        self.receipt |= {
            "exit_code": int(code),
            "message": message,
            "finished": stamp(dt.datetime.now(dt.UTC)),
        }
        try:
            self.state.folder.mkdir(parents=True, exist_ok=True, mode=0o750)
            self._append()
        except Exception as error:  # noqa: BLE001 - the vendor may have the file, whatever comes
            code, message = Exit.LOCAL, (
                f"the receipt cannot be written to {self.ledger.path} ({_reason(error)}); "
                f"what happened: {message}"
            )  # fmt: skip
            outcome = "sent" if self.is_sent else "failed"
            self.receipt |= {"outcome": outcome, "exit_code": int(code), "message": message}
        return code, message

    def _append(self) -> None:
        """Append the receipt, or the least of it. Raise OSError, or what the least one raises."""
        try:
            self.ledger.append(self.receipt)
        except OSError:
            raise
        except Exception as error:  # noqa: BLE001 - a smaller record is better than none
            say(f"the receipt cannot be written whole: {_reason(error)}")
            least = {key: self.receipt[key] for key in OF_THE_LEAST if key in self.receipt}
            self.ledger.append(least)

    def _tell(self) -> None:
        """Tells who wants to know, and puts the state in order; neither can harm the delivery."""
        if not self.feed:
            return
        feed, folder = self.feed, secrets_folder()
        for receipt in (*self.killed, self.receipt):
            with _beside("nobody could be notified"):
                self._notify(feed, receipt, folder)
        if self.command == "send":
            green = self.receipt["outcome"] in ("sent", "skipped")
            code = 0 if green else int(self.receipt["exit_code"])
            with _beside("the heartbeat did not work"):
                _say_all(tell.heartbeat(feed, folder, code))
        with _beside("the feed's receipts could not be pruned"):
            self.ledger.prune(dt.timedelta(days=feed.keep_receipts_days), self.started)
        with _beside("the metrics could not be written"):
            if metrics := os.environ.get("CACHE_DIRECTORY"):
                tell.metrics(Path(metrics) / f"{feed.feed}.prom", feed.feed, self.ledger.receipts())

    def _notify(self, feed: Feed, receipt: receipts.Receipt, folder: Path | None) -> None:
        """Notify who wants to know of a receipt: this run's, or that of one that was killed."""
        before = [r for r in self.before if r.get("run") != receipt["run"]]
        if kind := tell.event(before, receipt):
            _say_all(tell.tell(feed, kind, receipt, folder))


def _say_all(texts: list[str]) -> None:
    for text in texts:
        say(text)
