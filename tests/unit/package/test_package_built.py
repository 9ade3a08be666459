"""The result of the steps: a package that may exceed its scope is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from roster_upload.exits import Exit, Failure
from roster_upload.package.built import Built, require_scope


def test_a_package_in_scope_passes() -> None:
    require_scope(Built(Path("out"), 1, "00"))


def test_a_package_that_may_exceed_its_scope_is_refused() -> None:
    with pytest.raises(Failure, match=r"\(orgs, another file\)") as failed:
        require_scope(Built(Path("out"), 1, "00", {}, ("orgs", "another file")))
    assert failed.value.code is Exit.REFUSED
