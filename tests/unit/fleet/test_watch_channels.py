"""The watch's channels are those of the hosts: variables, feeds and the nearest alerts.vault."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible.errors import AnsibleError
from ansible.parsing.vault import VaultLib, VaultSecret
from roster_fleet import alerts, vault
from roster_fleet.watch.channels import Channels

KEY = VaultSecret(b"a key of some length")


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Give the test's key, and a host's groups. Return the files that were opened."""
    found: list[Path] = []

    class Counting(vault.Vault):
        def read(self, path: Path) -> tuple[str, str]:
            found.append(path)
            return super().read(path)

    monkeypatch.setattr(vault, "keys_of", lambda *_: Counting([("mine", KEY)]))
    monkeypatch.setattr(alerts, "groups_of", lambda *_: ["north", "all"])
    return found


def seal(path: Path, text: str, key: VaultSecret = KEY) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(VaultLib().encrypt(text, key, "mine"))


def channels(folder: Path, **values: Any) -> Channels:
    hosts = {name: {"inventory_dir": str(folder), **values} for name in ("oak", "elm")}
    return Channels(hosts, None)


def test_a_host_has_the_urls_of_its_variable_and_of_its_vault(
    tmp_path: Path, opened: list[Path]
) -> None:
    seal(tmp_path / "group_vars/all/alerts.vault", "urls: ['json://sealed', 'json://open']")
    found = channels(tmp_path, roster_upload_alert_urls=["json://open"])
    assert found.of("oak", "any") == ("json://open", "json://sealed")
    assert found.of("elm") == ("json://open", "json://sealed")
    assert len(opened) == 1  # a file is opened once for all hosts
    assert found.troubles == []


def test_the_nearest_file_counts(tmp_path: Path, opened: list[Path]) -> None:
    seal(tmp_path / "group_vars/all/alerts.vault", "urls: ['json://all']")
    seal(tmp_path / "host_vars/oak/alerts.vault", "urls: ['json://oak']")
    found = channels(tmp_path)
    assert found.of("oak") == ("json://oak",)
    assert found.of("elm") == ("json://all",)


def test_a_feeds_own_list_replaces_the_hosts(tmp_path: Path, opened: list[Path]) -> None:
    feeds = [{"feed": "a", "alert_urls": ["json://a"]}, {"feed": "b"}]
    found = channels(tmp_path, roster_upload_alert_urls=["json://h"], roster_upload_feeds=feeds)
    assert found.of("oak", "a") == ("json://a",)
    assert found.of("oak", "b") == ("json://h",)
    assert found.of("oak", "unknown") == ("json://h",)
    assert found.of("oak") == ("json://a", "json://h")


def test_without_the_key_the_unsealed_urls_work_and_the_file_is_named(
    tmp_path: Path, opened: list[Path]
) -> None:
    path = tmp_path / "group_vars/all/alerts.vault"
    seal(path, "urls: ['json://hush']", VaultSecret(b"another key"))
    found = channels(tmp_path, roster_upload_alert_urls=["json://open"])
    assert found.of("oak") == ("json://open",)
    assert found.of("elm") == ("json://open",)
    [trouble] = found.troubles
    assert str(path) in trouble
    assert "Only the addresses in roster_upload_alert_urls were used" in trouble
    assert "hush" not in trouble


def test_a_variable_replaces_the_vault_file(tmp_path: Path, opened: list[Path]) -> None:
    seal(tmp_path / "group_vars/all/alerts.vault", "urls: ['json://file']")
    given = {"roster_credentials_alerts": {"urls": ["json://elsewhere"]}}
    assert channels(tmp_path, **given).of("oak") == ("json://elsewhere",)
    assert channels(tmp_path, roster_credentials_alerts={}).of("oak") == ()
    assert opened == []


def test_the_files_of_the_last_run_need_no_host(tmp_path: Path, opened: list[Path]) -> None:
    path = tmp_path / "group_vars/all/alerts.vault"
    seal(path, "urls: ['json://sealed']")
    used = channels(tmp_path)
    used.of("oak")
    assert used.files == (str(path),)
    found = Channels({}, None).of_files([str(path), str(tmp_path / "gone/alerts.vault")])
    assert found == ["json://sealed"]


def test_a_host_whose_variables_cannot_be_read_hides_no_other(
    tmp_path: Path, opened: list[Path]
) -> None:
    class Hosts(dict[str, Any]):
        def __getitem__(self, name: str) -> Any:
            if name == "oak":
                raise AnsibleError("Decryption failed")
            return super().__getitem__(name)

    values = {"inventory_dir": str(tmp_path), "roster_upload_alert_urls": ["json://open"]}
    found = Channels(Hosts(oak={}, elm=values), None)
    assert [found.safely_of(host) for host in ("oak", "elm")] == [(), ("json://open",)]


def test_without_any_url_there_is_none(tmp_path: Path, opened: list[Path]) -> None:
    assert channels(tmp_path).of("oak", "a") == ()
