"""Decommissioned feeds leave the inventory, and nothing else does."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from new_districts import content
from roster_fleet import inventory, offboard, vault
from roster_fleet.onboard.writing import write

REGION = "roster-region7"
MAPLE = "roster-maple"


def gone(
    folder: Path, host: str, *feeds: str, stays: bool, inboxes: Sequence[str] = ()
) -> offboard.Gone:
    return offboard.Gone(host, feeds, stays, inboxes, str(folder / "host_vars" / host))


def test_one_of_several_feeds_leaves(folder: Path, keys: vault.Vault) -> None:
    main = folder / "host_vars" / REGION / "main.yml"
    text = main.read_text()
    account = "{user: sis-%s, networks: [192.0.2.0/24], authorized_keys: [ssh-ed25519 AAAA]}"
    inboxes = f"sis_inbox_accounts:\n  - {account % 'a'}\n  - {account % 'b'}\n"
    main.write_text(text + inboxes)
    before = content(folder)
    one = gone(folder, REGION, "oak-county", stays=True, inboxes=["sis-a"])
    plan = offboard.make_plan(folder, [one], keys.secrets)
    assert content(folder) == before
    assert "out of the inventory" in plan.notes[REGION]
    [*_, last] = plan.files
    assert last.diff()["before"] == offboard.HIDDEN
    write(plan.files)
    after = content(folder)
    assert before.keys() - after.keys() == {main.with_name("oak-county.vault")}
    lines = main.read_text()
    assert "oak-county" not in lines
    assert "sis-a" not in lines
    assert "# Both districts' alerts" in lines
    assert "sis-b" in lines
    [feed] = inventory.read(folder, keys.secrets)[REGION].feeds
    assert feed["feed"] == "pine-ridge"
    assert all(after[path] == before[path] for path in after if path != main)


def test_the_last_feeds_of_hosts_take_their_files_along(folder: Path, keys: vault.Vault) -> None:
    hosts = [
        gone(folder, MAPLE, "maple-grove", stays=False),
        gone(folder, REGION, "oak-county", "pine-ridge", stays=False),
    ]
    write(offboard.make_plan(folder, hosts[:1], keys.secrets).files)
    assert {*inventory.names(folder, [])} == {REGION}
    assert not [path for path in content(folder) if MAPLE in str(path)]
    write(offboard.make_plan(folder, hosts, keys.secrets).files)
    assert inventory.names(folder, []) == {}
    assert list((folder / "host_vars").iterdir()) == []
    assert "# Your machines." in (folder / "hosts.yml").read_text()
    assert offboard.make_plan(folder, hosts, keys.secrets).files == []


def test_the_password_of_an_inbox_leaves_with_it(folder: Path, keys: vault.Vault) -> None:
    main = folder / "host_vars" / REGION / "main.yml"
    account = "{user: sis-%s, networks: [192.0.2.0/24], password: true}"
    main.write_text(
        main.read_text() + f"sis_inbox_accounts:\n  - {account % 'a'}\n  - {account % 'b'}\n"
    )
    path = main.with_name("inboxes.vault")
    vault_id = keys.secrets[0][0]
    path.write_bytes(keys.encrypt("sis-a: 'hush hush'\nsis-b: 'other'\n", vault_id))
    shared = folder / "group_vars" / "all" / "inboxes.vault"
    shared.write_bytes(path.read_bytes())
    one = gone(folder, REGION, "oak-county", stays=True, inboxes=["sis-a"])
    plan = offboard.make_plan(folder, [one], keys.secrets)
    assert f"remove its password from {shared}" in plan.notes[REGION]
    [change] = [file for file in plan.files if file.path == path]
    assert change.diff()["after"] == offboard.HIDDEN
    write(plan.files)
    assert keys.read(path) == (vault_id, "---\nsis-b: 'other'\n")
    host = gone(folder, REGION, "pine-ridge", stays=False, inboxes=["sis-b"])
    write(offboard.make_plan(folder, [host], keys.secrets).files)
    assert not path.exists()


def test_what_cannot_be_edited_stays_and_the_note_says_so(folder: Path, keys: vault.Vault) -> None:
    (folder / "more.yml").write_text(f"district_hosts: {{hosts: {{{MAPLE}: }}}}\n")
    group = folder / "group_vars/all/feeds.yml"
    main = folder / "host_vars" / REGION / "main.yml"
    main.rename(group)
    both = [
        gone(folder, MAPLE, "maple-grove", stays=False),
        gone(folder, REGION, "oak-county", stays=True),
    ]
    plan = offboard.make_plan(folder, both, keys.secrets)
    assert "roster_upload_feeds is not in a file of roster-region7" in plan.notes[REGION]
    assert "Now remove roster-maple and its files from the inventory by hand" in plan.notes[MAPLE]
    assert [file.path.name for file in plan.files if MAPLE in str(file.path)] == [
        "maple-grove.vault"
    ]
    group.rename(main)
    inbox = gone(folder, REGION, "oak-county", stays=True, inboxes=["sis-a"])
    plan = offboard.make_plan(folder, [inbox], keys.secrets)
    assert "Remove the inbox sis-a from sis_inbox_accounts of its group" in plan.notes[REGION]
    plan = offboard.make_plan(None, both[:1], [])
    assert "is not one folder" in plan.notes[MAPLE]


def test_a_feed_stays_if_another_one_would_change_without_it(
    folder: Path, keys: vault.Vault
) -> None:
    main = folder / "host_vars" / REGION / "main.yml"
    shared = 'roster_upload_keep_packages: "{{ roster_upload_feeds | length + 1 }}"\n'
    main.write_text(main.read_text() + shared)
    one = gone(folder, REGION, "oak-county", stays=True)
    plan = offboard.make_plan(folder, [one], keys.secrets)
    assert "the other feeds would change" in plan.notes[REGION]
    assert main not in [file.path for file in plan.files]


def test_all_or_nothing(folder: Path, keys: vault.Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    one = gone(folder, REGION, "oak-county", stays=True)
    files = offboard.make_plan(folder, [one], keys.secrets).files
    before = content(folder)
    real = Path.unlink

    def unlink(path: Path, missing_ok: bool = False) -> None:
        if path.suffix == ".vault":
            raise PermissionError(13, "Permission denied")
        real(path, missing_ok=missing_ok)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", unlink)
        with pytest.raises(PermissionError):
            write(files)
    assert content(folder) == before
