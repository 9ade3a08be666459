"""Check what the lab knows of its containers, without any."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from lab import containers, settings
from lab.process import LabError


@pytest.fixture
def state() -> Path:
    """Return the folder of a lab with two hosts."""
    settings.STATE.mkdir()
    blocks = [
        f"Host {name}\n  HostName {address}\n  User deploy\n" for name, address in HOSTS.items()
    ]
    keys = [f"{address} ssh-ed25519 {name}\n" for name, address in HOSTS.items()]
    (settings.STATE / "ssh_config").write_text("".join(blocks))
    (settings.STATE / "known_hosts").write_text("".join(keys))
    (settings.STATE / "disks.json").write_text(json.dumps(dict.fromkeys(HOSTS, "/disk")))
    return settings.STATE


HOSTS = {"lab-0": "10.89.0.4", "lab-01": "10.89.0.40"}


def test_a_container_has_the_same_hardware_address_at_each_start() -> None:
    assert containers.mac("10.89.0.4") == "02:00:0a:59:00:04"


def test_ssh_forgets_a_removed_host_only(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(containers, "is_removed", lambda _: True)
    containers.remove(["lab-0"])
    assert (state / "ssh_config").read_text().split() == [
        "Host", "lab-01", "HostName", "10.89.0.40", "User", "deploy",
    ]  # fmt: skip
    assert (state / "known_hosts").read_text() == "10.89.0.40 ssh-ed25519 lab-01\n"
    assert json.loads((state / "disks.json").read_text()) == {"lab-01": "/disk"}


def test_a_host_of_every_lab_is_not_removed(state: Path) -> None:
    with pytest.raises(LabError, match=r"lab-sftp: .*scripts/lab down"):
        containers.remove(["lab-0", "lab-sftp"])
    assert "Host lab-0\n" in (state / "ssh_config").read_text()


def test_further_hosts_start_from_kept_disks_only_if_these_fit(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(containers, "is_kept", lambda: False)
    with pytest.raises(LabError, match="scripts/lab keep"):
        containers.add(["lab-02"], provisioned=True)
    assert "lab-02" not in (state / "disks.json").read_text()


def test_running_hosts_are_not_added_again(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started: dict[str, str] = {}
    monkeypatch.setattr(containers, "disk_of", lambda *_, **__: "/new")
    monkeypatch.setattr(containers, "addresses", lambda: iter(["10.89.0.4", "10.89.0.5"]))
    monkeypatch.setattr(containers, "start_all", started.update)
    containers.add(["lab-0", "lab-02"], provisioned=False)
    assert started == {"lab-02": "10.89.0.5"}
    assert json.loads((state / "disks.json").read_text())["lab-02"] == "/new"
