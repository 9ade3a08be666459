"""The passwords of inboxes: found, judged, hashed, and never shown."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bcrypt
import pytest
from ansible.parsing.vault import VaultLib, VaultSecret
from roster_fleet import alerts, inbox_passwords, vault

KEY = VaultSecret(b"a key of some length")
KEYS = vault.Vault([("mine", KEY)])
NO_KEYS = vault.Vault([])
GOOD = "Zugspitze 2962 m"
ACCOUNTS: list[dict[str, Any]] = [
    {"user": "sis-oak", "password": True},
    {"user": "sis-elm", "password": False, "authorized_keys": ["ssh-ed25519 AAAA"]},
]


@pytest.fixture
def homes(tmp_path: Path) -> list[Path]:
    """The folders of a host in two groups, the nearest first."""
    found = alerts.folders(tmp_path, tmp_path / "host_vars" / "roster-oak", ["north", "all"])
    for home in found:
        home.mkdir(parents=True)
    return found


def seal(home: Path, text: str) -> None:
    (home / "inboxes.vault").write_bytes(VaultLib().encrypt(text, KEY, "mine"))


def test_the_nearest_file_counts_for_accounts_with_a_password(homes: list[Path]) -> None:
    assert inbox_passwords.for_accounts(ACCOUNTS, homes, KEYS) == {}
    seal(homes[2], "sis-oak: 'of all'\nsis-elm: 'x'\n")
    assert inbox_passwords.for_accounts(ACCOUNTS, homes, KEYS) == {"sis-oak": "of all"}
    seal(homes[1], "sis-oak: '{{ 7 * 7 }}'\nsis-fir: 'of another host'\n")
    assert inbox_passwords.for_accounts(ACCOUNTS, homes, KEYS) == {"sis-oak": "{{ 7 * 7 }}"}


def test_accounts_with_keys_need_no_vault_key(homes: list[Path]) -> None:
    seal(homes[0], "sis-oak: 'x'\n")
    assert inbox_passwords.for_accounts(ACCOUNTS[1:], homes, NO_KEYS) == {}
    with pytest.raises(vault.VaultError, match="there is no key"):
        inbox_passwords.for_accounts(ACCOUNTS, homes, NO_KEYS)


@pytest.mark.parametrize("accounts", [ACCOUNTS, ACCOUNTS[1:]])
def test_an_unencrypted_file_is_refused(homes: list[Path], accounts: list[dict[str, Any]]) -> None:
    (homes[0] / "inboxes.vault").write_text("sis-oak: 'hush hush'\n")
    with pytest.raises(vault.VaultError, match=r"inboxes\.vault is unencrypted") as failed:
        inbox_passwords.for_accounts(accounts, homes, KEYS)
    assert "hush" not in str(failed.value)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("- 'hush hush'", "NAME: 'secret'"),
        ("7: 'hush hush'", "NAME: 'secret'"),
        ("sis-oak: {a: hush hush}", "sis-oak is not a text"),
        ("sis-oak: hush #hush", "sis-oak: YAML reads the #"),
    ],
)
def test_a_wrong_file_is_named_without_its_values(text: str, named: str, homes: list[Path]) -> None:
    seal(homes[0], text)
    with pytest.raises(vault.VaultError, match=named) as failed:
        inbox_passwords.for_accounts(ACCOUNTS, homes, KEYS)
    assert "hush" not in str(failed.value)


def test_a_missing_password_is_named_with_the_command(tmp_path: Path) -> None:
    assert inbox_passwords.problems(ACCOUNTS, {"sis-oak": GOOD}, tmp_path, "mine") == []
    [problem] = inbox_passwords.problems(ACCOUNTS, {}, tmp_path, "mine")
    command = f"ansible-vault create --encrypt-vault-id mine {tmp_path}/inboxes.vault"
    assert problem.startswith("sis_inbox_accounts: sis-oak logs in by password")
    assert command in problem


@pytest.mark.parametrize(
    "password", [GOOD, "correct horse battery", "a1B2c3D4e5F6g7", "{{ x }} '#\"' 100 %"]
)
def test_a_strong_password_is_taken(password: str) -> None:
    assert list(inbox_passwords.weaknesses("sis-oak", password)) == []


@pytest.mark.parametrize(
    ("password", "why"),
    [
        ("Zugspitze 296", "13 characters of 4 kinds"),
        ("zugspitze bayern", "16 characters of 2 kinds"),
        ("", "0 characters of 0 kinds"),
        ("aB3" * 7, "repeats the same characters"),
        ("Zugspitze 2962 m" * 7, "112 characters"),
        ("Zugspitze 2962 mé", "characters that some programs change"),
        ("Zugspitze 2962 m ", "characters that some programs change"),
        ("Zugspitze\t2962 m", "characters that some programs change"),
        ("MyPassword-is-2962", "the well-known word password"),
        ("Oak-school-2962", "the account's name"),
    ],
)
def test_a_weak_password_is_refused_and_not_shown(password: str, why: str, tmp_path: Path) -> None:
    found = inbox_passwords.problems(ACCOUNTS, {"sis-oak": password}, tmp_path, "mine")
    assert len(found) == 1
    assert found[0].startswith("inboxes.vault: the password of sis-oak is too weak: ")
    assert why in found[0]
    assert not password or password not in found[0]


def test_the_same_password_has_the_same_hash() -> None:
    passwords = {"sis-oak": GOOD, "sis-elm": GOOD}
    one = inbox_passwords.hashes(passwords, "roster-oak")
    assert one == inbox_passwords.hashes(passwords, "roster-oak")
    other = inbox_passwords.hashes(passwords, "roster-elm")
    assert len({*one.values(), *other.values()}) == 4
    assert all(bcrypt.checkpw(GOOD.encode(), text.encode()) for text in one.values())


def test_a_salt_belongs_to_one_account_and_stays_as_it_is() -> None:
    names = [("oak", "sis-elm"), ("elm", "sis-oak"), ("oak", "sis-oak"), ("oaksis", "-oak")]
    salts = [inbox_passwords.salt_of(*it) for it in names]
    assert len(set(salts)) == 4
    assert all(bcrypt.hashpw(b"x", salt).startswith(salt) for salt in salts)


def test_an_account_leaves_a_file_and_the_last_one_takes_it_along() -> None:
    text = "sis-oak: 'x'\nsis-elm: 'it''s {{ y }}'\n"
    left = inbox_passwords.without(text, ["sis-oak", "sis-fir"], "f")
    assert left
    assert vault.parse(left, "f", None) == {"sis-elm": "it's {{ y }}"}
    assert inbox_passwords.without(text, ["sis-fir"], "f") == text
    assert inbox_passwords.without(text, ["sis-oak", "sis-elm"], "f") is None
