"""Count findings by rule, file and column. A finding never holds a value of a row.

An `error` refuses the package. A `fault` belongs to rows, and a file may have a few. A `warning` is
only reported. An `ignored` finding is counted but not reported.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from roster_upload.guard.baseline import Baseline
from roster_upload.records.finding import SEVERITIES, Finding, rules
from roster_upload.spec import spec
from roster_upload.spec.schema import default
from roster_upload.terminal.printable import printable

MORE_ROWS = 1 << 16  # a file's flags grow by at least so many
NO_ROWS = np.zeros(0, np.bool_)


@dataclass(frozen=True)
class Budget:
    """A limit of the faulty rows of a file: a percentage or a number, whichever allows more."""

    percent: float = field(default_factory=lambda: default("faulty_rows_percent"))
    count: int = field(default_factory=lambda: default("faulty_rows_count"))

    def covers(self, faulty: int, rows: int) -> bool:
        """Return whether a file with `rows` rows may have so many faulty ones."""
        return faulty <= max(self.percent * rows / 100, self.count)


class RowFlags:
    """A flag for each row of a file, by the row's number."""

    def __init__(self) -> None:
        self.flags: npt.NDArray[np.bool_] = NO_ROWS

    def set(self, numbers: npt.NDArray[Any]) -> None:
        """Set the flags of rows."""
        most = int(numbers.max()) + 1
        if most > len(self.flags):
            self.flags = np.pad(self.flags, (0, max(most - len(self.flags), MORE_ROWS)))
        self.flags[numbers] = True

    def __len__(self) -> int:
        """Return the number of set flags."""
        return int(np.count_nonzero(self.flags))


class Findings:
    """The findings of one package by rule, file and column."""

    def __init__(
        self,
        severities: Mapping[str, str] = MappingProxyType({}),
        unused: Mapping[str, Sequence[str]] = MappingProxyType({}),
        budget: Budget | None = None,
    ) -> None:
        """`severities` overrides those of rules, by `rule` or `rule:file.column`.

        `unused` has the columns that the vendor does not use, by file. Their faults only warn.
        """
        self._severities = severities
        self._unused = {(f"{file}.csv", name) for file, names in unused.items() for name in names}
        self._budget = budget or Budget()
        self._found: dict[tuple[str, str, str], Finding] = {}
        self._shown: int = spec("limits")["rows_shown"]
        self._faulty: dict[str, RowFlags] = {}  # rows that do not count as present
        self._counted: dict[str, RowFlags] = {}  # rows that the budget limits

    def add(
        self,
        rule: str,
        file: str,
        column: str = "",
        *,
        detail: str = "",
        row: int = 0,
        severity: str = "",
    ) -> None:
        """Count one more case of a broken rule. `row` 0 means the whole file.

        `severity` replaces the rule's own, if not empty.
        """
        rows = np.array([row] if row else [], np.uint32)
        self._add(rule, file, column, detail, rows, max(len(rows), 1), severity)

    def add_rows(
        self,
        rule: str,
        file: str,
        column: str,
        rows: npt.NDArray[Any],
        *,
        detail: str = "",
        severity: str = "",
    ) -> None:
        """Count rows that break a rule, in their order."""
        if len(rows):
            self._add(rule, file, column, detail, rows, len(rows), severity)

    def _add(
        self,
        rule: str,
        file: str,
        column: str,
        detail: str,
        rows: npt.NDArray[Any],
        count: int,
        own: str,
    ) -> None:
        own = own or rules()[rule]["severity"]
        if own == "fault" and (file, column) in self._unused:
            own = "warning"
        name = f"{rule}:{file.removesuffix('.csv')}.{column}"
        severity = self._severities.get(name) or self._severities.get(rule) or own
        # No feed can turn down line ends that make a whole file one line.
        if own == "error" and rules()[rule]["severity"] == "warning":
            severity = own
        severity = "ignored" if severity == "ignore" else severity
        if own == "fault" and len(rows):
            self._faulty.setdefault(file, RowFlags()).set(rows)
            if severity == "fault":
                self._counted.setdefault(file, RowFlags()).set(rows)
        # They may hold names from the export.
        where, name, why = map(printable, (file, column, detail))
        finding = self._found.setdefault(
            (rule, file, column), Finding(rule, severity, where, name, why)
        )
        finding.severity = min(finding.severity, severity, key=SEVERITIES.index)
        finding.count += count
        left = self._shown - len(finding.rows)
        finding.rows += rows[: max(left, 0)].tolist()

    def refuse(self, rule: str, file: str, column: str) -> None:
        """Turn a finding into an error, unless the feed sets its severity."""
        finding = self._found.get((rule, file, column))
        name = f"{rule}:{file.removesuffix('.csv')}.{column}"
        if finding and not {name, rule} & self._severities.keys():
            finding.severity = "error"

    def count(self, rule: str, file: str, column: str = "") -> int:
        """Return how many times a column breaks a rule."""
        finding = self._found.get((rule, file, column))
        return finding.count if finding else 0

    def close(self, file: str, rows: int) -> int:
        """Apply the budget to a file that has been read. Beyond it, the file's faults are errors.

        Return the number of its faulty rows.
        """
        faulty = len(self._counted.get(file, ()))
        if not self._budget.covers(faulty, rows):
            for (_, name, _), finding in self._found.items():
                if name == file and finding.severity == "fault":
                    finding.severity = "error"
        return faulty

    def faulty(self, file: str) -> npt.NDArray[np.bool_]:
        """Return a flag for each row of a file: whether it has a fault. The array may be short."""
        flags = self._faulty.get(file)
        return flags.flags if flags else NO_ROWS

    def __iter__(self) -> Iterator[Finding]:
        """Yield errors first and ignored findings last, otherwise in the order of detection."""
        return iter(sorted(self._found.values(), key=lambda f: SEVERITIES.index(f.severity)))

    def __len__(self) -> int:
        return len(self._found)

    @property
    def reported(self) -> list[Finding]:
        """Return the findings that are reported."""
        return [finding for finding in self if finding.severity != "ignored"]

    @property
    def errors(self) -> list[Finding]:
        """Return the findings that refuse the package."""
        return [f for f in self._found.values() if f.severity == "error"]


@dataclass
class Report:
    """The result of a check: findings, the guard's baseline, and the rows of each file.

    Rows do not include the header. `faulty_rows` has the files with faulty rows only.
    """

    findings: Findings
    baseline: Baseline
    rows: dict[str, int] = field(default_factory=dict)
    faulty_rows: dict[str, int] = field(default_factory=dict)
    content: str = ""  # a digest of the contents, independent of time stamps

    @property
    def accepted(self) -> bool:
        """Return whether no error was found."""
        return not self.findings.errors

    def record(self) -> dict[str, Any]:
        """Return the report as JSON values."""
        return {
            "accepted": self.accepted,
            "rows": self.rows,
            "faulty_rows": self.faulty_rows,
            "findings": [finding.to_json() for finding in self.findings],
        }
