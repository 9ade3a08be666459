"""Misspelt names of variables are found with the name that was meant, in their file."""

from __future__ import annotations

from pathlib import Path

import pytest
from roster_fleet.check.names import Names
from support import written

NAMES = Names(written.names())


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("roster_upload_blackout", "roster_upload_blackouts"),
        ("roster_uplaod_blackouts", "roster_upload_blackouts"),
        ("rosterupload_remote_dir", "roster_upload_remote_dir"),
        ("roster_upload_remote_dri", "roster_upload_remote_dir"),
        ("roster_credentials_vaultid", "roster_credentials_vault_id"),
        ("roster_upload_retries", "roster_schedule_retries"),
        ("roster_schedule_retry", "roster_schedule_retries"),
        ("roster_status_fails", "roster_status_fail"),
        ("sis_inbox_account", "sis_inbox_accounts"),
        ("sis_inbx_accounts", "sis_inbox_accounts"),
        ("district_hardening_inbound_network", "district_hardening_inbound_networks"),
        ("district_hardning_inbound_networks", "district_hardening_inbound_networks"),
        ("district_nam", "district_name"),
        ("district_sitecode", "district_site_code"),
        ("district_site_cod", "district_site_code"),
    ],
)
def test_a_misspelt_name_is_refused_with_the_one_that_was_meant(name: str, meant: str) -> None:
    assert NAMES.message(name) == f"{name}: there is no such variable. Did you mean {meant}?"


def test_a_name_like_no_other_is_refused_by_its_prefix() -> None:
    message = NAMES.message("roster_upload_xyzzy")
    assert message == (
        "roster_upload_xyzzy: there is no such variable. Remove it, or see the README of the role"
    )


def test_an_old_name_has_its_new_one() -> None:
    message = NAMES.message("roster_upload_user")
    assert "is now called roster_upload_group" in message


@pytest.mark.parametrize(
    "name",
    [
        "roster_upload_blackouts",
        "roster_upload_resolved_feeds",
        "district_name",
        "district_contact",  # an operator's own fact
        "district_timezone",
        "ansible_user",
        "ansible_managed",
        "rosters_folder",
        "site_batches",  # a playbook's, and perhaps another role's
        "roster_feed_reader_url",
        "upload_blackouts",
        "inbox_accounts",
    ],
)
def test_other_names_are_not_our_business(name: str) -> None:
    assert NAMES.message(name) == ""


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("roster_feeds", "roster_feed"),
        ("aprove_digest", "approve_digest"),
        ("site_batch", "site_batches"),
        ("rotate_key_actions", "rotate_key_action"),
        ("roster_upload_blackout", "roster_upload_blackouts"),
        ("env", ""),
        ("roster_feed", ""),
        ("onboard_site_code", ""),
        ("ansible_become_password", ""),
    ],
)
def test_variables_of_the_command_line(name: str, meant: str) -> None:
    wanted = [f"-e: {name}: there is no such variable. Did you mean {meant}?"] if meant else []
    assert NAMES.given([name]) == wanted


def test_keys_of_feeds_and_all_files_are_looked_at(tmp_path: Path) -> None:
    feeds = "roster_upload_feeds:\n  - feed: elm\n    remote_dri: x\n    roster_upload_source: y\n"
    texts = {
        "host_vars/maple/main.yml": feeds,
        "group_vars/all.yml": "a: 1\nroster_upload_blackout: []\n",
    }
    found = list(NAMES.problems(written.inventory(tmp_path, texts).variables()))
    group, *keys = [problem.text for problem in found]
    assert group.startswith(f"{tmp_path}/group_vars/all.yml:2:1: group all: roster_upload_black")
    assert keys == [
        f"{tmp_path}/host_vars/maple/main.yml:{line}:5: host maple: roster_upload_feeds: {key} is "
        f"not a key of a feed. Did you mean {meant}?"
        for line, key, meant in (
            (3, "remote_dri", "remote_dir"),
            (4, "roster_upload_source", "source"),
        )
    ]
    assert [problem.hosts for problem in found] == [{"maple", "oak"}, {"maple"}, {"maple"}]


def test_names_of_other_inventories_have_no_file(tmp_path: Path) -> None:
    inventory = written.inventory(tmp_path, {"host_vars/maple.yml": "roster_upload_sourc: x\n"})
    inline = [
        (inventory.hosts["oak"], ["roster_upload_blackout", "ansible_host"]),
        (inventory.hosts["maple"], ["roster_upload_sourc"]),  # reported with its file
    ]
    (problem,) = NAMES.unwritten(inline, inventory.variables())
    assert problem.text.startswith("host oak: roster_upload_blackout: there is no such variable.")
    assert problem.hosts == {"oak"}


def test_keys_within_other_variables_are_looked_at(tmp_path: Path) -> None:
    text = """\
sis_inbox_accounts:
  - user: sis-elm
    netwroks: [192.0.2.0/24]
roster_upload_guard_limits: {student: {removd: 5}}
roster_upload_rules: {any.rule: ignore}
district_own: {user: 1}
"""
    found = NAMES.problems(written.inventory(tmp_path, {"host_vars/oak.yml": text}).variables())
    assert [problem.text.partition(": host oak: ")[2] for problem in found] == [
        "sis_inbox_accounts: netwroks is not a key of sis_inbox_accounts. Did you mean networks?"
    ]


def test_feeds_may_merge_what_they_share(tmp_path: Path) -> None:
    text = "x: &x {deadline: '09:00', sourc: y}\nroster_upload_feeds:\n  - <<: *x\n    feed: elm\n"
    (found,) = NAMES.problems(written.inventory(tmp_path, {"host_vars/oak.yml": text}).variables())
    assert "sourc is not a key of a feed. Did you mean source?" in found.text
