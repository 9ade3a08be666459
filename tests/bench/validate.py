"""Measures validation and guard beside a bare pass of `csv.reader`, and DuckDB, in one run.

    make bench                                           all benches
    python -m bench.validate [--users N...] [--rounds N]

Each measurement is a process of its own. The limits are the project's own (README.md beside this
file); one that is passed is told and ends with exit code 1.
"""

from __future__ import annotations

import argparse
import base64
import csv
import datetime as dt
import io
import json
import random
import re
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import rosters

SIZES = [10_000, 60_000, 600_000]
ENROLLMENTS_EACH = 7
ID_LENGTH = 20
OURS, REFERENCE = "roster-upload", "csv.reader"
LARGE, LARGE_RATIO, LARGE_MB = 600_000, 3.0, 512.0
SMALL, SMALL_SECONDS = 10_000, 1.0
KEY = bytes(32)
FEED = {
    "feed": "bench",
    "district": "Bench",
    "format": "oneroster-1.1",
    "source": "/srv/OneRoster.zip",
    "remote_host": "sftp.example.org",
    "remote_dir": "imagine/0123456-Bench/product",
    "username": "bench",
    "host_keys": [
        "ssh-ed25519 " + base64.b64encode(b"\0\0\0\x0bssh-ed25519\0\0\0 " + bytes(32)).decode()
    ],
}
# File: its columns of references, each with the file that it leads to. OneRoster allows several
# orgs for a user, in one value.
REFERENCES = {
    "enrollments": {"userSourcedId": "users", "classSourcedId": "classes", "schoolSourcedId": "orgs"},
    "classes": {"courseSourcedId": "courses", "schoolSourcedId": "orgs"},
    "demographics": {"sourcedId": "users"},
    "users": {"orgSourcedIds": "orgs"},
}


@dataclass(frozen=True)
class Cost:
    """Seconds and megabytes of one measurement, and the rows that it read, 0 if it tells none."""

    seconds: float
    megabytes: float
    rows: int = 0


# ---- what is measured, each with a package and a folder with its files ---------------------------


def bare_pass(package: Path, _folder: Path) -> int:
    """Every row of every member, and nothing done with it; returns their number."""
    count = 0
    with zipfile.ZipFile(package) as archive:
        for name in archive.namelist():
            with archive.open(name) as member:
                for _ in csv.reader(io.TextIOWrapper(member, "utf-8", newline="")):
                    count += 1
    return count


def validation(package: Path, _folder: Path) -> int:
    """All rules, and the guard against what was accepted before: the same but for the rooms."""
    from roster_upload import config, guard  # noqa: PLC0415 - no other contender pays for it
    from roster_upload.census import Census  # noqa: PLC0415
    from roster_upload.validate import check  # noqa: PLC0415

    start = time.monotonic()
    report = check(package, key=KEY)
    before = package.with_suffix(".npz")
    old = Census.load(before, KEY) if before.exists() else None
    verdict = guard.judge(config.parse(FEED), old, report.census, dt.date(2026, 11, 1))
    if not report.accepted or verdict.reasons:
        sys.exit(f"bench: a good package was refused: {list(report.findings)} {verdict.reasons}")
    took = time.monotonic() - start
    if old is None:
        report.census.save(before, KEY)
    return took
