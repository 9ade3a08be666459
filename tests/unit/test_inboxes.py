"""The filters of the role `sis_inbox`: its accounts' files and faults."""

from __future__ import annotations

from typing import Any

import pytest
from inboxes import (
    FOLDERS,
    files_removed,
    inbox_accounts,
    inbox_files,
    inbox_logins,
    inbox_problems,
    inbox_server_problems,
    inboxes_of,
    inboxes_on_ssh_port,
    inboxes_with_passwords,
    pam_networks,
)
from roster_feeds import feed_accounts

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHPnYyg29wp+52NcQKVv+8V0+4pa5RjDmFa8hpvjb9rX"
FOLDER, OTHER = FOLDERS
NEVER_OPEN = {"symlink", "hardlink"}


def account(user: str = "sis-maple", **values: Any) -> dict[str, Any]:
    return {"user": user, "networks": ["203.0.113.0/28"], "authorized_keys": [KEY], **values}


def files(*accounts: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the accounts' files by their paths."""
    found = inbox_files(accounts, FOLDER, "/keys", "readers", "# header")
    return {entry["path"]: entry for entry in found}


def test_an_inbox_is_open_to_its_own_account_only() -> None:
    found = files(account())
    assert found[FOLDER] == {
        "path": FOLDER, "state": "directory", "group": "readers", "mode": "0751",
    }  # fmt: skip
    own = {"state": "directory", "group": "sis-maple"}
    home = f"{FOLDER}/sis-maple"
    assert found[home] == {"path": home, "mode": "0750", **own}  # root's, as sshd's chroot wants it
    incoming = f"{home}/incoming"
    assert found[incoming] == {"path": incoming, "owner": "sis-maple", "mode": "2750", **own}


def test_pam_reads_the_whole_internet_as_two_halves() -> None:
    """pam_access takes 0.0.0.0/0 for no network, so no password would be right."""
    assert pam_networks(["0.0.0.0/0", "::/0"]) == ["0.0.0.0/1", "128.0.0.0/1", "::/1", "8000::/1"]
    assert pam_networks(["203.0.113.0/28"]) == ["203.0.113.0/28"]


def test_keys_of_other_accounts_are_removed() -> None:
    assert files()["/keys"] == {"path": "/keys", "state": "directory", "exclusive": "*"}
    assert {path for path in files(account("a"), account("b")) if path.startswith("/keys/")} == {
        "/keys/a", "/keys/a.open", "/keys/b", "/keys/b.open",
    }  # fmt: skip


def test_each_key_is_restricted_to_sftp_from_the_sis() -> None:
    networks = ["203.0.113.0/28", "2001:db8::/32"]
    found = files(account(networks=networks, authorized_keys=[KEY, KEY + " two\n"]))
    for name in ("sis-maple", "sis-maple.open"):
        header, *lines, end = found[f"/keys/{name}"]["content"].split("\n")
        assert (header, end, len(lines)) == ("# header", "", 2)
        for line in lines:
            assert line.startswith(
                'restrict,from="203.0.113.0/28,2001:db8::/32",command="internal-sftp -d /incoming'
            )
        assert lines[0].endswith(f'" {KEY}')
        assert lines[1].endswith(f'" {KEY} two')


def test_a_closed_inbox_lets_its_owner_list_and_delete() -> None:
    found = files(account())
    open_keys, closed_keys = (
        found[f"/keys/{n}"]["content"] for n in ("sis-maple.open", "sis-maple")
    )
    assert " -p " not in open_keys
    assert set(open_keys.split(" -P ")[1].split('"')[0].split(",")) >= NEVER_OPEN
    allowed = set(closed_keys.split(" -p ")[1].split('"')[0].split(","))
    assert {"opendir", "readdir", "remove", "rmdir"} <= allowed
    assert not allowed & {"open", "write", "mkdir", "rename", "setstat", *NEVER_OPEN}


def test_an_account_is_in_a_group_of_its_own() -> None:
    own = {"name": "sis-a", "group": "sis-a"}
    assert inbox_accounts([account("sis-a")]) == [{**own, "password_hash": ""}]
    assert inbox_accounts([account("sis-a")], {"sis-a": "$6$x"}) == [
        {**own, "password_hash": "$6$x"}
    ]


BY_PASSWORD = {"user": "sis-p", "networks": ["192.0.2.0/24"], "password": True}


def test_an_account_logs_in_by_key_by_password_or_by_both() -> None:
    both = account("sis-b", password=True)
    accounts = [account("sis-k"), BY_PASSWORD, both]
    assert [it["user"] for it in inboxes_on_ssh_port(accounts, True)] == ["sis-k", "sis-b"]
    assert inboxes_on_ssh_port(accounts, True, False) == []
    assert [it["user"] for it in inboxes_with_passwords(accounts)] == ["sis-p", "sis-b"]
    assert inbox_problems(accounts, FOLDER) == []
    assert files(BY_PASSWORD)["/keys/sis-p"]["content"] == "# header\n"


def test_each_account_is_let_in_from_each_of_its_networks_only() -> None:
    one = account("sis-a", networks=["192.0.2.0/24", "2001:db8::/32"])
    assert inbox_logins([one, BY_PASSWORD]) == [
        "sis-a@192.0.2.0/24", "sis-a@2001:db8::/32", "sis-p@192.0.2.0/24",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("port", "ssh_ports", "tries", "seconds", "named"),
    [
        (22, [22], 5, 900, "sis_inbox_port: 22 is also in district_hardening_ssh_ports"),
        (2222, [22, "2222"], 5, 900, "sis_inbox_port: 2222 is also"),
        (0, [22], 5, 900, "sis_inbox_port: 0 is not a port. Use 1 to 65535"),
        (65536, [22], 5, 900, "sis_inbox_port: 65536"),
        (2222, [22], 0, 900, "sis_inbox_lock_tries: 0"),
        (2222, [22], 5, 0, "sis_inbox_lock_seconds: 0 would lock an account for good"),
    ],
)
def test_a_setting_of_the_server_that_does_harm_is_named(
    port: int, ssh_ports: list[Any], tries: int, seconds: int, named: str
) -> None:
    assert inbox_server_problems(2222, [22], 1, 1) == []
    [problem] = inbox_server_problems(port, ssh_ports, tries, seconds)
    assert problem.startswith(named)


def test_files_are_removed_and_folders_stay() -> None:
    entries: list[dict[str, Any]] = [
        {"path": "/a", "content": "x", "mode": "0600", "on_change": ["reload"]},
        {"path": "/b", "state": "directory"},
        {"path": "/c", "state": "link", "target": "/a"},
    ]
    assert files_removed(entries) == [
        {"path": "/a", "state": "absent", "on_change": ["reload"]},
        {"path": "/c", "state": "absent", "on_change": []},
    ]


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_feed_reads_the_inbox_that_its_source_is_in(folder: str) -> None:
    sources = [f"{folder}/sis-a/incoming/x.zip", "/srv/roster-upload/a/x.zip"]
    assert inboxes_of([*sources, f"{folder}/sis-b/x.zip", sources[0]]) == ["sis-a", "sis-b"]
    [first, second] = feed_accounts(
        [{"feed": "a", "source": sources[0]}, {"feed": "b", "source": sources[1]}], "all"
    )
    assert first["groups"] == ["rf-a", "sis-a"]
    assert second["groups"] == ["rf-b"]


def test_good_inboxes_have_no_problem() -> None:
    accounts = [
        account("a"),
        account("b", networks=["2001:db8::/32"], authorized_keys=[KEY + "\n"]),
    ]
    assert inbox_problems(accounts, FOLDER, [f"{FOLDER}/a/incoming/x.zip", "/mnt/x.zip"]) == []
    assert inbox_problems([], OTHER, [f"{OTHER}/a/incoming/x.zip"]) == []


BAD = {
    "a user in capitals": (account("SIS"), "SIS"),
    "a user with a comma": (account("a,root"), "a,root"),
    "a network without a prefix": (account(networks=["203.0.113.1"]), "203.0.113.1"),
    "a network that sshd refuses": (account(networks=["203.0.113.1/28"]), "203.0.113.1/28"),
    "a network with a quote": (account(networks=['0.0.0.0/0",pty']), '0.0.0.0/0",pty'),
    "a key without a type": (account(authorized_keys=["AAAAC3NzaC1"]), "AAAAC3NzaC1"),
    "two keys in one": (account(authorized_keys=[f"{KEY}\n{KEY}"]), KEY[:30]),
    "a private key": (account(authorized_keys=["-----BEGIN OPENSSH"]), "-----BEGIN OPENSSH"),
    "no way to log in": (account(authorized_keys=[]), "sis-maple: it has no way to log in"),
    "a network that is no list": (account(networks="1.2.3.0/24"), "networks is a text"),
    "a key that is no list": (account(authorized_keys=KEY), "authorized_keys is a text"),
    "no network": (account(networks=[]), "write 0.0.0.0/0 and ::/0"),
    "a password in the inventory": (account(password="hush hush"), "inboxes.vault"),
    "a word for yes": (account(password="yes"), "password may be true or false only"),
}  # fmt: skip


@pytest.mark.parametrize(("bad", "named"), BAD.values(), ids=BAD)
def test_a_faulty_account_is_named(bad: dict[str, Any], named: str) -> None:
    [problem] = inbox_problems([account("good"), bad], FOLDER)
    assert problem.startswith("sis_inbox_accounts: ")
    assert named in problem
    assert "hush" not in problem


def test_a_user_that_appears_twice_is_named_once() -> None:
    [problem] = inbox_problems([account("a"), account("b"), account("a")], FOLDER)
    assert '"a"' in problem
    assert "twice" in problem


@pytest.mark.parametrize(("folder", "other"), [(FOLDER, OTHER), (OTHER, FOLDER)])
def test_an_export_in_the_other_folder_is_refused(folder: str, other: str) -> None:
    source = f"{other}/sis-a/incoming/x.zip"
    [problem] = inbox_problems([account("sis-a")], folder, [source])
    assert source in problem
    assert f"sis_inbox_folder: {other}" in problem
