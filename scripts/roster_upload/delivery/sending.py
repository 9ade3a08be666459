"""The steps on the network: the transfer, its attempts, and the rehearsal."""

from __future__ import annotations

import contextlib
import os
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from roster_upload.delivery.job import Job, Outgoing, beside
from roster_upload.exits import Failure
from roster_upload.host.locks import transfer_slot
from roster_upload.records.night import MARGIN_SECONDS
from roster_upload.records.parts import Remote
from roster_upload.records.receipt import Outcome
from roster_upload.records.summary import waiting_text
from roster_upload.terminal import output

LONGEST_WAIT_SECONDS = 600
SHORT_WAIT_SECONDS = 5  # if the vendor has no file until the next attempt
PROBE_SECONDS = 60  # after a delivery that is not recorded yet
UNKNOWN_AT_VENDOR = "unknown"  # as `transfer.info.Holds`, until a transfer has ended


class Sender:
    """The sender of a package: transfers or rehearses it."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.feed = job.feed
        self.left: Any = None  # the vendor's file after the last attempt

    def rehearse(self, package: Outgoing, to_come: str) -> str:
        """Check the upload path, and probe the server if its profile is missing or outdated.

        Return the message. `to_come` says that tonight's export is still to come. Raise Failure.
        """
        from roster_upload.transfer import connect, probe  # noqa: PLC0415 - as in _send

        feed, profile, secret = self.feed, self._profile(), self.job.secret("current")
        self.job.draft.steps.begin("slot")
        with (
            transfer_slot(self._slots(), feed, self.job.night.seconds_left(), output.say),
            self._connected() as info,
            connect.remote_directory(feed, secret, info, profile=profile) as directory,
        ):
            if not profile or profile.server != info.server:
                info.learned = probe.Probe(directory).run()
            probe.inspect(directory, info.learned or profile, package.bytes)
        self.job.draft.update(outcome=Outcome.REHEARSED)
        if to_come:
            return f"{feed.district}: {to_come}. The rehearsal found no fault. Nothing was sent"
        notes = waiting_text(self.job.receipt)
        return f"{feed.district}: this export can be delivered tonight. {notes}Nothing was sent"

    def transfer(self, package: Outgoing, begin: Callable[[], None]) -> None:
        """Send a package. Raise Failure.

        `begin` records that the package may reach the vendor from then on.
        """
        secret = self.job.secret("current")
        self.job.draft.steps.begin("slot")
        with transfer_slot(self._slots(), self.feed, self.job.night.seconds_left(), output.say):
            target = Remote(**asdict(self.job.target))
            self.job.draft.update(at_vendor=UNKNOWN_AT_VENDOR, remote=target)
            begin()
            self._send(secret, package)

    def _begin(self, phase: str, size: int) -> None:
        """Show a phase of the connection. The bar begins with the first byte, not its answer."""
        if phase == "write" and size:
            self.job.draft.steps(0, size)
        else:
            self.job.draft.steps.begin(phase)

    def _slots(self) -> Path:
        """Return the folder of the locks that all feeds of the host share."""
        if own := os.environ.get("RUNTIME_DIRECTORY"):
            return Path(own).parent / "turns"
        return self.job.state.folder.parent / ".turns"

    @contextlib.contextmanager
    def _connected(self, size: int = 0) -> Iterator[Any]:
        """Yield the facts of a connection. They go into the receipt, even after an error.

        `size` is that of the package to transfer.
        """
        from roster_upload.transfer.info import ConnectionInfo  # noqa: PLC0415 - as in _send

        job = self.job
        info = ConnectionInfo(
            holds=self.left or ConnectionInfo.holds, begin=lambda phase: self._begin(phase, size)
        )
        try:
            yield info
        finally:
            self.left, job.holds = info.holds, info.holds.words
            if job.receipt.at_vendor:
                job.draft.update(at_vendor=info.holds.name.lower())
            job.draft.update(
                remote=Remote(
                    **asdict(job.target),
                    address=info.address,
                    server=info.server,
                    banner=info.banner,
                    host_key=info.host_key,
                    login=info.method,
                ),
                seconds={**job.receipt.seconds, **info.seconds},
            )
            if info.learned:
                self._keep_profile(info.learned)

    def _send(self, secret: bytes, package: Outgoing) -> None:
        """Send. Retry temporary failures, with longer and longer waits."""
        # Only a transfer needs paramiko.
        from roster_upload.transfer import upload  # noqa: PLC0415
        from roster_upload.transfer.info import Holds  # noqa: PLC0415
        from roster_upload.transfer.watchdog import Times  # noqa: PLC0415

        feed, night, draft = self.feed, self.job.night, self.job.draft
        profile = known = self._profile()
        has_nothing = False  # the vendor finds no file until the next attempt
        for attempt in range(1, feed.attempts + 1):
            draft.update(attempts=attempt)
            try:
                with self._connected(package.bytes) as info:
                    done = upload.deliver(
                        feed,
                        secret,
                        package.path,
                        package.bytes,
                        info,
                        profile=profile,
                        learns=attempt == 1,  # a probe may break the connection
                        restores_first=has_nothing,
                        sha256=package.sha256,
                        progress=lambda count: draft.steps(count, package.bytes),
                        limit=night.seconds_left() + MARGIN_SECONDS,
                        times=Times(finish=feed.finish_seconds),
                    )
                    draft.update(outcome=Outcome.SENT)
                break
            except Failure as failed:
                failure = failed
                if info.holds is not Holds.OLD and info.holds.words not in failed.message:
                    failure = Failure(
                        failed.code, f"{failed.message}. {_sentence(info.holds.words)}"
                    )
                profile = info.learned or profile
                has_nothing = info.holds is Holds.NOTHING
                wait = self._wait(attempt, has_nothing=has_nothing)
                if (
                    not failure.code.is_retried
                    or attempt == feed.attempts
                    or wait > night.seconds_left()
                ):
                    raise failure from None
                output.say(
                    f"attempt {attempt} of {feed.attempts}: {failure.message}. "
                    f"Retry in {wait:.0f} s"
                )
                draft.steps.begin("retry", wait)
                time.sleep(wait)
        self._describe(done.bytes, done.method, done.verified)
        with beside("the changes of the server could not be determined"):
            if known and known.server != info.server and not info.learned:
                changed = tuple(self._learn(secret, known))
                draft.update(remote=replace(self.job.receipt.remote, server_changed=changed))

    def _wait(self, attempt: int, *, has_nothing: bool) -> float:
        """Return the seconds until the next attempt."""
        wait: float = min(self.feed.retry_seconds * 2 ** (attempt - 1), LONGEST_WAIT_SECONDS)
        wait *= random.uniform(0.5, 1.5)  # noqa: S311 - no secret
        return min(wait, SHORT_WAIT_SECONDS) if has_nothing else wait

    def _describe(self, size: int | None, method: str, verified: str) -> None:
        """Record how the file arrived."""
        remote = replace(self.job.receipt.remote, bytes=size, method=method, verified=verified)
        self.job.draft.update(remote=remote)

    def _profile(self) -> Any:
        """Return the server's profile, or None without one."""
        from roster_upload.transfer.profile import read_profile  # noqa: PLC0415 - as in _send

        return read_profile(self.job.state.profile)

    def _keep_profile(self, profile: Any) -> None:
        """Save the server's profile. An error does not stop the delivery."""
        with beside("the server's profile could not be saved"):
            self.job.state.keep_profile(profile)

    def _learn(self, secret: bytes, old: Any) -> list[str]:
        """Probe a server with a new version, after the delivery. Return its changes as texts."""
        from roster_upload.transfer import probe, profile  # noqa: PLC0415 - as in _send
        from roster_upload.transfer.info import ConnectionInfo  # noqa: PLC0415

        try:
            new = probe.probe(self.feed, secret, ConnectionInfo(), limit=PROBE_SECONDS)
        except Failure as error:
            return [f"its version has changed, and it could not be probed: {error}"]
        self._keep_profile(new)
        return profile.changes(old, new)


def _sentence(text: str) -> str:
    """Return a text with a capital at its beginning."""
    return text[:1].upper() + text[1:]
