"""A wrong inventory is refused before any host is touched: variable, host, what is allowed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import forks
import pytest
import share

ROOT = Path(__file__).resolve().parents[2]


def site(inventory: Path, *arguments: str) -> tuple[int, str]:
    """`site.yml` on a copy of the example; returns its exit code and all that it printed."""
    return forks.ansible("ansible-playbook", "playbooks/site.yml", "-i", inventory, *arguments)


@pytest.fixture
def inventory(tmp_path: Path) -> Path:
    """An operator's copy of the example, whose hosts cannot be reached."""
    return Path(shutil.copytree(ROOT / "inventories" / "example", tmp_path / "example"))


def test_the_example_is_good_as_it_is(inventory: Path) -> None:
    code, told = site(inventory, "--tags", "validate")
    assert code == 0, told
    assert "unreachable=0" in told


TWO_FEEDS = [
    {
        "feed": f"{name}-county",
        "district": name,
        "username": f"{name}@county.example",
        "remote_dir": f"imagine/1-{name}/product",
    }
    for name in ("oak", "pine")
]

WRONG = {
    "unknown format": (
        "roster-maple",
        {"roster_upload_format": "oneroster-2"},
        ["roster_upload_format", "oneroster-2", "oneroster-1.1"],
    ),
    "upload path without site code": (
        "roster-maple",
        {"roster_upload_remote_dir": "imagine/maplegrove/product"},
        ["roster_upload_remote_dir", "imagine/<site code>-<district name>"],
    ),
    "start after the deadline": (
        "roster-maple",
        {"roster_schedule_retries": ["09:30"]},
        ["09:30", "09:00", "maple-grove"],
    ),
    "window after the deadline": (
        "roster-maple",
        {"roster_upload_window_start": "09:30"},
        ["roster_upload_window_start", "09:30", "09:00"],
    ),
    "unpinned host key": (
        "roster-maple",
        {"roster_upload_host_keys": []},
        ["roster_upload_host_keys", "pin"],
    ),
    "two feeds of one name": (
        "roster-region7",
        {"roster_upload_feeds": [TWO_FEEDS[0], {**TWO_FEEDS[1], "feed": "oak-county"}]},
        ["roster_upload_feeds", "oak-county"],
    ),
    "two feeds of one remote path": (
        "roster-region7",
        {
            "roster_upload_feeds": [
                TWO_FEEDS[0],
                {**TWO_FEEDS[1], "remote_dir": TWO_FEEDS[0]["remote_dir"]},
            ]
        },
        ["roster_upload_feeds", "imagine/1-oak/product"],
    ),
    "a value of a feed in a list": (
        "roster-region7",
        {"roster_upload_feeds": [TWO_FEEDS[0], {**TWO_FEEDS[1], "auth": "smartcard"}]},
        ["roster_upload_feeds[1].auth", "smartcard", "password"],
    ),
    "a misspelt key": (
        "roster-region7",
        {"roster_upload_feeds": [TWO_FEEDS[0], {**TWO_FEEDS[1], "remote_dri": "x"}]},
        ["roster_upload_feeds[1].remote_dri", "remote_dir"],
    ),
    "a wrong choice": (
        "roster-maple",
        {"roster_schedule_backend": "at"},
        ["roster_schedule_backend", "cron, timer"],
    ),
    "a network that is none": (
        "roster-maple",
        {"district_hardening_inbound_networks": ["everywhere"]},
        ["district_hardening_inbound_networks", "everywhere", "10.0.0.0/8"],
    ),
    "root, who is about to be locked out": (
        "roster-maple",
        {"ansible_user": "root"},
        ["ansible_user", "district_hardening_ssh_permit_root_login"],
    ),
}


@pytest.mark.parametrize("case", share.some(WRONG))
def test_a_wrong_variable_stops_the_run(case: str, inventory: Path) -> None:
    host, values, named = WRONG[case]
    extra = inventory / "host_vars" / host / "zz_wrong.yml"
    extra.write_text(json.dumps(values))
    code, told = site(inventory)
    assert code != 0
    plain = " ".join(told.split())
    for part in [host, *named]:
        assert part in plain
    assert "unreachable=0" in told
    assert "UNREACHABLE" not in told  # no host was touched: these do not exist
    assert "Gathering Facts" not in told


def test_a_missing_vault_entry_stops_the_run(inventory: Path) -> None:
    (inventory / "host_vars" / "roster-region7" / "pine-ridge.vault").unlink()
    code, told = site(inventory)
    assert code != 0
    plain = " ".join(told.split())
    for part in (
        "roster-region7: no secret for pine-ridge",
        "ansible-vault create",
        "pine-ridge.vault",
    ):
        assert part in plain
    assert "Gathering Facts" not in told
