"""The credentials that systemd hands to a feed's unit."""

from __future__ import annotations

import os
from pathlib import Path

from roster_upload.exits import Exit, Failure


def secrets_folder() -> Path | None:
    """Where systemd has put the feed's credentials, for its unit alone."""
    folder = os.environ.get("CREDENTIALS_DIRECTORY")
    return Path(folder) if folder else None


def credential(feed: str, slot: str) -> bytes:
    """One of the feed's credentials: `current`, its secret, or `state`, the key of its state."""
    folder = secrets_folder()
    try:
        return ((folder or Path("/nonexistent")) / f"{feed}_{slot}").read_bytes()
    except OSError:
        if not folder:
            raise Failure(
                Exit.CREDENTIAL,
                "the secret is only there for the feed's unit; run it by "
                f"`systemctl start roster-upload@{feed}.service`",
            ) from None
        raise Failure(
            Exit.CREDENTIAL,
            f"the feed {feed} has no credential {feed}_{slot} on this host; run site.yml with the "
            "district's vault file",
        ) from None
