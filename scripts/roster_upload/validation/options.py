"""The options by which a package is checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from roster_upload.config import Feed
from roster_upload.spec.schema import default


@dataclass(frozen=True)
class ValidationOptions:
    """The options of a check. Each has the name of the feed's key."""

    format: str = "oneroster-1.1"
    rules: Mapping[str, str] = field(default_factory=dict)  # rule, or rule:file.column: severity
    faulty_rows_percent: float = field(default_factory=lambda: default("faulty_rows_percent"))
    faulty_rows_count: int = field(default_factory=lambda: default("faulty_rows_count"))
    traditional_columns: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    allow_delete_unlisted: bool = False
    minimum_bytes: int = field(default_factory=lambda: default("minimum_bytes"))
    maximum_bytes: int = field(default_factory=lambda: default("maximum_bytes"))
    remote_name: str = ""

    @classmethod
    def from_feed(cls, feed: Feed) -> ValidationOptions:
        """Return those of a feed."""
        return cls(**{name: getattr(feed, name) for name in cls.__dataclass_fields__})
