"""YAML keeps every value."""

from __future__ import annotations

import pytest
import yaml
from roster_fleet import yamlfile


@pytest.mark.parametrize(
    "value", ["yes", "No", "0123", "1:30", "1e3", "null", "~", "2026-01-01", "="]
)
def test_what_yaml_would_take_for_something_else_is_quoted(value: str) -> None:
    text = yamlfile.dump({"x": yamlfile.text(value)})
    assert yaml.safe_load(text) == {"x": value}
