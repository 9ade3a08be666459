"""The answer of `compare` for people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain
from typing import Any

from roster_upload.diff.compare import Answer
from roster_upload.exits import Exit
from roster_upload.records.night import night_name
from roster_upload.terminal.tables import table
from roster_upload.validation.findings import Report

ACTIONS = ("removed", "added", "changed")
WIDTH = 80


def text(answer: Answer, width: int = WIDTH) -> str:
    """Return the findings in both packages, the changes by kind, and the guard's verdict."""
    lines = [*_findings("BEFORE", answer.before), *_findings("AFTER", answer.after)]
    lines += _table(answer.verdict.record(), width)
    lines += [f"held: {reason.text}" for reason in answer.verdict.reasons]
    verdict = {
        Exit.OK: "the guard would let AFTER through",
        Exit.HELD: "the guard would hold AFTER",
        Exit.REFUSED: "the guard would let AFTER through, but validation refuses it"
        if answer.before.rows
        else "BEFORE cannot be read, so there is nothing to compare with",
    }
    name = night_name(answer.night.isoformat())
    return "\n".join([*lines, f"{name} ({answer.night}): {verdict[answer.code]}"])


def _findings(name: str, report: Report) -> Iterator[str]:
    return (f"{name}: {finding.text()}" for finding in report.findings.reported)


def _table(changes: Mapping[str, Any], width: int) -> list[str]:
    """Return the changes by kind as a table."""
    titles = ("before", "now", *ACTIONS)
    rows = [[kind, *(f"{change[title]:,}" for title in titles)] for kind, change in changes.items()]
    return list(chain.from_iterable(table([["", *titles], *rows], width, numbers=True)))
