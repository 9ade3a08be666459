"""Feeds move to another host in the inventory, and no other feed changes."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from new_districts import content
from roster_fleet import inventory, relocation, vault
from roster_fleet.onboard.writing import write

REGION, MAPLE = "roster-region7", "roster-maple"


def moved(folder: Path, old: str, new: str, *feeds: str) -> relocation.Moved:
    homes = (folder / "host_vars" / host for host in (old, new))
    return relocation.Moved(feeds, old, new, *homes)


def feeds(folder: Path, keys: vault.Vault, host: str) -> dict[str, object]:
    found = inventory.read(folder, keys.secrets)[host]
    assert not found.problem
    return {feed["feed"]: feed for feed in found.feeds}


@pytest.mark.parametrize(
    ("old", "new", "names"),
    [
        (REGION, MAPLE, ["oak-county"]),  # to a host whose one feed has no list
        (REGION, MAPLE, ["oak-county", "pine-ridge"]),
        (MAPLE, REGION, ["maple-grove"]),  # a feed without a list
        (REGION, "new", ["pine-ridge"]),
        (MAPLE, "new", ["maple-grove"]),
    ],
)
def test_a_feed_keeps_all_of_its_values(
    folder: Path, keys: vault.Vault, old: str, new: str, names: list[str]
) -> None:
    if new == "new":
        hosts = yaml.safe_load((folder / "hosts.yml").read_text())
        hosts["all"]["children"]["district_hosts"]["hosts"]["new"] = None
        (folder / "hosts.yml").write_text(yaml.safe_dump(hosts))
        home = folder / "host_vars" / "new"
        home.mkdir()
        (home / "main.yml").write_text("---\n# Not yet.\nroster_upload_feeds: []\n")
    before = {host: feeds(folder, keys, host) for host in (old, new)}
    files = content(folder)
    one = moved(folder, old, new, *names)
    plan = relocation.make_plan(folder, one, keys.secrets, is_check=True)
    assert content(folder) == files
    assert "would be moved" in plan.note
    plan = relocation.make_plan(folder, one, keys.secrets, is_check=False)
    assert "have moved in the inventory" in plan.note
    write(plan.files)
    going = {name: before[old][name] for name in names}
    assert feeds(folder, keys, new) == before[new] | going
    left = {name: feed for name, feed in before[old].items() if name not in names}
    assert feeds(folder, keys, old) == left
    for name in names:
        assert (folder / "host_vars" / new / f"{name}.vault").exists()
        assert not (folder / "host_vars" / old / f"{name}.vault").exists()
    # An interrupted run has done it already.
    assert relocation.make_plan(folder, one, keys.secrets, is_check=False).files == []


def test_what_cannot_be_edited_stays(folder: Path, keys: vault.Vault) -> None:
    one = moved(folder, REGION, MAPLE, "oak-county")
    (folder / "host_vars" / MAPLE / "oak-county.vault").write_text("another")
    before = content(folder)
    plan = relocation.make_plan(folder, one, keys.secrets, is_check=False)
    assert plan.files == []
    assert f"Now move oak-county and oak-county.vault from host_vars/{REGION}" in plan.note
    assert "exists with other content" in plan.note
    plan = relocation.make_plan(None, one, keys.secrets, is_check=False)
    assert "by hand" in plan.note
    assert content(folder) == before
