"""What a feed's receipts tell together: what was sent, what is new, what waits, what stands still.

Everything here is decided from receipts alone, which hold nothing personal. `before` is always the
feed's earlier receipts, the oldest first.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping, Sequence
from typing import Any

Receipt = Mapping[str, Any]

# A rehearsal is no delivery, nor is an approval or the watcher's alarm.
DELIVERIES = ("send", "resend")
GREEN = ("sent", "skipped")
FOR_PEOPLE = ("fault", "warning")  # severities of findings in a file that is sent
REMIND_NIGHTS = 7
GROWTH_PERCENT = 10  # what is less is the daily come and go
# What a vendor may hold behind a transfer that did not end well: names of `transfer.info.Holds`.
UNSURE = ("new", "unknown", "part")
UNSURE_KEPT = 7  # packages that may be the vendor's, beside the last that was sent


def is_delivery(receipt: Receipt) -> bool:
    """Return whether a receipt is of a delivery; those of version 1 name no command."""
    return receipt.get("command", "send") in DELIVERIES


def sent_file(receipt: Receipt) -> Mapping[str, Any]:
    """Return what is known of the file that goes to the vendor: the package, or the export."""
    file: Mapping[str, Any] = receipt.get("package") or receipt.get("source") or {}
    return file


def sent_sha256(receipt: Receipt) -> str:
    """Return the SHA-256 of the file that goes to the vendor; "" where none was read."""
    return str(sent_file(receipt).get("sha256", ""))


def export_sha256(receipt: Receipt) -> str:
    """Return the SHA-256 of a receipt's export as hex; "" for anything else.

    The feed's account can write anything there, and operators type it into commands.
    """
    digest = str(receipt.get("source", {}).get("sha256", ""))
    return digest if re.fullmatch(r"[0-9a-f]{64}", digest) else ""


def feed_name(receipt: Receipt) -> str:
    """Return the name of a receipt's feed; "" for what is no such name, as in export_sha256."""
    name = str(receipt.get("feed", ""))
    return name if re.fullmatch(r"[a-z0-9][a-z0-9-]*", name) else ""


def is_same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Return whether two files of receipts hold the same, whatever the time stamps in their zips.

    Older receipts do not know the content, so their SHA-256 has to do.
    """
    key = "content" if one.get("content") and other.get("content") else "sha256"
    return bool(one.get(key)) and one[key] == other.get(key)


def unchanged_nights(before: Sequence[Receipt], source: Mapping[str, Any], night: str) -> int:
    """Return on how many nights before `night` in a row the export was the same as `source`.

    Only nights count on which it was accepted, or skipped as unchanged.
    """
    nights: set[str] = set()
    for receipt in reversed(before):
        export = receipt.get("source", {})
        if receipt.get("command", "send") != "send" or not export.get("sha256"):
            continue
        if not is_same(export, source):
            break
        if receipt["outcome"] in GREEN:
            nights.add(receipt["night"])
    return len(nights - {night})


def waiting(before: Sequence[Receipt], night: str, counts: Mapping[str, int]) -> dict[str, Any]:
    """Return since when removals wait, for how many nights with this one, and how many by kind.

    A delivery with nothing left out of its removals ends a wait. A hold does not, else the next
    night would begin another one.
    """
    last = next(
        (
            r
            for r in reversed(before)
            if is_delivery(r) and (r.get("waiting") or r.get("outcome") == "sent")
        ),
        {},
    )
    since, nights = night, 1
    if was := last.get("waiting"):
        since, nights = was["since"], was["nights"] + (last["night"] != night)
    return {"since": since, "nights": nights, "counts": dict(counts)}


def is_held(receipt: Receipt) -> bool:
    """Return whether an approval can let a receipt's export through: it is held, or waits."""
    return receipt.get("outcome") == "held" or bool(receipt.get("waiting"))


def news(before: Sequence[Receipt], receipt: Receipt) -> list[dict[str, Any]]:
    """Return the findings of a delivery that people have to be told of, as `told` of its receipt.

    A finding is told when it first appears, when it has grown by a tenth since it was last told,
    and once a week. What has shrunk meanwhile grows from what was told.
    """
    tonight = dt.date.fromisoformat(receipt["night"])
    recent: dict[tuple[str, str, str], int] = {}
    for earlier in before:
        for entry in earlier.get("told", ()):
            age = tonight - dt.date.fromisoformat(earlier["night"])
            if abs(age) < dt.timedelta(days=REMIND_NIGHTS):  # a wrong clock may have been ahead
                recent[_key(entry)] = entry["count"]  # the most of the week, since it had grown
    return [
        {key: finding[key] for key in ("rule", "file", "column", "count")}
        for finding in receipt["findings"]
        if finding["severity"] in FOR_PEOPLE
        and 100 * finding["count"] >= (100 + GROWTH_PERCENT) * recent.get(_key(finding), 0)
    ]


def told_findings(receipt: Receipt) -> list[Mapping[str, Any]]:
    """Return the findings of a receipt of which people are told."""
    told = {_key(entry) for entry in receipt.get("told", ())}
    return [finding for finding in receipt.get("findings", ()) if _key(finding) in told]


def _key(finding: Mapping[str, Any]) -> tuple[str, str, str]:
    return finding["rule"], finding["file"], finding["column"]


def sent_last(before: Sequence[Receipt], target: Mapping[str, Any]) -> Receipt | None:
    """Return the last delivery of the nightly command that a place of the vendor's has got."""
    return next(
        (
            r
            for r in reversed(before)
            if r.get("command", "send") == "send"
            and r.get("outcome") == "sent"
            and is_target(r, target)
        ),
        None,
    )


def unsure(before: Sequence[Receipt]) -> list[Receipt]:
    """Return the deliveries since the last one sent whose file the vendor may hold, newest last.

    One of each file, and no more than `UNSURE_KEPT`.
    """
    found: dict[str, Receipt] = {}
    for receipt in before:
        if receipt.get("outcome") == "sent":
            found.clear()
        elif receipt.get("at_vendor") in UNSURE and (sha256 := sent_sha256(receipt)):
            found.pop(sha256, None)
            found[sha256] = receipt
    return list(found.values())[-UNSURE_KEPT:]


def is_target(receipt: Receipt, target: Mapping[str, Any]) -> bool:
    """Return whether a delivery went to a place: its host, port, folder and name."""
    remote = receipt.get("remote", {})
    return {key: remote.get(key) for key in target} == target
