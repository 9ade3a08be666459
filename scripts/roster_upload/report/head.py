"""The head of a feed's ledger, which the control node keeps and compares with the next one.

The control node asks for the line that it saw last by its position alone. So the host has to know
the line's digest itself.
"""

from __future__ import annotations

import re
from typing import Any

from roster_upload.records.chain import MOST_BREAKS, Chain
from roster_upload.records.history import History
from roster_upload.records.parts import Break, KeyCheck

# `FEED=POSITION` for each feed, separated by blanks. A variable, not an option: a program of an
# older release ignores it, and answers.
VARIABLE = "ROSTER_UPLOAD_POSITIONS"
POSITION = re.compile(r"([a-z0-9][a-z0-9-]{0,47})=([0-9]{1,15})")


def positions(text: str) -> dict[str, int]:
    """Return the position of each feed in the variable. Anything else in it is ignored."""
    found = (POSITION.fullmatch(word) for word in text.split())
    return {one[1]: int(one[2]) for one in found if one}


def head(chain: Chain, history: History, position: int) -> dict[str, Any]:
    """Return the head of a chain, the digest of the line at a position, and the breaks.

    This program has no key here. `checked` is when a run last checked the keys, and the breaks are
    those that it found.
    """
    last = next((r for r in reversed(history.receipts) if r.checked), None)
    check = last.checked if last and last.checked else KeyCheck(0)
    breaks = [*chain.links(), *check.breaks][:MOST_BREAKS]
    return {
        "lines": chain.length,
        "digest": chain.digest_at(chain.length),
        "position": position,
        "digest_there": chain.digest_at(position),
        "checked": last.finished if last else "",
        "breaks": [_with_number(chain, found) for found in breaks],
    }


def _with_number(chain: Chain, found: Break) -> dict[str, Any]:
    """Return a break with the number of its line in the file, 0 for a pruned line."""
    return {**found.to_json(), "line": chain.number_of(found.position)}
