"""A row for a host that delivers already: it gets the feed, and its first one stays the same."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from new_districts import OAK, content, refused, rows
from roster_fleet import inventory, vault
from roster_fleet.onboard.more_feeds import changed_feeds
from roster_fleet.onboard.plan import make_plan
from roster_fleet.onboard.writing import write

SECOND = 'roster-maple,,"Elm",0000009,,,,,e@elm.example,pw'
INBOXES = "host,district,site_code,username,source,inbox_user,inbox_key,inbox_networks"
KEY = "ssh-ed25519 AAAAC3Nz sis"


def feeds(folder: Path, keys: vault.Vault, host: str) -> dict[str, dict[str, object]]:
    found = inventory.read(folder, keys.secrets)[host]
    assert not found.problem
    return {str(feed["feed"]): dict(feed) for feed in found.feeds}


def test_a_host_of_one_district_gets_another(folder: Path, keys: vault.Vault) -> None:
    main = folder / "host_vars/roster-maple/main.yml"
    main.write_text(
        main.read_text()
        + "roster_upload_source: '/mnt/{feed}.zip' # the NFS mount\n"
        + "roster_upload_rules: {value.enum: ignore}\nroster_upload_alert_urls: [ntfy://rosters]\n"
    )
    hosts = (folder / "hosts.yml").read_text()
    before = feeds(folder, keys, "roster-maple")
    plan = make_plan(folder, rows(SECOND), keys)
    assert [row["did"] for row in plan.report] == ["added"]
    write(plan.files)
    after = feeds(folder, keys, "roster-maple")
    assert [*after] == ["maple-grove", "elm"]
    assert after["maple-grove"] == before["maple-grove"]
    assert after["elm"]["remote_dir"] == "imagine/0000009-Elm/product"
    assert after["elm"]["source"] == "/srv/roster-upload/elm/OneRoster.zip"
    assert after["elm"]["alert_urls"] == ["ntfy://rosters"]
    assert after["elm"]["rules"] == {}
    text = main.read_text()
    assert "    source: '/mnt/{feed}.zip' # the NFS mount\n" in text
    assert "# If the SIS brings its export by SFTP" in text
    assert "district_site_code" not in text
    assert (folder / "host_vars/roster-maple/elm.vault").exists()
    assert (folder / "hosts.yml").read_text() == hosts
    written = content(folder)
    plan = make_plan(folder, rows(SECOND), keys)
    assert plan.files == []
    assert {row["did"] for row in plan.report} == {"unchanged"}
    assert "e@elm" in refused(folder, keys, rows(SECOND.replace("e@elm", "f@elm")))
    assert content(folder) == written


def test_a_host_of_several_districts_gets_another(folder: Path, keys: vault.Vault) -> None:
    main = folder / "host_vars/roster-region7/main.yml"
    lines = main.read_text().splitlines()
    before = feeds(folder, keys, "roster-region7")
    row = "roster-region7,,Elm,9,math,,North,,e@elm.example,"
    write(
        make_plan(folder, rows(row, SECOND.replace("Elm", "Fir").replace("e@", "f@")), keys).files
    )
    after = feeds(folder, keys, "roster-region7")
    assert {name: after[name] for name in before} == before
    assert [*after][-1] == "elm"
    assert after["elm"]["remote_dir"] == "imagine/9-Elm/math"
    found = iter(main.read_text().splitlines())
    assert all(line in found for line in lines)
    groups = inventory.names(folder, [])["roster-region7"]
    assert groups >= {"product_math", "region_north"}
    assert "ansible_host: roster-region7.example.org" in (folder / "hosts.yml").read_text()


def test_a_hardened_host_without_a_feed_gets_one(folder: Path, keys: vault.Vault) -> None:
    main = folder / "host_vars/roster-maple/main.yml"
    main.unlink()
    write(make_plan(folder, rows(SECOND), keys).files)
    assert yaml.safe_load(main.read_text())["district_name"] == "Elm"
    main.write_text("---\n# ours\nroster_upload_feeds: [] # only hardened\n")
    write(make_plan(folder, rows(SECOND), keys).files)
    assert "roster_upload_feeds: # only hardened\n  - feed: elm\n" in main.read_text()


REFUSED = {
    "a group would change the first feed": (
        "roster-maple,,Elm,9,,ps,,,e@elm.example,",
        {"group_vars/sis_ps/main.yml": "roster_upload_deadline: 08:00\n"},
        "deadline of maple-grove would change from '09:00' to '08:00'",
    ),
    "another group of the kind": (
        "roster-maple,,Elm,9,,ps,,,e@elm.example,",
        {"hosts.yml": "district_hosts: {children: {sis_old: {hosts: {roster-maple: }}}}\n"},
        "roster-maple is in the group sis_old",
    ),
    "a variable is used elsewhere": (
        SECOND,
        {"group_vars/all/x.yml": "motd: 'Host of {{ district_name }}'\n"},
        "uses district_name",
    ),
    "the feed is in a group": (
        SECOND,
        {
            "host_vars/roster-maple/main.yml": "a: 1\n",
            "group_vars/district_hosts/x.yml": "roster_upload_feed: x\n",
        },
        "described elsewhere",
    ),
    "both would read one export": (
        SECOND,
        {"group_vars/district_hosts/x.yml": "roster_upload_source: /mnt/all.zip\n"},
        "elm would read the export of maple-grove, /mnt/all.zip",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_would_change_the_first_feed_is_refused(
    case: str, folder: Path, keys: vault.Vault
) -> None:
    row, files, message = REFUSED[case]
    for name, text in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    assert message in refused(folder, keys, rows(row))


def test_each_change_of_a_present_feed_and_of_its_key_is_named() -> None:
    nobody: frozenset[str] = frozenset()
    old = inventory.Host(nobody, feeds=({"feed": "elm", "port": 22},), vault_id="mine")
    new = inventory.Host(nobody, feeds=({"feed": "elm", "auth": "key"},), vault_id="north")
    assert changed_feeds(old, old) == []
    assert changed_feeds(old, new) == [
        "auth of elm would change from None to 'key'",
        "port of elm would change from 22 to None",
        "the vault id would change from mine to north",
    ]


def test_an_sis_gets_an_inbox(folder: Path, keys: vault.Vault) -> None:
    new = f"oak,Oak,1,o@oak.example,,sis-oak,{KEY},203.0.113.0/28 198.51.100.7"
    known = f"roster-maple,Elm,2,e@elm.example,,sis-elm,{KEY},203.0.113.0/28"
    both = rows(new, known, head=INBOXES)
    plan = make_plan(folder, both, keys)
    assert "Type this into the SIS of Oak. It uploads by SFTP:" in plan.for_the_sis
    assert "  Host          roster-maple.example.org" in plan.for_the_sis
    write(plan.files)
    fleet = inventory.read(folder, keys.secrets)
    assert fleet["oak"].inboxes[0] == {
        "user": "sis-oak",
        "networks": ["203.0.113.0/28", "198.51.100.7/32"],
        "authorized_keys": [KEY],
    }
    source = feeds(folder, keys, "roster-maple")["elm"]["source"]
    assert source == "/srv/sis-inbox/sis-elm/incoming/OneRoster.zip"
    assert fleet["roster-maple"].inboxes[0]["user"] == "sis-elm"
    assert make_plan(folder, both, keys).files == []
    other = rows(known.replace(KEY, f"{KEY}2"), head=INBOXES)
    assert "inbox_key: differs from sis_inbox_accounts" in refused(folder, keys, other)


def test_an_inbox_of_an_earlier_release_stays_where_it_is(folder: Path, keys: vault.Vault) -> None:
    (folder / "group_vars/district_hosts/x.yml").write_text("sis_inbox_folder: /srv/dropbox\n")
    row = f"roster-maple,Elm,2,e@elm.example,,sis-elm,{KEY},203.0.113.0/28"
    write(make_plan(folder, rows(row, head=INBOXES), keys).files)
    source = feeds(folder, keys, "roster-maple")["elm"]["source"]
    assert source == "/srv/dropbox/sis-elm/incoming/OneRoster.zip"
    assert "sis_inbox_folder" in refused(
        folder, keys, rows(row.replace("roster-maple", "x").replace("elm", "fir"), head=INBOXES)
    )


def test_the_first_password_of_a_second_feed_is_stored_first(
    folder: Path, keys: vault.Vault
) -> None:
    names = [file.path.name for file in make_plan(folder, rows(SECOND, OAK), keys).files]
    assert names[0] == "elm.vault"
    assert names[-1] == "hosts.yml"


def test_a_file_that_ansible_would_then_ignore_is_moved_first(
    folder: Path, keys: vault.Vault
) -> None:
    main = folder / "host_vars/roster-maple/main.yml"
    alone = folder / "host_vars/roster-maple.yml"
    alone.write_text(main.read_text())
    for path in main.parent.iterdir():
        path.unlink()
    main.parent.rmdir()
    before = content(folder)
    message = refused(folder, keys, rows(SECOND))
    assert f"roster-maple has its variables in {alone}. Ansible ignores that file once" in message
    assert f"Move it to {main}" in message
    assert content(folder) == before
