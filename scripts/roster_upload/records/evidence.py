"""Find missing receipts: each trace of a delivery needs its receipt.

The guard treats a feed without a delivery as a new one. A lost ledger must not look like that. So
a feed counts as new only if nothing beside the ledger contradicts it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from roster_upload.host import atomic
from roster_upload.host.account import read_plain
from roster_upload.records.ledger import Ledger
from roster_upload.records.receipt import Outcome, Receipt

DIGEST_SHOWN = 16
LINES_NAMED = 5
LONGEST_MARKER = 1000  # bytes
PROFILE = "server.json"
LEARNING = ("send", "resend", "rehearse", "probe")  # commands that write the server's profile
HOW_TO_GO_ON = (
    "Restore receipts.jsonl from a backup, or compare the export with the vendor's roster and "
    "approve it"
)


def baseline(folder: Path, sha256: str) -> Path:
    """Return the path of the guard's baseline of a package."""
    return folder / f"accepted-{sha256[:DIGEST_SHOWN]}.npz"


def packages(folder: Path) -> Path:
    """Return the folder of the accepted packages."""
    return folder / "packages"


def marker(folder: Path) -> Path:
    """Return the path of the file that names the last delivered package."""
    return folder / "delivered.json"


def mark(folder: Path, sha256: str) -> None:
    """Save the digest of the package that was delivered. Raise OSError."""
    atomic.replace(marker(folder), json.dumps({"sha256": sha256}).encode())


def gaps(folder: Path) -> list[str]:
    """Return a text for each gap in the receipts. Raise OSError."""
    ledger = Ledger(folder)
    return [*_damage(ledger), *_traces(folder, ledger.records())]


def _damage(ledger: Ledger) -> Iterator[str]:
    """Yield a text of the damaged lines, unless a later run knew of them and sent its file."""
    known = [line.number for line in ledger.entries() if _knows_damage(line.receipt)]
    lines = [number for number in ledger.damaged() if number > max(known, default=0)]
    if text := lines_text(lines):
        yield f"{ledger.path.name} is damaged in {text}"


def _knows_damage(receipt: Receipt) -> bool:
    """Return whether a file was sent by a run that knew of damaged lines."""
    return receipt.is_sent and bool(receipt.lost)


def lines_text(lines: Sequence[int]) -> str:
    """Return the numbers of lines as text. Without lines the text is empty."""
    if not lines:
        return ""
    text = f"line{'s' if len(lines) > 1 else ''} {', '.join(map(str, lines[:LINES_NAMED]))}"
    more = len(lines) - LINES_NAMED
    return f"{text} and {more:,} more" if more > 0 else text


def _traces(folder: Path, records: Sequence[Receipt]) -> Iterator[str]:
    """Yield a text for each trace of a delivery that has no receipt."""
    known = {r.sent_file.sha256[:DIGEST_SHOWN] for r in records if _may_have_reached(r)} - {""}
    for path in sorted(folder.glob("accepted-*.npz")):
        if path.is_file() and path.stem.removeprefix("accepted-") not in known:
            yield _lacks(f"a delivery, though its baseline {path.name} is kept")
    sha256 = _marked(folder)
    if sha256 is not None and sha256[:DIGEST_SHOWN] not in known:
        yield _lacks(f"the last delivery, though {marker(folder).name} names one")
    if any(record.is_sent for record in records):
        return
    kept = [path.stem.partition("-")[2] for path in packages(folder).glob("*.package")]
    if any(one[:DIGEST_SHOWN] not in known for one in kept):
        yield _lacks("a delivery, though accepted packages are stored")
    if (folder / PROFILE).exists() and not any(map(_may_have_learned, records)):
        yield _lacks(f"any run, though {PROFILE} has the profile of the vendor's server")


def _lacks(what: str) -> str:
    return f"receipts.jsonl has no receipt of {what}"


def _marked(folder: Path) -> str | None:
    """Return the digest in the marker, "" for an unreadable one, None without a marker."""
    try:
        return str(json.loads(read_plain(marker(folder), LONGEST_MARKER))["sha256"])
    except FileNotFoundError:
        return None
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return ""


def _may_have_reached(record: Receipt) -> bool:
    """Return whether a line belongs to a transfer. Older programs named no run."""
    is_older = not record.run and record.outcome is Outcome.FAILED
    return record.is_sent or bool(record.at_vendor) or is_older


def _may_have_learned(record: Receipt) -> bool:
    """Return whether a line explains why the server has a profile.

    A run that found the receipts incomplete explains nothing.
    """
    is_run = record.outcome is Outcome.BEGUN or not record.run
    return is_run and record.command in LEARNING and not record.lost
