"""Parse host keys, dates, days and times of a configuration.

Each parser raises ValueError with a sentence on the fault.
"""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import re
from dataclasses import dataclass

KEY_TYPES = (
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "ssh-rsa",
)


@dataclass(frozen=True)
class HostKey:
    """A pinned host key: its type (`ssh-ed25519`, …) and its public blob (RFC 4253, 6.6)."""

    kind: str
    blob: bytes


@dataclass(frozen=True)
class Span:
    """The days from `first` to `last`, both included, and the reason for them."""

    first: dt.date
    last: dt.date
    reason: str

    def __contains__(self, day: dt.date) -> bool:
        return self.first <= day <= self.last

    def __str__(self) -> str:
        return f"{self.first}..{self.last}" + (f" ({self.reason})" if self.reason else "")


def parse_host_key(text: str) -> HostKey:
    """Return the key of a public key line or of a whole `known_hosts` line."""
    words = text.split()
    if len(words) >= 3 and words[0] not in KEY_TYPES:
        words = words[1:]  # the host names of a known_hosts line
    if len(words) < 2 or words[0] not in KEY_TYPES:
        raise ValueError(f"is not a key line such as `ssh-ed25519 AAAA…` ({', '.join(KEY_TYPES)})")
    try:
        blob = base64.b64decode(words[1], validate=True)
    except binascii.Error:
        raise ValueError("is cut off or damaged: its second part is not base64") from None
    length = int.from_bytes(blob[:4], "big")
    if blob[4 : 4 + length] != words[0].encode() or len(blob) < 36:
        raise ValueError(f"is cut off or damaged: it does not hold a key of type {words[0]}")
    return HostKey(words[0], blob)


def parse_days(text: str) -> Span:
    """Return the days of a text such as `2027-06-05..2027-08-09 summer`."""
    match = re.fullmatch(r"(\d{4}-\d\d-\d\d)(?:\.\.(\d{4}-\d\d-\d\d))?(?:\s+(.+))?", text.strip())
    if not match:
        raise ValueError("must be days and a reason, such as 2027-06-05..2027-08-09 summer")
    first = dt.date.fromisoformat(match[1])
    last = dt.date.fromisoformat(match[2] or match[1])
    if last < first:
        raise ValueError(f"ends on {last}, before it begins")
    return Span(first, last, match[3] or "")


def parse_date(value: str | dt.date) -> dt.date | None:
    """Return a date `YYYY-MM-DD`, which YAML and TOML may have read already. None for ""."""
    text = str(value)
    if not text:
        return None
    try:
        if re.fullmatch(r"20\d\d-\d\d-\d\d", text):  # the years of a report
            return dt.date.fromisoformat(text)
    except ValueError:  # such as 30 February
        pass
    raise ValueError(f"{text!r} is not a date such as 2027-07-16")


def parse_time(text: str) -> int:
    """Return the minutes after midnight of a time `HH:MM`."""
    if not re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d", text):
        raise ValueError(f"{text!r} is not a time of day such as 07:10 (UTC)")
    return int(text[:2]) * 60 + int(text[3:])


def window_minutes(start: int, deadline: int) -> int:
    """Return the length of a window in minutes. It may cross midnight."""
    return (deadline - start) % (24 * 60)


def in_window(moment: str, start: str, deadline: str) -> bool:
    """Return whether a time of day is in the window [start, deadline). All are `HH:MM` in UTC."""
    opened = parse_time(start)
    length = window_minutes(opened, parse_time(deadline))
    return (parse_time(moment) - opened) % (24 * 60) < length
