"""The plan of an onboarding: a few lines for each district, and nothing twice."""

from __future__ import annotations

import stat
from pathlib import Path

import yaml
from ansible.parsing.vault import VaultSecret
from new_districts import OAK, content, refused, rows
from roster_fleet import inventory, vault
from roster_fleet.onboard.plan import make_plan
from roster_fleet.onboard.writing import write


def test_a_district_is_a_few_lines(folder: Path, keys: vault.Vault) -> None:
    plan = make_plan(folder, rows(OAK + "it's {{ secret }}"), keys)
    write(plan.files)
    main = (folder / "host_vars/oak/main.yml").read_text()
    assert yaml.safe_load(main) == {
        "district_name": 'Oak "North" County',
        "district_site_code": "0012345",
        "roster_upload_feed": "oak-north-county",
        "roster_upload_username": "r@oak.example",
    }
    assert len(main.splitlines()) == 6
    sealed = folder / "host_vars/oak/oak-north-county.vault"
    assert stat.S_IMODE(sealed.stat().st_mode) == 0o600
    vault_id, text = keys.read(sealed)
    assert vault_id == "example"
    assert vault.parse(text, sealed)["secret"] == "it's {{ secret }}"
    assert b"secret }}" not in b"".join(content(folder).values())
    [feed] = inventory.read(folder, keys.secrets)["oak"].feeds
    assert feed["remote_dir"] == 'imagine/0012345-Oak "North" County/literacy'
    assert inventory.names(folder, [])["oak"] >= {
        "district_hosts",
        "product_literacy",
        "sis_powerschool",
        "region_north",
    }
    assert plan.report[0]["did"] == "added"


def test_the_same_again_changes_nothing(folder: Path, keys: vault.Vault) -> None:
    districts = rows(
        OAK + "pw", "two,,St. Mary's,1,,,,,m@x.example,", "two,,Peña,2,,,,,p@x.example,"
    )
    write(make_plan(folder, districts, keys).files)
    before = content(folder)
    plan = make_plan(folder, districts, keys)
    assert plan.files == []
    assert {line["did"] for line in plan.report} == {"unchanged"}
    write(plan.files)
    assert content(folder) == before


def test_groups_say_what_a_district_does_not(folder: Path, keys: vault.Vault) -> None:
    home = folder / "group_vars" / "sis_powerschool"
    home.mkdir()
    text = "roster_upload_source: /srv/ps/{feed}.zip\nroster_credentials_vault_id: other\n"
    (home / "main.yml").write_text(text)
    assert "no key for the vault id 'other'" in refused(folder, keys, rows(OAK + "pw"))
    both = vault.Vault([*keys.secrets, ("other", VaultSecret(b"0123456789"))])
    write(make_plan(folder, rows(OAK + "pw"), both).files)
    assert (home / "main.yml").read_text() == text
    assert both.read(folder / "host_vars/oak/oak-north-county.vault")[0] == "other"
    [feed] = inventory.read(folder, [])["oak"].feeds
    assert feed["source"] == "/srv/ps/oak-north-county.zip"
    # What the group says of a value, the program checks, too.
    (home / "main.yml").write_text("roster_upload_deadline: soon\n")
    message = refused(folder, keys, rows(OAK.replace("oak", "elm").replace("Oak", "Elm")))
    assert "deadline: 'soon'" in message
