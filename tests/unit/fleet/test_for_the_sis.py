"""The closing text has what an administrator types into the SIS, on 80 columns."""

from __future__ import annotations

from pathlib import Path

import pytest
from new_districts import rows
from roster_fleet import vault
from roster_fleet.onboard import inbox
from roster_fleet.onboard.plan import make_plan

ONE = "oak,oak.example.org,Oak,1,o@oak.example,"
HEAD = "host,address,district,site_code,username,"
KEYS = {kind: f"SHA256:{kind[0] * 43}" for kind in ("ED25519", "ECDSA", "RSA")}
READ = "'cat /etc/ssh/ssh_host_*.pub' | ssh-keygen -lf -"


def closing(folder: Path, keys: vault.Vault, cells: str, columns: str) -> list[str]:
    return make_plan(folder, rows(ONE + cells, head=HEAD + columns), keys).for_the_sis


def test_an_inbox_by_password(
    folder: Path, keys: vault.Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setattr(inbox, "fingerprints", lambda _host, _port: KEYS)
    columns = "inbox_user,inbox_auth,inbox_networks"
    lines = closing(folder, keys, "sis-oak,password,203.0.113.0/28", columns)
    assert lines == [
        "Type this into the SIS of Oak. It uploads by SFTP:",
        "  Host          oak.example.org",
        "  Port          2222",
        "  User          sis-oak",
        "  Password      ansible-vault view host_vars/oak/inboxes.vault",
        "  Path          /incoming/OneRoster.zip",
        f"  Fingerprints  ED25519  {KEYS['ED25519']}",
        f"                ECDSA    {KEYS['ECDSA']}",
        f"                RSA      {KEYS['RSA']}",
        "",
    ]
    assert all(len(line) <= 80 for line in lines)


def test_an_inbox_by_key(folder: Path, keys: vault.Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    known: dict[str, str] = {}
    monkeypatch.setattr(inbox, "fingerprints", lambda _host, _port: known)
    (folder / "group_vars/district_hosts/x.yml").write_text("sis_inbox_port: 2022\n")
    columns = "inbox_user,inbox_key,inbox_networks"
    lines = closing(folder, keys, "sis-oak,ssh-ed25519 AAAAC3,203.0.113.0/28", columns)
    assert "  Login         with its private key, no password" in lines
    assert "  Port          2022" in lines
    assert lines[-3].endswith("unknown here: ED25519, ECDSA, RSA. Read them on the host:")
    assert lines[-2] == f"  ssh oak.example.org {READ}"
    known["ED25519"] = KEYS["ED25519"]
    (folder / "group_vars/district_hosts/x.yml").write_text("ansible_port: 2200\n")
    lines = closing(folder, keys, "sis-oak,ssh-ed25519 AAAAC3,203.0.113.0/28", columns)
    assert lines[-4:-1] == [
        f"  Fingerprints  ED25519  {KEYS['ED25519']}",
        "                unknown here: ECDSA, RSA. Read them on the host:",
        f"  ssh -p 2200 oak.example.org {READ}",
    ]
    assert all(len(line) <= 80 for line in lines)


def test_what_else_the_sis_has_to_do(folder: Path, keys: vault.Vault) -> None:
    fetch = "sftp://maple@sis.example/out/x.zip"
    lines = closing(folder, keys, f"{fetch},key", "source,source_auth")
    assert lines[0] == "Let the SIS's server sis.example accept SFTP logins from oak.example.org."
    assert "site.yml shows the public one" in lines[1]
    assert len(closing(folder, keys, fetch, "source")) == 2
    assert closing(folder, keys, "smb://files/sis/x.zip", "source") == []
    assert closing(folder, keys, "", "source")[1] == "  /srv/roster-upload/oak/OneRoster.zip"
