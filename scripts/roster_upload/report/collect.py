"""The feeds' part of a report: configuration, credential, schedule and receipts of each."""

from __future__ import annotations

import datetime as dt
import functools
import json
import time
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from roster_upload.exits import Failure
from roster_upload.host import sealing
from roster_upload.host.confined import answer_as_owner
from roster_upload.records.evidence import gaps
from roster_upload.records.ledger import Ledger
from roster_upload.records.night import stamp
from roster_upload.report.brief import brief
from roster_upload.report.head import head

# Keys of a feed's configuration that a report contains.
SHOWN = ("feed", "district", "time_zone", "remote_host", "auth", "window_start", "deadline")
# Time limits for the receipts of one feed, and of all feeds. The control node waits longer.
FEED_SECONDS, ALL_SECONDS, LEAST_SECONDS = 15.0, 60.0, 1.0
Starts = Mapping[str, Mapping[str, dt.datetime]]


def collect(
    configuration: Path,
    state: Path,
    nights: int,
    starts: Starts,
    positions: Mapping[str, int] | None = None,
) -> list[dict[str, Any]]:
    """Return all feeds that are configured or have receipts, even if some are unreadable.

    `positions` names the line of each feed that the control node saw last.
    """
    files = {path.stem: path for path in configuration.glob("*.toml")}
    names = {*files, *(path.parent.name for path in state.glob("*/receipts.jsonl"))}
    last_night = stamp(dt.datetime.now(dt.UTC) + dt.timedelta(days=2))[:10]
    end = time.monotonic() + ALL_SECONDS
    found = []
    for name in sorted(names):
        values, trouble = _configuration(files.get(name))
        seconds = min(FEED_SECONDS, max(end - time.monotonic(), LEAST_SECONDS))
        work = functools.partial(
            _as_owner, state / name, nights, last_night, (positions or {}).get(name, 0)
        )
        receipts = _from_receipts(state / name, work, seconds)
        found.append({
            "district": receipts.pop("district", ""),
            **{key: values[key] for key in SHOWN if key in values},
            "feed": name,
            "configured": _written(files[name]) if name in files else None,
            "credential": _written(configuration / "credentials" / name / "current"),
            "source_credential": _written(configuration / "credentials" / name / "source_current"),
            "sealed": _seals(configuration / "credentials" / name),
            "starts": {unit: stamp(at) for unit, at in starts.get(name, {}).items()},
            **receipts,
            "trouble": trouble or receipts.get("trouble"),
        })  # fmt: skip
    return found


def _configuration(path: Path | None) -> tuple[dict[str, Any], str | None]:
    """Return a feed's configuration, and the problem if it cannot be read. The file is root's."""
    try:
        return (tomllib.loads(path.read_text("utf-8")) if path else {}), None
    except (OSError, ValueError) as error:
        return {}, f"its configuration cannot be read: {error}"


def _written(path: Path) -> str | None:
    """Return the time at which a file was last written, or None without one."""
    try:
        return stamp(dt.datetime.fromtimestamp(path.stat().st_mtime, dt.UTC))
    except OSError:
        return None


def _seals(folder: Path) -> list[dict[str, object]]:
    """Return what seals a feed's secrets. The folder is root's."""
    try:
        return [seal.to_json() for seal in sealing.seals(folder)]
    except OSError:
        return []


def _from_receipts(folder: Path, work: Callable[[], bytes], seconds: float) -> dict[str, Any]:
    """Return a feed's receipts in brief. Its account, which may be compromised, wrote them."""
    try:
        found = json.loads(answer_as_owner(folder, work, seconds))
    except Failure as failure:
        found = {"trouble": f"its receipts cannot be read: {failure.message}"}
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        found = {"trouble": "its receipts cannot be read: the answer is not JSON"}
    return {"broken_at": None, **found}


def _as_owner(folder: Path, nights: int, last_night: str, position: int) -> bytes:
    """Return a feed's receipts in brief as JSON. Run it with the rights of their owner."""
    found: dict[str, Any] = {}
    try:
        ledger = Ledger(folder)
        history = ledger.history()
        districts = (r.district for r in reversed(history.receipts) if r.district)
        found |= {"district": next(districts, ""), "broken_at": ledger.first_break()}
        found["chain"] = head(ledger.chain(), history, position)
        found |= brief(history, nights, last_night)
        found["trouble"] = "; ".join(gaps(folder)) or None
    except OSError as error:  # a link, a pipe, or a closed file
        found["trouble"] = f"its receipts cannot be read: {error}"
    except (MemoryError, RecursionError):
        found = {"trouble": "its receipts are too large to be read"}
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        found["trouble"] = f"its receipts cannot be understood: {error!r}"
    return json.dumps(found).encode()
