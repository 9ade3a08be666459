"""The result of a package's steps, without importing the steps, which are slow to load."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from roster_upload.exits import Exit, Failure


class Findings(Protocol):
    """The rows with faults."""

    def faulty(self, file: str) -> npt.NDArray[np.bool_]:
        """Return flags of the faulty rows of a file, by the row's number. Flags may be missing."""


class Report(Protocol):
    """The result of validation."""

    @property
    def findings(self) -> Findings:
        """Return the findings."""

    @property
    def accepted(self) -> bool:
        """Return whether the package may be sent."""


@dataclass(frozen=True)
class Built:
    """The package.

    path      `out`, or the export if no step changed it
    bytes     size
    sha256    digest
    steps     counts of the changes, by step, without values of rows
    unscoped  files to which the scope could not be applied. If there are any, nothing may be sent.
    report    the result of `check`, if it checked exactly this package
    """

    path: Path
    bytes: int
    sha256: str
    steps: Mapping[str, Any] = field(default_factory=dict)
    unscoped: tuple[str, ...] = ()
    report: Report | None = None


def require_scope(package: Built) -> None:
    """Raise Failure if a package may hold records beyond the feed's scope."""
    if package.unscoped:
        raise Failure(
            Exit.REFUSED,
            "the feed's scope could not be applied to the whole export "
            f"({', '.join(package.unscoped)}), so it is not sent. Correct these files in the SIS's "
            "export",
        )
