"""Build feeds and packages for tests of the declared steps."""

from __future__ import annotations

import csv
import datetime as dt
import io
import tomllib
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from roster_upload.package.build import build
from roster_upload.package.built import Built

from support import rosters

NIGHT = dt.date(2026, 11, 1)
FORMAT = tomllib.loads(
    (Path(__file__).parents[2] / "scripts/roster_upload/spec/oneroster-1.1.toml").read_text()
)
Tables = dict[str, list[dict[str, str]]]


@dataclass(frozen=True)
class Scope:
    """As in a feed's configuration."""

    schools: tuple[str, ...] = ()
    grades: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()
    courses: tuple[str, ...] = ()
    enrolled_only: bool = False
    blank: tuple[str, ...] = ()

    @property
    def is_everything(self) -> bool:
        """Return whether all rows are included."""
        return self == Scope()


@dataclass(frozen=True)
class Feed:
    """The part of a feed that steps read."""

    scope: Scope = Scope()
    repairs: tuple[str, ...] = ()
    faulty_rows: str = "send"
    removals: str = "hold"


@dataclass
class Checked:
    """A report with these faulty rows, by file."""

    rows: dict[str, list[int]] = field(default_factory=dict)
    accepted: bool = True

    @property
    def findings(self) -> Any:
        """Return the findings."""
        return SimpleNamespace(faulty=self._faulty)

    def _faulty(self, file: str) -> Any:
        numbers = self.rows.get(file, [])
        flags = np.zeros(max(numbers, default=-1) + 1, np.bool_)
        flags[numbers] = True
        return flags


def make(
    folder: Path, feed: Feed, export: Path, previous: Path | None = None, **report: Any
) -> Built:
    """Return the package of a feed that declares a step."""
    checked = Checked(**report)
    out = folder / "out.zip"
    out.unlink(missing_ok=True)
    built = build(feed, export, out, previous, check=lambda _: checked, night=NIGHT)
    assert built is not None
    return built


def write(path: Path, members: dict[str, bytes]) -> Path:
    """Write a zip of members as they are."""
    path.write_bytes(rosters.to_zip(list(members.items())))
    return path


def members(package: rosters.Package) -> dict[str, bytes]:
    """Return the members of an invented package."""
    return dict(package.members())


def contents(path: Path) -> dict[str, bytes]:
    """Return the members of a zip."""
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def tables(path: Path) -> Tables:
    """Return the rows of each file, by Python's own reader."""
    found = {}
    for name, content in contents(path).items():
        rows = csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline=""))
        found[name.removesuffix(".csv")] = list(rows)
    return found


def ids(path: Path, file: str) -> list[str]:
    """Return the sourcedIds of a file."""
    return [row["sourcedId"] for row in tables(path)[file]]


def dangling(package: Tables) -> set[tuple[str, str, str, str]]:
    """Return the dangling references: file, sourcedId, column and target."""
    found = set()
    known = {file: {row.get("sourcedId", "") for row in rows} for file, rows in package.items()}
    for file, rows in package.items():
        for column in FORMAT["files"].get(file, {"columns": []})["columns"]:
            if column.get("ref") not in known:
                continue
            for row in rows:
                value = row[column["name"]]
                items = value.split(",") if column["type"].endswith("-list") else [value]
                for item in items:
                    if item and item not in known[column["ref"]]:
                        found.add((file, row["sourcedId"], column["name"], item))
    return found
