"""Host keys of the servers that exports are fetched from."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from new_districts import content, rows
from roster_fleet import vault
from roster_fleet.onboard import host_key, source_keys
from roster_fleet.onboard.districts import OnboardError
from roster_fleet.onboard.plan import make_plan
from roster_fleet.onboard.writing import write

LINE = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHPnYyg29wp+52NcQKVv+8V0+4pa5RjDmFa8hpvjb9rX"
HEAD = "host,district,site_code,username,source,source_host_key"
OAK = "oak,Oak,1,o@oak.example,sftp://maple@sis.example:2022/out/x.zip,"


def keys_of(
    monkeypatch: pytest.MonkeyPatch, *answers: str, offered: str = LINE
) -> host_key.HostKeys:
    """Return host keys that a server shows and an operator confirms by these answers."""
    left = list(answers)

    def ask(server: str, _shown: str, owner: str, _problem: str) -> str:
        assert (server, owner) == ("sis.example:2022", source_keys.OWNER)
        return left.pop(0)

    def offers(_host: str, _port: int) -> list[str]:
        if not offered:
            raise host_key.HostKeyError("sis.example:2022 does not answer")
        return [offered]

    monkeypatch.setattr(host_key, "offered", offers)
    return host_key.HostKeys("", ask, is_check=False)


@pytest.mark.parametrize("given", ["", host_key.fingerprint(LINE)])
def test_a_confirmed_key_is_written(
    given: str, folder: Path, keys: vault.Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    districts = rows(OAK + given, head=HEAD)
    server = keys_of(monkeypatch, *([] if given else ["mistyped", "yes"]))
    plan = make_plan(folder, districts, keys)
    pins, [row] = source_keys.pin(server, plan.sources, folder)
    assert (row["did"], row["ok"]) == ("SIS's host key pinned", True)
    pinned = source_keys.with_pins(districts, pins)
    write(make_plan(folder, pinned, keys).files)
    main = yaml.safe_load((folder / "host_vars/oak/main.yml").read_text())
    assert main["roster_upload_source_host_keys"] == [LINE]
    # The same again, and another key afterwards.
    again = make_plan(folder, districts, keys)
    assert again.files == []
    pins, [row] = source_keys.pin(server, again.sources, folder)
    assert (pins, row["did"]) == ({}, "SIS's host key is the pinned one")
    other = keys_of(monkeypatch, offered=LINE.replace("HPn", "HQn"))
    _, [row] = source_keys.pin(other, again.sources, folder)
    assert (row["did"], row["ok"]) == ("SIS's host key IS ANOTHER", False)
    assert "put the right key into roster_upload_source_host_keys" in row["note"]


def test_a_key_may_be_given_as_a_line(folder: Path, keys: vault.Vault) -> None:
    write(make_plan(folder, rows(f"{OAK}{LINE} root@sis", head=HEAD), keys).files)
    assert f"- {LINE}\n" in (folder / "host_vars/oak/main.yml").read_text()
    with pytest.raises(OnboardError, match="source_host_key: 'hush' is neither a fingerprint"):
        rows(OAK + "hush", head=HEAD)


def test_a_server_that_does_not_answer_is_pinned_by_hand(
    folder: Path, keys: vault.Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = make_plan(folder, rows(OAK, head=HEAD), keys)
    silent = keys_of(monkeypatch, offered="")
    pins, [row] = source_keys.pin(silent, plan.sources, folder)
    assert (pins, row["did"], row["ok"]) == ({}, "SIS's host key NOT PINNED", False)
    assert "does not answer" in row["note"]
    assert "roster_upload_source_host_keys: [KEY]" in row["note"]
    write(plan.files)
    before = content(folder)
    # A feed that is in the inventory stays as it is.
    plan = make_plan(folder, rows(OAK, head=HEAD), keys)
    pins, [row] = source_keys.pin(keys_of(monkeypatch, "yes"), plan.sources, folder)
    assert (pins, row["ok"]) == ({}, False)
    assert f"roster_upload_source_host_keys: [{LINE}]" in row["note"]
    assert content(folder) == before


def test_other_sources_have_no_server(folder: Path, keys: vault.Vault) -> None:
    for source in ("/mnt/x.zip", "smb://u@files/sis/x.zip"):
        districts = rows(f"oak,Oak,1,o@oak.example,{source},", head=HEAD)
        assert make_plan(folder, districts, keys).sources == []
