"""The state of a feed between its deliveries."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from roster_upload.guard.baseline import Baseline
from roster_upload.host import atomic
from roster_upload.records import evidence
from roster_upload.records.chain import LedgerKey
from roster_upload.records.ledger import Ledger
from roster_upload.records.receipt import Receipt

STATE_MODE = 0o640  # as the receipts
REHEARSED = ".accepted-rehearsal"  # a baseline that is removed at once, or by the next delivery


class Profile(Protocol):
    """The profile of a server: how it takes files."""

    def to_json(self) -> str:
        """Return the profile as JSON text."""


class State:
    """A feed's folder: its ledger, the server's profile, and the baselines of the guard."""

    def __init__(self, folder: Path, key: LedgerKey | None = None) -> None:
        self.folder = folder
        self.ledger = Ledger(folder, key)

    @property
    def profile(self) -> Path:
        """Return the path of the server's profile."""
        return self.folder / evidence.PROFILE

    def baseline(self, accepted: Receipt, key: bytes) -> Baseline:
        """Return the baseline of a delivery. Raise OSError or ValueError."""
        return Baseline.load(evidence.baseline(self.folder, accepted.sent_file.sha256), key)

    def keep_profile(self, profile: Profile) -> None:
        """Save the server's profile. Raise OSError."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o750)
        atomic.replace(self.profile, profile.to_json().encode(), mode=STATE_MODE)

    def rehearse(self, baseline: Baseline, key: bytes) -> None:
        """Test that there is room for a baseline. Leave nothing. Raise OSError."""
        path = self.folder / REHEARSED
        try:
            baseline.save(path, key)
        finally:
            path.unlink(missing_ok=True)

    def prepare(self, baseline: Baseline, sha256: str, key: bytes) -> None:
        """Save the baseline of a package before its transfer, in case of a power cut.

        Remove the baselines of packages that the vendor cannot hold. Raise OSError.
        """
        before = self.ledger.history()
        kept = {
            evidence.baseline(self.folder, receipt.sent_file.sha256)
            for receipt in (*self.ledger.accepted()[-1:], *before.unsure())
        }
        for path in (*self.folder.glob("accepted-*"), *self.folder.glob(".accepted-*")):
            if path not in kept:
                path.unlink(missing_ok=True)
        baseline.save(evidence.baseline(self.folder, sha256), key)
