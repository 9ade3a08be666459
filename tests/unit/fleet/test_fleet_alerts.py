"""The alerts' secrets: the nearest file counts, and none stays among the variables."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible.parsing.vault import VaultLib, VaultSecret
from roster_fleet import alerts, vault

KEY = VaultSecret(b"a key of some length")
KEYS = vault.Vault([("mine", KEY)])


@pytest.fixture
def homes(tmp_path: Path) -> list[Path]:
    """The folders of a host in two groups, the nearest first."""
    found = alerts.folders(tmp_path, tmp_path / "host_vars" / "roster-oak", ["north", "all"])
    for home in found:
        home.mkdir(parents=True)
    return found


def seal(path: Path, text: str) -> None:
    path.write_bytes(VaultLib().encrypt(text, KEY, "mine"))


def test_the_nearest_file_counts_as_a_whole(homes: list[Path]) -> None:
    assert alerts.read(homes, KEYS) == {}
    assert alerts.nearest(homes) is None
    seal(homes[2] / "alerts.vault", "heartbeat: 'of all'\nurls: ['ntfy://of-all']\n")
    assert alerts.read(homes, KEYS) == {"heartbeat": "of all", "urls": ["ntfy://of-all"]}
    seal(homes[1] / "alerts.vault", "urls:\n  - slack://a/b/c/#region\n  - 'ntfy://x # y'\n")
    assert alerts.read(homes, KEYS) == {"urls": ["slack://a/b/c/#region", "ntfy://x # y"]}
    assert alerts.nearest(homes) == homes[1] / "alerts.vault"
    seal(homes[0] / "alerts.vault", "heartbeat: '{{ 7 * 7 }}'\n")
    assert alerts.read(homes, KEYS) == {"heartbeat": "{{ 7 * 7 }}"}


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("secret: 'hush hush'", "the keys heartbeat, urls and nothing else"),
        ("since: '2026-11-01'", "the keys heartbeat, urls and nothing else"),
        ("heartbeat: {a: hush hush}", "heartbeat is not a text"),
        ("heartbeat: ''", "heartbeat is not a text"),
        ("heartbeat: 'hush' hush'", "not valid YAML in line 1"),
        ("webhook: 'hush hush'", "webhook no longer exists.*urls, such as - 'jsons://"),
        ("smtp: 'hush hush'", "smtp no longer exists.*urls, such as - 'mailtos://"),
        (
            "webhook: 'hush hush'\nsmtp: 'hush hush'",
            "webhook no longer.*smtp no longer.*remove the old line .ansible-vault edit ",
        ),
        ("urls: 'ntfy://hush'", "urls is not a list of Apprise URLs"),
        ("urls: ['ntfy://hush', 1]", "urls is not a list of Apprise URLs"),
        ("urls: ['']", "urls is not a list of Apprise URLs"),
        ("urls:\n  - ntfy://hush #hush\n", "urls: YAML reads the #"),
    ],
)
def test_a_wrong_file_is_named_without_its_values(text: str, named: str, homes: list[Path]) -> None:
    seal(homes[1] / "alerts.vault", text)
    with pytest.raises(vault.VaultError, match=named) as failed:
        alerts.read(homes, KEYS)
    assert str(homes[1] / "alerts.vault") in str(failed.value)
    assert "hush" not in str(failed.value)


def test_an_unencrypted_file_is_refused(homes: list[Path]) -> None:
    (homes[0] / "alerts.vault").write_text("heartbeat: 'x'\n")
    with pytest.raises(vault.VaultError, match="is unencrypted"):
        alerts.read(homes, KEYS)


OLD_TEXT = "roster_credentials_alerts: {heartbeat: 'hush hush'}\n"


@pytest.mark.parametrize("name", ["vault.yml", "below/vault.yaml", "../north.yml", "vault"])
def test_an_encrypted_variable_is_sent_to_its_new_home(name: str, homes: list[Path]) -> None:
    path = homes[1] / name
    path.parent.mkdir(exist_ok=True)
    seal(path, OLD_TEXT)
    with pytest.raises(vault.VaultError, match=r"alerts\.vault") as failed:
        alerts.refuse_old_homes(homes, {alerts.VARIABLE: "x"}, KEYS)
    assert path.name in str(failed.value)
    assert "hush" not in str(failed.value)


def test_an_encrypted_value_is_sent_to_its_new_home(homes: list[Path]) -> None:
    sealed = VaultLib().encrypt("hush hush", KEY, "mine").decode().replace("\n", "\n      ")
    text = f"{alerts.VARIABLE}:\n  heartbeat: !vault |\n      {sealed}\n"
    (homes[0] / "main.yml").write_text(text)
    with pytest.raises(vault.VaultError, match=r"main\.yml .*alerts\.vault"):
        alerts.refuse_old_homes(homes, {alerts.VARIABLE: "x"}, KEYS)


def test_the_removed_variable_is_sent_to_its_new_home(homes: list[Path]) -> None:
    with pytest.raises(vault.VaultError, match=r"vault_roster_credentials_alerts.*alerts\.vault"):
        alerts.refuse_old_homes(homes, {alerts.REMOVED: "x"}, KEYS)


def test_secrets_from_elsewhere_and_other_encrypted_files_are_allowed(homes: list[Path]) -> None:
    text = f"{alerts.VARIABLE}: \"{{{{ lookup('another_vault', 'alerts') }}}}\"\n"
    (homes[0] / "main.yml").write_text(text)
    seal(homes[1] / "vault.yml", "ansible_become_password: 'x'\n")
    seal(homes[1] / "alerts.vault", "heartbeat: 'x'\n")
    alerts.refuse_old_homes(homes, {alerts.VARIABLE: "x"}, KEYS)
    alerts.refuse_old_homes(homes, {}, KEYS)
