"""The step that a delivery is at, for people who wait for it.

A unit writes it to a file. Its caller and the control node read it there. A feed's account wrote
that file, so nothing in it is taken on trust.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from roster_upload.records.night import clock_text

LONGEST = 200  # bytes of a step's file
LOOK_SECONDS = 0.2  # between two writes of the bytes that are sent
# The largest values that make sense: seconds from 1970 to the year 9998, and bytes.
MOST = {"since": 253_370_764_800, "until": 253_370_764_800, "done": 1 << 53, "size": 1 << 53}
# The steps by the names of their phases, as in a receipt's `seconds`. Other phases are too short.
WORDS: Mapping[str, str] = {
    "find": "waiting until the SIS's server has the whole export",
    "fetch": "fetching the export",
    "remove": "removing the delivered export from its server",
    "settle": "waiting until the export is written",
    "snapshot": "copying and hashing the export",
    "package": "making the package",
    "validate": "validating the package",
    "guard": "comparing with the last accepted package",
    "compare": "comparing the packages",
    "slot": "waiting for other transfers",
    "dns": "looking up the server",
    "tcp": "connecting to the server",
    "kex": "checking the server's host key",
    "auth": "logging in",
    "list": "looking at the upload path",
    "write": "sending",
    "rename": "replacing the old file",
    "verify": "verifying the new file",
    "retry": "waiting before the next attempt",
    "unit": "waiting for the feed's unit",
}


@dataclass(frozen=True)
class Step:
    """A step: its name, start and limit (seconds since 1970, 0 without), and the bytes sent."""

    name: str
    since: float
    until: float = 0
    done: int = 0
    size: int = 0

    def text(self, seconds: float, zone: str = "") -> str:
        """Return the step after so many seconds: `validating the package, 12 s`."""
        # Without a size it is a test, which a rehearsal makes, too.
        is_test = self.name == "write" and not self.size
        words = f"{'writing to the server' if is_test else WORDS[self.name]}, {seconds:.0f} s"
        if self.size:
            words += f", {self.done / self.size:.0%} of {self.size:,} bytes"
        if self.until:
            limit = dt.datetime.fromtimestamp(self.until, dt.UTC)
            words += f", until {clock_text(limit, zone)}"
        return words

    def to_json(self) -> str:
        """Return the step as its file has it."""
        values = {**asdict(self), "since": round(self.since, 1), "until": round(self.until)}
        return json.dumps(values, separators=(",", ":"))

    @classmethod
    def parse(cls, text: str | bytes) -> Step | None:
        """Return the step in a file's text, or None if there is none that makes sense."""
        try:
            values = json.loads(text[:LONGEST])
            numbers = {key: values[key] for key in MOST}
            name = values["name"]
        except (ValueError, KeyError, TypeError, RecursionError):
            return None
        are_fit = all(
            type(one) in (int, float) and 0 <= one <= MOST[key] for key, one in numbers.items()
        )
        if not are_fit or not isinstance(name, str) or name not in WORDS:
            return None
        since, until, done, size = numbers.values()
        return cls(name, since, until, min(int(done), int(size)), int(size))


class Steps:
    """The steps of a delivery under way. This class shows nothing. Others override `show`."""

    def __init__(self) -> None:
        self.at: Step | None = None
        self._size = 0  # of the package, once its transfer has begun

    def begin(self, name: str, seconds: float = 0) -> None:
        """Begin a step, which may take so many seconds. Ignore phases that are no step."""
        if name not in WORDS:
            return
        now = time.time()
        self.at = Step(name, now, now + seconds if seconds else 0, size=0)
        if name in ("rename", "verify") and self._size:
            self.at = replace(self.at, done=self._size, size=self._size)
        self.show(self.at)

    def __call__(self, done: int, size: int, name: str = "write") -> None:
        """Note that a server has acknowledged, or has sent, `done` of `size` bytes."""
        self._size = size if name == "write" else 0
        since = self.at.since if self.at and self.at.name == name else time.time()
        self.at = Step(name, since, done=done, size=size)
        self.show(self.at)

    def show(self, step: Step) -> None:
        """Show a step. It must not harm the delivery."""

    def close(self) -> None:
        """Remove what is shown."""


class StepFile(Steps):
    """The steps of a delivery, in a file for the program that has started the unit."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path
        self._written, self._name = 0.0, ""

    def show(self, step: Step) -> None:
        """Write a step, but not each of many acknowledgements."""
        now = time.monotonic()
        is_news = step.name != self._name or (step.size and step.done >= step.size)
        if is_news or now - self._written > LOOK_SECONDS:
            self._written, self._name = now, step.name
            with contextlib.suppress(OSError):  # it must not harm the transfer
                self._path.write_text(step.to_json())
