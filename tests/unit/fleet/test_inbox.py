"""The columns of an inbox take what the role takes."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
from new_districts import rows
from roster_fleet.onboard import inbox
from roster_fleet.onboard.districts import OnboardError

HEAD = "host,district,site_code,username,source,inbox_user,inbox_key,inbox_networks"


@pytest.mark.parametrize(
    ("cells", "problem"),
    [
        (",Sis,k,203.0.113.0/28", '"Sis" is not a user such as sis-maple'),
        (",root,k,203.0.113.0/28", "'root' is the name of another account"),
        (",sis,ssh-rsa,203.0.113.0/28", 'inbox_key: "ssh-rsa..." is not a public key'),
        (",sis,ssh-ed25519 AAAA,203.0.113.1/28", '"203.0.113.1/28" is not a network'),
        (",sis,,203.0.113.0/28", "inbox_key: is missing, since inbox_user is given"),
        (",,ssh-ed25519 AAAA,", "inbox_key: needs an inbox_user"),
        ("/mnt/x.zip,sis,ssh-ed25519 AAAA,::1", "source: is not in the inbox"),
    ],
)
def test_wrong_cells_are_refused(cells: str, problem: str) -> None:
    with pytest.raises(OnboardError) as error:
        rows(f"oak,Oak,1,o@oak.example,{cells}", head=HEAD)
    assert problem in str(error.value)


def test_the_host_key_comes_from_known_hosts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / "key"], check=True
    )
    key = (tmp_path / "key.pub").read_text().rpartition(" ")[0]
    (tmp_path / "known").write_text(f"oak.example {key}\n[oak.example]:2222 {key}\n")
    real = subprocess.run

    def run(command: list[str], **options: Any) -> Any:
        return real([*command, "-f", str(tmp_path / "known")], **options)

    monkeypatch.setattr(subprocess, "run", run)
    shown = inbox.fingerprint("oak.example", 22)
    assert shown.startswith("SHA256:")
    assert inbox.fingerprint("oak.example", 2222) == shown
    assert inbox.fingerprint("elm.example", 22) == ""
    note = inbox.for_the_sis("sis", "/x/y.zip", "oak.example", 2222, 22)
    assert "port 2222," in note
    assert shown in note  # the host has one key for both ports
    assert "[elm.example]:23" in inbox.for_the_sis("sis", "/x/y.zip", "elm.example", 2222, 23)
