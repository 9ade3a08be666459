"""What a check finds: rules as data, and findings that never hold a value of a row."""

from __future__ import annotations

import functools
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib import resources
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from roster_upload.census import Census


@functools.cache
def spec(name: str) -> Mapping[str, Any]:
    """A table of `spec/`, parsed."""
    text = resources.files("roster_upload").joinpath("spec", f"{name}.toml").read_text("utf-8")
    return tomllib.loads(text)


@functools.cache
def rules() -> Mapping[str, Mapping[str, str]]:
    """Every rule by its id: its severity (`error` or `warning`) and its text."""
    groups = spec("rules")
    return {f"{g}.{name}": rule for g, names in groups.items() for name, rule in names.items()}


@dataclass
class Finding:
    """A rule broken in one column of one file: how often, and in which rows first.

    Rows are counted as a spreadsheet does: the header is row 1.
    """

    rule: str
    severity: str
    file: str
    column: str = ""
    detail: str = ""
    count: int = 0
    rows: list[int] = field(default_factory=list)

    def text(self) -> str:
        """One line for people."""
        where = self.file + (f", column {self.column}" if self.column else "")
        if self.rows:
            where += f", row{'s' if self.count > 1 else ''} {', '.join(map(str, self.rows))}"
            where += f" … ({self.count:,} in all)" if self.count > len(self.rows) else ""
        told = rules()[self.rule]["text"] + (f" ({self.detail})" if self.detail else "")
        return f"{self.severity}: {where}: {told} [{self.rule}]"

    def record(self) -> dict[str, Any]:
        """The finding as JSON values."""
        return {
            "rule": self.rule,
            "severity": self.severity,
            "file": self.file,
            "column": self.column,
            "detail": self.detail,
            "count": self.count,
            "rows": self.rows,
        }


class Findings:
    """The findings of one package, gathered by rule, file and column."""

    def __init__(self, severities: Mapping[str, str] = MappingProxyType({})) -> None:
        """`severities` replaces those of the rules that it names; `ignore` turns a rule off."""
        self._severities = severities
        self._found: dict[tuple[str, str, str], Finding] = {}
        self._shown: int = spec("limits")["rows_shown"]

    def add(
        self, rule: str, file: str, column: str = "", *, detail: str = "", row: int = 0
    ) -> None:
        """Counts one more place where a rule is broken; `row` 0 means the file as a whole."""
        severity = self._severities.get(rule) or rules()[rule]["severity"]
        if severity == "ignore":
            return
        key = (rule, file, column)
        finding = self._found.setdefault(key, Finding(rule, severity, file, column, detail))
        finding.count += 1
        if row and len(finding.rows) < self._shown:
            finding.rows.append(row)

    def __iter__(self) -> Iterator[Finding]:
        """Errors first, then in the order in which they were met."""
        return iter(sorted(self._found.values(), key=lambda f: f.severity != "error"))

    def __len__(self) -> int:
        return len(self._found)

    @property
    def errors(self) -> list[Finding]:
        """The findings that refuse the package."""
        return [f for f in self._found.values() if f.severity == "error"]


@dataclass
class Report:
    """What a check found, the rows of each file (its header not counted), and who is in it."""

    findings: Findings
    census: Census
    rows: dict[str, int] = field(default_factory=dict)

    @property
    def accepted(self) -> bool:
        """Whether no error was found."""
        return not self.findings.errors

    def record(self) -> dict[str, Any]:
        """The report as JSON values."""
        return {
            "accepted": self.accepted,
            "rows": self.rows,
            "findings": [finding.record() for finding in self.findings],
        }
