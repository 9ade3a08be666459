"""The files of new hosts and groups have the meant values, whatever these are."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.inventory.manager import InventoryManager
from ansible.parsing.dataloader import DataLoader
from ansible.parsing.vault import VaultSecret
from ansible.vars.manager import VariableManager
from hypothesis import given
from hypothesis import strategies as st
from new_districts import COLUMN_VALUES, KEY, LINE_ENDS, OAK, ROOT, refused, rows
from roster_fleet import vault, yamlfile
from roster_fleet.onboard.districts import (
    District,
    OnboardError,
    from_values,
)
from roster_fleet.onboard.host_files import render_host
from roster_fleet.onboard.plan import make_plan
from roster_fleet.onboard.writing import write

OWN = ("inventory_hostname", "inventory_hostname_short", "group_names", "groups")


def variables(folder: Path, *hosts: str) -> list[dict[str, Any]]:
    """Return the variables of each host as Ansible loads them, without its own."""
    loader = DataLoader()
    sources = InventoryManager(loader=loader, sources=[str(folder)], cache=False)
    manager = VariableManager(loader=loader, inventory=sources)
    found = (manager.get_vars(host=sources.hosts[host], include_hostvars=False) for host in hosts)
    return [{key: value for key, value in one.items() if key not in OWN} for one in found]


@pytest.mark.parametrize("end", LINE_ENDS, ids=ascii)
@pytest.mark.parametrize("column", ["sis", "region", "product"])
def test_a_group_is_no_way_around_the_check_of_cells(
    column: str, end: str, folder: Path, keys: vault.Vault
) -> None:
    """Even an unchecked value stays a value in a file."""
    cell = f"a{end}ansible_ssh_common_args: -oProxyCommand=id"
    district = from_values(
        COLUMN_VALUES | {"next": "", "inbox_password": "", "source_password": ""}, "it"
    )
    changed: Any = {column: cell}
    write(make_plan(folder, [replace(district, **changed)], keys).files)
    assert "ansible_ssh_common_args" not in variables(folder, "x")[0]


def test_a_file_that_reads_back_differently_is_not_written(
    folder: Path, keys: vault.Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(yamlfile, "text", str)
    message = refused(folder, keys, rows("x,,yes,007,,,,,x@x.example,"))
    assert "read back differently" in message


CELL = st.one_of(
    st.sampled_from(["", "-", "~", "yes", "0123", "1:30", "!unsafe x", "&a", "*a", "|", "a: b"]),
    st.sampled_from(
        ["#jinja2:x", "{ {", "${x}", "`id`", "$(id)", "..", "a #b", "' \"", "\\n", "ß"]
    ),
    st.sampled_from(
        ["a\u2028b: 1", "a\x85b: 1", "{{ 7 * 7 }}", "{%", "a\nb: 1", "-oProxyCommand=x"]
    ),
    st.text(st.characters(categories=["L", "N", "P", "S", "Zs"]), min_size=1, max_size=12),
    st.text(max_size=12),
)
SHORT = ("district", "product", "sis", "region", "username", "host", "address", "source")
PLAIN = {"host": "new", "feed": "new", "district": "X", "site_code": "7", "username": "x@x.example"}


@given(st.dictionaries(st.sampled_from(SHORT), CELL, min_size=1, max_size=2))
def test_ansible_loads_what_was_meant_or_the_row_is_refused(given: dict[str, str]) -> None:
    keys = vault.Vault([("example", VaultSecret(KEY))])
    with tempfile.TemporaryDirectory() as name:
        folder = Path(shutil.copytree(ROOT / "inventories" / "example", Path(name) / "example"))
        try:
            district = from_values(PLAIN | given, "it")
            plan = make_plan(folder, [district], keys)
            before, shared = variables(folder, "roster-maple", "roster-region7")
            write(plan.files)
        except OnboardError:
            return
        for own in ("roster_upload_feeds", "roster_upload_alert_urls", "ansible_host"):
            del shared[own]
        optional = {"district_product": district.product, "ansible_host": district.address}
        meant = district.host_variables() | {key: value for key, value in optional.items() if value}
        assert variables(folder, "roster-maple", district.host) == [before, shared | meant]


@given(
    st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Zl", "Zp"]), min_size=1)
)
def test_any_name_comes_back_from_yaml(name: str) -> None:
    district = District("x", "h", name, "007", name, "f")
    assert yaml.safe_load(render_host([district])) == district.host_variables()
    several = yaml.safe_load(render_host([district, district]))
    assert several == {"roster_upload_feeds": [district.feed_item()] * 2}


def test_the_alerts_of_a_group_are_left_alone(folder: Path, keys: vault.Vault) -> None:
    """Their file has no variables, so the group still gets its commented file."""
    secrets = folder / "group_vars" / "product_literacy" / "alerts.vault"
    secrets.parent.mkdir()
    secrets.write_bytes(keys.encrypt("heartbeat: 'x'\n", "example"))
    before = secrets.read_bytes()
    write(make_plan(folder, rows(OAK + "x"), keys).files)
    assert secrets.read_bytes() == before
    assert "literacy" in (secrets.parent / "main.yml").read_text()
