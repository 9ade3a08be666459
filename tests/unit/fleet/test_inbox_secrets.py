"""The passwords of inboxes are generated once, and stay."""

from __future__ import annotations

from pathlib import Path

import yaml
from new_districts import content, refused, rows
from roster_fleet import inbox_passwords, inventory, vault
from roster_fleet.onboard import inbox_secrets
from roster_fleet.onboard.plan import make_plan
from roster_fleet.onboard.writing import write

HEAD = "host,district,site_code,username,inbox_user,inbox_auth,inbox_password,inbox_networks"
NET = "203.0.113.0/28"
OAK = f"oak,Oak,1,o@oak.example,sis-oak,password,,{NET}"
ELM = f"oak,Elm,2,e@elm.example,sis-elm,,Nine-Green-Kites-4,{NET}"


def stored(folder: Path, keys: vault.Vault) -> dict[str, str]:
    return inbox_passwords.read(inbox_secrets.path_of(folder, "oak"), keys)


def test_an_empty_password_is_generated_and_a_stored_one_stays(
    folder: Path, keys: vault.Vault
) -> None:
    plan = make_plan(folder, rows(OAK, head=HEAD), keys)
    write(plan.files)
    generated = stored(folder, keys)["sis-oak"]
    assert len(generated) == inbox_secrets.LENGTH
    assert not [*inbox_passwords.weaknesses("sis-oak", generated)]
    assert generated not in str([file.diff() for file in plan.files])
    assert generated.encode() not in b"".join(content(folder).values())
    [account] = inventory.read(folder, keys.secrets)["oak"].inboxes
    assert (account["password"], account.get("authorized_keys")) == (True, None)
    assert make_plan(folder, rows(OAK, head=HEAD), keys).files == []
    # A second account goes into the same file, which keeps its vault id.
    write(make_plan(folder, rows(OAK, ELM, head=HEAD), keys).files)
    assert stored(folder, keys) == {"sis-oak": generated, "sis-elm": "Nine-Green-Kites-4"}


def test_a_stored_password_is_not_overwritten(folder: Path, keys: vault.Vault) -> None:
    write(make_plan(folder, rows(ELM, head=HEAD), keys).files)
    other = rows(ELM.replace("Kites", "Birds"), head=HEAD)
    message = refused(folder, keys, other)
    assert "row 2, inbox_password: differs from" in message
    assert "Birds" not in message
    by_key = f"oak,Elm,2,e@elm.example,sis-elm,ssh-ed25519 AAAAC3,{NET}"
    head = "host,district,site_code,username,inbox_user,inbox_key,inbox_networks"
    assert "inbox_key: differs from" in refused(folder, keys, rows(by_key, head=head))


def test_a_file_of_the_group_is_not_hidden_by_a_new_one(folder: Path, keys: vault.Vault) -> None:
    shared = folder / "group_vars" / "district_hosts" / inbox_passwords.FILE
    shared.write_bytes(keys.encrypt(yaml.safe_dump({"sis-x": "y"}), "example"))
    message = refused(folder, keys, rows(OAK, head=HEAD))
    assert f"{shared} has the passwords of this host's inboxes" in message


def test_generated_passwords_differ() -> None:
    assert inbox_secrets.generated() != inbox_secrets.generated()
    assert not set("0O1Il") & set(inbox_secrets.CHARACTERS)
