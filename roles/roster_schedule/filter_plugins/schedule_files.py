"""Jinja2 filters that turn planned starts into the files of systemd timers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

UNITS = "/etc/systemd/system"


def planned_timers(starts: Mapping[str, Mapping[str, Sequence[str]]]) -> list[dict[str, Any]]:
    """Return one mapping a timer with `feed`, `unit` and `starts`, from `planned_starts`."""
    return [
        {"feed": feed, "unit": unit, "starts": list(times)}
        for feed, units in starts.items()
        for unit, times in units.items()
    ]


def timer_files(timers: Sequence[Mapping[str, Any]], texts: Sequence[str]) -> list[dict[str, Any]]:
    """Return the enabled timers for `file_set`, with a text for each, and no cron table."""
    files: list[dict[str, Any]] = [{"path": "/etc/cron.d/roster-upload", "state": "absent"}]
    for timer, text in zip(timers, texts, strict=True):
        name = f"{timer['unit']}@{timer['feed']}.timer"
        path, wanted = f"{UNITS}/{name}", f"{UNITS}/timers.target.wants/{name}"
        files.append({"path": path, "content": text})
        files.append({"path": wanted, "state": "link", "target": path})
    return files


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Any]:
        """Return the filters by name."""
        return {"planned_timers": planned_timers, "timer_files": timer_files}
