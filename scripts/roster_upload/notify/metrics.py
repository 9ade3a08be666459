"""The metrics of a feed, for node_exporter's textfile collector.

https://prometheus.io/docs/instrumenting/exposition_formats/
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from roster_upload.host import atomic
from roster_upload.records.history import History
from roster_upload.records.receipt import OF_DELIVERIES, Receipt, epoch

Sample = tuple[Mapping[str, str], float]  # labels and value
Family = tuple[str, str, list[Sample]]  # name, help, samples


def write(path: Path, feed: str, history: History) -> None:
    """Write the metrics of a feed. Raise OSError."""
    data = exposition(feed, history).encode("utf-8", "backslashreplace")
    atomic.replace(path, data, mode=0o644, lasting=False)  # the next run writes them again


def exposition(feed: str, history: History) -> str:
    """Return the metrics of a feed as text."""
    runs = history.deliveries()
    last = runs[-1:]
    sent = [run for run in runs if run.is_sent][-1:]
    families = [*_of_runs(runs, last, sent), *_of_package(sent)]
    lines: list[str] = []
    for name, words, samples in families:
        if samples:
            lines += [f"# HELP roster_upload_{name} {words}", f"# TYPE roster_upload_{name} gauge"]
        for labels, value in samples:
            pairs = {"feed": feed, **labels}.items()
            text = ",".join(f'{key}="{_escaped(value)}"' for key, value in pairs)
            lines.append(f"roster_upload_{name}{{{text}}} {value:.15g}")
    return "".join(f"{line}\n" for line in lines)


def _of_runs(runs: list[Receipt], last: list[Receipt], sent: list[Receipt]) -> list[Family]:
    """Return the metrics of all deliveries and of the last one."""
    green = [run for run in runs if run.is_in_order][-1:]
    return [
        (
            "last_run_timestamp_seconds",
            "End of the last delivery, good or not.",
            [({}, epoch(r.finished)) for r in last],
        ),
        (
            "last_success_timestamp_seconds",
            "End of the last delivery that was in order: sent, or skipped by plan.",
            [({}, epoch(r.finished)) for r in green],
        ),
        (
            "last_sent_timestamp_seconds",
            "End of the last delivery that the vendor got.",
            [({}, epoch(r.finished)) for r in sent],
        ),
        (
            "exit_code",
            "Exit code of the last delivery.",
            [({}, r.exit_code) for r in last if r.exit_code is not None],
        ),
        (
            "outcome",
            "Outcome of the last delivery: one of them is 1.",
            [({"outcome": o}, r.outcome is o) for r in last for o in OF_DELIVERIES],
        ),
        (
            "deliveries",
            "Deliveries by outcome among the receipts that are kept.",
            [({"outcome": o}, sum(r.outcome is o for r in runs)) for o in OF_DELIVERIES if runs],
        ),
        (
            "phase_duration_seconds",
            "Duration of each phase of the last delivery.",
            [({"phase": p}, took) for r in last for p, took in r.seconds.items()],
        ),
    ]


def _of_package(sent: list[Receipt]) -> list[Family]:
    """Return the metrics of the last package that the vendor got."""
    return [
        (
            "package_bytes",
            "Size of the last package that the vendor got.",
            [({}, r.sent_file.bytes) for r in sent if r.sent_file.bytes is not None],
        ),
        (
            "package_rows",
            "Rows of that package by file.",
            [({"file": name}, count) for r in sent for name, count in r.rows.items()],
        ),
        (
            "package_records",
            "Records of that package by kind.",
            [({"kind": k}, c.now) for r in sent for k, c in r.changes.items()],
        ),
        (
            "margin_seconds",
            "Time from the end of its delivery to the deadline.",
            [({}, left) for r in sent if (left := r.seconds_to_deadline) is not None],
        ),
    ]


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
