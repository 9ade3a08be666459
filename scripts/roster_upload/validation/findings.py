"""What a check finds: rules as data, and findings that never hold a value of a row.

A finding is an `error`, which refuses the package, a `fault` of rows, of which a file may have a
few, a `warning`, or `ignored`, which is counted and told to nobody.
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
    """How many rows of a file may have a fault: a share in percent, or a number if that is more."""

    percent: float = field(default_factory=lambda: default("faulty_rows_percent"))
    count: int = field(default_factory=lambda: default("faulty_rows_count"))

    def covers(self, faulty: int, rows: int) -> bool:
        """Return whether so many faulty rows of so many are within it."""
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
        """Return how many are set."""
        return int(np.count_nonzero(self.flags))


class Findings:
    """The findings of one package, gathered by rule, file and column."""

    def __init__(
        self,
        severities: Mapping[str, str] = MappingProxyType({}),
        unused: Mapping[str, Sequence[str]] = MappingProxyType({}),
        budget: Budget | None = None,
    ) -> None:
        """`severities` replaces those of rules, by `rule` or `rule:file.column`.

        `unused` has the columns that the vendor does not use, by file: their faults only warn.
        """
        self._severities = severities
        self._unused = {(f"{file}.csv", name) for file, names in unused.items() for name in names}
        self._budget = budget or Budget()
        self._found: dict[tuple[str, str, str], Finding] = {}
        self._shown: int = spec("limits")["rows_shown"]
        self._faulty: dict[str, RowFlags] = {}  # rows that do not count as present
        self._counted: dict[str, RowFlags] = {}  # those that the budget is asked for

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
        """Count one more place where a rule is broken. `row` 0 means the file as a whole.

        `severity` is another one than the rule's own.
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
        """Count rows in which a rule is broken, in their order."""
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
        # The line ends of a file that is one line are no matter of taste.
        if own == "error" and rules()[rule]["severity"] == "warning":
            severity = own
        severity = "ignored" if severity == "ignore" else severity
        if own == "fault" and len(rows):
            self._faulty.setdefault(file, RowFlags()).set(rows)
            if severity == "fault":
                self._counted.setdefault(file, RowFlags()).set(rows)
        # They may name what an export names.
        where, name, why = map(printable, (file, column, detail))
        finding = self._found.setdefault(
            (rule, file, column), Finding(rule, severity, where, name, why)
        )
        finding.severity = min(finding.severity, severity, key=SEVERITIES.index)
        finding.count += count
        left = self._shown - len(finding.rows)
        finding.rows += rows[: max(left, 0)].tolist()

    def refuse(self, rule: str, file: str, column: str) -> None:
        """Make an error of a finding, where there is one that the feed has not turned down."""
        finding = self._found.get((rule, file, column))
        name = f"{rule}:{file.removesuffix('.csv')}.{column}"
        if finding and not {name, rule} & self._severities.keys():
            finding.severity = "error"

    def count(self, rule: str, file: str, column: str = "") -> int:
        """Return how often a rule is broken in a column."""
        finding = self._found.get((rule, file, column))
        return finding.count if finding else 0

    def close(self, file: str, rows: int) -> int:
        """Ask the budget for a file that has been read: beyond it, its faults are errors.

        Return how many of its rows have a fault.
        """
        faulty = len(self._counted.get(file, ()))
        if not self._budget.covers(faulty, rows):
            for (_, name, _), finding in self._found.items():
                if name == file and finding.severity == "fault":
                    finding.severity = "error"
        return faulty

    def faulty(self, file: str) -> npt.NDArray[np.bool_]:
        """Return which rows of a file have a fault, by the row's number; the array may be short."""
        flags = self._faulty.get(file)
        return flags.flags if flags else NO_ROWS

    def __iter__(self) -> Iterator[Finding]:
        """Errors first, ignored ones last, else in the order in which they were met."""
        return iter(sorted(self._found.values(), key=lambda f: SEVERITIES.index(f.severity)))

    def __len__(self) -> int:
        return len(self._found)

    @property
    def told(self) -> list[Finding]:
        """The findings that are for people."""
        return [finding for finding in self if finding.severity != "ignored"]

    @property
    def errors(self) -> list[Finding]:
        """The findings that refuse the package."""
        return [f for f in self._found.values() if f.severity == "error"]


@dataclass
class Report:
    """What a check found, the rows of each file (its header not counted), and who is in it.

    `faulty_rows` has how many rows of a file have a fault, of the files that have any.
    """

    findings: Findings
    baseline: Baseline
    rows: dict[str, int] = field(default_factory=dict)
    faulty_rows: dict[str, int] = field(default_factory=dict)
    content: str = ""  # a digest of the contents, which the archive's time stamps do not change

    @property
    def accepted(self) -> bool:
        """Whether no error was found."""
        return not self.findings.errors

    def record(self) -> dict[str, Any]:
        """Return the report as JSON values."""
        return {
            "accepted": self.accepted,
            "rows": self.rows,
            "faulty_rows": self.faulty_rows,
            "findings": [finding.to_json() for finding in self.findings],
        }
