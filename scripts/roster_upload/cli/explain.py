"""Explain an exit code: cause, evidence, who must act, and a letter to them."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator, Mapping
from typing import Any

from roster_upload.config import Feed
from roster_upload.exits import Exit
from roster_upload.records.night import time_text
from roster_upload.records.receipt import Receipt
from roster_upload.records.summary import next_step
from roster_upload.spec import spec
from roster_upload.terminal.width import fitted

UNKNOWN = "\0"  # stands for a fact that is not known. No fact holds it
# Parts of a sentence that can go with an unknown fact: `(address …)`, ` of the account …`.
DISPENSABLE = re.compile(
    rf" \([^()]*{UNKNOWN}[^()]*\)"
    rf"|(?:,? (?:of|to|at|on|by|account|upload path))+(?: the account)? ?{UNKNOWN}"
)
LETTER_WIDTH = 76  # columns, as mail programs break lines
OF_THE_EXPORT = (Exit.REFUSED, Exit.HELD)  # their letters are about the SIS's own file


def explain(code: Exit, receipt: Receipt | None, feed: Feed | None) -> dict[str, Any]:
    """Return cause, evidence, who must act and a letter to them, as JSON values."""
    texts: Mapping[str, str] = spec("exits")[str(int(code))]
    # A sent roster whose removals wait asks for the same decision as a held one.
    asks = Exit.HELD if code is Exit.OK and receipt and receipt.waiting else code
    step = next_step(receipt, asks)
    if feed:
        step = step.replace("FEED", feed.feed)
    return {
        "exit_code": int(code),
        "meaning": code.meaning,
        "cause": texts["cause"],
        "evidence": _evidence(receipt) if receipt else [],
        "who": spec("exits")[str(int(asks))]["who"],
        "do": step,
        "letter": _letter(texts["letter"], _facts(code, receipt, feed)) if receipt else "",
    }


class _Known(dict[str, str]):
    """The facts of a letter. A missing one is UNKNOWN."""

    def __missing__(self, key: str) -> str:
        return UNKNOWN


def _letter(template: str, facts: Mapping[str, str]) -> str:
    """Return a letter without the parts that are not known. It is empty if more is missing."""
    letter = DISPENSABLE.sub("", template.format_map(_Known(facts)))
    return letter if UNKNOWN not in letter else ""


def _facts(code: Exit, receipt: Receipt | None, feed: Feed | None) -> dict[str, str]:
    """Return the facts that a letter can state."""
    facts: dict[str, str] = {"host": socket.gethostname(), "exit_code": str(int(code))}
    if receipt:
        remote = receipt.remote
        file = receipt.source if code in OF_THE_EXPORT else receipt.sent_file
        facts |= {
            "district": receipt.district,
            "feed": receipt.feed,
            "message": receipt.message,
            "when": time_text(receipt.finished, feed.time_zone if feed else ""),
            "remote_host": remote.host,
            "remote_dir": remote.dir,
            "server": remote.server,
            "host_key": remote.host_key,
            "address": remote.address,
            "sha256": file.sha256,
            "reasons": "\n".join(f"- {reason}" for reason in _reasons(receipt)),
        }
    if feed:
        facts |= {
            "district": feed.district,
            "feed": feed.feed,
            "username": feed.username,
            "remote_host": feed.remote_host,
            "remote_dir": feed.remote_dir,
        }
    return {key: value for key, value in facts.items() if value}


def _reasons(receipt: Receipt) -> list[str]:
    """Return the findings in an export, and the reasons why it is held."""
    found = [finding for finding in receipt.findings if finding.severity != "ignored"]
    return [*(finding.text() for finding in found), *receipt.reasons]


def _evidence(receipt: Receipt) -> list[str]:
    """Return the receipt's evidence for the cause."""
    found = [receipt.message, *_reasons(receipt)]
    if receipt.seconds:
        slowest = max(receipt.seconds, key=lambda phase: receipt.seconds[phase])
        found.append(f"the longest phase was {slowest}, {receipt.seconds[slowest]:.1f} s")
    return list(dict.fromkeys(filter(None, found)))


def explain_text(values: Mapping[str, Any], width: int | None = None) -> str:
    """Return an explanation for people. `width` is that of the letter, in columns."""
    lines = [
        f"exit code {values['exit_code']}: {values['meaning']}",
        "",
        f"Cause         {values['cause']}",
        f"Who must act  {values['who']}",
        *([f"What to do    {values['do']}"] if values["do"] else []),
    ]
    if values["evidence"]:
        lines += ["", "Evidence", *(f"  {text}" for text in values["evidence"])]
    if values["letter"]:
        lines += [
            "",
            "A text to send",
            *(f"  {line}".rstrip() for line in _paragraphs(values["letter"], width)),
        ]
    return "\n".join(lines)


def _paragraphs(letter: str, width: int | None) -> Iterator[str]:
    """Yield the lines of a letter, broken anew. Reasons keep their lines."""
    most = min(width or LETTER_WIDTH, LETTER_WIDTH) - len("  ")
    for number, paragraph in enumerate(letter.strip().split("\n\n")):
        if number:
            yield ""
        is_list = paragraph.startswith("- ")
        for text in paragraph.split("\n") if is_list else [" ".join(paragraph.split("\n"))]:
            lines = fitted(text, most)
            yield from (lines if is_list else lines.replace("\n  ", "\n")).split("\n")
