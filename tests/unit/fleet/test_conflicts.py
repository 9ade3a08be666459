"""New districts that conflict with the inventory or with each other."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from new_districts import OAK, refused, rows
from roster_fleet import inventory, vault
from roster_fleet.onboard.districts import (
    OnboardError,
)
from roster_fleet.onboard.plan import make_plan
from roster_fleet.onboard.writing import write

DIFFERENT = {
    "address": (OAK.replace("oak.example.org", "other.example.org"), "other.example.org"),
    "site code": (OAK.replace("0012345", "12345"), "imagine/12345-Oak"),
    "product": (OAK.replace("literacy", "math"), "product_math"),
    "region": (OAK.replace("North,,", "South,,"), "region_south"),
    "login": (OAK.replace("r@oak", "s@oak"), "s@oak.example"),
    "password": (OAK + "other", "rotate_credentials.yml"),
    "feed": (OAK.replace("North,,", "North,second,"), "delivers to the same remote file"),
}


@pytest.mark.parametrize("case", DIFFERENT)
def test_a_row_that_differs_from_the_inventory_is_refused(
    case: str, folder: Path, keys: vault.Vault
) -> None:
    write(make_plan(folder, rows(OAK + "pw"), keys).files)
    row, named = DIFFERENT[case]
    message = refused(folder, keys, rows(row if row != OAK else row + "pw"))
    assert named in message
    assert "new.csv, row 2" in message
    assert "'pw'" not in message


def test_a_file_that_cannot_be_edited_is_edited_by_hand(folder: Path, keys: vault.Vault) -> None:
    """The message has the reason and the whole list, so that the first district stays."""
    write(make_plan(folder, rows(OAK), keys).files)
    main = folder / "host_vars/oak/main.yml"
    main.write_text(json.dumps(yaml.safe_load(main.read_text())))
    message = refused(folder, keys, rows("oak,,Fir,0000009,,,,,f@fir.example,"))
    assert "its values are not one on a line" in message
    assert "replace the lines district_name, district_site_code" in message
    written = yaml.safe_load(message.partition("by:\n")[2])
    feeds = written["roster_upload_feeds"]
    assert [feed["feed"] for feed in feeds] == ["oak-north-county", "fir"]
    assert feeds[0]["remote_dir"] == 'imagine/0012345-Oak "North" County/literacy'
    main.write_text(yaml.safe_dump(written))
    fleet = inventory.read(folder, keys.secrets)
    assert [feed["feed"] for feed in fleet["oak"].feeds] == ["oak-north-county", "fir"]


def test_districts_of_one_host_name_their_products_where_the_groups_do(
    folder: Path, keys: vault.Vault
) -> None:
    group = folder / "group_vars/district_hosts/product.yml"
    group.write_text("district_product: literacy\n")
    several = ["x,,X,1,,,,,x@x.example,", "x,,Y,2,,,,,y@x.example,"]
    assert "product: is empty, but the groups say 'literacy'" in refused(
        folder, keys, rows(*several)
    )
    plan = make_plan(folder, rows(several[0]), keys)
    assert plan.files


TAKEN = {
    "feed": ("x,,X,1,,,,maple-grove,x@x.example,", "roster-maple has a feed with the same name"),
    "remote file": ("x,,Maple Grove,1234567,,,,x,rosters@maplegrove.example,", "same remote file"),
    "login": ("x,,X,1,,,,,Rosters@MapleGrove.example,", "another district (Maple Grove)"),
    "no feed name": ("x,,東京,1,,,,,x@x.example,", "feed: cannot be derived"),
    "site code of a spreadsheet": ("x,,X,1.23E+06,,,,,x@x.example,", "spreadsheet"),
    "a template": ("x,,{{ x }},1,,,,,x@x.example,", "{{"),
    "a path": ("x,,a/b,1,,,,,x@x.example,", "imagine/<site code>"),
    "another address": ("x,a b,X,1,,,,,x@x.example,", "not a host name"),
    "too few cells": ("x,,X", "3 cells"),
    "an option for an address": ("x,-oProxyCommand=id,X,1,,,,,x@x.example,", "not a host name"),
    "an option for a host": ("-oProxyCommand=id,,X,1,,,,,x@x.example,", "row 2, host"),
    "a path for a host": ("../x,,X,1,,,,,x@x.example,", "row 2, host"),
    "a path for a feed": ("x,,X,1,,,,../x,x@x.example,", "row 2, feed"),
    "every host": ("All,,X,1,,,,,x@x.example,", "reserved name of Ansible"),
    "the control node": ("localhost,,X,1,,,,,x@x.example,", "reserved name of Ansible"),
    "another host's variables": ("x.yml,,X,1,,,,,x@x.example,", "reserved name of Ansible"),
    "a group's name": ("district_hosts,,X,1,,,,,x@x.example,", "the group district_hosts"),
    "a new group's name": ("sis_big,,X,1,,big,,,x@x.example,", "the group sis_big"),
    "a host but for its case": ("Roster-Maple,,X,1,,,,,x@x.example,", "same name as roster-maple"),
    "a header of a template": ("x,,#jinja2:x,1,,,,,x@x.example,", "district: must not contain"),
}


@pytest.mark.parametrize("case", TAKEN)
def test_what_cannot_be_is_refused(case: str, folder: Path, keys: vault.Vault) -> None:
    row, named = TAKEN[case]
    with pytest.raises(OnboardError) as error:
        make_plan(folder, rows(row), keys)
    assert named in str(error.value)
    assert "new.csv, row 2" in str(error.value)


def test_all_conflicts_between_rows_are_reported(folder: Path, keys: vault.Vault) -> None:
    message = refused(
        folder,
        keys,
        rows(
            "a,,A,1,,,,same,a@x.example,",
            "b,,B,2,,,,same,a@x.example,",
            "c,,C,3,,x,,c,c@x.example,",
            "c,,D,4,,y,,d,d@x.example,",
        ),
    )
    for part in ("row 2, feed", "row 3, feed", "row 2, username", "row 5, sis: 'y', but new.csv"):
        assert part in message
