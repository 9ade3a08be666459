"""The vault files that onboarding writes."""

from __future__ import annotations

from pathlib import Path

import pytest
from new_districts import HEAD, OAK, refused, rows
from roster_fleet import vault
from roster_fleet.onboard.districts import (
    OnboardError,
)
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
