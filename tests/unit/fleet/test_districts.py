"""A district's values: what each column takes."""

from __future__ import annotations

from pathlib import Path

import pytest
from new_districts import COLUMN_VALUES, LINE_ENDS, rows
from roster_fleet import vault
from roster_fleet.onboard.districts import (
    COLUMNS,
    SECRET_COLUMNS,
    OnboardError,
    from_values,
)

# YAML ends a line at the first four. A terminal obeys the next two. The rest is invisible.
FOREIGN = [*LINE_ENDS, "\x1b", "\x9b", "\0", "\x7f", "\u202e", "\u200b", "\xa0", "\ufeff"]


def test_the_columns_below_are_all_that_onboarding_names() -> None:
    assert {*COLUMN_VALUES} == {*(column.name for column in COLUMNS), "next"} | {
        "source",
        "remote_dir",
    }


@pytest.mark.parametrize("column", COLUMN_VALUES)
@pytest.mark.parametrize("foreign", FOREIGN, ids=ascii)
def test_every_column_takes_printable_characters_only(column: str, foreign: str) -> None:
    values = COLUMN_VALUES | {column: f"a{foreign}ansible_ssh_common_args: x"}
    with pytest.raises(OnboardError) as error:
        from_values(values, "new.csv, row 7")
    named = f"new.csv, row 7, {column}: contains U+{ord(foreign):04X}"
    assert any(problem.startswith(named) for problem in error.value.problems)
    assert str(error.value).replace("\n", "").isprintable()


@pytest.mark.parametrize("column", [c for c in COLUMN_VALUES if c not in SECRET_COLUMNS])
@pytest.mark.parametrize("opened", ["{{ lookup('pipe', 'id') }}", "{% x %}", "{# x #}"])
def test_no_column_takes_a_template(column: str, opened: str) -> None:
    with pytest.raises(OnboardError) as error:
        from_values(COLUMN_VALUES | {column: f"a{opened}"}, "new.csv, row 7")
    assert any(p.startswith(f"new.csv, row 7, {column}: must not") for p in error.value.problems)


def test_no_feed_is_called_alerts(folder: Path, keys: vault.Vault) -> None:
    with pytest.raises(OnboardError, match="row 2, feed: 'alerts' is reserved"):
        rows("oak,,Oak,1,,,,alerts,r@oak.example,")
    with pytest.raises(OnboardError, match="row 2, feed: 'alerts' is reserved"):
        rows("oak,,Alerts,1,,,,,r@oak.example,")
