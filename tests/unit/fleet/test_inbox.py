"""The columns of an inbox take what the role takes."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from new_districts import rows
from roster_fleet import roles
from roster_fleet.onboard import host_key, inbox
from roster_fleet.onboard.districts import OnboardError

HEAD = "host,district,site_code,username,source,inbox_user,inbox_key,inbox_networks"


@pytest.mark.parametrize(
    ("cells", "problem"),
    [
        (",Sis,k,203.0.113.0/28", '"Sis" is not a user such as sis-maple'),
        (",root,k,203.0.113.0/28", "'root' is the name of another account"),
        (",sis,ssh-rsa,203.0.113.0/28", 'inbox_key: "ssh-rsa..." is not a public key'),
        (",sis,ssh-ed25519 AAAA,203.0.113.1/28", '"203.0.113.1/28" is not a network'),
        (
            ",sis,,203.0.113.0/28",
            "inbox_key: is missing, since inbox_user is given. Or set",
        ),
        (",,ssh-ed25519 AAAA,", "inbox_key: needs an inbox_user"),
        (",sis,,", "inbox_networks: is missing, since inbox_user is given"),
        ("/mnt/x.zip,sis,ssh-ed25519 AAAA,::1", "source: is not in the inbox"),
    ],
)
def test_wrong_cells_are_refused(cells: str, problem: str) -> None:
    with pytest.raises(OnboardError) as error:
        rows(f"oak,Oak,1,o@oak.example,{cells}", head=HEAD)
    assert problem in str(error.value)


def test_the_host_keys_come_from_known_hosts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = {}
    for kind in ("rsa", "ecdsa", "ed25519"):
        command = ["ssh-keygen", "-q", "-t", kind, "-N", "", "-f", tmp_path / kind]
        subprocess.run(command, check=True)
        keys[kind] = (tmp_path / f"{kind}.pub").read_text().rpartition(" ")[0]
    lines = [f"oak.example {key}" for key in keys.values()]
    lines += [f"[oak.example]:2222 {keys['ecdsa']}"]
    lines += [f"{mark} elm.example {keys['rsa']}" for mark in ("@revoked", "@cert-authority")]
    (tmp_path / "known").write_text("".join(f"{line}\n" for line in lines))
    real = subprocess.run

    def run(command: list[str], **options: Any) -> Any:
        return real([*command, "-f", str(tmp_path / "known")], **options)

    monkeypatch.setattr(subprocess, "run", run)
    shown = inbox.fingerprints("oak.example", 22)
    assert list(shown) == ["ED25519", "ECDSA", "RSA"]
    assert shown["ED25519"] == host_key.fingerprint(keys["ed25519"])
    assert inbox.fingerprints("oak.example", 2222) == {"ECDSA": shown["ECDSA"]}
    assert inbox.fingerprints("elm.example", 22) == {}


def test_the_kinds_are_those_that_the_server_offers() -> None:
    config = roles.ROLES / "sis_inbox/templates/etc/ssh/sis-inbox/sshd_config.j2"
    found = re.findall(r"^HostKey .*_host_(\w+)_key$", config.read_text(), re.MULTILINE)
    assert tuple(kind.upper() for kind in found) == inbox.KINDS
