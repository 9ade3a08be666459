"""Makes the package that a feed sends, with the program's own validation."""

from __future__ import annotations

import datetime as dt
import functools
from pathlib import Path

from roster_upload.config import Feed
from roster_upload.package.build import build
from roster_upload.package.built import Built
from roster_upload.validation.check import check
from roster_upload.validation.options import ValidationOptions


def build_package(feed: Feed, export: Path, out: Path, night: dt.date) -> Built | None:
    """Return the package made from a feed's export, None if the feed declares no step.

    Raise OSError.
    """
    look = functools.partial(check, options=ValidationOptions.from_feed(feed), night=night)
    return build(feed, export, out, check=look, night=night)
