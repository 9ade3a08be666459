"""A feed in a folder whose transfers are stubs, and what its deliveries meet."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
import hashlib
import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from roster_feeds import to_toml
from roster_upload import config
from roster_upload.delivery import judging, pipeline
from roster_upload.exits import Exit, Failure
from roster_upload.notify import notifier
from roster_upload.notify.channels import heartbeat
from roster_upload.package.built import Built
from roster_upload.records.finding import Finding
from roster_upload.records.ledger import Ledger
from roster_upload.records.receipt import Receipt
from roster_upload.terminal import output
from roster_upload.transfer import connect, upload
from roster_upload.transfer.info import Holds
from roster_upload.transfer.profile import Profile
from roster_upload.validation.check import check
from roster_upload.validation.findings import Report
from unit.test_config import GOOD

from support.sftp_server import Server, directory_of

OLD, SMALL, BIG = (b"<roster>" + b"x" * count for count in (1000, 400, 1020))
VENDOR = "SSH-2.0-Vendor_1"
NOON = "2026-11-01T12:00:00Z"
STEPS = ("faulty_rows", "removals", "wait_nights")
PROFILE = Profile(
    server=VENDOR, extensions=(), login="password", rename="rename", stat_after_close=True,
    takes_on_close=False, sizes=True, hash=False, learned="2026-11-01T00:00:00Z",
)  # fmt: skip


class Host:
    """A feed in a folder. Its transfers end as `ends` says, one after the other, or well."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.patch = monkeypatch
        self.export = folder / "roster.xml"
        self.state = folder / "state" / "maple-grove"
        self.ledger = Ledger(self.state)
        self.ends: list[BaseException] = []
        self.sent: list[bytes] = []
        self.options: dict[str, Any] = {}  # of the last transfer
        self.said: list[str] = []
        self.waits: list[float] = []
        self.alerts: list[tuple[str, object]] = []
        self.holds = Holds.OLD  # what a transfer finds
        self.banner = ""  # of the server
        self.learned: Profile | None = None
        for path in (folder / "credentials", folder / "tmp"):
            path.mkdir()
        for slot, content in (("current", b" hunter\n"), ("state", b"k" * 32)):
            (folder / "credentials" / f"maple-grove_{slot}").write_bytes(content)
        monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(folder / "credentials"))
        monkeypatch.delenv("RUNTIME_DIRECTORY", raising=False)
        monkeypatch.delenv("CACHE_DIRECTORY", raising=False)
        monkeypatch.setattr("tempfile.tempdir", str(folder / "tmp"))
        monkeypatch.setattr("random.uniform", lambda _low, _high: 1.0)
        monkeypatch.setattr("time.sleep", self.waits.append)
        monkeypatch.setattr("os.fsync", lambda _descriptor: None)  # no power is cut here
        monkeypatch.setattr(output, "say", self.said.append)
        monkeypatch.setattr(pipeline, "load", self._load)
        monkeypatch.setattr(upload, "deliver", self._deliver)
        monkeypatch.setattr(heartbeat, "beat", self._heartbeat)
        monkeypatch.setattr(notifier, "notify", self._notify)
        self.configure()
        self.export.write_bytes(OLD)

    def at(self, server: Server, **changes: Any) -> None:
        """Put the feed's folder on a server in memory."""
        self.patch.setattr(
            connect,
            "remote_directory",
            lambda *_, **__: contextlib.nullcontext(directory_of(server, **changes)),
        )

    def configure(self, opens: int = 360, closes: int = 480, **changes: Any) -> None:
        """Write the configuration. Its window is so many minutes from now.

        Steps are for OneRoster only. No file declares them, and the tests' own replace them.
        """
        self.steps = {key: changes.pop(key) for key in STEPS if key in changes}
        now = dt.datetime.now(dt.UTC)
        start, deadline = (f"{now + dt.timedelta(minutes=m):%H:%M}" for m in (opens, closes))
        opaque = {"format": "other", "source": str(self.export), "remote_name": "roster.xml"}
        values = {**GOOD, **opaque, "guard_minimum": {}, "quiet_seconds": 0, "attempts": 1}
        values |= {"window_start": start, "deadline": deadline, **changes}
        text = "".join(f"{key} = {to_toml(value)}\n" for key, value in values.items())
        (self.folder / "maple-grove.toml").write_text(text)

    def _load(self, path: Path) -> config.Feed:
        return dataclasses.replace(config.load(path), **self.steps)

    def _deliver(
        self, feed: config.Feed, secret: bytes, source: Path, size: int, facts: Any, **options: Any
    ) -> upload.Delivered:
        self.options = {"secret": secret, "size": size, **options}
        self.sent.append(source.read_bytes())
        facts.address, facts.server, facts.banner = "192.0.2.1", VENDOR, self.banner
        facts.seconds["write"] = 1.5
        facts.holds, facts.learned = self.holds, self.learned
        if self.ends:
            raise self.ends.pop(0)
        return upload.Delivered(size, "rename", "hash")

    def _heartbeat(self, _feed: config.Feed, _secrets: Path | None, code: int | None) -> list[str]:
        self.alerts.append(("heartbeat", code))
        return ["the heartbeat did not work"] if code is not None else []

    def _notify(self, _feed: config.Feed, kind: str, *_: Any) -> list[str]:
        self.alerts.append(("notify", kind))
        return ["the alert to slack did not work"]

    def run(self, command: str = "send", digest: str = "", *, hours: float = 0) -> Exit:
        """Run a command, so many hours from now. Return its exit code."""
        file = self.folder / "maple-grove.toml"
        made = pipeline.Delivery("maple-grove", file, self.state, command, digest)
        made.started += dt.timedelta(hours=hours)
        self.made = made
        code, self.message = made.execute()
        assert not list((self.folder / "tmp").iterdir()), "a private copy was left behind"
        return code

    def send(self, content: bytes | None = None) -> Exit:
        """Send an export, or the present one again."""
        if content is not None:
            self.export.write_bytes(content)
        return self.run()

    @property
    def last(self) -> dict[str, Any]:
        return self.ledger.receipts()[-1].to_json()

    @property
    def profile(self) -> Profile:
        """Return the server's profile."""
        return Profile.from_json((self.state / "server.json").read_text())

    @property
    def outcomes(self) -> list[str]:
        return [receipt.outcome for receipt in self.ledger.receipts()]


def digest_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def zip_of(content: bytes, year: int) -> bytes:
    """Return a zip with one file that was written in a year."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr(zipfile.ZipInfo("users.csv", (year, 1, 1, 0, 0, 0)), content)
    return packed.getvalue()


class Steps:
    """Replace the package's steps: make a package of each export, without the removed text."""

    def __init__(self, host: Host, *, mark: bytes = b"") -> None:
        self.mark = mark  # appended to each package
        self.unscoped: tuple[str, ...] = ()
        self.previous: list[bytes | None] = []
        host.patch.setattr("roster_upload.package.build.build", self)

    def __call__(
        self,
        feed: config.Feed,
        export: Path,
        out: Path,
        previous: Path | None = None,
        *,
        check: Callable[[Path], Report],
        night: dt.date,
    ) -> Built | None:
        assert night >= dt.datetime.now(dt.UTC).date()
        self.previous.append(previous.read_bytes() if previous else None)
        if not self.mark and not previous:
            return None
        if feed.faulty_rows == "leave-out":
            report = check(export)
            if not report.accepted or not list(report.findings):
                return Built(export, export.stat().st_size, "e" * 64, {}, (), report)
        # The records to be removed stay, so the longer one of both stays here.
        content = max(export.read_bytes(), self.previous[-1] or b"", key=len)
        content = content.removesuffix(self.mark) + self.mark
        out.write_bytes(content)
        return Built(out, len(content), digest_of(content), {"rows": 7}, self.unscoped)


class Found(list[Finding]):
    """Return the findings of a report."""

    @property
    def errors(self) -> list[Finding]:
        return [finding for finding in self if finding.severity == "error"]


def find(host: Host, *findings: Finding) -> None:
    """Let the next checks find something in each file that has no mark at its end."""

    def checked(path: Path, *arguments: Any, **options: Any) -> Report:
        report = check(path, *arguments, **options)
        if not path.read_bytes().endswith(b"!"):
            report.findings = Found(findings)  # type: ignore[assignment]
            report.faulty_rows = {f.file: f.count for f in findings if f.severity == "fault"}
        return report

    host.patch.setattr(judging, "check", checked)


FAULT = Finding("value.enum", "fault", "enrollments.csv", "role", count=2, rows=[5, 9])


def looks(host: Host) -> list[str]:
    """Return the files that are validated from now on, by name."""
    names: list[str] = []
    check = judging.check  # type: ignore[attr-defined]

    def looked(path: Path, *arguments: Any, **options: Any) -> Report:
        names.append(path.name)
        report: Report = check(path, *arguments, **options)
        return report

    host.patch.setattr(judging, "check", looked)
    return names


def waiting(host: Host, nights: int = 2, **changes: Any) -> Steps:
    """A feed whose removals may wait for so many nights. The vendor has OLD, the SIS SMALL."""
    steps = Steps(host)
    host.configure(removals="wait", wait_nights=nights, maximum_age_hours=1000, **changes)
    assert host.send(OLD) == Exit.OK
    host.export.write_bytes(SMALL)
    return steps


class Killed(BaseException):
    """Stands for SIGKILL: nothing after it runs."""


def kill(host: Host, content: bytes, holds: Holds | None = None) -> None:
    """Send an export, and let the run be killed, or end so, during its transfer."""
    if holds:
        host.ends, host.holds = [Failure(Exit.VANISHED, "it broke")], holds
        assert host.send(content) == Exit.VANISHED
        return
    append = Ledger.append

    def none(self: Ledger, receipt: Receipt) -> None:
        if receipt.outcome == "begun":
            append(self, receipt)

    with host.patch.context() as patch:
        patch.setattr(Ledger, "append", none)
        patch.setattr(pipeline.Delivery, "_close", lambda _delivery: None)
        host.ends = [Killed()]
        with pytest.raises(Killed):
            host.send(content)
