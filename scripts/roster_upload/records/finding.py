"""A finding: a validation rule that an export breaks. It never holds a value of a row."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Self

from roster_upload.records.schema import Misfit, each, text, whole
from roster_upload.spec import spec

SEVERITIES = ("error", "fault", "warning", "ignored")  # the worst first


@functools.cache
def rules() -> Mapping[str, Mapping[str, str]]:
    """Return the severity and the text of every rule, by its id."""
    groups = spec("rules")
    return {f"{g}.{name}": rule for g, names in groups.items() for name, rule in names.items()}


@dataclass
class Finding:
    """A rule that is broken in one column of one file, with a count and the first rows.

    Row numbers are those of a spreadsheet: the header is row 1.
    """

    rule: str
    severity: str
    file: str
    column: str = ""
    detail: str = ""
    count: int = 0
    rows: list[int] = field(default_factory=list)

    @classmethod
    def parse(cls, values: Any) -> Self:
        """Return a finding from JSON. Raise Misfit."""
        if not isinstance(values, Mapping):
            raise Misfit
        rule, severity, file, column = (
            text(values.get(key)) for key in ("rule", "severity", "file", "column")
        )
        found = cls(rule, severity, file, column, count=whole(values.get("count")))
        if isinstance(detail := values.get("detail"), str):
            found.detail = detail
        if isinstance(rows := values.get("rows"), list):
            found.rows = [*each(whole)(rows)]
        return found

    @property
    def key(self) -> tuple[str, str, str]:
        """Return the key that it shares with the same finding of another night."""
        return self.rule, self.file, self.column

    def text(self) -> str:
        """Return the finding as one line. This release may not know the rule of another one."""
        if self.rule not in rules():
            return f"{self.severity}: {self.file} [{self.rule}]"
        where = self.file + (f", column {self.column}" if self.column else "")
        if self.rows:
            where += f", row{'s' if self.count > 1 else ''} {', '.join(map(str, self.rows))}"
            where += f" … ({self.count:,} in all)" if self.count > len(self.rows) else ""
        message = rules()[self.rule]["text"] + (f" ({self.detail})" if self.detail else "")
        return f"{self.severity}: {where}: {message} [{self.rule}]"

    def to_json(self) -> dict[str, Any]:
        """Return the finding as JSON values."""
        return asdict(self)
