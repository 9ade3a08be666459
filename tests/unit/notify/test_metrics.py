"""Metrics: what a collector reads of a feed."""

from __future__ import annotations

import datetime as dt
import math
import os
import re
from pathlib import Path

import pytest
from roster_upload.exits import Exit
from roster_upload.notify import metrics
from roster_upload.records.receipt import OF_DELIVERIES
from support.alert_servers import APPROVED, RECEIPT, SENT, receipt
from support.receipts import history

SAMPLE = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)\{(.*)\} (\S+)")
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(,|$)')
ESCAPES = {'\\"': '"', "\\\\": "\\", "\\n": "\n"}


Metrics = dict[tuple[str, frozenset[tuple[str, str]]], float]


def parsed(text: str) -> Metrics:
    """Return the samples of a text in Prometheus' exposition format, and check all of its rules.

    Each family: HELP, then TYPE, then its samples together, all different.
    """
    assert text.endswith("\n")
    samples: Metrics = {}
    families: list[str] = []
    for line in text.splitlines():
        if line.startswith("# HELP "):
            _, _, name, words = line.split(" ", 3)
            assert name not in families
            assert words
            families.append(name)
            is_typed = False
        elif line.startswith("# TYPE "):
            assert line.split(" ")[2:] == [families[-1], "gauge"]
            is_typed = True
        else:
            match = SAMPLE.fullmatch(line)
            assert match, line
            assert is_typed
            assert match[1] == families[-1]
            key = (match[1].removeprefix("roster_upload_"), labels(match[2]))
            assert key not in samples
            samples[key] = float(match[3])
    return samples


def labels(text: str) -> frozenset[tuple[str, str]]:
    found = []
    while text:
        match = LABEL.match(text)
        assert match, text
        value = re.sub(r"\\.", lambda escape: ESCAPES[escape[0]], match[2])
        found.append((match[1], value))
        text = text[match.end() :]
    assert len(dict(found)) == len(found)
    return frozenset(found)


def sample(metrics: Metrics, name: str, feed: str = "maple-grove", **more: str) -> float:
    return metrics[name, frozenset({"feed": feed, **more}.items())]


def seconds(text: str) -> float:
    return dt.datetime.fromisoformat(text).timestamp()


def test_metrics_tell_the_last_delivery_and_the_last_good_one(tmp_path: Path) -> None:
    path = tmp_path / "maple-grove.prom"
    held = {**RECEIPT, "finished": "2026-11-21T07:12:03Z", "seconds": {"guard": 0.5}}
    rehearsed = {**SENT, "command": "rehearse", "outcome": "rehearsed", "finished": "x"}
    metrics.write(path, "maple-grove", history([SENT, APPROVED, held, rehearsed]))
    got = parsed(path.read_text("utf-8"))
    assert path.stat().st_mode & 0o777 == 0o644
    assert list(tmp_path.iterdir()) == [path]
    assert sample(got, "last_run_timestamp_seconds") == seconds("2026-11-21T07:12:03Z")
    assert sample(got, "last_success_timestamp_seconds") == seconds("2026-11-20T07:12:03Z")
    assert sample(got, "last_sent_timestamp_seconds") == seconds("2026-11-20T07:12:03Z")
    assert sample(got, "exit_code") == 17
    states = {o.value: sample(got, "outcome", outcome=o) for o in OF_DELIVERIES}
    assert states == {**dict.fromkeys(map(str, OF_DELIVERIES), 0), "held": 1}
    totals = {o.value: sample(got, "deliveries", outcome=o) for o in OF_DELIVERIES}
    assert totals == {**dict.fromkeys(map(str, OF_DELIVERIES), 0), "held": 1, "sent": 1}
    assert sample(got, "package_bytes") == 1_942_113
    assert sample(got, "package_rows", file="classes") == 95
    assert sample(got, "package_records", kind="users.student") == 2001
    assert sample(got, "phase_duration_seconds", phase="guard") == 0.5
    assert sample(got, "margin_seconds") == 107 * 60 + 57


def test_metrics_hold_numbers_whole() -> None:
    big = {**SENT, "source": {"bytes": 1_999_999_999}, "finished": "2026-11-20T09:00:01Z"}
    got = parsed(metrics.exposition("maple-grove", history([big])))
    assert sample(got, "package_bytes") == 1_999_999_999
    assert sample(got, "margin_seconds") == -1
    assert sample(got, "phase_duration_seconds", phase="dns") == 0.0123456
    assert all(math.isfinite(value) for value in got.values())


def test_a_night_that_is_skipped_by_plan_is_a_success() -> None:
    skipped = {**receipt("skipped", Exit.PAUSED), "finished": "2026-11-21T07:12:03Z"}
    got = parsed(metrics.exposition("maple-grove", history([SENT, skipped])))
    assert sample(got, "last_success_timestamp_seconds") == seconds("2026-11-21T07:12:03Z")
    assert sample(got, "last_sent_timestamp_seconds") == seconds("2026-11-20T07:12:03Z")


def test_labels_are_escaped() -> None:
    odd = 'a "quoted" \\ back\\nslash\nand a line, x="y"}'
    got = parsed(metrics.exposition(odd, history([{**SENT, "rows": {odd: 7}}])))
    assert sample(got, "package_rows", feed=odd, file=odd) == 7


def test_a_feed_without_a_delivery_has_no_metrics(tmp_path: Path) -> None:
    path = tmp_path / "maple-grove.prom"
    metrics.write(path, "maple-grove", history([APPROVED]))
    assert path.read_text() == ""


def test_metrics_are_never_half_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "maple-grove.prom"
    metrics.write(path, "maple-grove", history([SENT]))
    before = path.read_bytes()

    def full(_descriptor: int, _mode: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fchmod", full)
    with pytest.raises(OSError, match="No space"):
        metrics.write(path, "maple-grove", history([SENT, {**RECEIPT}]))
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_reader_of_metrics_keeps_what_it_opened(tmp_path: Path) -> None:
    path = tmp_path / "maple-grove.prom"
    metrics.write(path, "maple-grove", history([SENT]))
    before = path.read_bytes()
    with path.open("rb") as reader:
        metrics.write(path, "maple-grove", history([SENT, RECEIPT]))
        assert reader.read() == before != path.read_bytes()
