"""The credentials that systemd hands to a feed's unit."""

from __future__ import annotations

import datetime as dt
import os
from pathlib import Path

from roster_upload.exits import Exit, Failure


def secrets_folder() -> Path | None:
    """Return systemd's folder of the feed's credentials, or None outside of its unit."""
    folder = os.environ.get("CREDENTIALS_DIRECTORY")
    return Path(folder) if folder else None


def credential(feed: str, slot: str) -> bytes:
    """Return a credential: a slot such as `current`, or `state`, the key of the feed's state.

    Raise Failure.
    """
    folder = secrets_folder()
    try:
        return ((folder or Path("/nonexistent")) / f"{feed}_{slot}").read_bytes()
    except OSError:
        if not folder:
            raise Failure(
                Exit.CREDENTIAL,
                "only the feed's unit has its secret. Run it: "
                f"`systemctl start roster-upload@{feed}.service`",
            ) from None
        raise Failure(
            Exit.CREDENTIAL,
            f"the feed {feed} has no credential {feed}_{slot} on this host. Run site.yml with "
            "the district's vault file",
        ) from None


# The slots of credentials that a rotation has replaced: at the vendor, and at the SIS.
FORMER = ("previous", "source_previous")


def previous(folder: Path, feed: str, slot: str = FORMER[0]) -> Path:
    """Return the file of the credential that was in use before a rotation."""
    return folder / "previous" / feed / slot


def is_outlived(path: Path, accepted: str, now: dt.datetime) -> bool:
    """Return whether the last accepted delivery began after a credential was replaced.

    `accepted` is its start (ISO 8601), or "". A start later than `now` does not count: a clock was
    wrong.
    """
    if not accepted:
        return False
    began = dt.datetime.fromisoformat(accepted)
    return path.stat().st_mtime < began.timestamp() <= now.timestamp()
