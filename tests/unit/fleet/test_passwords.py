"""The vault files that onboarding writes."""

from __future__ import annotations

from pathlib import Path

import pytest
from new_districts import HEAD, OAK, refused, rows
from roster_fleet import vault
from roster_fleet.onboard.districts import District, OnboardError
from roster_fleet.onboard.passwords import SOURCE_LINES, ForLater
from roster_fleet.onboard.plan import make_plan
from roster_fleet.onboard.writing import write


def test_a_password_may_come_later(folder: Path, keys: vault.Vault) -> None:
    plan = make_plan(folder, rows(OAK), keys)
    assert "ansible-vault create --encrypt-vault-id example" in plan.report[0]["note"]
    write(plan.files)
    [file] = make_plan(folder, rows(OAK + "pw"), keys).files
    assert file.path.name == "oak-north-county.vault"
    assert "pw" not in str(file.diff())


def test_the_next_passwords_of_many_come_by_the_csv(folder: Path, keys: vault.Vault) -> None:
    head = HEAD + ",next"
    with pytest.raises(OnboardError, match="there is no"):
        make_plan(folder, rows(OAK + ",new", head=head), keys)
    write(make_plan(folder, rows(OAK + "pw"), keys).files)
    with pytest.raises(OnboardError, match="next: is unencrypted"):
        rows(OAK + ",new", head=head, sealed=False)
    [district] = rows(OAK + ", new ", head=head)
    assert " new " not in repr(district)
    plan = make_plan(folder, [district], keys)
    assert "rotate_credentials.yml" in plan.report[0]["note"]
    assert plan.report[0]["did"] == "next password added"
    [file] = plan.files
    assert " new " not in str(file.diff())
    write(plan.files)
    entry = vault.parse(keys.read(file.path)[1], file.path)
    assert (entry["secret"], entry["next"]) == ("pw", " new ")
    again = make_plan(folder, [district], keys)
    assert (again.files, again.report[0]["did"]) == ([], "unchanged")
    # Once it is brought in there is nothing left to do.
    keys.write(file.path, {"secret": " new ", "since": "2026-11-26"}, "example")
    again = make_plan(folder, rows(OAK + "pw, new ", head=head), keys)
    assert again.files == []
    assert "site.yml" in again.report[0]["note"]
    keys.write(file.path, {"since": "2026-11-26"}, "example")
    with_key = rows(OAK + ", new ,key", head=head + ",auth")
    main = folder / "host_vars/oak/main.yml"
    main.write_text(main.read_text() + "roster_upload_auth: key\n")
    assert "not by key" in refused(folder, keys, with_key)


SOURCE_HEAD = "host,district,site_code,username,password,source,source_auth,source_password"
FETCHED = "oak,Oak,1,o@oak.example,%s,sftp://maple@sis.example/out/x.zip,%s,%s"


def fetched(password: str = "", auth: str = "", secret: str = "") -> list[District]:
    return rows(FETCHED % (password, auth, secret), head=SOURCE_HEAD)


def test_the_password_at_the_sis_is_stored_beside_the_vendors(
    folder: Path, keys: vault.Vault
) -> None:
    plan = make_plan(folder, fetched("pw", "", " sis "), keys)
    assert plan.for_later == ForLater()
    assert " sis " not in str([file.diff() for file in plan.files])
    write(plan.files)
    path = folder / "host_vars/oak/oak.vault"
    entry = vault.parse(keys.read(path)[1], path)
    assert (entry["secret"], entry["source"]["secret"]) == ("pw", " sis ")
    assert make_plan(folder, fetched("pw", "", " sis "), keys).files == []
    message = refused(folder, keys, fetched("pw", "", "other"))
    assert "row 2, source_password: differs from" in message


def test_each_password_may_come_later(folder: Path, keys: vault.Vault) -> None:
    create, edit = "ansible-vault create", "ansible-vault edit"
    later = make_plan(folder, fetched(), keys).for_later
    assert later.vendor[0].startswith(create)
    assert later.sources[0].startswith(edit)
    later = make_plan(folder, fetched("", "", "sis"), keys).for_later
    assert later.vendor[0].startswith(edit)
    assert later.sources == ()
    plan = make_plan(folder, fetched("pw"), keys)
    assert plan.for_later.vendor == ()
    assert SOURCE_LINES in plan.report[0]["note"]
    write(plan.files)
    # Nobody had the password then.
    plan = make_plan(folder, fetched("pw", "", "sis"), keys)
    assert [file.path.name for file in plan.files] == ["oak.vault"]
    assert plan.report[0]["did"] == "password added"


def test_a_login_by_key_has_no_password(folder: Path, keys: vault.Vault) -> None:
    assert make_plan(folder, fetched("pw", "key"), keys).for_later == ForLater()
    message = refused(folder, keys, fetched("pw", "key", "sis"))
    assert "source_password: the source sftp://maple@sis.example/out/x.zip needs no" in message
