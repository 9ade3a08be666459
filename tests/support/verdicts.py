"""Print the program's findings for each package of a folder, with any Python and numpy.

    python3 -I tests/support/verdicts.py PROGRAM FOLDER QUESTION

PROGRAM is the program as it is on hosts. QUESTION is a JSON file: `feed`, and `terms`, the options
of each validation. Since this file runs on hosts, it needs only Python, numpy and the program.
"""

from __future__ import annotations

import datetime as dt
import json
import resource
import sys
from pathlib import Path

ADDRESS_BYTES = 2_000_000_000
CPU_SECONDS = 600  # for all packages
KEY = b"k" * 32
NIGHT = dt.date(2026, 11, 1)
BASE = "base"  # the vendor's package


def main(program: str, folder: Path, question: Path) -> None:
    """Print a line of JSON for each package, with the findings and reasons of all options."""
    sys.path.insert(0, program)
    from roster_upload import config  # noqa: PLC0415 - of the program that is asked
    from roster_upload.guard import guard  # noqa: PLC0415
    from roster_upload.validation.check import check  # noqa: PLC0415
    from roster_upload.validation.options import ValidationOptions  # noqa: PLC0415

    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_BYTES, ADDRESS_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
    asked = json.loads(question.read_text())
    feed = config.parse(asked["feed"])
    old = check(folder / BASE, key=KEY).baseline
    for path in sorted(folder.iterdir()):
        verdicts = []
        for options in asked["terms"]:
            report = check(path, ValidationOptions(**options), key=KEY)
            verdict = guard.judge(feed, old, report.baseline, NIGHT)
            verdicts.append({**report.record(), "reasons": verdict.texts})
        print(json.dumps({"package": path.name, "verdicts": verdicts}, sort_keys=True), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
