"""Whether a feed's receipts are complete: each trace of a delivery needs its receipt.

The guard takes a feed without a delivery for a new one. So that a lost ledger is not taken for
that, "never delivered" is only believed where nothing beside the ledger says otherwise.
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
    """Return where the guard's baseline of a package lies."""
    return folder / f"accepted-{sha256[:DIGEST_SHOWN]}.npz"


def packages(folder: Path) -> Path:
    """Return where the accepted packages are kept."""
    return folder / "packages"


def marker(folder: Path) -> Path:
    """Return the file that says which package was delivered last."""
    return folder / "delivered.json"


def mark(folder: Path, sha256: str) -> None:
    """Write down that a package was delivered. Raise OSError."""
    atomic.replace(marker(folder), json.dumps({"sha256": sha256}).encode())


def gaps(folder: Path) -> list[str]:
    """Return what the receipts lack, a text each. Raise OSError."""
    ledger = Ledger(folder)
    return [*_damage(ledger), *_traces(folder, ledger.records())]


def _damage(ledger: Ledger) -> Iterator[str]:
    """Give the damaged lines behind which nothing was sent that knew of them."""
    known = [line.number for line in ledger.entries() if _knows_damage(line.receipt)]
    lines = [number for number in ledger.damaged() if number > max(known, default=0)]
    if text := lines_text(lines):
        yield f"{ledger.path.name} is damaged in {text}"


def _knows_damage(receipt: Receipt) -> bool:
    """Return whether a file was sent by a run that knew of damaged lines."""
    return receipt.is_sent and bool(receipt.lost)


def lines_text(lines: Sequence[int]) -> str:
    """Return the numbers of lines for people, "" of none."""
    if not lines:
        return ""
    text = f"line{'s' if len(lines) > 1 else ''} {', '.join(map(str, lines[:LINES_NAMED]))}"
    more = len(lines) - LINES_NAMED
    return f"{text} and {more:,} more" if more > 0 else text


def _traces(folder: Path, records: Sequence[Receipt]) -> Iterator[str]:
    """Give the traces of deliveries that have no receipt."""
    known = {r.sent_file.sha256[:DIGEST_SHOWN] for r in records if _may_have_reached(r)} - {""}
    for path in sorted(folder.glob("accepted-*.npz")):
        if path.is_file() and path.stem.removeprefix("accepted-") not in known:
            yield _lacks(f"a delivery, though its baseline {path.name} is kept")
    sha256 = _marked(folder)
    if sha256 is not None and sha256[:DIGEST_SHOWN] not in known:
        yield _lacks(f"the last delivery, though {marker(folder).name} says that there was one")
    if any(record.is_sent for record in records):
        return
    kept = [path.stem.partition("-")[2] for path in packages(folder).glob("*.package")]
    if any(one[:DIGEST_SHOWN] not in known for one in kept):
        yield _lacks("a delivery, though accepted packages are kept")
    if (folder / PROFILE).exists() and not any(map(_may_have_learned, records)):
        yield _lacks(f"any run, though {PROFILE} was learned from the vendor's server")


def _lacks(what: str) -> str:
    return f"receipts.jsonl has no receipt of {what}"


def _marked(folder: Path) -> str | None:
    """Return the digest of the marker: "" where it cannot be read, None without a marker."""
    try:
        return str(json.loads(read_plain(marker(folder), LONGEST_MARKER))["sha256"])
    except FileNotFoundError:
        return None
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return ""


def _may_have_reached(record: Receipt) -> bool:
    """Return whether a line is of a transfer. Receipts without a run are of an older program."""
    is_older = not record.run and record.outcome is Outcome.FAILED
    return record.is_sent or bool(record.at_vendor) or is_older


def _may_have_learned(record: Receipt) -> bool:
    """Return whether a line explains that something is known of the server.

    A run that found the receipts incomplete explains nothing.
    """
    is_run = record.outcome is Outcome.BEGUN or not record.run
    return is_run and record.command in LEARNING and not record.lost
