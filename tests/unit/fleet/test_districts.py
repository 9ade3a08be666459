"""A district's values: what each column takes."""

from __future__ import annotations

from pathlib import Path

import pytest
from new_districts import COLUMN_VALUES, LINE_ENDS, rows
from roster_fleet import inventory, vault
from roster_fleet.onboard.districts import (
    COLUMNS,
    SECRET_COLUMNS,
    OnboardError,
    from_values,
    group_name,
)
from roster_fleet.onboard.plan import make_plan
from roster_fleet.onboard.writing import write

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


@pytest.mark.parametrize("name", ["alerts", "inboxes"])
def test_no_feed_is_called_as_another_vault_file(name: str) -> None:
    with pytest.raises(OnboardError, match=f"row 2, feed: '{name}' is reserved"):
        rows(f"oak,,Oak,1,,,,{name},r@oak.example,")
    with pytest.raises(OnboardError, match=f"row 2, feed: '{name}' is reserved"):
        rows(f"oak,,{name.title()},1,,,,,r@oak.example,")


@pytest.mark.parametrize(
    ("column", "value", "group"),
    [
        ("product", "math", "product_math"),
        ("product", "product_math", "product_math"),
        ("product", "product", ""),
        ("product", "Product", ""),
        ("sis", "PowerSchool", "sis_powerschool"),
        ("sis", "sis_powerschool", "sis_powerschool"),
        ("sis", "SIS-PowerSchool", "sis_powerschool"),
        ("region", "region_north", "region_north"),
        ("region", "Region 7", "region_7"),
        ("region", "Regional", "region_regional"),
    ],
)
def test_no_group_doubles_its_prefix(column: str, value: str, group: str) -> None:
    assert group_name(column, value) == group
    doubled = f"{column}_{group}"
    # A group of an earlier release stays in use.
    assert group_name(column, value, frozenset({doubled})) in (group, doubled)


def test_a_group_of_an_earlier_release_stays_in_use(folder: Path, keys: vault.Vault) -> None:
    hosts = folder / "hosts.yml"
    old = "      children: {region_region_7: {hosts: {roster-region7: }}}\n"
    hosts.write_text(hosts.read_text() + old)
    write(make_plan(folder, rows("x,,X,1,product,,Region 7,,x@x.example,"), keys).files)
    assert "region_region_7" in inventory.names(folder, [])["x"]
    assert "region_7:" not in hosts.read_text().replace("region_region_7", "")
    assert "product_" not in hosts.read_text()


@pytest.mark.parametrize("column", ["sis", "region"])
def test_the_name_of_a_column_is_no_value(column: str) -> None:
    with pytest.raises(OnboardError, match=f"{column}: '{column.upper()}' is the column's name"):
        from_values(COLUMN_VALUES | {column: column.upper(), "next": ""}, "new.csv, row 7")
