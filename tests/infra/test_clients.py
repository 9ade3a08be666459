"""The SFTP clients that people and SISs have log in to both releases and bring a file."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest
from roster_fleet.onboard import host_key
from support import client_trees
from support.lab_hosts import DISTRICT_HOSTS, ROOT, Host, connect
from support.sftp_clients import ADMINISTRATOR, CLIENTS, SIS, Client
from support.sis import PORT, password_of

AT_ONCE = 4  # sshd drops some of more logins at once


@dataclass(frozen=True)
class Role:
    """A role logs in as a user, by `key` or by `password`, and transfers in a folder."""

    name: str
    user: str
    folder: str
    port: int = 22
    auth: str = "key"
    keys: Sequence[str] = ("ssh-ed25519",)  # the host keys that its clients know


AERIES = "sis-aeries"  # an SIS that has a password only
ROLES = [
    Role(ADMINISTRATOR, "deploy", "/home/deploy"),
    Role(SIS, AERIES, "/incoming", PORT, "password", ("ssh-ed25519", "ecdsa-sha2-nistp256")),
]


# The algorithms of Microsoft's OpenSSH 8.1 to 9.8, which has no post-quantum key exchange.
WINDOWS = """
KexAlgorithms curve25519-sha256,curve25519-sha256@libssh.org,ecdh-sha2-nistp256,ecdh-sha2-nistp384
Ciphers chacha20-poly1305@openssh.com,aes128-ctr,aes192-ctr,aes256-ctr,aes128-gcm@openssh.com
"""


@pytest.fixture(scope="module")
def trees() -> dict[str, Path]:
    """Return the trees that hold the clients, by release."""
    return client_trees.made()


@pytest.fixture(scope="module")
def shared(trees: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder with the scripts, the known hosts and the key in the clients' formats."""
    folder = tmp_path_factory.mktemp("clients")
    shutil.copytree(client_trees.SCRIPTS, folder, dirs_exist_ok=True)
    for suffix in ("", ".pub"):
        shutil.copy(ROOT / f".lab/id_ed25519{suffix}", folder / f"key{suffix}")
    lines = (ROOT / ".lab/known_hosts").read_text().splitlines()
    known = [
        f"{f'[{host}]:{role.port}' if role.port != 22 else host} {kind} {key}\n"
        for host, kind, key in map(str.split, lines)
        for role in ROLES
        if kind in role.keys
    ]
    (folder / "known_hosts").write_text("".join(known))
    (folder / "windows").write_text(WINDOWS)
    (folder / "password").write_text(password_of(AERIES))
    (folder / "askpass").write_text("#!/bin/sh\ncat /mnt/password\n")
    (folder / "askpass").chmod(0o700)
    shutil.copy(trees["bookworm"] / "usr/share/java/jsch.jar", folder / "jsch-0.1.55.jar")
    for words in (
        ["puttygen", "key", "-o", "key.ppk"],
        ["dropbearconvert", "openssh", "dropbear", "key", "key.dropbear"],
        ["ssh-keygen", "-q", "-t", "ecdsa", "-m", "PEM", "-N", "", "-f", "key.pem"],
    ):
        done = client_trees.run(trees["trixie"], folder, *words)
        assert done.returncode == 0, done.stdout
    return folder


def home_of(client: Client, shared: Path) -> Path:
    """Return the folder of a client."""
    return shared / f"{client.title}-{client.release}".replace(" ", "-").replace("'", "")


@pytest.fixture(scope="module")
def targets() -> dict[str, list[str]]:
    """Return the words that name each target to the scripts."""
    found = {}
    lines = (ROOT / ".lab/known_hosts").read_text().splitlines()
    for name in DISTRICT_HOSTS:
        address = connect(name).check_output("hostname -I").split()[0]
        keys = dict(line.split(" ", 2)[1:] for line in lines if line.startswith(f"{address} "))
        for role in ROLES:
            shown = ",".join(host_key.fingerprint(f"{kind} {keys[kind]}") for kind in role.keys)
            words = [str(role.port), role.user, role.folder, role.auth, shown]
            found[f"{name}-{role.name}"] = [address, *words]
    return found


@pytest.fixture(scope="module")
def outputs(
    trees: dict[str, Path], shared: Path, targets: dict[str, list[str]]
) -> Iterator[dict[Path, str]]:
    """Let all clients log in side by side. Return their outputs by folder."""
    words = [word for name, more in targets.items() for word in (name, *more)]

    def log_in(client: Client) -> str:
        home = home_of(client, shared)
        (home / ".ssh").mkdir(parents=True)
        shutil.copy(shared / "known_hosts", home / ".ssh/known_hosts")
        (home / "sent").write_text(client.title)
        settings = {"HOME": f"/mnt/{home.name}", **client.settings}
        command = [*client.command, *words]
        return client_trees.run(trees[client.release], shared, *command, **settings).stdout

    homes = [home_of(client, shared) for client in CLIENTS]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        yield dict(zip(homes, pool.map(log_in, CLIENTS), strict=True))
    for name in DISTRICT_HOSTS:
        connect(name).check_output("rm -f /home/deploy/t-* /srv/sis-inbox/sis-aeries/incoming/t-*")


@pytest.mark.parametrize("client", CLIENTS, ids=[f"{c.title}-{c.release}" for c in CLIENTS])
def test_a_client_brings_a_file(
    client: Client,
    outputs: dict[Path, str],
    shared: Path,
    targets: dict[str, list[str]],
    trees: dict[str, Path],
) -> None:
    home = home_of(client, shared)
    came = [name for name in targets if (home / f"{name}.back").exists()]
    refused = [name for name in targets if name.rsplit("-", 1)[1] in client.refused]
    assert sorted(came + refused) == sorted(targets), outputs[home]
    assert all((home / f"{name}.back").read_text() == client.title for name in came)
    for name in refused:
        assert f"{name}: " in outputs[home]
        assert "Algorithm negotiation fail" in outputs[home]
    if client.package:
        installed = client_trees.version(trees[client.release], client.package)
        assert installed.startswith(client.version), f"{installed}: adapt docs/clients.md"


def test_every_kind_of_key_logs_in(host: Host, tmp_path: Path) -> None:
    """Smart cards hold ECDSA keys, and PuTTYgen makes RSA keys. SHA-1 is refused."""
    kinds = {"ecdsa": ["-t", "ecdsa"], "rsa": ["-t", "rsa", "-b", "2048"]}
    for name, words in kinds.items():
        subprocess.run(["ssh-keygen", "-q", *words, "-N", "", "-f", tmp_path / name], check=True)
    public = "".join((tmp_path / f"{name}.pub").read_text() for name in kinds)
    file = "/home/deploy/.ssh/authorized_keys2"

    def log_in(key: str, *more: str) -> bool:
        words = ["-F", str(ROOT / ".lab/ssh_config"), "-o", "ControlPath=none", *more]
        words += ["-o", "IdentityFile=none", "-i", str(tmp_path / key), "-o", "BatchMode=yes"]
        name = host.backend.get_hostname()
        done = subprocess.run(["ssh", *words, name, "true"], capture_output=True, check=False)
        return done.returncode == 0

    host.check_output("printf %%s %s > %s && chown deploy: %s", public, file, file)
    try:
        assert [log_in("ecdsa"), log_in("rsa")] == [True, True]
        assert not log_in("rsa", "-o", "PubkeyAcceptedAlgorithms=ssh-rsa")
    finally:
        host.check_output("rm %s", file)
