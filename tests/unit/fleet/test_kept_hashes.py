"""Hashes of the inboxes' passwords are kept, encrypted, until anything they depend on changes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bcrypt
import pytest
from ansible.parsing.vault import VaultLib, VaultSecret
from roster_fleet import alerts, inbox_passwords, kept_hashes, vault

KEY, OTHER = VaultSecret(b"a key of some length"), VaultSecret(b"another key, too")
KEYS = vault.Vault([("mine", KEY)])
ACCOUNTS: list[dict[str, Any]] = [{"user": "sis-oak", "password": True}]
MORE = [*ACCOUNTS, {"user": "sis-elm", "password": True}]
TEXT = "sis-oak: 'Zugspitze 2962 m'\nsis-elm: 'Watzmann 2713 m'\n"
PASSWORD = "Zugspitze 2962 m"


@pytest.fixture
def homes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(inbox_passwords, "SCHEME", "$2b$04$")  # the quickest
    found = alerts.folders(tmp_path, tmp_path / "host_vars" / "roster-oak", ["all"])
    for home in found:
        home.mkdir(parents=True)
    seal(found[0], TEXT)
    return found


def seal(home: Path, text: str, key: VaultSecret = KEY) -> None:
    (home / "inboxes.vault").write_bytes(VaultLib().encrypt(text, key, "mine"))


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The accounts whose passwords were hashed."""
    users: list[str] = []
    real = inbox_passwords.hashes

    def hashes(passwords: dict[str, str], host: str) -> dict[str, str]:
        users.extend(passwords)
        return real(passwords, host)

    monkeypatch.setattr(inbox_passwords, "hashes", hashes)
    return users


def of(
    homes: list[Path],
    keys: vault.Vault = KEYS,
    accounts: list[dict[str, Any]] = ACCOUNTS,
    host: str = "oak",
) -> dict[str, str]:
    return kept_hashes.hashes(accounts, homes, keys, host)


def files() -> list[Path]:
    folder = kept_hashes.folder()
    assert folder
    return sorted(folder.iterdir())


def test_a_second_run_hashes_nothing(homes: list[Path], hashed: list[str]) -> None:
    first = of(homes)
    assert bcrypt.checkpw(PASSWORD.encode(), first["sis-oak"].encode())
    assert of(homes) == first
    assert hashed == ["sis-oak"]


def test_what_is_kept_is_encrypted_and_for_its_owner_alone(homes: list[Path]) -> None:
    found = of(homes)
    [path] = files()
    assert path.read_bytes().startswith(b"$ANSIBLE_VAULT;1.2;AES256;mine\n")
    assert found["sis-oak"].encode() not in path.read_bytes()
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700


def test_other_passwords_accounts_and_hosts_are_hashed_anew(
    homes: list[Path], hashed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = of(homes)
    seal(homes[0], TEXT.replace("Zugspitze", "Hochkalter"))
    changed = of(homes)
    assert changed != first
    assert set(of(homes, accounts=MORE)) == {"sis-oak", "sis-elm"}
    assert len(files()) == 1, "former ones of the host are removed"
    assert of(homes, host="elm") != changed
    assert len(files()) == 2
    monkeypatch.setattr(inbox_passwords, "SCHEME", "$2b$05$")
    assert of(homes, host="elm")["sis-oak"].startswith("$2b$05$")
    assert hashed == ["sis-oak", "sis-oak", "sis-oak", "sis-elm", "sis-oak", "sis-oak"]


@pytest.mark.parametrize("damage", [b"", b"{}", b"$ANSIBLE_VAULT;1.2;AES256;mine\n00\n"])
def test_a_damaged_file_is_replaced(homes: list[Path], hashed: list[str], damage: bytes) -> None:
    first = of(homes)
    [path] = files()
    path.write_bytes(damage)
    assert of(homes) == of(homes) == first
    assert hashed == ["sis-oak", "sis-oak"]


def test_a_file_of_another_key_is_replaced(homes: list[Path], hashed: list[str]) -> None:
    first = of(homes)
    [path] = files()
    path.write_bytes(VaultLib().encrypt("{}", OTHER, "mine"))
    assert of(homes) == of(homes) == first
    assert hashed == ["sis-oak", "sis-oak"]


def test_without_the_key_nothing_is_told(homes: list[Path]) -> None:
    of(homes)
    with pytest.raises(vault.VaultError, match="there is no key"):
        of(homes, vault.Vault([]))


def test_without_a_place_to_keep_them_each_run_hashes(
    homes: list[Path], hashed: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    (tmp_path / "cache").write_text("no folder")
    assert of(homes) == of(homes)
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(Path, "home", homeless)
    assert of(homes)
    assert hashed == ["sis-oak", "sis-oak", "sis-oak"]


def test_without_a_password_nothing_is_kept(homes: list[Path]) -> None:
    assert of(homes, accounts=[{"user": "sis-oak", "password": False}]) == {}
    (homes[0] / "inboxes.vault").unlink()
    assert of(homes) == {}
    folder = kept_hashes.folder()
    assert folder
    assert not folder.exists()


def test_an_unencrypted_file_is_refused(homes: list[Path]) -> None:
    (homes[0] / "inboxes.vault").write_text("sis-oak: 'hush hush'\n")
    with pytest.raises(vault.VaultError, match="is unencrypted"):
        of(homes)
