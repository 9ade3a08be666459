"""Measure the status page of 1,000 districts with 400 nights: build time, opening, size.

    make bench                                      all benches
    PYTHONPATH=scripts:tests python -m bench.status [--districts N] [--nights N] [--rounds N]

The yardsticks are Python's json of the same reports, and an empty page in the same Chromium. The
exit code is 1 if a limit is exceeded.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Page
from roster_fleet import report
from roster_fleet.status import cache as caches
from roster_fleet.status import page
from roster_fleet.status import rows as status
from support import fleets
from support.browser import browsing

BUILD_SECONDS, OPEN_SECONDS, MEGABYTES = 10.0, 2.0, 5.0
EMPTY = "<!doctype html><html lang=en data-ready><title>Empty</title>"


def timed(work: Callable[[], object]) -> float:
    """Return the seconds that a call takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def opened(path: Path, rounds: int) -> float:
    """Return the median seconds until Chromium has shown a page, scripts and layout included."""
    taken = []
    with browsing() as browser:
        for _ in range(rounds + 1):
            visit = browser.new_context().new_page()

            def show(visit: Page = visit) -> None:
                visit.goto(path.as_uri())
                visit.wait_for_selector("html[data-ready]", state="attached")
                # A drawn frame, with all visible content.
                visit.evaluate("new Promise(r => requestAnimationFrame(() => setTimeout(r)))")

            taken.append(timed(show))
            visit.context.close()
    return statistics.median(taken[1:])


def main() -> int:
    """Run the bench. Return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--districts", type=int, default=1000)
    parser.add_argument("--nights", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    reports = fleets.results(given.districts, given.nights)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        cache = caches.Cache(folder / "cache")
        path, empty = folder / "status.html", folder / "empty.html"
        empty.write_text(EMPTY)

        def build() -> None:
            rows = status.build_rows(fleets.hosts(reports, cache), "inventories/mine")
            page.write(path, page.build(rows, report.stamp(fleets.NOW)))

        built = statistics.median(timed(build) for _ in range(given.rounds))
        plain = statistics.median(
            timed(lambda: json.loads(json.dumps(reports))) for _ in range(given.rounds)
        )
        size = path.stat().st_size / 1e6
        shown, nothing = opened(path, given.rounds), opened(empty, given.rounds)
    print(f"{given.districts:,} districts, {given.nights} nights each")
    results = [
        ("built, s", built, BUILD_SECONDS, f"{built / plain:.1f} of json there and back"),
        ("opened, s", shown, OPEN_SECONDS, f"{shown / nothing:.1f} of an empty page"),
        ("size, MB", size, MEGABYTES, ""),
    ]
    for what, value, limit, beside in results:
        over = "OVER" if value > limit else ""
        print(f"{what:<10} {value:>6.2f}   limit {limit:>4.0f}   {beside} {over}")
    return 0 if all(value <= limit for _, value, limit, _ in results) else 1


if __name__ == "__main__":
    sys.exit(main())
