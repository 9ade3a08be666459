"""One delivery of one feed: the steps in their order, and the receipt at its end.

Everything before the transfer happens without the network, and any step can stop the line; the
vendor then keeps yesterday's roster.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import fcntl
import hashlib
import os
import stat
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from roster_upload import __version__, oneroster
from roster_upload.config import Feed, load, window_minutes
from roster_upload.exits import Exit, Failure
from roster_upload.ledger import Ledger

DAY_MINUTES = 24 * 60


@dataclass(frozen=True)
class Night:
    """The night that a moment belongs to: its window and how the moment lies in it."""

    opened: dt.datetime  # of the window that is open, or opens next
    deadline: dt.datetime
    in_window: bool
    minutes_to_deadline: int

    @classmethod
    def of(cls, feed: Feed, now: dt.datetime) -> Night:
        """The night whose deadline comes next after `now` (UTC)."""
        midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
        deadline = midnight + dt.timedelta(minutes=feed.deadline)
        if deadline <= now:
            deadline += dt.timedelta(days=1)
        length = window_minutes(feed.window_start, feed.deadline)
        opened = deadline - dt.timedelta(minutes=length)
        left = int((deadline - now).total_seconds() // 60)
        return cls(opened, deadline, opened <= now, left)


@dataclass(frozen=True)
class Snapshot:
    """A private copy of an export: what it was, and where the copy lies."""

    path: Path
    bytes: int
    sha256: str
    modified: str


def stamp(moment: dt.datetime) -> str:
    """A moment in UTC as ISO 8601 to the second."""
    return moment.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Holds the feed's lock; raises Failure where another delivery has it."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o750)
        handle = (folder / "lock").open("w")
    except OSError as error:
        raise Failure(
            Exit.LOCAL,
            f"{folder} cannot be written ({error.strerror}); run the feed as its unit: "
            f"systemctl start roster-upload@{folder.name}.service",
        ) from None
    with handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Failure(
                Exit.BUSY, f"another delivery of {folder.name} is under way; see its journal"
            ) from None
        yield


@contextlib.contextmanager
def snapshot(source: Path) -> Iterator[Snapshot]:
    """A private copy of the export, hashed while it is copied, gone at the end of the block."""
    with contextlib.ExitStack() as stack:
        try:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="roster-upload-"))
        except OSError as error:
            raise Failure(Exit.LOCAL, f"no place for a private copy: {error.strerror}") from None
        copy = Path(folder) / "export"
        try:
            if not stat.S_ISREG(source.stat().st_mode):  # a pipe would block for ever
                raise Failure(Exit.SOURCE, f"{source} is no file")
            export = stack.enter_context(source.open("rb"))
            before = os.fstat(export.fileno())
            digest, size = _copied(export, copy)
            after = os.fstat(export.fileno())
        except FileNotFoundError:
            raise Failure(
                Exit.SOURCE, f"there is no export at {source}; did the SIS write it elsewhere?"
            ) from None
        except OSError as error:
            raise Failure(
                Exit.SOURCE,
                f"{source} cannot be read ({error.strerror}); the user roster-upload needs to",
            ) from None
        state = (before.st_size, before.st_mtime_ns)
        if state != (after.st_size, after.st_mtime_ns) or size != before.st_size:
            raise Failure(
                Exit.SOURCE, f"{source} changed while it was read; the SIS is still writing it"
            )
        modified = dt.datetime.fromtimestamp(before.st_mtime, dt.UTC)
        yield Snapshot(copy, size, digest, stamp(modified))


def _copied(export: BinaryIO, copy: Path) -> tuple[str, int]:
    """Copies to a new file that nobody else can read; returns the sha256 and the size in bytes."""
    digest, size = hashlib.sha256(), 0
    try:
        out = os.fdopen(os.open(copy, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")
    except OSError as error:
        raise _no_room(copy, error) from None
    with contextlib.closing(out):
        while block := export.read(1 << 20):
            digest.update(block)
            size += len(block)
            try:
                out.write(block)
                out.flush()
            except OSError as error:
                raise _no_room(copy, error) from None
    return digest.hexdigest(), size


def _no_room(copy: Path, error: OSError) -> Failure:
    return Failure(
        Exit.LOCAL, f"no room for a private copy in {copy.parent.parent}: {error.strerror}"
    )


def credential(feed: Feed) -> bytes:
    """The feed's secret, as systemd hands it to the unit."""
    folder = os.environ.get("CREDENTIALS_DIRECTORY")
    path = Path(folder or "/nonexistent") / f"{feed.feed}_current"
    try:
        return path.read_bytes()
    except OSError:
        if not folder:
            raise Failure(
                Exit.CREDENTIAL,
                "the secret is only there for the feed's unit; run it by "
                f"`systemctl start roster-upload@{feed.feed}.service`",
            ) from None
        raise Failure(
            Exit.CREDENTIAL,
            f"the feed {feed.feed} has no secret on this host; run site.yml with the district's "
            "vault file",
        ) from None


class Run:
    """A delivery under way; what it has learned becomes its receipt, wherever it stops."""

    def __init__(self, name: str, config_file: Path, state: Path) -> None:
        self.name = name
        self.config_file = config_file
        self.state = state
        self.ledger = Ledger(state)
        self.started = dt.datetime.now(dt.UTC)
        self.report = oneroster.Report()
        self.is_over = False  # what is left to do is to record it
        self.receipt: dict[str, Any] = {
            "feed": name,
            "district": "",
            "outcome": "failed",
            "exit_code": int(Exit.INTERNAL),
            "message": "",
            "started": stamp(self.started),
            "finished": "",
            "night": "",
            "in_window": False,
            "minutes_to_deadline": None,
            "source": {},
            "rows": {},
            "findings": [],
            "remote": {},
            "seconds": {},
            "program": __version__,
        }

    def execute(self) -> tuple[Exit, str]:
        """Delivers, writes the receipt; returns the exit code and the sentence for the operator."""
        code, message = Exit.INTERNAL, "the program failed; please report it"
        leaves_receipt = True
        try:
            message, leaves_receipt = self._deliver()
            code = Exit.OK
        except Failure as failure:
            code, message = failure.code, failure.message
        finally:
            self.is_over = True
            if leaves_receipt:
                self._write_receipt(code, message)
        return code, message

    def _deliver(self) -> tuple[str, bool]:
        """The line of steps; returns the message, and whether there is something to record."""
        feed = load(self.config_file)
        night = Night.of(feed, self.started)
        self.receipt |= {
            "district": feed.district,
            "night": night.deadline.date().isoformat(),
            "in_window": night.in_window,
            "minutes_to_deadline": night.minutes_to_deadline,
            "source": {"path": str(feed.source)},
        }
        with contextlib.ExitStack() as stack:
            stack.enter_context(locked(self.state))
            with self._phase("snapshot"):
                copy = stack.enter_context(snapshot(feed.source))
            self.receipt["source"] |= {
                "bytes": copy.bytes,
                "sha256": copy.sha256,
                "modified": copy.modified,
            }
            with self._phase("validate"):
                self._validate(copy)
            if night.in_window and self._is_delivered(feed, copy, night):
                return f"{feed.district}: tonight's delivery of this export is in already", False
            return self._transfer(feed, copy, night), True

    @contextlib.contextmanager
    def _phase(self, name: str) -> Iterator[None]:
        start = time.monotonic()
        try:
            yield
        finally:
            self.receipt["seconds"][name] = round(time.monotonic() - start, 4)

    def _validate(self, copy: Snapshot) -> None:
        self.report = oneroster.check(copy.path)
        findings = list(self.report.findings)
        self.receipt["rows"] = self.report.rows
        self.receipt["findings"] = [finding.record() for finding in findings]
        if not self.report.accepted:
            self.receipt["outcome"] = "refused"
            errors = self.report.findings.errors
            raise Failure(
                Exit.REFUSED,
                f"the export breaks {len(errors)} rule{'s' if len(errors) > 1 else ''} and was not "
                f"sent; first: {errors[0].text()}. The whole list: roster-upload check {self.name}",
            )

    def _is_delivered(self, feed: Feed, copy: Snapshot, night: Night) -> bool:
        """Whether this very export went to this very place since the window has opened."""
        target = self._target(feed)
        return any(
            receipt.get("outcome") == "sent"
            and receipt.get("source", {}).get("sha256") == copy.sha256
            and receipt.get("started", "") >= stamp(night.opened)
            and {key: receipt.get("remote", {}).get(key) for key in target} == target
            for receipt in self.ledger.receipts()
        )

    @staticmethod
    def _target(feed: Feed) -> dict[str, Any]:
        return {
            "host": feed.remote_host,
            "port": feed.remote_port,
            "dir": feed.remote_dir,
            "name": feed.remote_name,
        }

    def _transfer(self, feed: Feed, copy: Snapshot, night: Night) -> str:
        from roster_upload import sftp  # noqa: PLC0415 - only a transfer needs paramiko

        secret = credential(feed)
        facts = sftp.Facts()
        try:
            done = sftp.deliver(feed, secret, copy.path, copy.bytes, facts)
        finally:
            self.receipt["remote"] = {
                **self._target(feed),
                "address": facts.address,
                "server": facts.server,
                "host_key": facts.host_key,
            }
            self.receipt["seconds"] |= facts.seconds
        self.receipt["remote"] |= {"bytes": done.bytes, "method": done.method}
        self.receipt["outcome"] = "sent"
        users = self.report.rows.get("users", 0)
        when = (
            f"{night.minutes_to_deadline} min before the deadline"
            if night.in_window
            else "outside the nightly window"
        )
        return f"{feed.district}: sent {copy.bytes:,} bytes with {users:,} users, {when}"

    def _write_receipt(self, code: Exit, message: str) -> None:
        self.receipt |= {
            "exit_code": int(code),
            "message": message,
            "finished": stamp(dt.datetime.now(dt.UTC)),
        }
        try:
            self.state.mkdir(parents=True, exist_ok=True, mode=0o750)
            self.ledger.append(self.receipt)
        except OSError as error:
            raise Failure(
                Exit.LOCAL,
                f"the receipt cannot be written to {self.ledger.path} ({error.strerror}); "
                f"what happened: {message}",
            ) from None
