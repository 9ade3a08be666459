"""The package that was made of an export, apart from the making, which much has to be read for."""

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
        """Return which rows of a file have a fault, by the row's number; it may be short."""


class Report(Protocol):
    """What validation found."""

    @property
    def findings(self) -> Findings:
        """The findings."""

    @property
    def accepted(self) -> bool:
        """Whether the package may be sent."""


@dataclass(frozen=True)
class Built:
    """The package.

    path      where it is: `out`, or the export where no step changed or could change it
    bytes     its size
    sha256    its digest
    steps     what the steps did, as counts that hold no value of a row
    unscoped  files that could not be held to the feed's scope; with any, nothing must be sent
    report    that of `check`, where the very package was checked
    """

    path: Path
    bytes: int
    sha256: str
    steps: Mapping[str, Any] = field(default_factory=dict)
    unscoped: tuple[str, ...] = ()
    report: Report | None = None


def require_scope(package: Built) -> None:
    """Raise Failure where a package may hold more than the feed's scope."""
    if package.unscoped:
        raise Failure(
            Exit.REFUSED,
            f"the export cannot be held to the feed's scope ({', '.join(package.unscoped)}) and "
            "is not sent",
        )
