"""The watch's memory between its runs: what was notified of, and how the last run ended.

It holds no address and no secret.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from roster_upload.host import atomic

FILE = "watch.json"


@dataclass(frozen=True)
class State:
    """Hold the memory. `ran` is the time of the last run that worked (ISO 8601, UTC), or empty."""

    ran: str = ""
    told: Mapping[str, Any] = field(default_factory=dict)  # by news.Entry.key
    troubles: tuple[str, ...] = ()  # of the last run
    failed: str = ""  # the day of the last alert that a run failed
    files: tuple[str, ...] = ()  # the `alerts.vault` files of the last run that worked


def load(folder: Path) -> State:
    """Return the state in an inventory's folder of outputs. An unreadable one is empty."""
    try:
        found = json.loads((folder / FILE).read_text("utf-8"))
        return State(
            ran=_moment(found["ran"]),
            told={key: {**known, "title": known["title"]} for key, known in found["told"].items()},
            troubles=tuple(found["troubles"]),
            failed=str(found["failed"]),
            files=tuple(found["files"]),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return State()


def _moment(text: str) -> str:
    """Return a time with its zone, or "". Raise ValueError for another text."""
    if text and dt.datetime.fromisoformat(text).tzinfo is None:
        raise ValueError("a time without its zone")
    return text


def save(folder: Path, state: State) -> None:
    """Write the state, for its owner alone. Raise OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(asdict(state), ensure_ascii=False, indent=1)
    atomic.replace(folder / FILE, text.encode())
