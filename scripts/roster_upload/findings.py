"""What a check finds: rules as data, and findings that never hold a value of a row."""

from __future__ import annotations

import functools
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from typing import Any


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
    file: str
    column: str = ""
    detail: str = ""
    count: int = 0
    rows: list[int] = field(default_factory=list)

    @property
    def severity(self) -> str:
        return rules()[self.rule]["severity"]

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

    def __init__(self) -> None:
        self._found: dict[tuple[str, str, str], Finding] = {}
        self._shown: int = spec("oneroster-1.1")["limits"]["rows_shown"]

    def add(
        self, rule: str, file: str, column: str = "", *, detail: str = "", row: int = 0
    ) -> None:
        """Counts one more place where a rule is broken; `row` 0 means the file as a whole."""
        key = (rule, file, column)
        finding = self._found.setdefault(key, Finding(rule, file, column, detail))
        finding.count += 1
        if row and len(finding.rows) < self._shown:
            finding.rows.append(row)

    def __iter__(self) -> Any:
        """Errors first, then in the order in which they were met."""
        return iter(sorted(self._found.values(), key=lambda f: f.severity != "error"))

    def __len__(self) -> int:
        return len(self._found)

    @property
    def errors(self) -> list[Finding]:
        """The findings that refuse the package."""
        return [f for f in self._found.values() if f.severity == "error"]
