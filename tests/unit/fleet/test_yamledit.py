"""Edits of a person's YAML keep every other line."""

from __future__ import annotations

import difflib

import pytest
import yaml
from roster_fleet import yamledit

SEVERAL = """\
---
# Ours.
roster_upload_feeds:
  # the first
  - feed: oak  # since 2024
    district: 'Oak'

  # the NFS mount
  - feed: fir
    source: "/mnt/fir.zip"
    rules:
      a: ignore

# Both alerts go to the agency.
roster_upload_heartbeat_url: https://x.example/{secret}
"""
FLAT = """\
---
# What our first district has.
district_name: "Oak"
district_site_code: "007" # from the vendor's letter
roster_upload_feed: oak
# their own login
roster_upload_username: r@oak.example

# the NFS mount
roster_upload_source: '/mnt/{feed}.zip' # or the copy
roster_upload_alert_urls:
  - a@x.example
roster_upload_rules: # they know
  # a fault of the SIS
  value.enum: ignore

district_hardening_inbound_networks: [10.0.0.0/8]
"""
ITEM = {"feed": "elm", "district": "yes"}


def changes(before: str, after: str) -> list[str]:
    compared = difflib.ndiff(before.splitlines(), after.splitlines())
    return [line for line in compared if line[0] in "+-"]


def test_an_item_comes_after_the_last_one() -> None:
    after = yamledit.append_item(SEVERAL, "roster_upload_feeds", ITEM)
    assert changes(SEVERAL, after) == ["+   - feed: elm", '+     district: "yes"']
    assert after.index("elm") < after.index("# Both alerts")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "---\n",
        "---\n# why\na: 1",
        "list: # why\n",
        "a: 1\nlist: [] # why\nb: 2\n",
        "list: # why\n- feed: a\n- feed: b\n",
        "list: # why\n    -   feed: a\n        x: |\n            # why\n\n# why\n",
    ],
)
def test_a_list_of_any_form_gets_an_item(text: str) -> None:
    after = yamledit.append_item(text, "list", ITEM)
    before = yaml.safe_load(text) or {}
    assert yaml.safe_load(after) == before | {"list": [*(before.get("list") or []), ITEM]}
    assert after.count("# why") == text.count("# why")


@pytest.mark.parametrize("text", ["list: [{feed: a}]\n", "{list: []}\n", "- a\n", "a: [\n", "x\n"])
def test_a_form_that_cannot_be_kept_is_refused(text: str) -> None:
    with pytest.raises(yamledit.EditError):
        yamledit.append_item(text, "list", ITEM)


def test_an_item_goes_with_its_comments() -> None:
    after = yamledit.remove_item(SEVERAL, "roster_upload_feeds", "feed", "fir")
    assert [line.strip("- ") for line in changes(SEVERAL, after)] == [
        "# the NFS mount",
        "feed: fir",
        'source: "/mnt/fir.zip"',
        "rules:",
        "a: ignore",
        "",
    ]
    after = yamledit.remove_item(SEVERAL, "roster_upload_feeds", "feed", "oak")
    assert "# the NFS mount\n  - feed: fir" in after
    assert "oak" not in after
    gone = yamledit.remove_item(after, "roster_upload_feeds", "feed", "fir")
    assert [*yaml.safe_load(gone)] == ["roster_upload_heartbeat_url"]
    assert "# Ours." in gone
    assert "# Both alerts" in gone


def test_values_of_one_become_the_first_of_a_list() -> None:
    moved = {
        "district_name": "district",
        "roster_upload_feed": "feed",
        "roster_upload_username": "username",
        "roster_upload_source": "source",
        "roster_upload_rules": "rules",
    }
    after = yamledit.into_item(
        FLAT,
        "feeds",
        moved,
        {"remote_dir": "imagine/007-Oak/x"},
        {"district_site_code": "remote_dir"},
    )
    assert (
        after
        == """\
---
# What our first district has.
feeds:
  - feed: oak
    district: "Oak"
    # their own login
    username: r@oak.example
    remote_dir: imagine/007-Oak/x  # from the vendor's letter
    # the NFS mount
    source: '/mnt/{feed}.zip' # or the copy
    rules: # they know
      # a fault of the SIS
      value.enum: ignore

roster_upload_alert_urls:
  - a@x.example

district_hardening_inbound_networks: [10.0.0.0/8]
"""
    )


HOSTS = """\
all:
  children:
    district_hosts: # ours
      hosts:
        oak:
          ansible_host: oak.example.org
        # Bob has the key of the room
        fir: {ansible_host: fir.example.org}
        elm:
      children:
        region_north:
          hosts:
            fir:
        empty:
"""


def test_a_host_leaves_all_its_groups() -> None:
    after = yamledit.remove_hosts(HOSTS, ["fir"])
    assert changes(HOSTS, after) == [
        "-         # Bob has the key of the room",
        "-         fir: {ansible_host: fir.example.org}",
        "-             fir:",
    ]
    tree = yaml.safe_load(yamledit.remove_hosts(HOSTS, ["oak", "fir", "elm"]))
    assert tree["all"]["children"]["district_hosts"]["hosts"] is None
    with pytest.raises(yamledit.EditError):
        yamledit.remove_hosts("all: {hosts: {fir: }}\n", ["fir"])


def test_a_value_that_others_refer_to_stays() -> None:
    text = "list:\n  - &a\n    feed: a\n  - feed: b\nother: *a\n"
    with pytest.raises(yamledit.EditError, match="cannot be kept"):
        yamledit.remove_item(text, "list", "feed", "a")
    assert yaml.safe_load(yamledit.remove_item(text, "list", "feed", "b"))["other"] == {"feed": "a"}


def test_a_host_whose_value_is_an_alias_leaves() -> None:
    text = "all:\n  hosts:\n    a: &a {x: 1}\n    b: *a\n    c: *a\n"
    assert yamledit.remove_hosts(text, ["b"]) == text.replace("    b: *a\n", "")
    with pytest.raises(yamledit.EditError, match="cannot be kept"):
        yamledit.remove_hosts(text, ["a"])  # the others need its anchor


def test_items_with_aliases() -> None:
    text = "x: &x [1]\nF:\n  - feed: a\n    x: *x\nz: 1\n"
    more = yamledit.append_item(text, "F", {"feed": "b"})
    assert more == text.replace("z:", "  - feed: b\nz:")
    assert yamledit.remove_item(more, "F", "feed", "b") == text
    with pytest.raises(yamledit.EditError, match="alias"):
        yamledit.append_item("x: &x {a: 1}\nF:\n  - *x\n", "F", {"feed": "b"})
    assert yamledit.remove_item("F:\n  - a\n  - feed: b\n", "F", "feed", "b") == "F:\n  - a\n"
